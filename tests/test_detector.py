"""The detector's networks, and the choice of proposals and detections, beside torchvision's."""

from functools import partial

import detectors
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from detectors import DETECTIONS, EXTENT, PRE_NMS, PROPOSALS, SIZE
from drawn import drawn_image, drawn_variables

from visionlab.config import ConfigError
from visionlab.models.cnn import CNN
from visionlab.models.detector import Detector
from visionlab.models.fpn import FPN
from visionlab.models.rcnn import BoxHead
from visionlab.models.resnet import ResNet
from visionlab.models.vgg import VGG
from visionlab.ops.detections import detections
from visionlab.ops.proposals import propose, with_objects

EVERY = (16, 4, 1, 1, 1)      # of so many anchors on each level the fixture has one
TINY = dict(classes=3, levels=('pool1',), pyramid=0, hidden=(8,), anchor_sizes=((8, 16),))


@pytest.fixture(scope='module')
def golden():
  return detectors.golden()


@pytest.fixture(scope='module')
def ours(golden):
  """What the whole detector says, in one program; masks and keypoints of torchvision's boxes."""
  model = detectors.detector()
  extent = jnp.array(EXTENT, jnp.float32)

  @jax.jit
  def run(variables, x, found):
    apply = partial(model.apply, variables)
    maps = apply(x, method='maps')
    objectness, deltas = apply(maps, method='rpn')
    select = partial(propose, anchors=model.anchors(maps), pre_nms=PRE_NMS, post_nms=PROPOSALS,
                     iou_threshold=.7, min_size=1e-3)
    boxes, scores, valid = jax.vmap(lambda o, d, e: select(o, d, extent=e))(
      objectness, deltas, extent)
    logits, box_deltas = apply(apply(maps, boxes, 7, method='pool'), method='box_head')
    kept = jax.vmap(partial(detections, most=DETECTIONS))(logits, box_deltas, boxes, valid, extent)
    pooled = apply(maps, found, 14, method='pool')
    return dict(maps=maps, objectness=objectness, deltas=deltas, proposals=boxes, scores=scores,
                valid=valid, found=kept, masks=apply(pooled, method='mask_head'),
                heatmaps=apply(pooled, method='keypoint_head'))

  return jax.device_get(run(detectors.variables(model), detectors.image(),
                            golden['found.boxes'][:, :4]))


def assert_close(ours, theirs, tolerance=1e-4):
  """To a small part of the spread, which must be there."""
  theirs = np.asarray(theirs)
  assert theirs.std() > 0
  np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * theirs.std())


def test_maps_are_torchvisions(ours, golden):
  assert [m.shape[1:3] for m in ours['maps']] == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
  for i, m in enumerate(ours['maps']):
    assert_close(m[:, ::4, ::4, ::4], golden[f'map{i}'])
    assert_close(m.mean((1, 2)), golden[f'map{i}.mean'])


def test_what_the_proposal_network_says_is_torchvisions(ours, golden):
  for i, step in enumerate(EVERY):
    assert_close(ours['objectness'][i][:, ::step], golden[f'objectness{i}'])
    assert_close(ours['deltas'][i][:, ::step], golden[f'deltas{i}'])


def test_proposals_are_torchvisions(ours, golden):
  np.testing.assert_array_equal(ours['valid'], golden['proposals_valid'])
  assert (ours['valid'].sum(1) > 80).all() and not ours['valid'].all()
  np.testing.assert_allclose(ours['proposals'], golden['proposals'], atol=1e-3)
  assert (np.diff(ours['scores']) <= 0).all()


def test_detections_are_torchvisions(ours, golden):
  found = ours['found']
  np.testing.assert_array_equal(found['valid'], golden['found.valid'])
  np.testing.assert_array_equal(found['classes'] + 1, golden['found.labels'])
  np.testing.assert_allclose(found['scores'], golden['found.scores'], atol=1e-4)
  np.testing.assert_allclose(found['boxes'], golden['found.boxes'], atol=1e-3)
  assert len(np.unique(found['classes'])) == 3


def test_masks_and_heatmaps_are_torchvisions(ours, golden):
  classes = golden['found.labels'][:, :4, None, None, None] - 1
  masks = np.take_along_axis(ours['masks'], classes, -1)[..., 0]
  np.testing.assert_allclose(jax.nn.sigmoid(masks), golden['found.masks'], atol=1e-4)
  assert golden['found.masks'].std() > .05
  assert ours['heatmaps'].shape == (2, 4, 56, 56, 5)
  assert_close(ours['heatmaps'][:, :2, 1::4, 2::4], golden['found.heatmaps'])


