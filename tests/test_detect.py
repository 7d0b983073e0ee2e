"""The task `detect`: its losses beside torchvision's, and what must not count."""

import detectors
import jax
import numpy as np
import pytest
from drawn import drawn_variables
from PIL import Image
from tiny import config

from visionlab.build import build_task
from visionlab.config import ConfigError
from visionlab.data.pipeline import open_sources
from visionlab.data.source import Info
from visionlab.facts import Facts
from visionlab.measures.average_precision import box_iou
from visionlab.ops.image import Standardise
from visionlab.tasks.detect import Detect
from visionlab.tasks.own_pixels import on_canvas
from visionlab.tasks.two_stage import Detecting, Proposing

MODEL = dict(name='detector', backbone=dict(name='cnn', widths=(4, 8)), levels=('pool1',),
             pyramid=0, anchor_sizes=((12, 20),), hidden=(8,), aligned=True)
TERMS = dict(loss_objectness='objectness', loss_rpn_box_reg='rpn_box', loss_classifier='class',
             loss_box_reg='box', loss_mask='mask', loss_keypoint='keypoint')


def detection(model=(), data=(), **task):
  """A task on scenes, and a batch of four."""
  data = dict(name='scenes', size=48, objects=(1, 3)) | dict(data)
  sources = open_sources(data, 'train')
  rules = dict(rpn=dict(sample=32, train_pre_nms=60, train_post_nms=20, pre_nms=60, post_nms=20),
               box=dict(sample=8, score_threshold=.0, most=5))
  made = build_task(config(task=dict(name='detect', model=MODEL | dict(model), **rules | task)),
                    Facts.of(sources))
  batch = dict(sources[np.arange(4)], valid=np.ones(4, bool))
  return made, batch


@pytest.fixture(scope='module')
def masked():
  """A task, a batch, variables; `values` of (variables, batch) and the gradient of their sum."""
  task, batch = detection(dict(masks=True, mask_size=4, mask_convs=(8,), mask_hidden=8))
  variables = jax.jit(task.init)(jax.random.key(0), batch)

  @jax.jit
  def terms(params, batch):
    return task.loss({**variables, 'params': params}, batch, jax.random.key(1), {}, train=True)[0]

  def values(batch):
    return {name: (float(term.sum), float(term.count))
            for name, term in terms(variables['params'], batch).items()}
  gradient = jax.jit(jax.grad(lambda p, b: sum(t.value for t in terms(p, b).values())))
  return task, batch, variables, values, lambda batch: gradient(variables['params'], batch)


def test_losses_are_torchvisions():
  """All anchors and boxes are drawn, so that nothing is left to chance."""
  golden = detectors.golden()
  model = detectors.detector(backbone=detectors.ResNet(1, depth=18, frozen_norm=True))
  every = dict(sample=10 ** 4, positive_share=.5)
  task = Detect(model, ('a', 'b', 'c'), 'rpn',
                Proposing(**every, train_pre_nms=detectors.PRE_NMS,
                          train_post_nms=detectors.PROPOSALS),
                Detecting(**every | dict(sample=200)), detectors.SIZE, (), (), Standardise())
  batch = dict(image=detectors.image(), extent=np.array(detectors.EXTENT, np.float32),
               valid=np.ones(2, bool), objects=detectors.objects(golden))

  def ask(variables, batch):
    terms, _ = task.loss(variables, batch, jax.random.key(0), {}, train=True)
    return {name: term.value for name, term in terms.items()}
  said = jax.device_get(jax.jit(ask)(detectors.variables(model), batch))
  for theirs, ours in TERMS.items():
    np.testing.assert_allclose(said[ours], golden[f'loss.{theirs}'], rtol=1e-4, err_msg=ours)


