"""Segmentation against torch's losses and scikit-learn's metrics."""

from functools import cache, partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics

from visionlab.config import ConfigError
from visionlab.data.pipeline import eval_batches
from visionlab.data.source import Arrays, Info
from visionlab.ops.views import WHOLE, rescaled, ten_crops
from visionlab.parallel.sharding import data_mesh
from visionlab.tasks.segment import segment
from visionlab.training.evaluation import compile_evaluation, predictions
from visionlab.training.log import scalars

K, SIZE = 5, (10, 12)


class Pixels(nn.Module):
  """Each pixel by itself; `crop` pixels of each side are not answered for."""
  classes: int
  crop: int = 0
  normed: bool = False

  @nn.compact
  def __call__(self, x, *, train=False):
    if self.normed:
      x = nn.BatchNorm(use_running_average=not train)(x)
    x = nn.Dense(self.classes, kernel_init=nn.initializers.normal(6.))(x)
    return x[:, self.crop:x.shape[1] - self.crop, self.crop:x.shape[2] - self.crop]


def draw(n=6, seed=0, classes=K, ignored=.1):
  rng = np.random.default_rng(seed)
  label = rng.integers(0, classes, (n, SIZE[0] // 2, SIZE[1] // 2)).repeat(2, 1).repeat(2, 2)
  label = np.where(rng.random(label.shape) < ignored, 255, label)
  return dict(image=rng.integers(0, 256, (n, *SIZE, 3)).astype(np.uint8),
              label_map=label.astype(np.int32), valid=np.ones(n, bool))


def make(classes=K, model=(), **options):
  task = segment(make_model=partial(Pixels, **dict(model)), example=draw(1), mean=(.5,) * 3,
                 info=Info(map_classes=tuple('abcdefgh'[:classes])), **options)
  return task, jax.jit(task.init)(jax.random.key(0), draw(2))


def logits_of(variables, image):
  dense = variables['params']['Dense_0']
  x = image.astype(np.float64) / 255 - .5
  return x @ np.asarray(dense['kernel'], np.float64) + np.asarray(dense['bias'], np.float64)


def loss_of(task, variables, batch, train=True):
  loss = jax.jit(partial(task.loss, train=train))
  return loss(variables, batch, jax.random.key(0), task.hyperparameters())


# --- losses ---

@pytest.mark.parametrize('class_weights', [(), (1., .5, 3., 0., 2.)])
def test_cross_entropy_and_its_gradient_equal_torch(class_weights):
  torch = pytest.importorskip('torch')
  task, variables = make(class_weights=class_weights)
  batch = draw()

  def value(bias):
    params = {'Dense_0': {**variables['params']['Dense_0'], 'bias': bias}}
    return loss_of(task, {'params': params}, batch)[0]['cross_entropy'].value
  got, gradient = jax.jit(jax.value_and_grad(value))(variables['params']['Dense_0']['bias'])
  shift = torch.zeros(K, dtype=torch.float64, requires_grad=True)
  want = torch.nn.functional.cross_entropy(
      (torch.tensor(logits_of(variables, batch['image'])) + shift).permute(0, 3, 1, 2),
      torch.tensor(batch['label_map'], dtype=torch.int64), ignore_index=255,
      weight=torch.tensor(class_weights, dtype=torch.float64) if class_weights else None)
  want.backward()
  np.testing.assert_allclose(got, want.item(), rtol=1e-5)
  np.testing.assert_allclose(gradient, shift.grad, rtol=1e-4, atol=1e-6)


def test_cross_entropy_counts_labelled_pixels():
  task, variables = make()
  batch = draw()
  batch['valid'] = np.arange(6) != 2
  counted = (batch['label_map'] != 255) & batch['valid'][:, None, None]
  terms, aux = loss_of(task, variables, batch)
  assert float(terms['cross_entropy'].count) == counted.sum()
  right = logits_of(variables, batch['image']).argmax(-1) == batch['label_map']
  np.testing.assert_allclose(aux.metrics['pixel_accuracy'].value, right[counted].mean(), rtol=1e-6)


def test_pixel_weights():
  task, variables = make(class_weights=(1., 2., 1., 1., 1.))
  batch = draw()
  batch['pixel_weight'] = np.random.default_rng(3).random(batch['label_map'].shape, np.float32)
  log_p = jax.nn.log_softmax(logits_of(variables, batch['image']))
  label = np.where(batch['label_map'] == 255, 0, batch['label_map'])
  weight = batch['pixel_weight'] * np.where(label == 1, 2, 1) * (batch['label_map'] != 255)
  own = np.take_along_axis(np.asarray(log_p), label[..., None], -1)[..., 0]
  terms, _ = loss_of(task, variables, batch)
  np.testing.assert_allclose(terms['cross_entropy'].value, -(weight * own).sum() / weight.sum(),
                             rtol=1e-4)


def dice_by_loops(probabilities, label, valid):
  """V-Net's D for each class in each image."""
  values = []
  for p, g, v in zip(probabilities, label, valid, strict=True):
    for k in np.unique(g[g < K]) if v else ():
      mine, own = p[..., k][g < K], (g == k)[g < K]
      values.append(1 - 2 * (mine * own).sum() / ((mine ** 2).sum() + (own ** 2).sum()))
  return values


def test_dice_equals_its_definition():
  task, variables = make(loss='dice')
  batch = draw()
  batch['valid'] = np.arange(6) != 4
  batch['label_map'][0] = np.where(batch['label_map'][0] == 3, 255, batch['label_map'][0])
  batch['label_map'][1] = 255
  terms, _ = loss_of(task, variables, batch)
  p = np.asarray(jax.nn.softmax(logits_of(variables, batch['image'])))
  want = dice_by_loops(p, batch['label_map'], batch['valid'])
  assert terms.keys() == {'dice'} and float(terms['dice'].count) == len(want) == 19
  np.testing.assert_allclose(terms['dice'].value, np.mean(want), rtol=1e-5)


def test_dice_of_a_perfect_and_a_hopeless_answer():
  task, variables = make(loss='dice')
  batch = draw(ignored=0.)
  sure = 100. * jax.nn.one_hot(batch['label_map'], K)
  for logits, want in ((sure, 0.), (jnp.roll(sure, 1, -1), 1.)):
    given = segment(make_model=lambda classes, y=logits: Given(y), example=batch, loss='dice',
                    info=Info(map_classes=tuple('abcde')))
    value = loss_of(given, {'params': {}}, batch)[0]['dice'].value
    np.testing.assert_allclose(value, want, atol=1e-5)


class Given:
  """Answers what it was given."""
  def __init__(self, logits):
    self.logits = logits

  def apply(self, variables, x, *, train, mutable, rngs):
    return (self.logits, {}) if mutable is not False else self.logits


def test_both_terms_have_their_weights():
  task, variables = make(loss='both')
  assert task.hyperparameters() == dict(cross_entropy_weight=1., dice_weight=1.)
  terms, _ = loss_of(task, variables, draw())
  for name in ('cross_entropy', 'dice'):
    alone, _ = loss_of(make(loss=name)[0], variables, draw())
    np.testing.assert_allclose(terms[name].value, alone[name].value)


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_what_does_not_count_may_be_anything(bad):
  """Neither value nor gradient is harmed by padding, and a map without labels pulls nowhere."""
  task, variables = make(loss='both')
  batch = draw()
  batch['pixel_weight'] = np.ones(batch['label_map'].shape, np.float32)
  logits = logits_of(variables, batch['image']).astype(np.float32)
  batch['valid'] = np.arange(6) != 2

  def value(logits, batch):
    given = segment(make_model=lambda classes: Given(logits), example=batch, loss='both',
                    info=Info(map_classes=tuple('abcde')))
    return sum(t.value for t in loss_of(given, {'params': {}}, batch)[0].values())
  want = jax.value_and_grad(value)(logits, batch)
  off = (batch['label_map'] == 255) | ~batch['valid'][:, None, None]
  odd = {**batch, 'pixel_weight': np.where(off, bad, 1).astype(np.float32),
         'label_map': np.where(off, 255 - 262 * (np.arange(SIZE[1]) % 2), batch['label_map'])}
  got = jax.value_and_grad(value)(np.where(off[..., None], np.float32(bad), logits), odd)
  jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), got, want)
  assert np.isfinite(got[0]) and not got[1][off].any()
  empty = {**batch, 'label_map': np.full_like(batch['label_map'], 255)}
  assert float(value(logits, empty)) == 0


