"""COCO's scores against its published demonstration and a slow evaluation of similarities."""

import json
import sys
import tarfile
from functools import partial

import jax
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.data.scenes.scenes import scenes
from visionlab.measures.coco import COCO_SIGMAS, coco_scores
from visionlab.ops.masks import mask_targets

THRESHOLDS = np.arange(50, 100, 5) / 100
NAMES = ('cat', 'dog', 'cow')


def floats(scores):
  return {k: v for k, v in scores.items() if isinstance(v, float)}


def slow_ap(similarity, scores, threshold):
  """AP at 101 recalls; `similarity` and `scores`: for each image (d n) and (d,)."""
  rows = sorted(((-s[j], i, j) for i, s in enumerate(scores) for j in range(len(s))))
  taken, true, curve = set(), 0, []
  for rank, (_, i, j) in enumerate(rows, 1):
    free = [(similarity[i][j, o], o) for o in range(similarity[i].shape[1]) if (i, o) not in taken]
    best, o = max(free, default=(0, None))
    if best >= threshold:
      taken.add((i, o))
      true += 1
    curve.append((true, true / rank))
  positives = sum(s.shape[1] for s in similarity)
  return np.mean([max((p for t, p in curve if t >= r * positives / 100 - 1e-9), default=0)
                  for r in range(101)])


def slow_iou(a, b):
  sides = np.minimum(a[:, None, 2:], b[:, 2:]) - np.maximum(a[:, None, :2], b[:, :2])
  both = np.maximum(sides, 0).prod(-1)
  areas = [(x[:, 2:] - x[:, :2]).prod(-1) for x in (a, b)]
  return both / (areas[0][:, None] + areas[1] - both)


def slow_oks(points, objects, areas, sigmas):
  """Object keypoint similarity (d n), as https://cocodataset.org/#keypoints-eval defines it."""
  out = np.zeros((len(points), len(objects)))
  for i, one in enumerate(points):
    for j, (other, area) in enumerate(zip(objects, areas, strict=True)):
      seen = other[:, 2] > 0
      distance = ((one[:, :2] - other[:, :2]) ** 2).sum(-1)
      out[i, j] = np.exp(-distance / (2 * area * (2 * sigmas) ** 2))[seen].mean()
  return out


def random_case(seed, b=8, n=4, d=9, joints=14):
  """One class, no padding among the objects; detections scatter about them."""
  rng = np.random.default_rng(seed)
  low = rng.uniform(0, 60, (b, n, 2))
  boxes = np.concatenate([low, low + rng.uniform(15, 40, (b, n, 2))], -1)
  points = low[:, :, None] + rng.uniform(0, 1, (b, n, joints, 2)) * 25
  seen = rng.integers(0, 3, (b, n, joints, 1))
  seen[:, :, 0] = 2
  truth = dict(boxes=boxes, classes=np.zeros((b, n), int), valid=np.ones((b, n), bool),
               keypoints=np.concatenate([points, seen], -1))
  chosen = rng.integers(0, n, (b, d))
  near = np.take_along_axis(boxes, chosen[..., None], 1)
  points = np.take_along_axis(points, chosen[..., None, None], 1)
  said = dict(boxes=near + rng.normal(0, 2, near.shape), classes=np.zeros((b, d), int),
              scores=rng.permutation(b * d).reshape(b, d) / (b * d),
              valid=rng.random((b, d)) < .8,
              keypoints=np.concatenate([points + rng.normal(0, 2, points.shape),
                                        rng.normal(size=(b, d, joints, 1))], -1))
  return truth, said


def perfect(truth, **more):
  return dict(boxes=truth['boxes'], classes=truth['classes'], valid=truth['valid'],
              scores=np.ones(truth['valid'].shape, np.float32), **more)


@pytest.mark.parametrize('seed', range(3))
def test_boxes_and_fourteen_keypoints_against_slow_references(seed):
  truth, said = random_case(seed)
  sigmas = np.linspace(.03, .12, 14)
  scores = coco_scores(truth, said, ('person',), (120, 120), sigmas=sigmas)
  kept = [said['scores'][i][v] for i, v in enumerate(said['valid'])]
  ious = [slow_iou(said['boxes'][i][v], truth['boxes'][i]) for i, v in enumerate(said['valid'])]
  area = (truth['boxes'][..., 2:] - truth['boxes'][..., :2]).prod(-1)
  oks = [slow_oks(said['keypoints'][i][v], truth['keypoints'][i], area[i], sigmas)
         for i, v in enumerate(said['valid'])]
  for kind, similarity in (('box', ious), ('keypoint', oks)):
    expected = [slow_ap(similarity, kept, t) for t in THRESHOLDS]
    assert .05 < np.mean(expected) < .95
    assert scores[f'{kind}_ap'] == pytest.approx(np.mean(expected), abs=1e-9)
    assert scores[f'{kind}_ap50'] == pytest.approx(expected[0], abs=1e-9)
    assert scores[f'{kind}_ap75'] == pytest.approx(expected[5], abs=1e-9)
    assert scores[f'class_{kind}_ap'].tolist() == [pytest.approx(scores[f'{kind}_ap'])]


