"""Which units detect what."""

import dataclasses
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.data.source import Arrays, Info
from visionlab.models.layers import point
from visionlab.understand import Subject
from visionlab.understand.dissect import (
  Dissection,
  compared,
  dissect,
  enlargement,
  random_rotation,
  thresholds,
)

NAMES = ('sky', 'road', 'car')
RNG = np.random.default_rng(0)
LABELS = np.kron(RNG.integers(0, 3, (7, 3, 4)), np.ones((4, 4), int)).astype(np.uint8)
LABELS[1, :5] = 255


class Seen(nn.Module):
  """Its units are the images' channels, at every `stride` pixels."""
  stride: int = 1

  @nn.compact
  def __call__(self, x):
    x = point('map', x[:, ::self.stride, ::self.stride])
    return x.mean((1, 2))


def subject_of(model, channels):
  return Subject.of((model, {}), (*LABELS.shape[1:], channels))


def source_of(images, labels=LABELS, info=None, **entries):
  return Arrays({'image': images.astype(np.float32), 'label_map': labels, **entries},
                info or Info(map_classes=NAMES))


def test_a_unit_that_is_a_mask_has_an_iou_of_1_and_a_random_one_almost_none():
  masks = np.stack([LABELS == 0, LABELS == 2, RNG.random(LABELS.shape)], -1)
  found = dissect(subject_of(Seen(), 3), source_of(masks), 'map', batch=3)
  assert found.iou[0, 0] == found.iou[1, 2] == 1
  assert found.best[2] <= .02
  assert found.detectors().tolist() == [True, True, False]
  assert found.counts() == {'sky': 1, 'car': 1}


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('batch', [2, 7])
def test_it_is_what_numpy_finds(stride, batch):
  """Thresholds by a sort of everything, IoU by sets of pixels; broken images are left out."""
  images = RNG.normal(size=(*LABELS.shape, 4))
  valid = np.arange(7) != 4
  found = dissect(subject_of(Seen(stride), 4), source_of(images, valid=valid), 'map', quantile=.03,
                  batch=batch)
  maps = images.astype(np.float32)[valid][:, ::stride, ::stride]
  ranked = np.sort(maps.reshape(-1, 4), 0)[::-1]
  level = ranked[int(np.ceil(.03 * len(ranked))) - 1]
  np.testing.assert_array_equal(found.thresholds, level)
  rows, columns = (np.minimum(np.arange(n) / stride, n // stride - 1) for n in LABELS.shape[1:])
  labels = LABELS[valid]
  for unit in range(4):
    enlarged = np.stack([[[_bilinear(one[..., unit], y, x) for x in columns] for y in rows]
                         for one in maps])
    is_on = (enlarged >= level[unit]) & (labels < 3)
    for concept in range(3):
      there = labels == concept
      assert found.iou[unit, concept] == pytest.approx(
          (is_on & there).sum() / (is_on | there).sum(), abs=1e-3)
  assert found.pixels.tolist() == [(labels == k).sum() for k in range(3)]


def _bilinear(image, y, x):
  y0, x0 = int(y), int(x)
  y1, x1 = min(y0 + 1, image.shape[0] - 1), min(x0 + 1, image.shape[1] - 1)
  fy, fx = y - y0, x - x0
  return ((1 - fy) * ((1 - fx) * image[y0, x0] + fx * image[y0, x1])
          + fy * ((1 - fx) * image[y1, x0] + fx * image[y1, x1]))


def test_maps_are_enlarged_between_the_centres_of_their_fields():
  class Strided(nn.Module):
    @nn.compact
    def __call__(self, x):
      x = nn.Conv(1, (3, 3), 2, 'VALID', name='conv')(x)
      return x.mean((1, 2))
  model = Strided()
  variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 7, 9, 3)))
  rows, columns = enlargement(Subject.of((model, variables), (7, 9, 3)), np.zeros((1, 7, 9, 3)),
                              'conv')
  # Centres lie at 1, 3, 5 and 1, 3, 5, 7.
  np.testing.assert_allclose(rows @ [10, 20, 40], [10, 10, 15, 20, 30, 40, 40])
  assert columns.shape == (9, 4)


