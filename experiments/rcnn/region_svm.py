"""R-CNN's last stages.

python -m experiments.rcnn.region_svm --workdir=runs/scenes_rcnn --output=...

On the features that a trained network gives of each proposal, one linear SVM for each class, with
hard negatives, and one ridge regression for each class's boxes (Girshick et al. 2014, section 2.3
and appendices B and C). They take the places of the softmax and of the box regressor that were
trained with the network, so that what is written is a detector like any other, for
`visionlab.load` and `python -m visionlab.evaluate`.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from sklearn.linear_model import Ridge
from sklearn.svm import LinearSVC

from visionlab import commandline
from visionlab.config import ConfigError
from visionlab.data.pipeline import eval_batches, open_sources
from visionlab.exports import save
from visionlab.measures.average_precision import box_iou
from visionlab.ops import boxes as box_ops
from visionlab.runs.load import load
from visionlab.runs.run import Run
from visionlab.tasks.detect import learnt

POSITIVE, NEGATIVE = .6, .3      # IoU: from here on regressed from, up to here negative
C, ALPHA = 1e-3, 1000.           # of the SVMs and of the ridge regressions
NORM = 20.                       # features are scaled to this mean norm (the authors' code)
NEVER = 1000.                    # a margin whose sigmoid is 0
FIRST, ROUNDS = 4000, 3          # negatives to begin with, and searches for harder ones


class Regions(NamedTuple):
  """The regions of many images, in a row.

  Attributes:
    features: (n d).
    boxes: (n 4).
    overlap: (n k), the most that any object of each class overlaps them.
    targets: (n k 4), that object.
    exact: (n) bool, whether it is an object's own box.
  """
  features: np.ndarray
  boxes: np.ndarray
  overlap: np.ndarray
  targets: np.ndarray
  exact: np.ndarray


def refit(run: Run, regions: Regions) -> Run:
  """The run with SVMs and ridge regressions, fitted to regions, in its head."""
  scale = NORM / np.linalg.norm(regions.features, axis=1).mean()
  scaled = regions._replace(features=regions.features * scale)
  k = regions.overlap.shape[1]
  svms = [svm(scaled, i) for i in range(k)]
  ridges = [ridge(scaled, i, run.task.box.weights) for i in range(k)]

  def head(rows):
    """Kernel (d, m) and bias (m,) of m rows (d + 1), for features that are not scaled."""
    return dict(kernel=(rows[:, :-1].T * scale).astype(np.float32),
                bias=rows[:, -1].astype(np.float32))
  background = np.zeros(regions.features.shape[1] + 1)
  box = dict(run.variables['params']['box'], logits=head(np.stack([background, *svms])),
             deltas=head(np.concatenate(ridges)))
  variables = dict(run.variables, params=dict(run.variables['params'], box=box))
  config = run.config.copy_and_resolve_references()
  with config.unlocked():
    config.task.box.scores, config.task.box.score_threshold = 'sigmoid', 0.
  rules = dataclasses.replace(run.task.box, scores='sigmoid', score_threshold=0.)
  return dataclasses.replace(run, config=config, variables=variables,
                             task=dataclasses.replace(run.task, box=rules))


def svm(regions: Regions, k: int) -> np.ndarray:
  """(d + 1) weights and bias: objects' own boxes of class k against regions that hardly touch one.
  A class without objects is never found.

  Negatives that the SVM so far does not put beyond its margin join the next fit.
  """
  positive = np.flatnonzero(regions.exact & (regions.overlap[:, k] == 1))
  negative = np.flatnonzero(regions.overlap[:, k] < NEGATIVE)
  if not len(positive):
    return np.append(np.zeros(regions.features.shape[1]), -NEVER)
  rng = np.random.Generator(np.random.PCG64(k))
  hard = rng.permutation(negative)[:FIRST]
  for _ in range(ROUNDS):
    rows = np.concatenate([positive, hard])
    fitted = LinearSVC(C=C, loss='hinge', class_weight={1: 2.}, intercept_scaling=10.,
                       max_iter=20_000, random_state=0)
    fitted.fit(regions.features[rows], np.arange(len(rows)) < len(positive))
    margin = fitted.decision_function(regions.features[negative])
    harder = np.union1d(hard, negative[margin > -1])
    if len(harder) == len(hard):
      break
    hard = harder
  return np.append(fitted.coef_[0], fitted.intercept_)


def ridge(regions: Regions, k: int, weights: box_ops.Weights) -> np.ndarray:
  """(4 d+1): the coded box of class k's object, from the features of what overlaps it well."""
  near = regions.overlap[:, k] >= POSITIVE
  if not near.any():
    return np.zeros((4, regions.features.shape[1] + 1))
  wanted = box_ops.encode(regions.targets[near, k], regions.boxes[near], weights)
  fitted = Ridge(alpha=ALPHA).fit(regions.features[near], np.asarray(wanted))
  return np.concatenate([fitted.coef_, fitted.intercept_[:, None]], 1)


