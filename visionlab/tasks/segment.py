"""Semantic segmentation: a class for every pixel."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError, check_choice
from visionlab.data.source import Info
from visionlab.figures import charts
from visionlab.measures.classification import confusion
from visionlab.measures.segmentation import boundary_f1, region_scores
from visionlab.metrics import Ratio
from visionlab.ops.crop import centre_crop
from visionlab.ops.image import Standardise
from visionlab.ops.tiling import segment_images
from visionlab.task import Aux, Evaluator
from visionlab.tasks.forward import forward, mean_over

LOSSES = dict(cross_entropy=('cross_entropy',), dice=('dice',), both=('cross_entropy', 'dice'))


@dataclasses.dataclass(frozen=True)
class Segment:
  """batch: `image` (b h w c), `label_map` (b h w) int, of which what is no class (255) counts
  nowhere, `valid` (b,); `pixel_weight` (b h w) where the source has it.

  predict: `prediction` (b h' w') uint8, or int32 for more than 255 classes; `confidence` (b h' w'),
  the probability of that class. Where a network answers for the middle of the image only, h' < h,
  labels are cropped to it.
  """
  model: Any
  classes: tuple[str, ...]
  terms: tuple[str, ...]
  class_weights: tuple[float, ...]
  tolerance: float
  preprocess: Standardise

  def hyperparameters(self):
    return {f'{term}_weight': 1. for term in self.terms}

  def init(self, key, batch):
    return self.model.init(key, self.preprocess(batch['image']), train=False)

  def logits(self, variables, batch, key=None, *, train=False):
    """(b h' w' k) float32, and the collections after this batch."""
    logits, updated = forward(self.model, variables, self.preprocess(batch['image']), key,
                              train=train)
    return logits.astype(jnp.float32), updated

  def probabilities(self, variables, batch):
    """(b h' w' k) float32: more than anybody keeps of many images."""
    return jax.nn.softmax(self.logits(variables, batch)[0])

  def loss(self, variables, batch, key, hp, *, train):
    logits, collections = self.logits(variables, batch, key, train=train)
    label, counted = self._truth(batch, logits)
    one_hot = label[..., None] == jnp.arange(len(self.classes))
    # Masked before the logarithm: what does not count may be anything, and gets no gradient.
    log_p = jax.nn.log_softmax(jnp.where(counted[..., None], logits, 0))
    terms = {}
    if 'cross_entropy' in self.terms:
      weights = jnp.where(counted, self._weights(batch, label), 0)
      losses = -jnp.where(one_hot, log_p, 0).sum(-1)
      terms['cross_entropy'] = Ratio((weights * losses).sum(), weights.sum())
    if 'dice' in self.terms:
      terms['dice'] = soft_dice(jnp.exp(log_p), one_hot, counted)
    right = logits.argmax(-1) == label
    return terms, Aux(collections, {'pixel_accuracy': Ratio.of(right, counted)})

  def predict(self, variables, batch):
    probabilities = self.probabilities(variables, batch)
    return dict(prediction=self._narrow(probabilities.argmax(-1)),
                confidence=probabilities.max(-1))

  def answer(self, variables, batch, given=None):
    return dict(logits=self.logits(variables, batch)[0])

  def predict_images(self, variables, images: Sequence[np.ndarray], size: tuple[int, int],
                     **options) -> dict[str, list[np.ndarray]]:
    """`predict` for images (h w c) of any size, as lists of maps (h w), by tiles of `size`.

    options: those of `visionlab.ops.tiling.segment_images`.
    """
    def ask(tiles):
      return _probabilities(self, variables, {'image': tiles})
    pixels = jax.ShapeDtypeStruct((1, *size, images[0].shape[-1]), images[0].dtype)
    answer = _probabilities.eval_shape(self, variables, {'image': pixels}).shape[1:3]
    predictions = list(segment_images(ask, images, size, answer=answer, **options))
    return {name: [one[name] for one in predictions] for name in ('prediction', 'confidence')}

  def describe(self, predictions, top: int) -> list[str]:
    """What `predict_images` gave, a line for each image."""
    return [areas(label_map, self.classes, top) for label_map in predictions['prediction']]

  def picture(self, images, predictions, captions, title) -> np.ndarray:
    """What `predict_images` gave, drawn over the images."""
    return charts.overlays(images, predictions['prediction'], self.classes, captions, title)

  def evaluators(self):
    return {'pixels': Evaluator(self._counts, self._finish)}

  def figures(self, batch, predictions, results):
    predicted = predictions['prediction']
    size = predicted.shape[1:3]
    image, label = (centre_crop(batch[k], size) for k in ('image', 'label_map'))
    counted = label < len(self.classes)
    right = ((predicted == label) & counted).sum((1, 2)) / np.maximum(counted.sum((1, 2)), 1)

    def rows(chosen, title):
      captions = [f'{right[i]:.1%} right' for i in chosen]
      return charts.label_maps(image[chosen], label[chosen], predicted[chosen], self.classes,
                               captions, title)
    worst = np.argsort(np.where(counted.any((1, 2)), right, 2), kind='stable')
    # Spread out, because neighbours are often frames of one film.
    some = np.unique(np.linspace(0, len(predicted) - 1, 6).round().astype(int))
    pictures = {'samples': rows(some, 'Predictions'),
                'worst': rows(worst[:6], 'Lowest share of pixels right')}
    if 'confusion' in results:
      pictures['confusion'] = charts.confusion_matrix(results['confusion'], self.classes,
                                                       shares=True)
      pictures['class_iou'] = charts.bars(results['class_iou'], self.classes,
                                           f'IoU by class (mean {results["mean_iou"]:.1%})')
    return pictures

  def averaged(self, members, views):
    """A task whose probabilities are the mean over `members` and over `views`
    (`visionlab.ops.views`); its variables are {'params': [each member's variables]}."""
    if any(view.back is None for view in views):
      raise ConfigError('segment: maps of different crops have no average')

    def log_mean(variables, batch):
      p = mean_over(partial(_seen, image=batch['image']), members, variables, views)
      return jnp.log(jnp.maximum(p, 1e-12))
    return Averaged(None, self.classes, self.terms, self.class_weights, self.tolerance,
                    Standardise(), log_mean)

  def _truth(self, batch, logits):
    """Labels (b h' w'), and which of them count: those of a class, in valid examples."""
    if logits.shape[-1] != len(self.classes):
      raise ConfigError(f'config.task.model: {len(self.classes)} classes, but logits of shape '
                        f'{logits.shape}')
    label = centre_crop(batch['label_map'].astype(jnp.int32), logits.shape[1:3])
    counted = (label >= 0) & (label < len(self.classes)) & batch['valid'][:, None, None]
    return jnp.where(counted, label, 0), counted

  def _weights(self, batch, label):
    """Of each pixel in the cross-entropy, (b h' w')."""
    weights = jnp.ones(label.shape, jnp.float32)
    if self.class_weights:
      # Not a gather: selected and added it fuses with what is around it.
      one_hot = label[..., None] == jnp.arange(len(self.classes))
      weights = jnp.where(one_hot, jnp.array(self.class_weights, jnp.float32), 0).sum(-1)
    if 'pixel_weight' in batch:
      weights *= centre_crop(batch['pixel_weight'], label.shape[1:3])
    return weights

  def _narrow(self, prediction):
    return prediction.astype(jnp.uint8 if len(self.classes) <= 255 else jnp.int32)

  def _counts(self, variables, batch, hp):
    logits, _ = self.logits(variables, batch)
    label, counted = self._truth(batch, logits)
    predicted, k = logits.argmax(-1), len(self.classes)
    counts = confusion(label, predicted, k, counted)
    # In two parts, whose sums stay exact beyond the 2^31 pixels of a large split.
    stats = dict(confusion=jnp.stack([counts >> 16, counts & 0xffff]))
    if self.tolerance:
      pixels = self.tolerance * (1 if self.tolerance >= 1 else np.hypot(*label.shape[1:]))
      f1, there = boundary_f1(label, predicted, k, counted, float(pixels))
      f1 = jnp.where(there, f1, 0)
      mean = f1.sum(1) / jnp.maximum(there.sum(1), 1)
      stats |= dict(boundary=Ratio.of(mean, there.any(1)),
                    class_boundary=Ratio(f1.sum(0), there.sum(0, dtype=jnp.float32)))
    return stats

  def _finish(self, stats):
    high, low = np.asarray(stats['confusion'], np.int64)
    counts = (high << 16) + low
    results = dict(region_scores(counts), confusion=counts,
                   absent_classes=np.array(self.classes)[counts.sum(1) == 0])
    if self.tolerance:
      by_class = stats['class_boundary']
      results |= dict(boundary_f1=float(stats['boundary'].value),
                      class_boundary_f1=np.where(by_class.count > 0, by_class.value, np.nan))
    return results


_probabilities = jax.jit(Segment.probabilities, static_argnums=0)


def _seen(task, variables, view, image):
  """Probabilities (b h' w' k) of the pixels of an image that a network is shown in a view."""
  seen, size = view.see(image), image.shape[1:3]
  p = task.probabilities(variables, {'image': seen})
  if seen.shape[1:3] != size and p.shape[1:3] != seen.shape[1:3]:
    raise ConfigError('--scales: this network answers for the middle of an image only, which at '
                      'another scale is another part of it')
  return view.back(p, size)


@dataclasses.dataclass(frozen=True)
class Averaged(Segment):
  """What `Segment.averaged` gives; it is evaluated, not trained."""
  log_mean: Callable

  def logits(self, variables, batch, key=None, *, train=False):
    return self.log_mean(variables['params'], batch), {}


def segment(*, make_model: Callable, info: Info, example: Mapping, loss: str = 'cross_entropy',
            class_weights: tuple = (), tolerance: float = .0075, mean: tuple = (),
            std: tuple = (), channel_order: str = 'RGB') -> Segment:
  """A class for every pixel: cross-entropy and Dice.

  Args:
    loss: 'cross_entropy', over pixels; 'dice', see `soft_dice`; or 'both', added with the weights
      hp.cross_entropy_weight and hp.dice_weight.
    class_weights: of each class in the cross-entropy, which is divided by the sum of the weights;
      empty for ones.
    tolerance: of the boundary F1 (see `visionlab.measures.segmentation.boundary_f1`), as a part of
      the diagonal if below 1, else in pixels; 0: not measured.
    mean, std, channel_order: what is done to images before the network sees them, see
      `visionlab.ops.image.standardise`.
  """
  check_choice(loss, LOSSES, 'config.task.loss')
  if 'label_map' not in example:
    raise ConfigError('config.task: segment needs a label_map for each image, but this source '
                      f'gives {", ".join(sorted(example))}')
  classes = info.map_classes or info.classes
  if len(classes) < 2:
    raise ConfigError('config.task: segment needs at least two classes, background included; this '
                      f'source names {", ".join(classes) or "none"}')
  if class_weights and len(class_weights) != len(classes):
    raise ConfigError(f'config.task.class_weights: expected {len(classes)} of them, for '
                      f'{", ".join(classes)}; got {len(class_weights)}')
  if class_weights and (min(class_weights) < 0 or not sum(class_weights)):
    raise ConfigError('config.task.class_weights: must not be negative, nor all zero, but are '
                      f'{class_weights}')
  if tolerance < 0:
    raise ConfigError(f'config.task.tolerance: must not be negative, but is {tolerance}')
  return Segment(make_model(classes=len(classes)), classes, LOSSES[loss], class_weights, tolerance,
                 Standardise(mean, std, channel_order))


def soft_dice(probabilities: jax.Array, one_hot: jax.Array, counted: jax.Array) -> Ratio:
  """1 - 2 sum(p g) / (sum(p^2) + sum(g^2)) over the pixels of an image, for each class.

  From V-Net (Milletari et al. 2016, https://arxiv.org/abs/1606.04797), there for one
  class. A class that is not in an image's labels has no overlap to improve and is left out.

  Args:
    probabilities: p (b h w k).
    one_hot: g (b h w k) bool, of the labels.
    counted: (b h w) bool.

  Returns:
    The sum over images and the classes in them, and their number.
  """
  p = jnp.where(counted[..., None], probabilities, 0)
  g = one_hot & counted[..., None]
  both, size = (jnp.where(g, p, 0).sum((1, 2)), (p * p).sum((1, 2)) + g.sum((1, 2)))
  return Ratio.of(1 - 2 * both / jnp.maximum(size, 1e-12), g.any((1, 2)))


def areas(prediction: np.ndarray, classes: Sequence[str], top: int) -> str:
  """What covers most of a label map (h w), in words.

  >>> areas(np.array([[0, 0, 0, 1]]), ('road', 'sky'), 3)
  'road 75.0 %  sky 25.0 %'
  """
  share = np.bincount(prediction.ravel(), minlength=len(classes)) / prediction.size
  best = [i for i in np.argsort(-share, kind='stable')[:top] if share[i]]
  return '  '.join(f'{classes[i]} {100 * share[i]:.1f} %' for i in best)
