"""The entries of COCO's json, one by one: images, categories, annotations."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.sources.annotation_files import Faults
from visionlab.data.sources.fields import flag, identity, number, pixels
from visionlab.data.sources.file_names import FileNames
from visionlab.data.sources.outlines import Outlines, Runs, read_counts

FAR = 1e7       # pixels; a coordinate beyond that is no place in an image


class Images(NamedTuple):
  """The images that a json lists.

  Attributes:
    files: their names on the disk, each once.
    ids: the first id of each.
    sizes: (height, width) of each, 0 where that is not known.
    numbers: id -> place in `files`; None for an id that several files share.
  """
  files: list[str]
  ids: list
  sizes: list[tuple[int, int]]
  numbers: dict


def read_images(entries: list, top: Path, folder: str, where: str, faults: Faults) -> Images:
  """Those that have an id and a file name; a file that is listed again is joined to the first.

  Args:
    top: what the names become relative to.
    folder: what they are relative to in the json, itself in `top`. A name may have it as well.
  """
  inside, beside = FileNames(top / folder), FileNames(top)

  def file_of(name: str) -> str:
    found = inside.find(name)
    other = None if found else beside.find(name)
    return other or os.path.join(folder, found or name)
  images, places = Images([], [], [], {}), {}
  for i, one in enumerate(entries):
    try:
      name, key = _image(one)
    except _Wrong as wrong:
      faults.add(wrong.args[0], f'{where}: images[{i}]{wrong.args[1]}')
      continue
    file = file_of(name)
    place = places.setdefault(file, len(images.files))
    if place == len(images.files):
      images.files.append(file)
      images.ids.append(key)
      images.sizes.append((pixels(one.get('height')), pixels(one.get('width'))))
    elif images.numbers.get(key, place) != place or images.ids[place] != key:
      faults.add('entries (joined to the first) that list an image again',
                 f'{where}: images[{i}] lists {name} again; expected each file once')
    if images.numbers.setdefault(key, place) != place:
      first = images.numbers[key]
      faults.add('images that share an id', f'{where}: images[{i}], {file}, has the id {key!r} of '
                 f'{file if first is None else images.files[first]}; expected an id for each',
                 1 + (first is not None))
      images.numbers[key] = None
  return images


def without_shared_ids(images: Images) -> np.ndarray:
  """Which of the images (n,) objects can be told to be of."""
  return np.array([images.numbers[key] is not None for key in images.ids], bool)


def _image(one: Any) -> tuple[str, Any]:
  """The name and the id of an image, or `_Wrong`."""
  reason = 'images without a name or an id'
  if not isinstance(one, dict):
    raise _Wrong(reason, f' is {one!r:.60}; expected an object with "id" and "file_name"')
  name, key = one.get('file_name'), identity(one.get('id'))
  if key is None:
    raise _Wrong(reason, f'.id is {one.get("id")!r:.60}; expected a number')
  try:
    os.fsencode(name)
  except (TypeError, UnicodeError):     # half of a pair of surrogates names no file
    name = None
  if not isinstance(name, str) or not name.strip('./\\ '):
    raise _Wrong(reason, f'.file_name is {one.get("file_name")!r:.60}; expected the name of a file')
  return name, key


class Categories(NamedTuple):
  """The classes that a json lists.

  Attributes:
    names: in the order of their ids.
    numbers: id -> place in `names`.
    drawn: the entry with the most keypoints.
  """
  names: list[str]
  numbers: dict
  drawn: dict


def read_categories(entries: list, used: set, where: str) -> Categories:
  """The classes; of several with one name, as Roboflow writes them, at most one may be `used`.

  Raises:
    ConfigError: an entry without an id or a name, or an id or a name that stands for two.
  """
  named: dict = {}
  for i, one in enumerate(entries):
    key, name = _category(one, f'{where}: categories[{i}]')
    if named.setdefault(key, name) != name:
      raise ConfigError(f'{where}: categories[{i}], "{name}", has the id {key!r} of '
                        f'"{named[key]}"; expected an id for each')
  ordered = sorted(named, key=lambda key: (isinstance(key, str), key))
  last = {named[key]: key for key in ordered}
  names = [named[key] for key in ordered if last[named[key]] == key]
  for name in names:
    keys = [key for key in ordered if named[key] == name and key in used]
    if len(keys) > 1:
      raise ConfigError(f'{where}: "{name}" is the name of the categories {keys[0]} and {keys[1]}; '
                        'expected a name for each')
  return Categories(names, {key: names.index(named[key]) for key in ordered},
                    max(entries, key=lambda one: len(_joints_of(one))))


def _category(one: Any, where: str) -> tuple[Any, str]:
  if not isinstance(one, dict):
    raise ConfigError(f'{where} is {one!r:.60}; expected an object with "id" and "name"')
  key, name = identity(one.get('id')), one.get('name')
  if key is None:
    raise ConfigError(f'{where}.id is {one.get("id")!r:.60}; expected a number')
  if isinstance(name, bool) or not isinstance(name, (str, int, float)) or not str(name).strip():
    raise ConfigError(f'{where}.name is {name!r:.60}; expected a word')
  return key, str(name).strip()


def _joints_of(category: dict) -> list:
  joints = category.get('keypoints')
  return joints if isinstance(joints, list) else []


def skeleton(category: dict, count: int, where: str) -> tuple[tuple, tuple]:
  """The names of `count` keypoints, numbers where they have none, and the limbs between them."""
  joints = tuple(map(str, _joints_of(category)))
  if len(joints) != count:
    joints = tuple(map(str, range(1, count + 1)))
  limbs = category.get('skeleton') or []
  try:
    limbs = tuple((int(a) - 1, int(b) - 1) for a, b in limbs)
  except (TypeError, ValueError, OverflowError):
    limbs = ((-1, -1),)
  if any(not 0 <= end < count for limb in limbs for end in limb):
    raise ConfigError(f'{where}: the skeleton of {category.get("name")} is '
                      f'{category["skeleton"]!r:.60}; expected pairs of keypoints, 1 to {count}')
  return joints, limbs


class Known(NamedTuple):
  """What an annotation refers to, and what is wanted of it."""
  images: dict              # id -> number
  classes: dict             # id -> number
  sizes: Sequence           # (height, width) of each image
  points: int               # numbers in a list of keypoints; 0: they are not wanted
  masks: bool


class Entry(NamedTuple):
  """An annotation: numbers of its image and class, corners, and what else is wanted of it."""
  image: int
  label: int
  box: Sequence[float]
  crowd: bool
  area: float               # nan: not known
  joints: Sequence[float]
  shape: Sequence


class _Wrong(Exception):
  """Of an entry; the arguments are the reason it is counted under, and what it says."""


def read_entry(one: Any, known: Known, where: str, faults: Faults) -> Entry | None:
  """What an annotation says; None, and a fault, where it cannot be used."""
  try:
    return _entry(one, known, where, faults)
  except _Wrong as wrong:
    faults.add(wrong.args[0], f'{where}: {wrong.args[1]}')
    return None


def _entry(one, known, where, faults):
  if not isinstance(one, dict):
    raise _Wrong('objects that are no entries', f'it is {one!r:.60}; expected an object with '
                 '"image_id", "category_id" and "bbox"')
  image = known.images.get(identity(one.get('image_id')))
  label = known.classes.get(identity(one.get('category_id')))
  if image is None:
    raise _Wrong('objects of no image', f'image_id is {one.get("image_id")!r:.60}; expected the id '
                 'of an image')
  if label is None:
    ids = list(known.classes)
    raise _Wrong('objects of no category', f'category_id is {one.get("category_id")!r:.60}; '
                 f'expected the id of a category, {ids[0]} to {ids[-1]}')
  boxless = one.get('bbox') in (None, [])
  try:
    crowd = flag(one.get('iscrowd'))
  except ValueError as error:
    raise _Wrong('objects whose iscrowd is no flag', f'iscrowd is {error}') from None
  try:
    joints = _joints(one.get('keypoints'), known.points) if known.points else ()
    wanted = known.masks or boxless
    shape = _shape(one.get('segmentation'), known.sizes[image]) if wanted else ()
  except (KeyError, TypeError, ValueError, OverflowError) as error:
    raise _Wrong('objects with damaged points', str(error)) from error
  box = Outlines([shape]).bounds[0].tolist() if boxless and len(shape) else _box(one.get('bbox'))
  area = number(one.get('area'))
  if not 0 < area < FAR**2:
    if one.get('area') not in (None, '', []):
      faults.add('areas (the box\'s is taken) that are none',
                 f'{where}: area is {one["area"]!r:.60}; expected a positive number')
    area = math.nan
  return Entry(image, label, box, crowd, area, joints, shape if known.masks else ())


def _box(value: Any) -> tuple[float, float, float, float]:
  corners = [number(v) for v in value] if isinstance(value, list) else []
  if len(corners) != 4 or not all(abs(corner) < FAR for corner in corners):
    raise _Wrong('objects without a box', f'bbox is {value!r:.60}; expected [x, y, width, height]')
  x, y, w, h = corners
  return x, y, x + w, y + h


def _joints(value: Any, length: int) -> np.ndarray:
  """The keypoints, (length,); zeros where there are none."""
  points = _floats(value or [], 'keypoints', 3)
  if points.size not in (0, length):
    raise ValueError(f'keypoints has {points.size} numbers; expected {length}, 3 for each of '
                     f'{length // 3}')
  flags = points[2::3]
  if not ((flags >= 0) & (flags <= 2)).all():
    raise ValueError(f'keypoints has the flags {flags.tolist()!s:.60}; expected 0, 1 or 2')
  return points if points.size else np.zeros(length)


def _shape(value: Any, expected: tuple[int, int]):
  """What `Outlines` takes, or an error that says what is wrong with a segmentation."""
  if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
    value = value[0]
  if isinstance(value, list):
    rings = [_floats(ring, 'segmentation', 2) for ring in _rings(value)]
    if any(ring.size % 2 for ring in rings):
      raise ValueError('segmentation has a polygon of an odd number of coordinates')
    return [ring.astype(np.float32) for ring in rings if ring.size >= 6]   # two enclose nothing
  if not isinstance(value or {}, dict):
    raise ValueError(f'segmentation is {value!r:.60}; expected polygons, or size and counts')
  return _runs(value, expected) if value else []


def _rings(value: list) -> list:
  """The polygons of a list of them; one that is by itself, as numbers or as points, too."""
  alone = value and not isinstance(value[0], list)
  points = len(value) > 2 and all(isinstance(point, list) and len(point) == 2
                                  and not isinstance(point[0], list) for point in value)
  return [value] if alone or points else value


def _floats(value: Any, field: str, each: int = 0) -> np.ndarray:
  """A list of numbers, or of points of `each`, flat, as float64, all of them near an image."""
  try:
    numbers = np.array(value, np.float64)
  except (TypeError, ValueError, OverflowError):
    numbers = np.array(math.nan)
  flat = numbers.ndim == 1 or numbers.ndim == 2 and numbers.shape[1] == each
  if not flat or not (abs(numbers) < FAR).all():
    raise ValueError(f'{field} is {value!r:.60}; expected a list of numbers')
  return numbers.ravel()


def _runs(value: dict, expected: tuple[int, int]) -> Runs:
  sides, counts = value.get('size'), value.get('counts')
  size = tuple(map(pixels, sides)) if isinstance(sides, list) else ()
  if size != tuple(expected):
    raise ValueError(f'segmentation.size is {sides!r:.60}; expected {list(expected)}, the height '
                     'and width of its image')
  lengths = read_counts(counts) if isinstance(counts, str) else _floats(counts, 'counts')
  whole = (lengths >= 0).all() and (lengths == np.floor(lengths)).all()
  if not whole or lengths.sum() != size[0] * size[1]:
    raise ValueError(f'segmentation.counts add up to {lengths.sum():.0f}; expected {size[0]} x '
                     f'{size[1]} pixels in runs of no less than 0')
  return Runs(lengths.astype(np.int64), size)
