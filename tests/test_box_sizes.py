"""Sizes of training boxes, and anchors fitted to them by k-means."""

import itertools
from typing import NamedTuple

import numpy as np
import pytest
import tiny
from annotated import coco_json, one
from pictured import picture

from visionlab.build import assemble, build_task
from visionlab.config import ConfigError
from visionlab.data.box_sizes import (
  Anchors,
  anchor_line,
  fit,
  fitted_anchors,
  kmeans,
  known_sizes,
  read_sizes,
  size_iou,
)
from visionlab.data.source import Arrays, Info, concat, subset
from visionlab.data.sources.coco import coco
from visionlab.facts import Facts
from visionlab.measures.average_precision import box_iou
from visionlab.ops.anchors import cell_anchors

RNG = np.random.default_rng(0)


def test_iou_of_sizes_is_that_of_boxes_with_one_centre():
  a, b = RNG.uniform(1, 50, (7, 2)), RNG.uniform(1, 50, (5, 2))
  def about_zero(sizes):
    return np.concatenate([-sizes / 2, sizes / 2], -1)
  np.testing.assert_allclose(size_iou(a, b), box_iou(about_zero(a), about_zero(b)), rtol=1e-6)


@pytest.mark.parametrize('seed', range(5))
def test_kmeans_is_the_best_of_all_partitions_by_the_nearest_mean(seed):
  rng = np.random.default_rng(seed)
  sizes = (rng.uniform(8, 60, (2, 1, 2)) * rng.uniform(.8, 1.25, (2, 5, 2))).reshape(10, 2)
  scores = []
  for split in itertools.product((0, 1), repeat=len(sizes)):
    split = np.array(split)
    if 0 < split.sum() < len(sizes):
      iou = size_iou(sizes, np.array([sizes[split == side].mean(0) for side in (0, 1)]))
      if (iou.argmax(1) == split).all():
        scores.append(iou.max(1).mean())
  assert size_iou(sizes, kmeans(sizes, 2)).max(1).mean() == pytest.approx(max(scores), abs=1e-9)


def test_kmeans_finds_what_was_planted():
  centres = np.array([[8., 20.], [40., 30.], [60., 120.]])
  sizes = np.concatenate([c * RNG.uniform(.95, 1.05, (n, 2))
                          for c, n in zip(centres, (200, 50, 10))])
  found = kmeans(sizes[RNG.permutation(len(sizes))], 3)
  np.testing.assert_allclose(found, centres, rtol=.03)
  nearest = size_iou(sizes, found).argmax(1)                # the mean of what is nearest to each
  np.testing.assert_allclose(found, [sizes[nearest == i].mean(0) for i in range(3)], rtol=1e-9)


def test_fewer_boxes_than_anchors():
  assert kmeans(np.array([[4., 6.]]), 3).tolist() == [[4., 6.]] * 3


def test_sizes_and_ratios_of_a_grid_are_found_again():
  cells = cell_anchors([20, 80], [.5, 2])
  sizes = np.repeat(cells[:, 2:] - cells[:, :2], 10, axis=0)
  anchors = fitted_anchors(sizes, levels=2, per_level=1, ratios=2)
  assert anchors.sizes == ((20.,), (80.,))
  assert anchors.ratios == pytest.approx((.5, 2), abs=.03)            # of whole pixels
  assert fit(sizes, anchors)[0] > .98
  assert anchors.boxes().shape == (4, 2)
  np.testing.assert_allclose(anchors.boxes()[[0, 3]], (cells[:, 2:] - cells[:, :2])[[0, 3]], atol=2)


# --- of sources ---


@pytest.fixture
def boxes(tmp_path):
  """Two images of 40 x 60 and 60 x 30 pixels, the second with a crowd."""
  coco_json(tmp_path, [one((6, 8, 30, 20)), one((0, 0, 10, 40)),
                       one((1, 2, 15, 30), image=12), one((0, 0, 9, 9), image=12, iscrowd=1)])
  for i, size in enumerate(((40, 60), (60, 30))):
    picture(tmp_path / 'train' / f'{i}.png', size=size)
  return tmp_path


def test_sizes_are_in_pixels_of_the_canvas_and_without_crowds(boxes):
  source = coco('train', root=str(boxes), size=120)                 # twice as large
  assert sorted(map(tuple, known_sizes(source))) == [(20, 80), (30, 60), (60, 40)]
  batch = source[np.arange(2)]['objects']
  own = batch['boxes'][batch['valid'] & ~batch['crowd']]
  np.testing.assert_allclose(known_sizes(source), own[:, 2:] - own[:, :2])


