"""Object detection: boxes, and where a network has the heads for them, masks and keypoints.

What is looked at are proposals, and `proposals` says whose. 'rpn': the network's own (Faster
R-CNN). 'given': those that come with each image (`config.data.proposals`; R-CNN, SPP-net, Fast
R-CNN). 'windows': every place of a window that slides over the image, in several shapes. 'image':
the whole image and nothing else, for classification with localisation.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError, bind, check_choice
from visionlab.data.proposals import padded, proposer, with_valid
from visionlab.data.source import Info
from visionlab.figures import detection as detection_figures
from visionlab.measures.average_precision import proposal_recall, voc_scores
from visionlab.measures.coco import coco_scores
from visionlab.ops.boxes import iou_matrix
from visionlab.ops.image import Standardise
from visionlab.ops.matching import POSITIVE, match
from visionlab.task import Aux, Evaluator
from visionlab.tasks.draws import keys_of
from visionlab.tasks.forward import forward
from visionlab.tasks.own_loss import OwnLoss, hyperparameters_of, own_loss
from visionlab.tasks.own_pixels import in_own_pixels, on_canvas
from visionlab.tasks.two_stage import Detecting, Proposing, all_losses, detected
from visionlab.tasks.windows import window_detections, window_losses

MODELS_OF = dict(rpn='"detector" with its proposals', given='"detector" or "region_cnn"',
                 windows='"sliding_window"', image='"detector" or "region_cnn"')


@dataclasses.dataclass(frozen=True)
class Detect:
  """batch: `image` (b h w c), a picture at the top left of a canvas; `extent` (b 2), its height and
  width there, if it does not fill it; `valid` (b,); and `objects`, padded to n: `boxes` (b n 4),
  `classes` (b n) in 0..k-1, `valid` (b n), and `crowd` (b n), of what is no single object to be
  learnt or missed, `masks` (b n h w) or crops (b n s s) of `frames` (b n 4), and `keypoints`
  (b n j 3) where the source has them.

  predict, in pixels of the canvas: `boxes` (b d 4), `scores` (b d), best first, `classes` (b d),
  `valid` (b d); with such heads `masks` (b d s s), probabilities in each box, and `keypoints`
  (b d j 3) as x, y and their logit. And `proposals`, of which those were chosen: `boxes` (b p 4)
  and `valid` (b p), and if they are the network's own `scores` (b p), best first. What is 'given'
  is in the batch, under the same name.
  """
  model: Any
  classes: tuple[str, ...]
  proposals: str
  rpn: Proposing
  box: Detecting
  canvas: tuple[int, int]
  sigmas: tuple[float, ...]
  limbs: tuple[tuple[int, int], ...]
  preprocess: Standardise
  propose: Callable[[np.ndarray], np.ndarray] | None = None      # for images from elsewhere
  own_class: OwnLoss | None = None
  own_box: OwnLoss | None = None

  def hyperparameters(self):
    return hyperparameters_of((self.own_class, self.own_box),
                              {f'{term}_weight': 1. for term in self.terms})

  @property
  def terms(self) -> tuple[str, ...]:
    """Names of the losses."""
    if self.proposals == 'windows':
      return ('class',)
    optional = dict(mask=self.model.masks, keypoint=self.model.keypoints)
    return (*(('objectness', 'rpn_box') if self.proposals == 'rpn' else ()), 'class', 'box',
            *(k for k, there in optional.items() if there))

  def init(self, key, batch):
    return self.model.init(key, self.preprocess(batch['image']), train=False)

  def loss(self, variables, batch, key, hp, *, train):
    dropout, sampling = jax.random.split(key)
    keys, valid = keys_of(sampling, batch['image']), batch['valid']
    own = {name: partial(loss.of_each, hp=hp)
           for name, loss in (('class', self.own_class), ('box', self.own_box)) if loss}

    def ask(model, x, train):
      if self.proposals == 'windows':
        return window_losses(model, x, learnt(batch), valid, keys, self.box, train=train,
                              own=own.get('class'))
      return all_losses(model, x, learnt(batch), extents(batch), valid, keys, self.rpn, self.box,
                        self.regions(batch), train=train, own=own)
    terms, collections = forward(self.model, variables, self.pixels(batch), dropout, train=train,
                                 method=ask)
    return terms, Aux(collections, {})

  def predict(self, variables, batch):
    def ask(model, x, train):
      if self.proposals == 'windows':
        return window_detections(model, x, extents(batch), self.box)
      return detected(model, x, extents(batch), self.rpn, self.box, self.regions(batch))
    return forward(self.model, variables, self.pixels(batch), None, train=False, method=ask)[0]

  def found(self, variables, batch):
    """`boxes` (b 4): of each image the best detection, or all of it where nothing was found."""
    found = self.predict(variables, batch)
    corner = extents(batch)[:, ::-1]
    whole = jnp.concatenate([jnp.zeros_like(corner), corner], -1)
    return dict(boxes=jnp.where(found['valid'][:, :1], found['boxes'][:, 0], whole))

  def answer(self, variables, batch, given=None):
    """`logits` (b k) of the classes, and `deltas` (b k 4), of the box `given['boxes']` (b 4); of
    windows, of that which overlaps it most."""
    boxes = (given or self.found(variables, batch))['boxes']

    def ask(model, x, train):
      if self.proposals == 'windows':
        nearest = iou_matrix(boxes, jnp.asarray(model.windows(x.shape[1:3]))).argmax(-1)
        logits = jnp.take_along_axis(model(x, train=train), nearest[:, None, None], 1)
        return dict(logits=logits[:, 0, 1:])
      pooled = model.pool(model.maps(x, train=train), boxes[:, None], model.pool_size)
      logits, deltas = model.box_head(pooled, train=train)
      return dict(logits=logits[:, 0, 1:], deltas=deltas[:, 0])
    return forward(self.model, variables, self.pixels(batch), None, train=False, method=ask)[0]

  def regions(self, batch) -> Mapping[str, jax.Array] | None:
    """`boxes` (b p 4) and `valid` (b p) that are looked at; None: the network finds them."""
    if self.proposals == 'image':
      corner = extents(batch)[:, None, ::-1]
      return dict(boxes=jnp.concatenate([jnp.zeros_like(corner), corner], -1),
                  valid=jnp.ones(corner.shape[:2], bool))
    if self.proposals == 'given' and 'proposals' not in batch:
      raise ConfigError('this network looks at proposals, and images alone have none; '
                        'predict_images makes them')
    return batch['proposals'] if self.proposals == 'given' else None

  def pixels(self, batch):
    """What the network sees: around a picture that does not fill its canvas, zeros."""
    x = self.preprocess(batch['image'])
    if 'extent' not in batch:
      return x
    h, w = (np.arange(n) < batch['extent'][:, i, None] for i, n in enumerate(x.shape[1:3]))
    return jnp.where((h[:, :, None] & w[:, None])[..., None], x, 0)

  def evaluators(self):
    return {'detections': Evaluator(self._collected, self._finish, kind='collect')}

  def _collected(self, variables, batch, hp):
    predictions = self.predict(variables, batch)
    if 'masks' in predictions:
      predictions['masks'] = jnp.round(255 * predictions['masks']).astype(jnp.uint8)
    truth = {k: v for k, v in batch['objects'].items() if k != 'masks' or 'masks' in predictions}
    sizes = {k: batch[k] for k in ('extent', 'original') if k in batch}
    return dict(truth=truth, predictions=predictions, **sizes)

  def _finish(self, stats):
    truth, predictions = stats['truth'], dict(stats['predictions'])
    proposals = predictions.pop('proposals')
    results = coco_scores(truth, predictions, self.classes, self.canvas, extent=stats.get('extent'),
                          original=stats.get('original'), sigmas=self.sigmas)
    return (results | voc_scores(truth, predictions, self.classes)
            | proposal_recall(truth, proposals['boxes'], proposals['valid'],
                              counts=(100, 1000)))

  def predict_images(self, variables, images: Sequence[np.ndarray], size: tuple[int, int],
                     **options) -> dict[str, list[np.ndarray]]:
    """`predict` for images (h w c) of any size, as lists with an entry for each image.

    Images are scaled to fit the canvas of `size`, and what is found is in their own pixels: `boxes`
    (d 4), `scores` (d), `classes` (d), with such heads `masks` (d h w) bool and `keypoints`
    (d j 3); d is what was found in that image.
    """
    predictions = {}
    for image in images:
      picture, extent = on_canvas(image, size)
      batch = dict(image=picture[None], extent=np.array([extent], np.float32))
      if self.proposals == 'given':
        boxes, counts = padded([self.propose(picture[:extent[0], :extent[1]])], self.propose.most)
        batch['proposals'] = with_valid(boxes, counts)
      predicted = jax.tree.map(lambda x: np.asarray(x[0]), _predict(self, variables, batch))
      for name, value in in_own_pixels(image, predicted, extent).items():
        predictions.setdefault(name, []).append(value)
    return predictions

  def describe(self, predictions, top: int) -> list[str]:
    """What `predict_images` gave, a line for each image."""
    return ['  '.join(f'{self.classes[k]} {score:.0%}' for k, score in
                      zip(classes[:top], scores, strict=False)) or 'nothing'
            for classes, scores in zip(predictions['classes'], predictions['scores'], strict=True)]

  def picture(self, images, predictions, captions, title) -> np.ndarray:
    """What `predict_images` gave, drawn over the images."""
    of_each = [{k: v[i] for k, v in predictions.items()} for i in range(len(images))]
    return detection_figures.detected(images, of_each, self.classes, captions, title, self.limbs)

  def figures(self, batch, predictions, results):
    drawn = detection_figures.pictures(batch, predictions, results, self.classes, self.limbs)
    if self.proposals != 'rpn':
      return drawn
    some = jax.tree.map(lambda x: x[:4], {k: batch[k] for k in ('image', 'extent', 'objects')
                                          if k in batch})
    anchors, index, positive = self.matched_anchors(some['objects'])
    return drawn | dict(anchors=detection_figures.positive_anchors(
        some['image'], anchors, positive, index, some['objects'], extent=some.get('extent')))

  def matched_anchors(self, objects) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All anchors (n 4) of the canvas, for each image the object (b n) that an anchor is matched
    with, and whether it is to find that (b n)."""
    return jax.device_get(_matched_anchors(self, objects['boxes'], objects['valid']))