def test_a_silent_unit_is_never_on():
  images = np.zeros((*LABELS.shape, 3))
  images[2, 3, 3, 1] = 5                      # is on once only, in less than half a per cent
  images[..., 2] = 7
  subject = subject_of(Seen(), 3)
  found = dissect(subject, source_of(images), 'map')
  assert found.thresholds[0] > 0 and found.thresholds[1] > 0
  assert not found.iou[0].any() and not found.iou[2].any()
  label = LABELS[2, 3, 3]
  assert found.iou[1, label] == pytest.approx(1 / (label == LABELS).sum())


def test_turned_units_are_mixtures():
  masks = np.stack([LABELS == 0, LABELS == 2], -1)
  subject, source = subject_of(Seen(), 2), source_of(masks)
  swapped = dissect(subject, source, 'map', rotation=np.array([[0., 1], [1, 0]]))
  assert swapped.iou[0, 2] == swapped.iou[1, 0] == 1
  turned = random_rotation(50, seed=3)
  np.testing.assert_allclose(turned @ turned.T, np.eye(50), atol=1e-6)
  assert np.linalg.det(turned) == pytest.approx(1, abs=1e-4)
  with pytest.raises(ConfigError, match=r'2 units it is \(2 2\), not \(3, 3\)'):
    dissect(subject, source, 'map', rotation=np.eye(3))


def test_what_is_wrong_is_said():
  subject, images = subject_of(Seen(), 1), np.zeros((*LABELS.shape, 1))
  with pytest.raises(ConfigError, match='no label maps, only image, label'):
    dissect(subject, Arrays({'image': images, 'label': np.zeros(7)}), 'map')
  with pytest.raises(ConfigError, match='give `concepts`'):
    dissect(subject, source_of(images, info=Info()), 'map')
  with pytest.raises(ConfigError, match='quantile'):
    thresholds(subject, images, 'map', quantile=0)


def test_trained_beside_rotated_and_untrained():
  """A run whose weights are the identity, of a task that starts with zeros."""
  class Mixed(nn.Module):
    @nn.compact
    def __call__(self, x):
      return nn.Dense(2, use_bias=False, name='mix')(x).mean((1, 2))
  model, image = Mixed(), jax.ShapeDtypeStruct((1, *LABELS.shape[1:], 2), np.float32)
  run = SimpleNamespace(
      task=Task(model), variables={'params': {'mix': {'kernel': jnp.eye(2)}}}, classes=(),
      canvas=SimpleNamespace(shape=image.shape[1:]),
      facts=SimpleNamespace(example={'image': image}, frames=0))
  masks = np.stack([LABELS == 0, LABELS == 2], -1)
  masks = masks + RNG.normal(size=masks.shape) / 4
  found = compared(run, source_of(masks), 'mix', seed=5, quantile=.2)
  rotated = dissect(subject_of(Seen(), 2), source_of(masks @ random_rotation(2, 5).T), 'map',
                    quantile=.2)
  np.testing.assert_allclose(found['rotated'].iou, rotated.iou, atol=.01)
  assert (found['trained'].iou != found['rotated'].iou).any()
  assert found['trained'].counts() == {'sky': 1, 'car': 1}
  assert not found['untrained'].detectors().any()


@dataclasses.dataclass(frozen=True)
class Task:
  """Whose network starts with zeros."""
  model: nn.Module

  def init(self, key, batch):
    return jax.tree.map(jnp.zeros_like, self.model.init(key, batch['image']))

  def answer(self, variables, batch, given=None):
    return dict(logits=self.model.apply(variables, batch['image']))


def test_which_units_detect():
  found = Dissection('map', NAMES, np.array([[.1, .2, 0], [.03, 0, 0], [0, 0, .5], [.3, 0, .4]]),
                     np.zeros(4), np.ones(3, int))
  assert found.concept.tolist() == [1, 0, 2, 2]
  assert found.detectors().tolist() == [True, False, True, True]
  assert found.counts() == {'car': 2, 'road': 1}
  assert found.detectors(.45).sum() == 1
