"""YOLO's text files: a line for each object, in shares of the image."""

import os
from pathlib import Path

import numpy as np

from visionlab.config import ConfigError, check_choice
from visionlab.data.images.decode import SUFFIXES
from visionlab.data.images.files import encoded
from visionlab.data.source import check_root, check_split_folders
from visionlab.data.sources.annotation_files import (
  COORDINATES,
  Annotations,
  Faults,
  image_sizes,
)
from visionlab.data.sources.class_names import ClassFile, check_kpt_shape, read_classes
from visionlab.data.sources.file_names import files_in, stem_of
from visionlab.data.sources.objects import Objects, objects_of
from visionlab.data.sources.orientation import upright
from visionlab.data.sources.outlines import Outlines
from visionlab.data.sources.yolo_labels import Line, fit, keypoint_shape, read_lines


def yolo(split: str, *, root: str = '', images: str = 'images/{split}',
         labels: str = 'labels/{split}', classes: tuple[str, ...] | str = (),
         size: int | tuple[int, int] = 512, most: int = 0, masks: bool = False,
         keypoints: bool = False, kpt_shape: tuple[int, ...] | None = None,
         coordinates: str = 'upright', unlabelled: bool = True,
         on_broken: str = 'skip') -> Objects:
  """Images in `root/images/<split>/` with text files of the same names in `root/labels/<split>/`.

  A line is `class cx cy w h`, or `class x1 y1 x2 y2 x3 y3 ...`, a polygon, or `class cx cy w h` and
  keypoints, in shares of the image's width and height. All images' headers are read when
  opening, to turn them into pixels. Folders inside those of images are looked into, for texts in
  the same folders inside those of labels.

  Args:
    split: what {split} stands for in `images` and `labels`.
    root: the folder.
    images, labels: the folders in it; exports of Roboflow have '{split}/images', '{split}/labels'.
    classes: the names of classes 0, 1, ...; or a file in `root` that holds them, one in each line,
      or as `names` in yaml. Where that gives numbers with gaps, classes are those in their order.
    size, most, coordinates, on_broken: see `visionlab.data.sources.coco.coco`.
    masks: whether to make masks of the polygons; objects without one are then left out.
    keypoints: whether to give the keypoints, beside the boxes.
    kpt_shape: how many keypoints a line has, and the numbers of each: (17, 3) with a flag, (17, 2)
      without; () is none. None: as the yaml that `classes` names has it, or else as it looks.
    unlabelled: whether an image without a text file has no objects; if not, it is left out.

  Returns:
    A source as `visionlab.data.sources.objects.objects_of` describes it; images are numbered in
    the order of their names.

  Raises:
    ConfigError: a wrong option, a folder that is not laid out like this, lines that may be polygons
      or keypoints, and what `objects_of` says.
  """
  check_choice(coordinates, COORDINATES, 'yolo: coordinates')
  top = check_root(root, 'yolo', f'the folders {images} and {labels}')
  named = read_classes(top, classes, 'yolo')
  shape = named.kpt_shape if kpt_shape is None else check_kpt_shape(kpt_shape, 'yolo')
  for folder in (images, labels):
    if '{split}' not in folder and (top / folder / split).is_dir():
      raise ConfigError(f'yolo: {top / folder} holds a folder {split}; expected the options images '
                        'and labels to have {split} where it stands')
  check_split_folders(top, [images], split, 'yolo')
  images, labels = (name.replace('{split}', split) for name in (images, labels))
  faults = Faults(f'yolo {top / labels}', on_broken)
  files, texts = _listing(top, images, SUFFIXES), _listing(top, labels, ('.txt',))
  texts = {stem_of(name): name for name in texts}
  files = [name for name in files if _has_text(name, texts, images == labels, unlabelled)]
  if not files:
    raise ConfigError(f'yolo: {top / images} holds no images ({", ".join(SUFFIXES)})')
  _check_texts(top, images, labels, files, texts, faults)
  paths = encoded(os.path.join(images, name) for name in files)
  sizes = image_sizes(top, paths, faults, coordinates=coordinates)
  lines: list[Line] = []
  for i, name in enumerate(files):
    text = texts.get(stem_of(name))
    if text and sizes[i].all():
      read = read_lines(top / labels / text, i, named.names, faults)
      lines += read or ()
      sizes[i] *= read is not None
  if shape is None:
    shape = keypoint_shape(lines, f'yolo {top / labels}', masks)
  if keypoints and not shape:
    raise ConfigError(f'yolo: {top / labels} has no keypoints that are known; kpt_shape says how '
                      'many a line has, or keypoints=False')

  def where(line: Line) -> str:
    return str(top / labels / texts[stem_of(files[line.image])])
  lines = [line for line in lines if fit(line, shape, where(line), faults)]
  annotations, shapes = _annotations(paths, sizes, lines, named, shape if keypoints else (), shape)
  if coordinates == 'stored':
    annotations, shapes = upright(annotations, shapes, top)
  joints = named.joints or tuple(str(i + 1) for i in range(shape[0] if shape else 0))
  return objects_of(
      annotations, lambda row: f'{where(lines[row])}: line {lines[row].number}', faults, root=top,
      classes=tuple(named.names.values()), size=size, most=most, check=False,
      outlines=Outlines(shapes) if masks else None, joints=joints if keypoints else (),
      field='the box')