def test_padded_examples_change_nothing():
  task, variables = make(loss='both')
  batch, padded = draw(6), {**draw(10, seed=5), 'valid': np.arange(10) < 6}
  for key in ('image', 'label_map'):
    padded[key][:6] = batch[key]
  for name, term in loss_of(task, variables, batch)[0].items():
    np.testing.assert_allclose(loss_of(task, variables, padded)[0][name].value, term.value,
                               rtol=1e-5)


def test_batch_statistics_are_updated_in_training():
  task, variables = make(model=dict(normed=True))
  for train in (True, False):
    _, aux = loss_of(task, variables, draw(), train=train)
    old, new = (v['batch_stats']['BatchNorm_0']['mean'] for v in (variables, aux.collections))
    assert (old != new).all() == train


# --- evaluation ---

@cache
def evaluation(task, devices):
  return compile_evaluation(task, data_mesh(jax.devices()[:devices]))


def evaluate(task, variables, data, batch, devices=1):
  data = {k: v for k, v in data.items() if k != 'valid' or not v.all()}
  return evaluation(task, devices)(variables, task.hyperparameters(),
                                   eval_batches(Arrays(data), batch, 0))


@pytest.mark.parametrize('batch, devices', [(4, 1), (13, 1), (8, 4)])
def test_results_equal_sklearn(batch, devices):
  task, variables = make()
  data = draw(13)
  data['valid'] = np.arange(13) % 5 != 2
  got = evaluate(task, variables, data, batch, devices)
  counted = (data['label_map'] != 255) & data['valid'][:, None, None]
  true = data['label_map'][counted]
  said = logits_of(variables, data['image']).argmax(-1)[counted]
  want = dict(pixel_accuracy=metrics.accuracy_score(true, said),
              mean_accuracy=metrics.balanced_accuracy_score(true, said),
              mean_iou=metrics.jaccard_score(true, said, average='macro'),
              frequency_weighted_iou=metrics.jaccard_score(true, said, average='weighted'))
  for name, value in want.items():
    np.testing.assert_allclose(got[name], value, rtol=1e-6, err_msg=name)
  np.testing.assert_allclose(got['class_iou'], metrics.jaccard_score(true, said, average=None))
  np.testing.assert_array_equal(got['confusion'], metrics.confusion_matrix(true, said))
  assert set(scalars(got)) == {*want, 'loss', 'cross_entropy', 'boundary_f1'}