_predict = jax.jit(Detect.predict, static_argnums=0)


@partial(jax.jit, static_argnums=0)
def _matched_anchors(task, boxes, valid):
  canvas = jax.ShapeDtypeStruct((1, *task.canvas, 3), np.float32)
  maps, _ = jax.eval_shape(partial(task.model.init_with_output, method='maps'),
                           jax.random.key(0), canvas)
  anchors = jnp.concatenate(task.model.anchors(maps))
  index, label = jax.vmap(lambda boxes, valid: match(
      iou_matrix(boxes, anchors), valid, low=task.rpn.low, high=task.rpn.high,
      low_quality=True))(boxes, valid)
  return anchors, index, label == POSITIVE


def detect(*, make_model: Callable, info: Info, example: Mapping, anchors: tuple = (),
           proposals: str = 'rpn', fit_anchors: bool = False, rpn: Mapping | None = None,
           box: Mapping | None = None, class_loss: str = 'cross_entropy',
           box_loss: str = 'smooth_l1', sigmas: tuple = (), mean: tuple = (), std: tuple = (),
           channel_order: str = 'RGB') -> Detect:
  """Objects: boxes, and masks or keypoints where the model has such heads.

  Args:
    anchors: (sizes, ratios), those that were fitted to the data.
    proposals: what is looked at: 'rpn', 'given', 'windows' or 'image'.
    fit_anchors: whether the model's anchors are fitted to the boxes of the training data, by
      k-means; its anchor_sizes and anchor_ratios then say how many.
    rpn, box: options of `Proposing` and of `Detecting`.
    class_loss: 'cross_entropy', or one's own, 'package.module:function' of logits (n 1+k) of what
      was drawn of an image, background first, and labels (n,), that gives losses (n,); its floats
      are hp's.
    box_loss: 'smooth_l1' of what is regressed (Girshick 2015), or one's own, of the boxes (n 4)
      that were found and the true ones, x1, y1, x2, y2 in pixels, such as an IoU's. Either counts
      in the network's verdict on proposals, not in how it makes them.
    sigmas: of each keypoint, see `visionlab.measures.coco.coco_scores`.
    mean, std, channel_order: what is done to images before the network sees them, see
      `visionlab.ops.image.standardise`.

  Raises:
    ConfigError: a source without objects, or without the masks or keypoints that the model is to
      learn; a model that is no detector.
  """
  rules = bind(Proposing, rpn or {}, 'config.task.rpn'), bind(Detecting, box or {},
                                                              'config.task.box')
  if not info.classes:
    raise ConfigError('config.task: detect needs a source that names the classes of objects')
  own_class = own_loss(class_loss, ('cross_entropy',), 'config.task.class_loss')
  own_box = own_loss(box_loss, ('smooth_l1',), 'config.task.box_loss')
  if own_box and proposals == 'windows':
    raise ConfigError('config.task.box_loss: windows stay where they are: no box is learnt')
  model = make_model(classes=len(info.classes))
  if fit_anchors and anchors:
    model = model.clone(anchor_sizes=anchors[0], anchor_ratios=anchors[1])
  _check(model, proposals, example)
  propose = proposer(info.proposals, 'config.data.proposals') if info.proposals else None
  return Detect(model, info.classes, proposals, *rules, tuple(example['image'].shape[1:3]), sigmas,
                info.limbs, Standardise(mean, std, channel_order), propose, own_class, own_box)