def test_a_detection_knows_its_proposal(ours):
  """Boxes stay near what they were regressed from."""
  found, proposals = ours['found'], ours['proposals']
  assert found['source'].dtype == found['classes'].dtype == np.int32
  source = np.take_along_axis(proposals, found['source'][..., None], 1)
  centre = [(b[..., :2] + b[..., 2:]) / 2 for b in (source, found['boxes'])]
  side = source[..., 2:] - source[..., :2]
  assert (abs(centre[0] - centre[1]) < side).all()
  assert len(np.unique(found['source'][0])) > 10


def greedy(boxes, scores, groups, threshold, k):
  """Suppression as torchvision writes it down, best first, in NumPy."""
  kept = []
  for i in np.argsort(-scores, kind='stable'):
    for j in kept:
      if groups[i] == groups[j]:
        low = np.maximum(boxes[i, :2], boxes[j, :2])
        high = np.minimum(boxes[i, 2:], boxes[j, 2:])
        inter = np.prod(np.maximum(high - low, 0))
        areas = sum(np.prod(boxes[m, 2:] - boxes[m, :2]) for m in (i, j))
        if inter > threshold * (areas - inter):
          break
    else:
      kept.append(i)
  return kept[:k]


def random_boxes(rng, n, size):
  low = rng.uniform(-4, size - 4, (n, 2))
  return np.concatenate([low, low + rng.uniform(.5, size / 2, (n, 2))], 1).astype(np.float32)


PROPOSE = jax.jit(partial(propose, pre_nms=20, post_nms=25, iou_threshold=.3, min_size=3.,
                          score_threshold=.4))
DETECT = jax.jit(partial(detections, most=25, score_threshold=.1, iou_threshold=.4, min_size=2.))


@pytest.mark.parametrize('seed', range(4))
def test_proposals_one_step_after_the_other(seed):
  """Deltas are zero, so that boxes are the anchors, clipped; the rest is NumPy."""
  rng = np.random.default_rng(seed)
  h, w, counts = 20, 30, (90, 20, 3)
  anchors = [random_boxes(rng, n, 30) for n in counts]
  logits = [rng.normal(size=n).astype(np.float32) for n in counts]
  deltas = [np.zeros((n, 4), np.float32) for n in counts]
  boxes, scores, valid = PROPOSE(logits, deltas, anchors, np.array([h, w]))

  best = [np.argsort(-o)[:20] for o in logits]
  candidates = np.concatenate([a[i] for a, i in zip(anchors, best, strict=True)])
  candidates = np.clip(candidates, 0, [w, h, w, h])
  expected = np.concatenate([o[i] for o, i in zip(logits, best, strict=True)])
  expected = 1 / (1 + np.exp(-expected))
  levels = np.repeat(np.arange(3), [len(i) for i in best])
  good = (candidates[:, 2:] - candidates[:, :2] >= 3).all(1) & (expected >= .4)
  assert not good.all()
  kept = greedy(candidates[good], expected[good], levels[good], .3, 25)
  assert 3 < len(kept) < good.sum()
  np.testing.assert_array_equal(valid, np.arange(25) < len(kept))
  np.testing.assert_allclose(boxes[:len(kept)], candidates[good][kept], atol=1e-5)
  np.testing.assert_allclose(scores[:len(kept)], expected[good][kept], rtol=1e-5)
  assert not boxes[len(kept):].any() and not scores[len(kept):].any()


@pytest.mark.parametrize('seed', range(4))
def test_detections_one_step_after_the_other(seed):
  rng = np.random.default_rng(seed)
  m, k, most = 30, 4, 25
  proposals = random_boxes(rng, m, 30)
  logits = 2 * rng.normal(size=(m, 1 + k)).astype(np.float32)
  deltas = rng.normal(size=(m, k, 4)).astype(np.float32)
  valid = rng.random(m) < .8
  found = DETECT(logits, deltas, proposals, valid, np.array([25., 30]))

  p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
  rows = []
  for i in np.flatnonzero(valid):
    x1, y1, x2, y2 = proposals[i]
    for c in range(k):
      dx, dy, dw, dh = deltas[i, c] / (10, 10, 5, 5)
      cx, cy = (x1 + x2) / 2 + dx * (x2 - x1), (y1 + y2) / 2 + dy * (y2 - y1)
      bw, bh = (x2 - x1) * np.exp(dw), (y2 - y1) * np.exp(dh)
      box = np.clip([cx - bw / 2, cy - bh / 2, cx + bw / 2, cy + bh / 2], 0, [30, 25, 30, 25])
      if p[i, 1 + c] > .1 and min(box[2:] - box[:2]) >= 2:
        rows.append((*box, p[i, 1 + c], c, i))
  rows = np.array(rows)
  kept = rows[greedy(rows[:, :4], rows[:, 4], rows[:, 5], .4, most)]
  n = len(kept)
  assert n > 5
  np.testing.assert_array_equal(found['valid'], np.arange(most) < n)
  np.testing.assert_allclose(found['boxes'][:n], kept[:, :4], atol=1e-4)
  np.testing.assert_allclose(found['scores'][:n], kept[:, 4], rtol=1e-5)
  np.testing.assert_array_equal(found['classes'][:n], kept[:, 5])
  np.testing.assert_array_equal(found['source'][:n], kept[:, 6])