def test_broken_examples_of_a_source_are_left_out():
  task, variables = make(loss='both')
  data = draw(13)
  data['valid'] = np.arange(13) % 5 != 2
  kept = evaluate(task, variables, {k: v[data['valid']] for k, v in data.items()}, 10)
  jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5),
               *({k: v for k, v in results.items() if k != 'absent_classes'}
                 for results in (evaluate(task, variables, data, 8), kept)))


def test_absent_classes_are_left_out_and_named():
  task, variables = make(class_weights=())
  data = draw(4, classes=2)
  got = evaluate(task, variables, data, 4)
  assert got['absent_classes'].tolist() == ['c', 'd', 'e']
  said = logits_of(variables, data['image']).argmax(-1)
  seen = [k in said for k in range(K)]
  assert not np.isnan(got['class_iou'][seen]).any()
  np.testing.assert_allclose(got['mean_iou'], np.nanmean(got['class_iou']))
  np.testing.assert_allclose(got['mean_accuracy'], np.mean(got['class_accuracy'][:2]))
  assert np.isnan(got['class_accuracy'][2:]).all()


def test_nothing_labelled():
  task, variables = make()
  data = {**draw(4), 'label_map': np.full((4, *SIZE), 255, np.int32)}
  got = evaluate(task, variables, data, 4)
  assert got['mean_iou'] == got['pixel_accuracy'] == got['boundary_f1'] == got['loss'] == 0
  assert len(got['absent_classes']) == K