def _check(model, proposals, example):
  check_choice(proposals, tuple(MODELS_OF), 'config.task.proposals')
  needed = getattr(model, 'proposals', False) if proposals == 'rpn' else hasattr(
      model, 'windows' if proposals == 'windows' else 'box_head')
  if not needed:
    raise ConfigError(f'config.task.model: with proposals "{proposals}" detect needs '
                      f'{MODELS_OF[proposals]}, not {type(model).__name__}')
  if proposals == 'given' and 'proposals' not in example and set(example) != {'image'}:
    raise ConfigError('config.task.proposals: "given", but this source gives none; set '
                      'config.data.proposals=dict(name="selective_search")')
  # Weights alone, without data, know of images only.
  if 'objects' not in example and set(example) != {'image'}:
    raise ConfigError('config.task: detect needs objects with boxes for each image, but this '
                      f'source gives {", ".join(sorted(example))}')
  objects = example.get('objects', {})
  if model.masks and objects and 'masks' not in objects:
    raise ConfigError('config.task.model.masks: this source has no masks')
  there = objects['keypoints'].shape[2] if 'keypoints' in objects else 0
  if model.keypoints and objects and there != model.keypoints:
    raise ConfigError(f'config.task.model.keypoints: {model.keypoints}, but the source has {there}')


def learnt(batch: Mapping) -> dict[str, jax.Array]:
  """The objects of a batch, of which those in crowds, or of no valid image, are not `valid`."""
  objects = dict(batch['objects'])
  valid = objects['valid'] & batch['valid'][:, None]
  crowd = objects.pop('crowd', None)
  return objects | dict(valid=valid if crowd is None else valid & ~crowd)


def extents(batch: Mapping) -> jax.Array:
  """Height and width (b 2) of each picture on its canvas."""
  b, *canvas = batch['image'].shape[:3]
  return batch.get('extent', jnp.tile(jnp.array(canvas, jnp.float32), (b, 1)))