def test_sigmas_by_default():
  truth, said = random_case(0, joints=17)
  default = coco_scores(truth, said, ('person',), (120, 120))['keypoint_ap']
  assert default == coco_scores(truth, said, ('person',), (120, 120),
                                sigmas=COCO_SIGMAS)['keypoint_ap']
  assert COCO_SIGMAS.mean() == pytest.approx(.0669, abs=1e-4)
  truth, said = random_case(0)
  default = coco_scores(truth, said, ('person',), (120, 120))['keypoint_ap']
  assert default == coco_scores(truth, said, ('person',), (120, 120),
                                sigmas=[.05] * 14)['keypoint_ap']
  with pytest.raises(ConfigError, match='expected 14, one for each keypoint; got 3'):
    coco_scores(truth, said, ('person',), (120, 120), sigmas=(.1, .1, .1))


def test_any_canvas_gives_the_scores_of_the_original():
  """Ranges of area, too: detectors see images at other sizes than COCO measures them in."""
  truth, said = random_case(1)
  truth['area'] = (truth['boxes'][..., 2:] - truth['boxes'][..., :2]).prod(-1) * 1.5
  original = np.tile([100, 120], (len(truth['boxes']), 1))
  there = coco_scores(truth, said, ('person',), (100, 120))
  y, x = .5, 2.                                   # canvas pixels to one of the original
  shrunk = []
  for side in (truth, said):
    side = {**side, 'boxes': side['boxes'] * [x, y, x, y],
            'keypoints': side['keypoints'] * [x, y, 1]}
    shrunk.append(side)
  here = coco_scores(*shrunk, ('person',), (256, 256), extent=original * [y, x],
                     original=original)
  assert floats(here) == pytest.approx(floats(there))
  assert {'box_ap_small', 'box_ap_medium', 'keypoint_ap_medium'} < set(there)


def test_masks_are_compared_in_the_original():
  """Bitmaps of a canvas of half the size, and the detections' in their boxes."""
  b, size = 3, 48
  truth = dict(boxes=np.array([[[8., 4, 40, 36]]] * b), classes=np.zeros((b, 1), int),
               valid=np.ones((b, 1), bool), masks=np.zeros((b, 1, size, size), bool))
  truth['masks'][:, 0, 4:36, 8:40] = True
  truth['masks'][:, 0, 4:20, 8:24] = False        # an L, 3/4 of its box
  mask = np.ones((28, 28), np.uint8) * 255
  mask[:14, :14] = 0
  said = perfect(truth, masks=np.tile(mask, (b, 1, 1, 1)))
  whole = perfect(truth, masks=np.full((b, 1, 28, 28), 1.))
  options = dict(extent=np.full((b, 2), size), original=np.full((b, 2), 2 * size))
  scores = coco_scores(truth, said, ('thing',), (size, size), **options)
  assert scores['mask_ap'] == 1
  # 3072 pixels in the original: medium, though the canvas shows 768.
  assert scores['mask_ap_medium'] == 1 and 'mask_ap_small' not in scores
  box = coco_scores(truth, whole, ('thing',), (size, size), **options)
  assert box['mask_ap'] == pytest.approx(.6)      # IoU .75 is enough for .5, .55, ... .75


def test_scenes_perfectly_found():
  source = scenes('test', size=64)
  objects = source[np.arange(40)]['objects']
  frames = np.tile(np.array([0, 0, 64, 64], np.float32), (*objects['valid'].shape, 1))
  said = perfect(objects, masks=objects['masks'], frames=frames)
  scores = coco_scores(objects, said, source.info.classes, (64, 64))
  assert set(floats(scores)) >= {'box_ap', 'box_ap50', 'box_ap75', 'box_ar100', 'mask_ap'}
  assert set(floats(scores).values()) == {1.}
  crops = jax.jit(jax.vmap(partial(mask_targets, size=28)))(objects['masks'], objects['boxes'])
  said = perfect(objects, masks=np.asarray(255 * crops).astype(np.uint8))
  assert coco_scores(objects, said, source.info.classes, (64, 64))['mask_ap'] > .99
  np.testing.assert_array_equal(scores['class_objects'],
                                np.bincount(objects['classes'][objects['valid']], minlength=10))


def test_nothing_found_and_nothing_to_find():
  truth, said = random_case(0)
  silent = {**said, 'valid': np.zeros_like(said['valid'])}
  scores = coco_scores(truth, silent, ('person', 'ghost'), (120, 120))
  assert set(floats(scores).values()) == {0.} and 'box_ap' in scores
  assert np.isnan(scores['class_box_ap']).tolist() == [False, True]
  empty = {**truth, 'valid': np.zeros_like(truth['valid'])}
  crowds = {**truth, 'crowd': truth['valid']}
  for nothing in (empty, crowds):
    scores = coco_scores(nothing, said, ('person',), (120, 120))
    assert floats(scores) == {} and 'no objects' in scores['note']
  unlabelled = {**truth, 'keypoints': truth['keypoints'] * [1, 1, 0]}
  scores = coco_scores(unlabelled, said, ('person',), (120, 120))
  assert 'box_ap' in scores and 'keypoint_ap' not in scores