def test_only_the_most_probable_candidates_are_looked_at():
  logits = np.array([[0., 3], [0, 2], [0, 1]])
  boxes = np.array([[0., 0, 4, 4], [5, 5, 9, 9], [10, 10, 14, 14]])
  found = jax.jit(partial(detections, most=5, candidates=2))(
    logits, np.zeros((3, 1, 4)), boxes, np.ones(3, bool), np.array([20, 20]))
  assert found['valid'].tolist() == [True, True, False, False, False]
  assert found['source'][:2].tolist() == [0, 1]


def test_nan_is_never_valid():
  anchors = np.array([[0., 0, 4, 4], [6, 6, 9, 9], [12, 12, 16, 16]], np.float32)
  nan = np.zeros((3, 4), np.float32)
  nan[1] = np.nan
  select = jax.jit(partial(propose, pre_nms=3, post_nms=3, iou_threshold=.7, min_size=.1))
  for objectness, deltas in ((np.zeros(3), nan), (nan[:, 0], np.zeros((3, 4)))):
    boxes, scores, valid = select([objectness], [deltas], [anchors], np.array([20, 20]))
    assert valid.tolist() == [True, True, False]
    np.testing.assert_array_equal(boxes[:2], anchors[::2])
    assert not boxes[2].any() and not scores[2]
  select = jax.jit(partial(detections, most=3))
  good = dict(logits=np.array([[0., 2], [0, 2], [0, 1]]), deltas=np.zeros((3, 1, 4)),
              proposals=anchors, valid=np.ones(3, bool), extent=np.array([20, 20]))
  for bad in (dict(deltas=nan[:, None]), dict(logits=good['logits'] + nan[:, :2]),
              dict(proposals=anchors + nan)):
    found = select(**{**good, **bad})
    assert found['valid'].tolist() == [True, True, False]
    assert found['source'][:2].tolist() == [0, 2]
    assert all(np.isfinite(x).all() for x in found.values())


def test_no_gradient_flows_through_boxes():
  anchors = np.array([[0., 0, 4, 4], [6, 6, 9, 9]], np.float32)
  extent, real = np.array([20, 20]), np.ones(3, bool)

  @jax.jit
  @partial(jax.grad, argnums=(0, 1))
  def gradients(logits, deltas):
    boxes, scores, valid = propose([logits], [deltas], [anchors], extent, pre_nms=2, post_nms=2,
                                   iou_threshold=.7, min_size=.1)
    boxes, _ = with_objects(boxes, valid, jnp.ones((1, 4)), jnp.ones(1, bool))
    found = detections(jnp.zeros((3, 3)).at[:2, 1].set(logits), jnp.zeros((3, 2, 4)) + deltas[0],
                       boxes, real, extent, most=2)
    around = logits.sum() + deltas.sum()
    return boxes.sum() + scores.sum() + found['boxes'].sum() + found['scores'].sum() + around

  for g in gradients(np.ones(2, np.float32), np.zeros((2, 4), np.float32)):
    np.testing.assert_array_equal(g, np.ones(g.shape))


def test_objects_follow_the_proposals():
  boxes, valid = with_objects(jnp.zeros((2, 4)), jnp.array([True, False]),
                              jnp.ones((2, 4), jnp.float16), jnp.array([False, True]))
  assert boxes.dtype == jnp.float32 and boxes[:, 0].tolist() == [0, 0, 1, 1]
  assert valid.tolist() == [True, False, False, True]