def regions_of(run: Run, batches: Iterator[Mapping[str, Any]]) -> Regions:
  """The features of all proposals and all objects' own boxes in some batches."""
  found = []
  for batch in batches:
    features, boxes, valid, exact, objects = jax.device_get(
        _features(run.task, run.variables, batch))
    for i in range(len(boxes)):
      keep, there = valid[i], objects['valid'][i]
      overlap, targets = _by_class(boxes[i][keep], objects['boxes'][i][there],
                                   objects['classes'][i][there], len(run.task.classes))
      found.append(Regions(features[i][keep], boxes[i][keep], overlap, targets, exact[i][keep]))
  return Regions(*map(np.concatenate, zip(*found, strict=True)))


@partial(jax.jit, static_argnums=0)
def _features(task, variables, batch):
  """Of all regions of a batch: features (b m d), boxes (b m 4), valid (b m), exact (b m); and the
  objects."""
  given, objects = task.regions(batch), learnt(batch)
  boxes = jnp.concatenate([given['boxes'], objects['boxes']], 1)
  valid = jnp.concatenate([given['valid'] & batch['valid'][:, None], objects['valid']], 1)

  def ask(model, x):
    maps = model.maps(x)
    return model.box_head(model.pool(maps, boxes, model.pool_size))
  _, state = task.model.apply(variables, task.pixels(batch), method=ask, mutable='intermediates')
  features, = state['intermediates']['box']['region_features']
  exact = np.arange(boxes.shape[1]) >= given['boxes'].shape[1]
  return features, boxes, valid, jnp.broadcast_to(exact, valid.shape), objects


def _by_class(boxes, objects, classes, k):
  """Of boxes (n 4): the most that objects of each class overlap them (n k), and those (n k 4)."""
  overlap, targets = np.zeros((len(boxes), k)), np.zeros((len(boxes), k, 4), np.float32)
  each = box_iou(boxes, objects)
  for name in np.unique(classes):
    own = np.flatnonzero(classes == name)
    overlap[:, name] = each[:, own].max(1)
    targets[:, name] = objects[own[each[:, own].argmax(1)]]
  return overlap, targets


def main(_):
  options = flags.FLAGS
  run = load(options.workdir, step=commandline.chosen_step())
  if getattr(run.task, 'proposals', '') != 'given':
    raise ConfigError(f'{options.workdir}: expected a detector on given proposals, such as '
                      'configs/scenes_rcnn.py trains')
  source = open_sources(run.config.data.to_dict(), options.split or run.config.split)
  regions = regions_of(run, eval_batches(source, run.batch, run.config.pipeline.workers))
  print(f'{len(source):,} images, {len(regions.boxes):,} regions')
  folder = save(refit(run, regions), options.output)
  print(f'written: {folder}; python -m visionlab.evaluate --workdir={folder}')


if __name__ == '__main__':
  flags.DEFINE_string('workdir', None, 'The run of a detector on given proposals.', required=True)
  flags.DEFINE_string('output', None, 'The folder to write.', required=True)
  flags.DEFINE_string('split', '', 'To fit to; default: what the run was trained on.')
  commandline.step_flag()
  commandline.run(main)
