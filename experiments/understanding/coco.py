"""Photographs of COCO with what every pixel shows, things and stuff: concepts for dissection.

  python -m visionlab.understand dissection --workdir=resnet50.npz --at=stage4 --controls \
      --data=experiments.understanding.coco:concepts --root=coco128

The layout is that of Lightly's coco128: `images/` and `semantic_segmentation/`.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from visionlab.data.images.decode import Canvas
from visionlab.data.images.masks import read_labels
from visionlab.data.source import check_split
from visionlab.data.sources.pairs import Pairs

SPLITS = dict(train='train2017', val='val2017')
OFTEN = 5             # images that show a concept at least: of one alone many units seem to know it
SEEN = .01            # of an image's pixels that a concept has at least where it is shown


def concepts(split: str, *, root: str, size: int | tuple[int, int] = 224, resize: str = 'crop',
             often: int = OFTEN) -> Pairs:
  """The images of a split with label maps of the concepts that at least `often` of them show."""
  check_split(split, tuple(SPLITS), 'coco')
  masks = Path('semantic_segmentation')
  names = yaml.safe_load((Path(root) / masks / 'config.yaml').read_text())['classes']
  folder = SPLITS[split]
  files = [(f'images/{folder}/{path.stem}.jpg', f'{masks}/masks/{folder}/{path.name}')
           for path in sorted((Path(root) / masks / 'masks' / folder).glob('*.png'))]
  shown = Counter()
  for _, mask in files:
    counts = np.bincount(np.asarray(Image.open(Path(root) / mask)).ravel(), minlength=256)
    shown.update(np.flatnonzero(counts >= SEEN * counts.sum()).tolist())
  greys = {names[i].removesuffix('-merged'): i for i in names if i and shown[i] >= often}
  others = [(i, i, i) for i in range(256) if i not in greys.values()]
  labels = read_labels('coco', palette=greys | dict(ignore=tuple(others)))
  return Pairs(f'coco {root}', Path(root), files, labels, Canvas(size, resize, 1., 3))