def test_a_pyramid_in_numpy():
  """1 x 1 kernels are products, and a coarser map is repeated."""
  rng = np.random.default_rng(0)
  fine, coarse = rng.normal(size=(1, 4, 6, 2)), rng.normal(size=(1, 2, 3, 5))
  maps = [jnp.asarray(m, jnp.float32) for m in (fine, coarse)]
  fpn = FPN(3, extra=1)
  variables = jax.jit(fpn.init)(jax.random.key(0), maps)
  middle = jnp.zeros((3, 3, 3, 3)).at[1, 1].set(jnp.eye(3))
  params = {k: dict(v, kernel=middle) if k.startswith('output') else v
            for k, v in variables['params'].items()}
  first, second, third = jax.jit(fpn.apply)({'params': params}, maps)
  top = coarse @ np.asarray(params['lateral1']['kernel'][0, 0])
  below = fine @ np.asarray(params['lateral0']['kernel'][0, 0])
  np.testing.assert_allclose(second, top, atol=1e-5)
  np.testing.assert_allclose(first, below + top.repeat(2, 1).repeat(2, 2), atol=1e-5)
  np.testing.assert_array_equal(third, second[:, ::2, ::2])


def count(model, size=64):
  x = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
  params = jax.eval_shape(model.init, jax.random.key(0), x)['params']
  return sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize('fields, published, background', [
  (dict(classes=90), 41_755_286, 4 * 1025),
  (dict(classes=90, masks=True), 44_401_393, 4 * 1025 + 257),
  (dict(classes=1, keypoints=17), 59_137_258, 4 * 1025),
])
def test_parameter_counts(fields, published, background):
  """torchvision's, which leaves out the scales and biases of frozen BatchNorms."""
  model = Detector(backbone=ResNet(1), **fields)
  norms = jax.eval_shape(model.init, jax.random.key(0), jnp.ones((1, 64, 64, 3)))['batch_stats']
  frozen = sum(leaf.size for leaf in jax.tree.leaves(norms))
  assert frozen == 53_120
  assert count(model) == published + frozen - background


def test_the_papers_detector_on_vgg16():
  """Ren et al. 2015: VGG-16's convolutions and fc6, fc7; 9 anchors on a map of stride 16."""
  model = Detector(20, VGG(1), levels=('conv5',), pyramid=0, rpn_width=512,
                   anchor_sizes=((128, 256, 512),), pooling='pool', hidden=(4096, 4096), dropout=.5)
  convolutions, classifier = 14_714_688, 4097 * 1000
  fully_connected = 138_357_544 - convolutions - classifier
  rpn = 9 * 512 * 512 + 512 + 513 * 9 * 5
  assert count(model) == convolutions + fully_connected + rpn + 4097 * (21 + 80)
  assert model.map_strides == (16,)
  maps = jax.eval_shape(lambda v, x: model.apply(v, x, method='maps'), *jax.eval_shape(
    lambda key, x: (model.init(key, x), x), jax.random.key(0), jnp.ones((1, 50, 70, 3))))
  assert [m.shape for m in maps] == [(1, 4, 5, 512)]
  assert model.anchors(maps)[0].shape == (4 * 5 * 9, 4)


def test_images_of_any_size_are_filled_up():
  """With zeros below and to the right: what is there already stays where it is."""
  model = Detector(3, CNN(1, widths=(4, 8)), levels=('pool0', 'pool1'), pyramid=4, extra=2,
                   anchor_sizes=((8,),) * 4)
  variables = jax.eval_shape(model.init, jax.random.key(0), np.ones((1, 8, 8, 3)))
  variables = drawn_variables(variables)
  x = drawn_image(1, 21, 30, 3)
  run = jax.jit(partial(model.apply, variables, method='maps'))
  small, filled = run(x), run(np.pad(x, [(0, 0), (0, 3), (0, 2), (0, 0)]))
  assert [m.shape[1:3] for m in small] == [(12, 16), (6, 8), (3, 4), (2, 2)]
  assert model.map_strides == (2, 4, 8, 16)
  for a, b in zip(small, filled, strict=True):
    np.testing.assert_array_equal(a, b)