def test_padding_counts_nowhere(masked):
  _, batch, _, values, _ = masked
  before = values(batch)

  def padded(name, x):
    more = np.full((4, 3, *x.shape[2:]), 0 if name == 'valid' else 7, x.dtype)
    return np.concatenate([x, more], axis=1)
  objects = {name: padded(name, x) for name, x in batch['objects'].items()}
  after = values(batch | dict(objects=objects))
  # More candidates are drawn otherwise, so only what is not sampled can be compared exactly.
  assert after['objectness'] == pytest.approx(before['objectness'], rel=1e-5)
  assert after['rpn_box'] == pytest.approx(before['rpn_box'], rel=1e-5)
  assert all(np.isfinite(x).all() for x in after.values())


def test_of_an_image_that_is_not_valid_nothing_is_drawn(masked):
  """Neither objects nor background: all that is counted is of the other images."""
  _, batch, _, values, gradient = masked
  nobody = batch | dict(valid=np.zeros(4, bool))
  assert set(values(nobody).values()) == {(0, 0)}
  assert not any(np.any(x) for x in jax.tree.leaves(gradient(nobody)))
  each = [values(batch | dict(valid=np.arange(4) == i)) for i in range(4)]
  for name, whole in values(batch).items():
    np.testing.assert_allclose(np.sum([one[name] for one in each], 0), whole, rtol=1e-5)


def test_what_is_drawn_of_an_image_hangs_on_it_alone(masked):
  _, batch, _, values, _ = masked
  turned = jax.tree.map(lambda x: np.roll(x, 1, axis=0), batch)
  for name, whole in values(batch).items():
    np.testing.assert_allclose(values(turned)[name], whole, rtol=1e-5)


def test_images_without_objects_teach_what_background_is(masked):
  _, batch, _, _, gradient = masked
  got = gradient(batch | dict(objects=jax.tree.map(np.zeros_like, batch['objects'])))
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(got))
  assert np.any(got['rpn']['objectness']['kernel']) and np.any(got['box']['logits']['kernel'])
  assert not np.any(got['rpn']['deltas']['kernel']) and not np.any(got['mask']['logits']['kernel'])


def test_crowds_are_not_learnt(masked):
  _, batch, _, values, _ = masked
  objects = batch['objects']
  crowd = dict(objects, crowd=objects['valid'])
  fewer = dict(objects, valid=np.zeros_like(objects['valid']))
  assert values(batch | dict(objects=crowd)) == values(batch | dict(objects=fewer))


@pytest.mark.parametrize('box', [(9, 9, 9, 9), (20, 20, 5, 5), (-90, -90, -50, -50), (0, 0, 48, 48),
                                 (10, 10, 10.0001, 40)])
def test_no_box_makes_a_gradient_that_is_not_finite(masked, box):
  _, batch, _, _, gradient = masked
  objects = batch['objects']
  boxes = np.broadcast_to(np.float32(box), objects['boxes'].shape)
  got = gradient(batch | dict(objects=dict(objects, boxes=boxes)))
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(got))


def test_crops_of_masks_teach_what_bitmaps_do(masked):
  """A crop of its whole box, at the resolution of the image or more."""
  _, batch, _, values, _ = masked
  objects = batch['objects']
  boxes = np.round(objects['boxes']).astype(int)
  crops = np.zeros((*boxes.shape[:2], 112, 112), np.uint8)
  for i, j in np.argwhere(objects['valid']):
    x1, y1, x2, y2 = boxes[i, j]
    cut = Image.fromarray(objects['masks'][i, j, y1:y2, x1:x2].astype(np.uint8) * 255)
    crops[i, j] = np.asarray(cut.resize((112, 112), Image.Resampling.BOX))
  cut = dict(objects, masks=crops, frames=objects['boxes'])
  whole, cropped = (values(batch | dict(objects=o))['mask'] for o in (objects, cut))
  assert whole[1] == cropped[1] > 0
  assert cropped[0] == pytest.approx(whole[0], rel=.02)


def test_what_is_beyond_the_picture_is_not_seen(masked):
  task, batch, variables, *_ = masked
  extent = np.tile(np.float32([30, 40]), (4, 1))
  noisy = batch['image'].copy()
  noisy[:, 30:], noisy[:, :, 40:] = 201, 78
  both = [jax.device_get(jax.jit(task.predict)(variables, dict(image=image, extent=extent)))
          for image in (batch['image'], noisy)]
  jax.tree.map(np.testing.assert_array_equal, *both)
  boxes = both[0]['boxes'][both[0]['valid']]
  assert len(boxes) and (boxes[:, [0, 2]] <= 40).all() and (boxes[:, [1, 3]] <= 30).all()