def test_counts_beyond_32_bits_are_exact():
  task, _ = make(classes=2, tolerance=0.)
  counts = np.array([[3_000_000_001, 7], [0, 5_000_000_000]])
  assert task._finish(dict(confusion=np.stack([counts >> 16, counts & 0xffff])))[
      'confusion'].tolist() == counts.tolist()


def test_boundary_tolerance():
  """A part of the diagonal below 1, else pixels; 0 leaves it out."""
  data, variables = draw(5, ignored=0.), make()[1]
  share, pixels, none = (evaluate(make(tolerance=t)[0], variables, data, 5)
                         for t in (.15, .15 * np.hypot(*SIZE), 0.))
  assert share['boundary_f1'] == pixels['boundary_f1'] > 0 and 'boundary_f1' not in none
  assert share['class_boundary_f1'].shape == (K,)
  strict = evaluate(make()[0], variables, data, 5)
  assert strict['boundary_f1'] < share['boundary_f1']


# --- predictions ---

def test_predictions():
  task, variables = make()
  batch = draw()
  said = task.predict(variables, {'image': batch['image']})
  p = np.asarray(jax.nn.softmax(logits_of(variables, batch['image'])))
  np.testing.assert_array_equal(said['prediction'], p.argmax(-1))
  np.testing.assert_allclose(said['confidence'], p.max(-1), rtol=1e-4)
  assert said['prediction'].dtype == np.uint8


@pytest.mark.parametrize('crop', [0, 2])
def test_images_of_any_size(crop):
  """Pixel by pixel, so tiles of the trained size say what the network would of each image."""
  task, variables = make(model=dict(crop=crop))
  rng = np.random.default_rng(0)
  images = [rng.integers(0, 256, (h, w, 3)).astype(np.uint8) for h, w in ((4, 40), (25, 17), SIZE)]
  said = task.predict_images(variables, images, SIZE)
  for image, prediction, confidence in zip(images, said['prediction'], said['confidence'],
                                           strict=True):
    p = np.asarray(jax.nn.softmax(logits_of(variables, image)))
    np.testing.assert_array_equal(prediction, p.argmax(-1))
    np.testing.assert_allclose(confidence, p.max(-1), rtol=1e-4)


def test_a_cropped_answer_is_compared_with_the_middle():
  task, variables = make(model=dict(crop=2), loss='both')
  batch = draw()
  batch['pixel_weight'] = np.random.default_rng(0).random(batch['label_map'].shape, np.float32)
  inner = {k: v[:, 2:-2, 2:-2] if v.ndim > 1 else v for k, v in batch.items()}
  whole, _ = make(loss='both')
  for name, term in loss_of(task, variables, batch)[0].items():
    np.testing.assert_allclose(loss_of(whole, variables, inner)[0][name].value, term.value,
                               rtol=1e-5)
  got, want = (evaluate(t, variables, d, 6) for t, d in ((task, batch), (whole, inner)))
  np.testing.assert_array_equal(got['confusion'], want['confusion'])
  assert task.predict(variables, batch)['prediction'].shape == (6, 6, 8)


