"""How many objects the proposals of Selective Search cover."""

import time

import numpy as np

from visionlab.data.pipeline import open_sources
from visionlab.data.selective_search import SelectiveSearch
from visionlab.measures.average_precision import proposal_recall

COUNTS = (100, 300, 1000, 2000)


def recall(given, folder):
  """Recall of Selective Search, beside OpenCV's where that is installed."""
  # COCO128 and Penn-Fudan at the side of 500 pixels that the paper's scales are meant for.
  sources = {'scenes': dict(name='scenes', size=96, objects=(1, 3), visible=.85, scale=(.45, .6),
                            contrast=.3, masks=False)}
  if given.people:
    sources['Penn-Fudan'] = dict(name='pennfudan', root=given.people, size=(500, 500), masks=False)
  if given.photographs:
    sources['COCO128'] = dict(name='yolo', root=given.photographs, size=(500, 500),
                              classes=tuple(map(str, range(80))))
  splits = {'scenes': 'test', 'Penn-Fudan': 'all', 'COCO128': 'train2017'}
  rows = []
  for name, options in sources.items():
    source = open_sources(options, splits[name])
    some = np.arange(4 if given.quick else min(len(source), given.images))
    for method, propose in methods(name == 'scenes', given.quick).items():
      rows.append({'images': f'{name} ({len(some)})', 'method': method,
                   **measured(source, some, propose)})
  return rows


def methods(small, quick):
  """Functions from an image to boxes, by name."""
  options = dict(least_side=8. if small else 20., scale=1.)
  made = {mode: SelectiveSearch(mode, **options) for mode in ('single', 'fast')}
  if quick:
    return dict(single=made['single'])
  try:
    from cv2 import ximgproc
  except ImportError:
    return made

  def opencv(image):
    search = ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(np.ascontiguousarray(image[..., ::-1]))
    search.switchToSelectiveSearchFast()
    boxes = search.process().astype(np.float32)
    boxes = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
    return boxes[((boxes[:, 2:] - boxes[:, :2]) >= options['least_side']).all(1)][:2000]
  return made | {'OpenCV, fast': opencv}


def measured(source, indices, propose):
  """Recall at each of COUNTS, the number of boxes and the time for an image."""
  boxes, truth, spent = [], [], 0.
  for i in indices:
    example = source[np.array([i])]
    image = example['image'][0]
    h, w = example['extent'][0].astype(int) if 'extent' in example else image.shape[:2]
    begun = time.perf_counter()
    boxes.append(propose(image[:h, :w]))
    spent += time.perf_counter() - begun
    truth.append({k: example['objects'][k][0] for k in ('boxes', 'valid', 'crowd')
                  if k in example['objects']})
  padded = np.zeros((len(boxes), max(COUNTS), 4), np.float32)
  for row, own in zip(padded, boxes, strict=True):
    row[:len(own)] = own
  truth = {k: np.stack([t[k] for t in truth]) for k in truth[0]}
  scores = proposal_recall(truth, padded, padded.any(-1), counts=COUNTS)
  return {'boxes': f'{np.mean([len(b) for b in boxes]):.0f}',
          's an image': f'{spent / len(boxes):.2f}',
          **{f'{t} at {n}, %': f'{100 * scores[f"recall{t}_at_{n}"]:.1f}'
             for t in (50, 70) for n in COUNTS}}
