"""Objects as tables, columns and json have them, whoever wrote these: boxes in one of two forms,
classes by name or number."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from visionlab.config import ConfigError, check_choice, nearest
from visionlab.data.classes import class_numbers
from visionlab.data.images.files import encoded
from visionlab.data.sources.annotation_files import Annotations, Faults, Packed
from visionlab.data.sources.fields import number
from visionlab.data.sources.labelled_files import LABEL
from visionlab.data.sources.objects import Objects, objects_of

FORMATS = ('xywh', 'xyxy')
BOXES = ('bbox', 'bboxes', 'box', 'boxes')
KINDS = (*(name for names in LABEL for name in names), 'categories', 'classes', 'category_id',
         'name')
FAR = 1e7       # pixels; a coordinate beyond that is no place in an image


class Said(NamedTuple):
  """An object as it is written.

  Attributes:
    image: the number of its image.
    box: four numbers, or what is in their place.
    kind: the name or the number of its class.
    where: what messages call it.
  """
  image: int
  box: Any
  kind: Any
  where: str


def objects_in(value: Any, image: int, where: str) -> Iterator[Said]:
  """Those of an image: a list of dicts such as {'bbox': ..., 'category': ...}, or a dict of lists
  side by side, as `datasets` has it.

  Raises:
    ValueError: it is neither.
  """
  if value is None:
    return
  if isinstance(value, Mapping):
    columns = [value[_key(value, names)] for names in (BOXES, KINDS)]
    if not all(isinstance(column, list) for column in columns) or len({*map(len, columns)}) > 1:
      raise ValueError(f'{where} is {value!r:.80}; expected as many boxes as classes')
    pairs = zip(*columns, strict=True)
  elif isinstance(value, list) and all(isinstance(one, Mapping) for one in value):
    pairs = [[one[_key(one, names)] for names in (BOXES, KINDS)] for one in value]
  else:
    raise ValueError(f'{where} is {value!r:.60}; expected {{"bbox": [...], "category": [...]}} or '
                     'a list of such objects')
  for i, (box, kind) in enumerate(pairs):
    yield Said(image, box, kind, f'{where}[{i}]')


def _key(one: Mapping, names: Sequence[str]) -> str:
  found = next((name for name in names if name in one), None)
  if found is None:
    raise ValueError(f'there is no "{names[0]}" or the like{nearest(names[0], one)} among '
                     f'{", ".join(map(str, one)):.60}')
  return found


def check_fitted(source: str, resize: str, crop_fraction: float, channels: int) -> None:
  """Raises a ConfigError where an option is changed that pictures with boxes do without."""
  wrong = dict(resize=resize != 'crop', crop_fraction=crop_fraction != 1, channels=channels != 3)
  for option in (name for name, is_wrong in wrong.items() if is_wrong):
    raise ConfigError(f'{source}: {option} is for classes; pictures with boxes have three channels '
                      'and are scaled to fit the canvas')


def source_of(said: Sequence[Said], files: Sequence[str], root: Path | Packed, faults: Faults, *,
              classes: Sequence[str], others: Iterable[Any] = (), box_format: str = 'xywh',
              size: int | tuple[int, int], most: int, check: bool = True) -> Objects:
  """The source of pictures with the objects that are said of them.

  Args:
    said: of the images by their numbers.
    files: their names.
    root: what these are relative to, or where else the pictures are.
    faults: where what is not sound is counted.
    classes: names of classes 0, 1, ...; () for those that there are, sorted, or by value if they
      are whole numbers.
    others: the classes of objects of other splits.
    box_format: 'xywh', the top left corner, width and height; or 'xyxy', two corners. In pixels.
    size, most, check: see `visionlab.data.sources.objects.objects_of`.

  Raises:
    ConfigError: a wrong option; no image or object is sound; or, with on_broken='stop', something
      is not.
  """
  check_choice(box_format, FORMATS, f'{faults.where.split()[0]}: box_format')
  names, numbers = _classes([*(one.kind for one in said), *others], classes, faults.where)
  rows, boxes, kinds = [], [], []
  for one in said:
    box, kind = _corners(one, box_format, faults), numbers.get(_word(one.kind))
    if kind is None:
      faults.add('objects of no class', f'{one.where}: the class is {one.kind!r:.60}'
                 f'{nearest(str(one.kind), names)}; expected one of {", ".join(names[:8])}'
                 f'{", ..." if names[8:] else ""}')
    elif box:
      rows.append(one)
      boxes.append(box)
      kinds.append(kind)
  annotations = Annotations(
      files=encoded(files), ids=np.arange(len(files)), sizes=np.zeros((len(files), 2), np.int64),
      owner=np.array([one.image for one in rows], np.int64), row=np.arange(len(rows)),
      boxes=np.array(boxes, np.float64).reshape(-1, 4), classes=np.array(kinds, np.int32),
      crowd=np.zeros(len(rows), bool))
  if said:
    faults.check_left('objects', len(rows))
  return objects_of(annotations, lambda row: rows[row].where, faults, root=root, classes=names,
                    size=size, most=most, check=check, field='the box')


def _classes(kinds, classes, where) -> tuple[tuple[str, ...], dict[str, int]]:
  """The names of classes, and the number of what stands for each."""
  words = [word for word in map(_word, kinds) if word]
  if not classes and not words:
    raise ConfigError(f'{where}: no object has a class; classes names them, e.g. ("cat", "dog")')
  return class_numbers(words, classes, where)


def _word(kind: Any) -> str:
  """A name or a whole number as text; '' is any other value."""
  if isinstance(kind, float) and kind.is_integer():        # as pandas writes columns with gaps
    kind = int(kind)
  return str(kind).strip() if isinstance(kind, str | int) and not isinstance(kind, bool) else ''


def _corners(one: Said, form: str, faults: Faults) -> tuple[float, ...] | None:
  """x1, y1, x2, y2; None, and a fault, where these are no numbers."""
  box = [number(v) for v in one.box] if isinstance(one.box, list | tuple) else []
  if len(box) != 4 or not all(math.isfinite(v) and abs(v) < FAR for v in box):
    wanted = dict(xywh='x, y, width, height', xyxy='x1, y1, x2, y2')[form]
    faults.add('objects without a box', f'{one.where}: the box is {one.box!r:.60}; expected four '
               f'numbers, {wanted}')
    return None
  a, b, c, d = box
  return (a, b, a + c, b + d) if form == 'xywh' else (a, b, c, d)