def test_images_of_any_size_are_answered_in_their_own_pixels(masked):
  task, _, variables, *_ = masked
  variables = drawn_variables(variables)
  images = [np.random.default_rng(0).integers(0, 255, size, np.uint8)
            for size in ((96, 60, 3), (20, 48, 3))]
  said = task.predict_images(variables, images, (48, 48))
  for image, boxes, masks in zip(images, said['boxes'], said['masks'], strict=True):
    picture, extent = on_canvas(image, (48, 48))
    alone = jax.jit(task.predict)(variables, dict(image=picture[None], extent=np.float32([extent])))
    zoom = np.array(image.shape[1::-1]) / extent[::-1]
    want = np.asarray(alone['boxes'][0])[np.asarray(alone['valid'][0])] * np.tile(zoom, 2)
    np.testing.assert_allclose(boxes, want, atol=1e-3)
    assert masks.shape == (len(boxes), *image.shape[:2]) and masks.dtype == bool
  assert len(task.describe(said, 2)) == 2


def test_perfect_answers_are_scored_perfect(masked):
  """What the evaluator collects fits what it is measured by."""
  task, batch, variables, *_ = masked
  stats = jax.device_get(jax.jit(lambda v, b: task._collected(v, b, {}))(variables, batch))
  truth = stats['truth']
  stats['predictions'] |= dict(boxes=truth['boxes'], classes=truth['classes'], valid=truth['valid'],
                        scores=np.ones(truth['valid'].shape, np.float32))
  stats['predictions']['masks'] = np.full((*truth['valid'].shape, 8, 8), 255, np.uint8)
  stats['predictions']['proposals'] = dict(boxes=truth['boxes'], valid=truth['valid'])
  results = task._finish(stats)
  assert results['box_ap'] == results['box_ap50'] == results['voc_ap'] == 1
  assert 0 < results['mask_ap'] < 1 and results['recall_at_100'] == 1


def test_anchors_that_find_an_object_overlap_it_as_much_as_any(masked):
  task, batch, *_ = masked
  anchors, index, positive = task.matched_anchors(batch['objects'])
  assert len(anchors) == 12 * 12 * 6                 # stride 4, two sizes, three ratios
  for i, (boxes, valid) in enumerate(zip(batch['objects']['boxes'], batch['objects']['valid'],
                                         strict=True)):
    overlap = box_iou(anchors, boxes[valid])
    np.testing.assert_array_equal(index[i][positive[i]], overlap.argmax(1)[positive[i]])
    assert positive[i][overlap.max(1) >= .7].all() and positive[i].sum() >= valid.sum()
    assert (overlap.max(1)[positive[i]] > .2).all()


def test_mistakes_are_named():
  with pytest.raises(ConfigError, match='no masks'):
    detection(dict(masks=True), dict(masks=False))
  with pytest.raises(ConfigError, match='keypoints: 14, but the source has 0'):
    detection(dict(keypoints=14))
  with pytest.raises(ConfigError, match='rpn.hihg.*did you mean "high"'):
    detection(rpn=dict(hihg=.7))
  with pytest.raises(ConfigError, match='detect needs "detector" with its proposals, not CNN'):
    build_task(config(task=dict(name='detect', model=dict(name='cnn'))),
               Facts(Info(('a',)), dict(image=jax.ShapeDtypeStruct((1, 8, 8, 3), np.uint8)), 1))
  for entry in ('label', 'label_map'):
    example = {name: jax.ShapeDtypeStruct((1, 8, 8, 3), np.uint8) for name in ('image', entry)}
    with pytest.raises(ConfigError, match='needs objects with boxes'):
      build_task(config(task=dict(name='detect', model=MODEL)), Facts(Info(('a',)), example, 1))
