"""YOLO's text files: a line for each object, in shares of the image."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.files import encoded
from visionlab.data.images import SUFFIXES
from visionlab.data.source import check_root, check_split_folders
from visionlab.data.sources.annotation_files import Annotations, Faults, image_sizes
from visionlab.data.sources.objects import Objects, objects_of
from visionlab.data.sources.outlines import Outlines


def yolo(split: str, *, root: str = '', images: str = 'images/{split}',
         labels: str = 'labels/{split}', classes: tuple[str, ...] | str = (),
         size: int | tuple[int, int] = 512, most: int = 0, masks: bool = False,
         unlabelled: bool = True, on_broken: str = 'skip') -> Objects:
  """Images in `root/images/<split>/` with text files of the same names in `root/labels/<split>/`.

  A line is `class cx cy w h`, or `class x1 y1 x2 y2 x3 y3 ...`, a polygon, in shares of the upright
  image's width and height. All images' headers are read when opening, to turn them into pixels.

  Args:
    split: what {split} stands for in `images` and `labels`.
    root: the folder.
    images, labels: the folders in it; exports of Roboflow have '{split}/images', '{split}/labels'.
    classes: the names of classes 0, 1, ...; or a file in `root` that holds them, one in each line,
      or as `names` in yaml. Where that gives numbers with gaps, classes are those in their order.
    size, most, on_broken: see `visionlab.data.sources.coco.coco`.
    masks: whether to make masks of the polygons; objects without one are then left out.
    unlabelled: whether an image without a text file has no objects; if not, it is left out.

  Returns:
    A source as `visionlab.data.sources.objects.objects_of` describes it; images are numbered in
    the order of their names.

  Raises:
    ConfigError: a wrong option, a folder that is not laid out like this, and what `objects_of`
      says.
  """
  top = check_root(root, 'yolo', f'the folders {images} and {labels}')
  named = _names(top, classes)
  classes, numbers = tuple(named.values()), {number: i for i, number in enumerate(named)}
  check_split_folders(top, [images], split, 'yolo')
  images, labels = (name.replace('{split}', split) for name in (images, labels))
  faults = Faults(f'yolo {top / labels}', on_broken)
  files, texts = _listing(top, images, SUFFIXES), set(_listing(top, labels, ('.txt',)))
  if not files:
    raise ConfigError(f'yolo: {top / images} holds no images ({", ".join(SUFFIXES)})')
  if not unlabelled:
    files = [name for name in files if f'{Path(name).stem}.txt' in texts]
  stems = {Path(name).stem for name in files}
  for name in sorted(texts):
    if Path(name).stem not in stems:
      faults.add('images that are missing',
                 f'{top / labels / name} has no image; expected {top / images}/{Path(name).stem}.*')
  paths = encoded(os.path.join(images, name) for name in files)
  sizes = image_sizes(top, paths, faults)
  rows, owner, kinds, boxes, shapes = [], [], [], [], []
  for i, name in enumerate(files):
    text = f'{Path(name).stem}.txt'
    if text not in texts or not sizes[i].any():
      continue
    for line, kind, polygon in _lines(top / labels / text, numbers, faults):
      points = polygon * sizes[i, ::-1]
      rows.append((text, line))
      owner.append(i)
      kinds.append(kind)
      boxes.append((*points.min(0), *points.max(0)) if len(points) > 2 else points.ravel())
      shapes.append([points.ravel()] if len(points) > 2 else [])
  annotations = Annotations(files=paths, ids=np.arange(len(files)), sizes=sizes,
                     owner=np.array(owner, np.int64), row=np.arange(len(rows)),
                     boxes=np.array(boxes, np.float64).reshape(-1, 4),
                     classes=np.array(kinds, np.int32), crowd=np.zeros(len(rows), bool))
  return objects_of(
      annotations, lambda row: f'{top / labels / rows[row][0]}: line {rows[row][1]}', faults,
      root=top, classes=classes, size=size, most=most, check=False,
      outlines=Outlines(shapes) if masks else None, field='the box')


def _names(top: Path, classes: Sequence[str] | str) -> dict[int, str]:
  """The names of classes by their numbers in the text files, in that order."""
  if isinstance(classes, str):
    path = top / classes
    try:
      content = path.read_text(encoding='utf-8')
    except OSError as error:
      raise ConfigError(f'yolo: classes: {path} cannot be read: {error.strerror}') from error
    classes = [line.strip() for line in content.splitlines() if line.strip()]
    if path.suffix in ('.yaml', '.yml'):
      classes = _yaml_names(content, path)
  named = classes if isinstance(classes, Mapping) else dict(enumerate(classes))
  if not named:
    raise ConfigError("yolo: classes must name the classes 0, 1, ...: e.g. classes=('cat', 'dog'), "
                      "or a file such as classes='data.yaml'")
  return {int(number): str(named[number]) for number in sorted(named, key=int)}


def _yaml_names(content: str, path: Path):
  import yaml  # noqa: PLC0415 - other sources do without it
  try:
    return yaml.safe_load(content)['names']
  except (yaml.YAMLError, KeyError, TypeError) as error:
    raise ConfigError(f'yolo: classes: {path} is no yaml with "names"') from error


def _listing(top: Path, folder: str, suffixes: Sequence[str]) -> list[str]:
  try:
    names = sorted(os.listdir(top / folder))
  except OSError as error:
    raise ConfigError(f'yolo: there is no folder {top / folder}; the options images and labels '
                      'name others') from error
  return [name for name in names if name[0] != '.' and name.lower().endswith(tuple(suffixes))]


def _lines(path: Path, numbers: Mapping[int, int], faults: Faults):
  """(line number, class, points (k 2)) of each object; two points are the corners of a box."""
  for i, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
    words = line.split()
    if not words:
      continue
    try:
      kind, *values = map(float, words)
    except ValueError:
      kind, values = 0, []
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
      faults.add('objects that are no box or polygon',
                 f'{path}: line {i} is "{line[:60]}"; expected "class cx cy w h" or "class x1 y1 '
                 'x2 y2 x3 y3 ..."')
    elif kind not in numbers:
      faults.add('objects of no class', f'{path}: line {i}: class is {words[0]}; expected '
                 f'{min(numbers)} to {max(numbers)} for {len(numbers)} classes')
    elif len(values) == 4:
      centre, half = np.array(values[:2]), np.array(values[2:]) / 2
      yield i, numbers[kind], np.stack([centre - half, centre + half])
    else:
      yield i, numbers[kind], np.array(values).reshape(-1, 2)