def test_sizes_of_parts_and_sums(boxes):
  source = coco('train', root=str(boxes), size=120)
  second = subset(source, np.array([1]))
  assert known_sizes(second).tolist() == [[30, 60]]
  assert known_sizes(concat([second, source])).tolist() == [
      [30, 60], *known_sizes(source).tolist()]


class Unknown(Arrays):
  """As those that are drawn, or of one's own: nothing is known of an example before it is read."""
  arrays = None

  def __init__(self, arrays):
    self.kept, self.info = arrays, Info(('a',))

  def __len__(self):
    return len(self.kept['image'])

  def __getitem__(self, indices):
    objects = {k: v[indices] for k, v in self.kept['objects'].items()}
    return dict(image=self.kept['image'][indices], objects=objects)


class Model(NamedTuple):
  """What is asked of a detector."""
  anchor_sizes: tuple
  anchor_ratios: tuple
  proposals: bool = True


def whole(n=4):
  corners = np.array([[[0, 0, 8, 4], [2, 2, 12, 22]]] * n, np.float32)
  return dict(image=np.zeros((n, 24, 24, 3), np.uint8), objects=dict(
      boxes=corners, classes=np.zeros((n, 2), np.int32),
      valid=np.array([[True, i == 0] for i in range(n)])))


def test_boxes_that_are_not_known_are_read():
  known = Arrays(whole(), Info(('a',)))
  assert known_sizes(known).tolist() == [[8, 4], [10, 20], [8, 4], [8, 4], [8, 4]]
  unknown = type('Own', (), dict(Unknown.__dict__))(whole())
  assert known_sizes(unknown) is None and anchor_line(unknown, Model(((8,),), (1.,))) == ''
  np.testing.assert_array_equal(read_sizes(unknown), known_sizes(known))


def test_the_line_can_be_copied(boxes):
  source = coco('train', root=str(boxes), size=120)
  line = anchor_line(source, Model(((8,), (64,)), (1.,)))
  assert line.startswith('anchors: mean IoU 0.44 of the best one with each of 3 training boxes')
  sizes = line.split('anchor_sizes="')[1].split('"')[0]
  ratios = line.split('anchor_ratios="')[1].split('"')[0]
  better = Anchors(eval(sizes), eval(ratios))
  again = anchor_line(source, Model(*better))
  assert 'fit_anchors' in line and 'fit_anchors' not in again and len(better.sizes) == 2
  assert fit(known_sizes(source), better)[0] > .44


# --- in a run ---


def config(root, **task):
  model = dict(name='detector', backbone=dict(name='cnn', widths=(4, 4)), levels=('pool1',),
               pyramid=0, hidden=(8,), anchor_sizes=((8, 16),), anchor_ratios=(1.,))
  return tiny.config(task=dict(name='detect', model=model | task.pop('model', {}), **task),
                     data=dict(name='coco', root=str(root), size=120), augment={}, evals={},
                     batch=2, steps=1)


def test_one_key_takes_them_and_a_run_keeps_them(boxes):
  job = assemble(config(boxes, fit_anchors=True))
  model = job.task.model
  assert (model.anchor_sizes, model.anchor_ratios) == fitted_anchors(
      known_sizes(job.batches.sources), 1, 2, 1)
  facts = Facts.from_json(job.facts.to_json())               # as the run's folder has them
  assert facts.anchors == job.facts.anchors
  again = build_task(config(boxes, fit_anchors=True), facts).model
  assert again.anchor_sizes == model.anchor_sizes != ((8, 16),)
  assert '--' not in anchor_line(job.batches.sources, model)


def test_without_the_key_the_models_own_are_taken(boxes):
  job = assemble(config(boxes))
  assert job.task.model.anchor_sizes == ((8, 16),)
  assert '--config.task.fit_anchors' in anchor_line(job.batches.sources, job.task.model)


def test_a_model_without_anchors(boxes):
  made = config(boxes, fit_anchors=True, proposals='windows')
  made.task.model = dict(name='sliding_window', backbone=dict(name='cnn', widths=(4,)))
  with pytest.raises(ConfigError, match='fit_anchors: this model has no anchors'):
    assemble(made)
