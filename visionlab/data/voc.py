"""PASCAL VOC as it is unpacked: VOCdevkit/VOC2012 and other years."""

from pathlib import Path

from visionlab.config import ConfigError
from visionlab.data.images import Canvas
from visionlab.data.masks import Labels
from visionlab.data.pairs import Pairs
from visionlab.data.source import check_root, check_split

OBJECTS = ('aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow',
           'diningtable', 'dog', 'horse', 'motorbike', 'person', 'pottedplant', 'sheep', 'sofa',
           'train', 'tvmonitor')
CLASSES = ('background', *OBJECTS)
"""What the values of a mask stand for; 255, drawn along outlines, is ignored."""


def voc(split: str, *, root: str = '', masks: str = 'SegmentationClass',
        classes: tuple[str, ...] = CLASSES, size: int | tuple[int, int] = 224,
        resize: str = 'crop', crop_fraction: float = 1., channels: int = 3,
        on_broken: str = 'skip', check: bool = True) -> Pairs:
  """PASCAL VOC's segmentation (Everingham et al. 2010): 21 classes with the background.

  Args:
    split: a list in ImageSets/Segmentation: 'train', 'val' or 'trainval'.
    root: a year's folder, such as VOCdevkit/VOC2012, or one above it that holds a single year.
    masks: the folder of masks, for those of others, e.g. 'SegmentationClassAug'.
    classes: the names of other classes, for data sets in the same layout.
    size, resize, crop_fraction, channels, on_broken, check: see `visionlab.data.pairs.pairs`.

  Returns:
    A source of `image` (n h w c) uint8 and `label_map` (n h w) int32, 255 where ignored; with
    on_broken='skip' also `valid` (n,).

  Raises:
    ConfigError: a wrong option or split, a folder that is not laid out like this, a listed file
      that is missing, and what `pairs` raises.
  """
  canvas = Canvas(size, resize, crop_fraction, channels)
  top = _year(check_root(root, 'voc', 'JPEGImages, SegmentationClass and ImageSets'))
  files = [(f'JPEGImages/{name}.jpg', f'{masks}/{name}.png')
           for name in _names(top / 'ImageSets' / 'Segmentation', split)]
  for name in (name for pair in files for name in pair):
    if not (top / name).is_file():
      raise ConfigError(f'voc {top}: the list of "{split}" names {Path(name).stem}, but there is '
                        f'no {name}')
  return Pairs(f'voc {top}', top, files, Labels(tuple(classes)), canvas, on_broken, check)


def _year(root: Path) -> Path:
  """The folder of a year's data, in or under `root`."""
  if (root / 'ImageSets').is_dir():
    return root
  found = sorted(path.parent for pattern in ('*/ImageSets', 'VOCdevkit/*/ImageSets')
                 for path in root.glob(pattern))
  if len(found) != 1:
    years = ', '.join(str(path) for path in found) or 'none'
    raise ConfigError(f'voc: root {root} has no folder ImageSets; expected that of one year, e.g. '
                      f'VOCdevkit/VOC2012; under it there is: {years}')
  return found[0]


def _names(lists: Path, split: str) -> list[str]:
  """The images that the list of a split names, in its order."""
  splits = tuple(sorted(path.stem for path in lists.glob('*.txt')))
  if not splits:
    raise ConfigError(f'voc: {lists} holds no lists; expected train.txt, val.txt')
  check_split(split, splits, f'voc {lists}')
  names = (lists / f'{split}.txt').read_text(encoding='utf-8').split()
  if not names:
    raise ConfigError(f'voc: {lists / split}.txt is empty; expected a name in each line')
  return names
