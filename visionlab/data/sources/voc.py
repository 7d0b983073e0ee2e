"""PASCAL VOC as it is unpacked: VOCdevkit/VOC2012 and other years; and xml like VOC's."""

from pathlib import Path

import numpy as np

from visionlab.config import ConfigError, check_choice
from visionlab.data.classes import check_classes
from visionlab.data.images.decode import SUFFIXES, Canvas
from visionlab.data.images.files import encoded
from visionlab.data.images.masks import Labels
from visionlab.data.source import check_root, check_split
from visionlab.data.sources.annotation_files import (
  COORDINATES,
  Annotations,
  Faults,
  image_sizes,
)
from visionlab.data.sources.file_names import FileNames
from visionlab.data.sources.objects import Objects, objects_of
from visionlab.data.sources.orientation import upright
from visionlab.data.sources.pairs import Pairs
from visionlab.data.sources.voc_lists import everything, listed, year
from visionlab.data.sources.voc_xml import read_object, read_xml, size_of

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
  top = year(check_root(root, 'voc', 'JPEGImages, SegmentationClass and ImageSets'))
  classes = check_classes(classes, 'voc')
  names = FileNames(top)

  def image_of(name: str) -> str | None:
    return names.first(f'JPEGImages/{name}', ('.jpg', *SUFFIXES))
  files = []
  for name in listed(top / 'ImageSets' / 'Segmentation', split, image_of):
    pair = image_of(name), names.find(f'{masks}/{name}.png')
    if not all(pair):
      missing = f'{masks}/{name}.png' if pair[0] else f'JPEGImages/{name}.jpg'
      raise ConfigError(f'voc {top}: the list of "{split}" names {name}, but there is no {missing}')
    files.append(pair)
  return Pairs(f'voc {top}', top, files, Labels(classes), canvas, on_broken, check)


def voc_objects(split: str, *, root: str = '', images: str = 'JPEGImages',
                annotations: str = 'Annotations', classes: tuple[str, ...] = OBJECTS,
                one_based: bool = True, size: int | tuple[int, int] = 512, most: int = 0,
                coordinates: str = 'upright', on_broken: str = 'skip',
                check: bool = True) -> Objects:
  """PASCAL VOC's detection, and what others keep in its layout: a box in xml for each object.

  Objects marked as difficult become `crowd`: they count neither when found nor when missed.

  Args:
    split: a list in ImageSets/Main, such as 'trainval'; of 'cat_train', the images with cats. Where
      there are no ImageSets, what {split} stands for below, or 'train', which is all there is.
    root: a year's folder, such as VOCdevkit/VOC2012, or one above it that holds a single year; or
      what holds the folders below.
    images, annotations: the folders of images and of xml, e.g. images='images',
      annotations='annots'; both '' where each xml is beside its image, and both '{split}' where
      that is so in a folder for each split. `a.xml` goes with `a.jpg`.
    classes: the names of classes 0, 1, ...
    one_based: whether the first pixel is 1, as in VOC, and xmax the last pixel inside; a box then
      spans [xmin - 1, xmax). If not, the numbers are taken as they are.
    size, most, coordinates, on_broken, check: see `visionlab.data.sources.coco.coco`.

  Returns:
    A source as `visionlab.data.sources.objects.objects_of` describes it; images are numbered in
    the order of the list, or of their names.

  Raises:
    ConfigError: a wrong option or split, a folder that is not laid out like this, and what
      `objects_of` says.
  """
  check_choice(coordinates, COORDINATES, 'voc_objects: coordinates')
  top = check_root(root, 'voc_objects', f'{images}, {annotations} and, if any, ImageSets')
  classes = check_classes(classes, 'voc_objects')
  top, images, annotations, names = _layout(top, split, images, annotations)
  pictures, texts = FileNames(top / images), FileNames(top / annotations)
  faults = Faults(f'voc_objects {top}: "{split}"', on_broken)
  sizes, files, sound = np.zeros((len(names), 2), np.int64), [], np.ones(len(names), bool)
  rows, owner, read = [], [], []
  for i, name in enumerate(names):
    file = pictures.first(name, ('.jpg', *SUFFIXES))
    path = top / annotations / (texts.find(f'{name}.xml') or f'{name}.xml')
    try:
      tree = read_xml(path)
    except ConfigError as error:
      faults.add('images without annotations', str(error))
      sound[i] = False
    else:
      sizes[i] = size_of(tree)
      for number, one in enumerate(tree.iter('object'), 1):
        where = f'{path}: object {number}'
        box = read_object(one, classes, where, faults)
        if box:
          rows.append(where)
          owner.append(i)
          read.append(box)
    files.append((Path(images) / (file or f'{name}.jpg')).as_posix())
  boxes = np.array([box.corners for box in read], np.float64).reshape(-1, 4)
  # Corners that are one pixel are a slip of the mouse, though by the letter they span that pixel.
  slips = (boxes[:, 2:] <= boxes[:, :2]).any(-1, keepdims=True)
  files = encoded(files)
  sizes[sound] = image_sizes(top, files[sound], faults, sizes[sound], check, coordinates)
  found = Annotations(
      files=files, ids=np.arange(len(names)), sizes=sizes,
      owner=np.array(owner, np.int64), row=np.arange(len(rows)),
      boxes=boxes - np.where(slips, 0, [one_based, one_based, 0, 0]),
      classes=np.array([box.kind for box in read], np.int32),
      crowd=np.array([box.difficult for box in read], bool)).of_images(sound & sizes.all(-1))
  if coordinates == 'stored':
    found, _ = upright(found, [], top)
  return objects_of(found, lambda row: rows[row], faults, root=top, classes=classes, size=size,
                    most=most, check=False, field='bndbox')


def _layout(root: Path, split: str, images: str, annotations: str):
  """The top folder, those of images and of xml in it, and the names of a split's images."""
  if '{split}' in images + annotations:
    images, annotations = (name.replace('{split}', split) for name in (images, annotations))
    return root, images, annotations, everything(root, images, annotations)
  top = year(root, images, annotations)
  if (top / 'ImageSets').is_dir():
    texts = FileNames(top / annotations)
    return top, images, annotations, listed(top / 'ImageSets' / 'Main', split,
                                            lambda name: texts.find(f'{name}.xml') is not None)
  check_split(split, ('train',), f'voc_objects {top}, without ImageSets,')
  return top, images, annotations, everything(top, images, annotations)