def test_averaged_probabilities():
  task, first = make()
  second = jax.jit(task.init)(jax.random.key(1), draw(2))
  batch = draw()
  average = task.averaged([task, task], [WHOLE])
  variables = {'params': [first, second]}
  want = sum(np.asarray(jax.nn.softmax(logits_of(v, batch['image']))) for v in (first, second)) / 2
  said = average.predict(variables, batch)
  np.testing.assert_array_equal(said['prediction'], want.argmax(-1))
  np.testing.assert_allclose(said['confidence'], want.max(-1), rtol=1e-4)
  with pytest.raises(ConfigError, match='no average'):
    task.averaged([task], ten_crops())


def test_scales_are_averaged_pixel_by_pixel():
  torch = pytest.importorskip('torch')
  task, variables = make()
  batch = draw()

  def resized(x, size):
    x = torch.tensor(np.moveaxis(x, -1, 1))
    x = torch.nn.functional.interpolate(x, size=size, mode='bilinear', align_corners=False)
    return np.moveaxis(x.numpy(), 1, -1)

  def probabilities(image):
    return np.asarray(jax.nn.softmax(logits_of(variables, image)))
  large = np.round(resized(batch['image'].astype(np.float64), (2 * SIZE[0], 2 * SIZE[1])))
  want = (probabilities(batch['image']) + resized(probabilities(large), SIZE)) / 2
  # What the network says of a pixel does not depend on its place: a mirror image adds nothing.
  for mirror in False, True:
    average = task.averaged([task], rescaled((1, 2), mirror))
    said = average.predict({'params': [variables]}, batch)
    np.testing.assert_allclose(said['confidence'], want.max(-1), rtol=2e-3)
    sure = np.diff(np.sort(want, -1)[..., -2:])[..., 0] > .01
    np.testing.assert_array_equal(said['prediction'][sure], want.argmax(-1)[sure])


def test_a_network_that_answers_for_the_middle_has_one_scale():
  task, variables = make(model=dict(crop=1))
  batch, members = draw(), {'params': [variables]}
  both = task.averaged([task], rescaled(mirror=True)).predict(members, batch)
  assert both['prediction'].shape == task.predict(variables, batch)['prediction'].shape
  with pytest.raises(ConfigError, match='--scales: this network answers for the middle'):
    task.averaged([task], rescaled((2.,))).predict(members, batch)


@pytest.mark.parametrize('crop', [0, 1])
def test_figures_are_pictures(crop):
  task, variables = make(model=dict(crop=crop))
  data = draw(9)
  batch, said = predictions(task.predict, variables, eval_batches(Arrays(data), 4, 0), 100)
  pictures = task.figures(batch, said, evaluate(task, variables, data, 4))
  assert set(pictures) == {'samples', 'worst', 'confusion', 'class_iou'}
  for picture in pictures.values():
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3


# --- errors ---

@pytest.mark.parametrize('options, says', [
  (dict(loss='dise'), 'did you mean "dice"'),
  (dict(class_weights=(1., 2.)), 'expected 5 of them, for a, b, c, d, e; got 2'),
  (dict(class_weights=(1., 2., -1., 0., 0.)), 'must not be negative'),
  (dict(class_weights=(0.,) * 5), 'nor all zero'),
  (dict(classes=1), 'at least two classes, background included; this source names a'),
  (dict(tolerance=-1.), 'config.task.tolerance'),
])
def test_errors(options, says):
  with pytest.raises(ConfigError, match=says):
    make(**options)


def test_a_source_without_label_maps_is_refused():
  with pytest.raises(ConfigError, match='label_map .* gives image, label'):
    segment(make_model=Pixels, info=Info(('a', 'b')), example=dict(image=0, label=0))


def test_a_model_with_other_classes_is_refused():
  task = segment(make_model=lambda classes: Pixels(3), info=Info(map_classes=('a', 'b')),
                 example=draw(1))
  with pytest.raises(ConfigError, match=r'2 classes, but logits of shape \(6, 10, 12, 3\)'):
    loss_of(task, jax.jit(task.init)(jax.random.key(0), draw(2)), draw())