def test_pooling_takes_each_box_from_its_own_level():
  """On maps that are constant the answer is known; both ways of pooling agree on them."""
  maps = [np.full((2, SIZE[0] // s, SIZE[1] // s, 4), s, np.float32) for s in (4, 8, 16, 32, 64)]
  boxes = np.array([[8, 8, 16, 16], [8, 8, 40, 39], [0, 0, 60, 60], [0, 0, 192, 128]], np.float32)
  boxes = np.stack([boxes, boxes[::-1]])
  for pooling in ('align', 'pool'):
    model = detectors.detector(pooling=pooling)
    pooled = jax.jit(lambda maps, boxes, model=model: model.pool(maps, boxes, 3))(maps, boxes)
    assert pooled.shape == (2, 4, 3, 3, 4)
    strides = np.broadcast_to(np.array([[4, 8, 16, 32], [32, 16, 8, 4]])[..., None, None, None],
                              pooled.shape)
    np.testing.assert_allclose(pooled, strides, rtol=1e-6)


def test_gradients_reach_every_parameter():
  model = Detector(backbone=CNN(1, widths=(4, 8)), **TINY, masks=True, mask_convs=(4,),
                   mask_size=4, keypoints=2, keypoint_convs=(4,), keypoint_size=4, pool_size=3,
                   norm=True)
  x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 16, 16, 3)), jnp.float32)
  variables = drawn_variables(jax.eval_shape(model.init, jax.random.key(0), x))

  @jax.jit
  def gradient(variables):
    def loss(params):
      outputs, updates = model.apply(dict(variables, params=params), x, train=True,
                                     mutable=['batch_stats'])
      assert {leaf.dtype for leaf in jax.tree.leaves(outputs)} == {jnp.dtype('float32')}
      return sum((leaf ** 2).sum() for leaf in jax.tree.leaves(outputs)), updates
    return jax.grad(loss, has_aux=True)(variables['params'])

  grads, updates = gradient(variables)
  unused = [jax.tree_util.keystr(path) for path, g in jax.tree_util.tree_leaves_with_path(grads)
            if not np.abs(g).max() > 0]
  assert not unused
  changed = jax.tree.map(lambda a, b: (a != b).any(), updates['batch_stats'],
                         variables['batch_stats'])
  assert all(jax.tree.leaves(changed)) and set(updates['batch_stats']) >= {'rpn', 'mask'}


def test_frozen_norms_and_bfloat16():
  fields = dict(TINY, norm=True, frozen_norm=True, pool_size=3)
  x = jnp.ones((1, 16, 16, 3))
  for dtype in (jnp.float32, jnp.bfloat16):
    model = Detector(backbone=CNN(1, widths=(4, 8), dtype=dtype), dtype=dtype, **fields)
    variables = jax.eval_shape(model.init, jax.random.key(0), x)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype('float32')}
    variables = drawn_variables(variables)
    outputs, updates = jax.jit(partial(model.apply, train=True, mutable=['batch_stats']))(
      variables, x)
    assert {leaf.dtype for leaf in jax.tree.leaves(outputs)} == {jnp.dtype('float32')}
    jax.tree.map(np.testing.assert_array_equal, updates['batch_stats'], variables['batch_stats'])
    maps = jax.eval_shape(partial(model.apply, method='maps'), variables, x)
    assert maps[0].dtype == dtype


def test_dropout_is_for_training_alone():
  """With ones for weights, what is left is counted."""
  head = BoxHead(2, hidden=(64,), dropout=.5)
  pooled = np.ones((1, 20, 2, 2, 1), np.float32)
  shapes = jax.eval_shape(head.init, jax.random.key(0), pooled)
  variables = jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), shapes)

  @partial(jax.jit, static_argnums=1)
  def left(key, train):
    logits, _ = head.apply(variables, pooled, train=train, rngs={'dropout': key})
    return (logits[0, :, 0] - 1) / 5

  first, second = (left(jax.random.key(i), True) for i in range(2))
  np.testing.assert_array_equal(left(jax.random.key(0), False), np.full(20, 64))
  assert (first != second).any() and len(np.unique(first)) > 3
  assert not np.mod(first, 2).any() and abs(first.mean() - 64) < 12      # doubled, or zero


@pytest.mark.parametrize('fields, message', [
  (dict(anchor_sizes=((8,), (16,))), 'model.anchor_sizes .* each of 1 levels, got 2'),
  (dict(pyramid=8, anchor_sizes=((8,),)), r'each of 2 levels \(1 added on top\), got 1'),
  (dict(anchor_sizes=(8,)), 'as many sizes on every level'),
  (dict(pyramid=8, anchor_sizes=((8,), (16, 32))), 'as many sizes on every level'),
  (dict(levels=('pool1', 'pool0'), pyramid=8), 'twice the stride of the last'),
  (dict(levels=('pool0', 'pool1')), 'one level without a pyramid'),
  (dict(levels=('pool9',)), "'pool9' is not one of"),
  (dict(pooling='aline'), "'aline' is not one of .* mean \"align\""),
  (dict(act='rellu'), 'no activation'),
  (dict(backbone=dict(name='cnn')), 'needs a network with features'),
])
def test_mistakes_are_named(fields, message):
  with pytest.raises(ConfigError, match=message):
    Detector(**{**TINY, 'backbone': CNN(1, widths=(4, 8)), **fields})