def _annotations(paths: np.ndarray, sizes: np.ndarray, lines: list[Line], named: ClassFile,
                 wanted: tuple, shape: tuple) -> tuple[Annotations, list]:
  """The lines in pixels, with keypoints of the shape that is wanted; and their polygons."""
  kinds = {number: i for i, number in enumerate(named.names)}
  boxes, shapes, joints = [], [], []
  for line in lines:
    whole = sizes[line.image, ::-1]
    points = line.points(shape) * whole
    boxes.append((*points.min(0), *points.max(0)) if len(points) > 2 else points.ravel())
    shapes.append([points.ravel()] if len(points) > 2 else [])
    if wanted:
      joints.append(line.keypoints(wanted) * [*whole, 1])
  return Annotations(
      files=paths, ids=np.arange(len(paths)), sizes=sizes,
      owner=np.array([line.image for line in lines], np.int64), row=np.arange(len(lines)),
      boxes=np.array(boxes, np.float64).reshape(-1, 4),
      classes=np.array([kinds[int(line.kind)] for line in lines], np.int32),
      crowd=np.zeros(len(lines), bool),
      keypoints=np.array(joints, np.float32).reshape(-1, wanted[0], 3) if wanted else None,
  ).of_images(sizes.all(-1)), shapes


def _listing(top: Path, folder: str, suffixes: tuple[str, ...]) -> list[str]:
  try:
    return files_in(top / folder, suffixes, deep=True)
  except OSError as error:
    raise ConfigError(f'yolo: there is no folder {top / folder}; the options images and labels '
                      'name others') from error


def _has_text(name: str, texts: dict[str, str], together: bool, unlabelled: bool) -> bool:
  """Whether an image is labelled, or without objects: what lies in other folders is neither."""
  folder = os.path.dirname(name)
  astray = together and folder and all(os.path.dirname(text) != folder for text in texts)
  return stem_of(name) in texts or unlabelled and not astray


def _check_texts(top: Path, images: str, labels: str, files: list[str], texts: dict[str, str],
                 faults: Faults) -> None:
  """A text without its image is a fault; classes.txt, which labelling tools add, is none."""
  stems = set(map(stem_of, files))
  for stem, name in texts.items():
    if stem not in stems and os.path.basename(stem) != 'classes':
      faults.add('images that are missing',
                 f'{top / labels / name} has no image; expected {top / images}/{stem}.*')