def test_detections_in_crowds_count_neither_way():
  truth, _ = random_case(0)
  said = perfect(truth)
  inside = truth['boxes'][:, :1] + np.array([1, 1, -1, -1])
  said = {k: np.concatenate([v, v[:, :1]], 1) for k, v in said.items()}
  said['boxes'] = np.concatenate([truth['boxes'], inside], 1)
  crowd = np.zeros_like(truth['valid'])
  crowd[:, 0] = True
  assert coco_scores({**truth, 'crowd': crowd}, said, ('person',), (120, 120))['box_ap'] == 1
  said['scores'][:, -1] = 2
  assert coco_scores(truth, said, ('person',), (120, 120))['box_ap'] < .9


def test_mistakes_are_named(monkeypatch):
  truth, said = random_case(0)
  beyond = {**said, 'classes': np.where(said['valid'], 7, 0)}
  with pytest.raises(ConfigError, match=r'image 0 .* class 7; expected 0\.\.2, for 3 names'):
    coco_scores(truth, beyond, NAMES, (120, 120))
  monkeypatch.setitem(sys.modules, 'faster_coco_eval', None)
  with pytest.raises(ConfigError, match='pip install faster-coco-eval'):
    coco_scores(truth, said, NAMES, (120, 120))


# --- COCO's own demonstration ---

@pytest.fixture
def demonstration(shared_data):
  """The annotations of 100 images, and results: (read(name) -> json)."""
  path = shared_data / 'coco_eval_json.tar.gz'
  if not path.is_file():
    pytest.skip(f'no {path}')
  with tarfile.open(path) as archive:
    members = {m.name.rsplit('/', 1)[-1]: m for m in archive.getmembers() if m.isfile()}
    yield lambda name: json.load(archive.extractfile(members[name]))


def arranged(data, rows, masks):
  """COCO's rows as lists of arrays for each image; masks as bitmaps of it."""
  from faster_coco_eval import mask as rle
  categories = sorted(c['id'] for c in data['categories'])
  sides = {k: [] for k in ('boxes', 'classes', 'valid', 'scores', 'crowd', 'area', 'masks')}
  for image in data['images']:
    mine = [row for row in rows if row['image_id'] == image['id']]
    h, w = image['height'], image['width']
    if masks:
      sides['masks'].append(np.array([rle.decode(rle.segmToRle(row['segmentation'], w, h))
                                      for row in mine], bool).reshape(len(mine), h, w))
    boxes = np.array([row.get('bbox', (0, 0, 1, 1)) for row in mine], float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    sides['boxes'].append(boxes)
    sides['classes'].append(np.array([categories.index(r['category_id']) for r in mine], int))
    sides['valid'].append(np.ones(len(mine), bool))
    for name, key in (('scores', 'score'), ('area', 'area'), ('crowd', 'iscrowd')):
      sides[name].append(np.array([row.get(key, 0) for row in mine],
                                  bool if key == 'iscrowd' else float))
  names = ('boxes', 'classes', 'valid', *(('masks',) if masks else ()))
  return {k: sides[k] for k in (*names, *(('scores',) if 'score' in rows[0] else
                                          ('area', 'crowd')))}


@pytest.mark.parametrize('kind, name, expected', [
  ('box', 'instances_val2014_fakebbox100_results.json',
   dict(ap=.505, ap50=.697, ap75=.573, ap_small=.586, ap_medium=.519, ap_large=.501, ar100=.595)),
  ('mask', 'instances_val2014_fakesegm100_results.json',
   dict(ap=.320, ap50=.562, ap75=.299, ap_small=.387, ap_medium=.310, ap_large=.327, ar100=.417)),
])
def test_the_published_scores_come_out(demonstration, kind, name, expected):
  data, results = demonstration('instances_val2014_100.json'), demonstration(name)
  sizes = np.array([[image['height'], image['width']] for image in data['images']])
  truth = arranged(data, data['annotations'], kind == 'mask')
  said = arranged(data, results, kind == 'mask')
  if kind == 'mask':                              # bitmaps, which are not in their boxes
    said['frames'] = [np.tile([0, 0, w, h], (len(v), 1)) for v, (h, w) in
                      zip(said['valid'], sizes, strict=True)]
    truth['frames'] = [np.tile([0, 0, w, h], (len(v), 1)) for v, (h, w) in
                       zip(truth['valid'], sizes, strict=True)]
  scores = coco_scores(truth, said, [c['name'] for c in data['categories']], (640, 640),
                       extent=sizes, original=sizes)
  assert {k: round(scores[f'{kind}_{k}'], 3) for k in expected} == expected
