"""PASCAL VOC as it is unpacked: VOCdevkit/VOC2012 and other years."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from visionlab.config import ConfigError, nearest
from visionlab.data.files import encoded
from visionlab.data.images import SUFFIXES, Canvas
from visionlab.data.masks import Labels
from visionlab.data.source import check_root, check_split
from visionlab.data.sources.annotation_files import Annotations, Faults
from visionlab.data.sources.objects import Objects, objects_of
from visionlab.data.sources.pairs import Pairs

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
    size, resize, crop_fraction, channels, on_broken, check: see
      `visionlab.data.sources.pairs.pairs`.

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


def voc_objects(split: str, *, root: str = '', classes: tuple[str, ...] = OBJECTS,
                one_based: bool = True, size: int | tuple[int, int] = 512, most: int = 0,
                on_broken: str = 'skip', check: bool = True) -> Objects:
  """PASCAL VOC's detection, and what others keep in its layout: a box in xml for each object.

  Objects marked as difficult become `crowd`: they count neither when found nor when missed.

  Args:
    split: a list in ImageSets/Main, such as 'trainval'; of 'cat_train', the images with cats.
    root: a year's folder, such as VOCdevkit/VOC2012, or one above it that holds a single year.
    classes: the names of classes 0, 1, ...
    one_based: whether the first pixel is 1, as in VOC, and xmax the last pixel inside; a box then
      spans [xmin - 1, xmax). If not, the numbers are taken as they are.
    size, most, on_broken, check: see `visionlab.data.sources.coco.coco`.

  Returns:
    A source as `visionlab.data.sources.objects.objects_of` describes it; images are numbered in
    the order of the list.

  Raises:
    ConfigError: a wrong option or split, a folder that is not laid out like this, and what
      `objects_of` says.
  """
  top = _year(check_root(root, 'voc_objects', 'JPEGImages, Annotations and ImageSets'))
  names = _names(top / 'ImageSets' / 'Main', split)
  faults = Faults(f'voc_objects {top}: "{split}"', on_broken)
  classes = tuple(classes)
  sizes = np.zeros((len(names), 2), np.int64)
  rows, owner, kinds, boxes, crowd, sound = [], [], [], [], [], np.ones(len(names), bool)
  for i, name in enumerate(names):
    path = top / 'Annotations' / f'{name}.xml'
    try:
      tree = ElementTree.parse(path).getroot()
      sizes[i] = [int(tree.findtext(f'size/{side}') or 0) for side in ('height', 'width')]
      if not (check or sizes[i].all()):
        raise ValueError('it has no size; check=True takes that from the image')
    except (OSError, ElementTree.ParseError, ValueError) as error:
      faults.add('images without annotations', f'{path} cannot be used: {error}')
      sound[i] = False
      continue
    for number, one in enumerate(tree.findall('object'), 1):
      where = f'{path}: object {number}'
      read = _read_object(one, classes, where, faults)
      if read:
        rows.append(where)
        owner.append(i)
        for values, value in zip((kinds, crowd, boxes), read, strict=True):
          values.append(value)
  boxes = np.array(boxes, np.float64).reshape(-1, 4)
  # Corners that are one pixel are a slip of the mouse, though by the letter they span that pixel.
  slips = (boxes[:, 2:] <= boxes[:, :2]).any(-1, keepdims=True)
  annotations = Annotations(
      files=encoded(_image(top, name) for name in names), ids=np.arange(len(names)),
      sizes=sizes, owner=np.array(owner, np.int64), row=np.arange(len(rows)),
      boxes=boxes - np.where(slips, 0, [one_based, one_based, 0, 0]),
      classes=np.array(kinds, np.int32), crowd=np.array(crowd, bool)).of_images(sound)
  return objects_of(annotations, lambda row: rows[row], faults, root=top, classes=classes,
                    size=size, most=most, check=check, field='bndbox')


def _read_object(one, classes, where, faults):
  """(class, difficult, corners) of an <object>, or None if there is something wrong with it."""
  name = (one.findtext('name') or '').strip()
  if name not in classes:
    faults.add('objects of no class', f'{where}: name is "{name}"; expected one of '
               f'{", ".join(classes)}{nearest(name, classes)}')
    return None
  corners = [one.findtext(f'bndbox/{side}') for side in ('xmin', 'ymin', 'xmax', 'ymax')]
  try:
    corners = [float(corner) for corner in corners]
  except (TypeError, ValueError):
    faults.add('objects without a box', f'{where}: bndbox is {corners}; expected the numbers xmin, '
               'ymin, xmax, ymax')
    return None
  return classes.index(name), (one.findtext('difficult') or '0').strip() == '1', corners


def _image(top: Path, name: str) -> str:
  """The image of that name, which is a .jpg in VOC itself."""
  suffix = next((s for s in ('.jpg', *SUFFIXES) if (top / 'JPEGImages' / (name + s)).is_file()),
                '.jpg')
  return f'JPEGImages/{name}{suffix}'


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
  """The images that the list of a split names, in its order; with a -1 are those without."""
  splits = tuple(sorted(path.stem for path in lists.glob('*.txt')))
  if not splits:
    raise ConfigError(f'voc: {lists} holds no lists; expected train.txt, val.txt')
  check_split(split, splits, f'voc {lists}')
  lines = (lists / f'{split}.txt').read_text(encoding='utf-8').splitlines()
  names = [line.split()[0] for line in lines if line.strip() and line.split()[1:] != ['-1']]
  if not names:
    raise ConfigError(f'voc: {lists / split}.txt is empty; expected a name in each line')
  return names
