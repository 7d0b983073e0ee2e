"""COCO's json: boxes, polygons and run lengths, keypoints, crowds."""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.files import encoded
from visionlab.data.images import Canvas
from visionlab.data.source import check_root, check_split
from visionlab.data.sources.annotation_files import Annotations, Faults
from visionlab.data.sources.objects import Objects, objects_of
from visionlab.data.sources.outlines import Outlines, Runs, read_counts


def coco(split: str, *, root: str = '', annotations: str = 'annotations/instances_{split}.json',
         images: str = '{split}', size: int | tuple[int, int] = 512, most: int = 0,
         masks: bool = False, keypoints: bool = False, on_broken: str = 'skip',
         check: bool = True) -> Objects:
  """Images with objects as COCO has them (Lin et al. 2014), and whoever writes the same json.

  Classes are the categories in the order of their ids, whatever those are. The annotations of a
  split are read once and kept as flat arrays: of COCO's train2017 some 300 MB with masks.

  Args:
    split: what {split} stands for below, such as 'train2017'.
    root: the folder.
    annotations, images: the json file and the folder of images in it. Exports of Roboflow have
      annotations='{split}/_annotations.coco.json'; COCO's keypoints are in
      'annotations/person_keypoints_{split}.json'.
    size: of the canvas, (height, width) or one number for both. Images are scaled to fit, with
      their aspect kept, and put at its top left.
    most: objects per image, to which all are padded; of images with more, the largest are kept.
      0: the most that an image of the split has. Splits that are added need the same.
    masks: whether to read masks, from polygons or run lengths; objects without are then left out.
    keypoints: whether to read keypoints. COCO writes whole pixels, here these are their centres:
      half a pixel is added.
    on_broken: 'skip' leaves objects and images out that cannot be used, clips boxes that stick out,
      and counts both in a warning; 'stop' raises an error that names the first.
    check: read all images' headers when opening, so that what is missing or of another size than
      the json says is known then. Takes about 0.05 ms an image.

  Returns:
    A source as `visionlab.data.sources.objects.objects_of` describes it, with `area`.

  Raises:
    ConfigError: a wrong option or split, a json without what is needed, and what `objects_of` says.
  """
  Canvas(size)                 # what is wrong with it is said before a large file is read
  top = check_root(root, 'coco', f'{annotations} and the folder {images}')
  path = _json_path(top, annotations, split)
  faults = Faults(f'coco {path}', on_broken)
  content = _load(path)
  categories = sorted(content['categories'], key=lambda category: category['id'])
  read, rows, shapes = _read(content, categories, images.replace('{split}', split), path, faults,
                             masks, keypoints)
  drawn = max(categories, key=lambda category: len(category.get('keypoints', ())))
  return objects_of(
      read, lambda row: f'{path}: annotation {rows[row]}', faults, root=top,
      classes=[str(category['name']) for category in categories], size=size, most=most, check=check,
      outlines=Outlines(shapes) if masks else None,
      joints=tuple(drawn.get('keypoints', ())) if keypoints else (),
      limbs=tuple((a - 1, b - 1) for a, b in drawn.get('skeleton', ())) if keypoints else ())


def _json_path(top: Path, pattern: str, split: str) -> Path:
  path = top / pattern.replace('{split}', split)
  if not path.is_file():
    before, _, after = pattern.partition('{split}')
    if not after:
      raise ConfigError(f'coco: there is no file {path}; the option annotations names it')
    found = [match.relative_to(top).as_posix() for match in sorted(top.glob(f'{before}*{after}'))]
    check_split(split, tuple(name[len(before):len(name) - len(after)] for name in found),
                f'coco {top}: {pattern}')
  return path


def _load(path: Path) -> dict:
  try:
    content = json.loads(path.read_bytes())
  except (OSError, ValueError) as error:
    raise ConfigError(f'coco: {path} cannot be read as json: {error}') from error
  for key in ('images', 'annotations', 'categories'):
    if not isinstance(content, dict) or not isinstance(content.get(key), list):
      raise ConfigError(f'coco: {path} has no list "{key}"; expected an object with "images", '
                        '"annotations" and "categories"')
  for key, needed in (('images', ('id', 'file_name', 'height', 'width')),
                      ('categories', ('id', 'name'))):
    for i, entry in enumerate(content[key]):
      for name in needed:
        if name not in entry:
          raise ConfigError(f'coco: {path}: {key}[{i}] has no "{name}"')
    if not content[key]:
      raise ConfigError(f'coco: {path}: the list "{key}" is empty')
  return content


def _read(content, categories, folder, path, faults, masks, keypoints):
  """The annotations, the id in the json of each row, and the shape of each row if `masks`."""
  images = content['images']
  points = max((len(one.get('keypoints', ())) for one in content['annotations']), default=0)
  if keypoints and not points:
    raise ConfigError(f'coco: {path} has no keypoints; expected those of person_keypoints_*.json, '
                      'or keypoints=False')
  known = _Known({image['id']: i for i, image in enumerate(images)},
                 {category['id']: i for i, category in enumerate(categories)},
                 [(image['height'], image['width']) for image in images],
                 points if keypoints else 0, masks)
  rows, read = [], []
  for i, one in enumerate(content['annotations']):
    row = one.get('id', f'number {i}')
    try:
      read.append(_object(one, known))
      rows.append(row)
    except _Wrong as wrong:
      faults.add(wrong.args[0], f'{path}: annotation {row}: {wrong.args[1]}')
  owner, labels, boxes, crowd, area, joints, shapes = zip(*read) if read else [()] * 7
  boxes = np.array(boxes, np.float64).reshape(-1, 4)
  own = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
  return Annotations(
      files=encoded(os.path.join(folder, image['file_name']) for image in images),
      ids=_numbers(image['id'] for image in images), sizes=np.array(known.sizes, np.int64),
      owner=np.array(owner, np.int64), row=np.arange(len(rows)), boxes=boxes,
      classes=np.array(labels, np.int32), crowd=np.array(crowd, bool),
      area=np.where(np.isnan(area), own, area).astype(np.float32),
      keypoints=_centred(joints, points // 3) if keypoints else None), rows, shapes


class _Known(NamedTuple):
  """What an annotation refers to, and what is wanted of it."""
  images: dict              # id -> number
  classes: dict             # id -> number
  sizes: list               # (height, width) of each image
  points: int               # numbers in a list of keypoints; 0: they are not wanted
  masks: bool


class _Wrong(Exception):
  """Of an annotation; the arguments are the reason it is counted under, and what it says."""


def _object(one, known: _Known):
  """(image, class, box, crowd, area, keypoints, shape) of an annotation, or `_Wrong`."""
  image, label = known.images.get(one.get('image_id')), known.classes.get(one.get('category_id'))
  if image is None:
    raise _Wrong('objects of no image', f'image_id is {one.get("image_id")!r}; expected the id of '
                 'an image')
  if label is None:
    ids = list(known.classes)
    raise _Wrong('objects of no category', f'category_id is {one.get("category_id")!r}; expected '
                 f'the id of a category, {ids[0]} to {ids[-1]}')
  try:
    x, y, w, h = map(float, one['bbox'])
  except (KeyError, TypeError, ValueError):
    raise _Wrong('objects without a box', f'bbox is {one.get("bbox")!r}; expected [x, y, width, '
                 'height]') from None
  try:
    joints = _padded(one.get('keypoints') or [], known.points) if known.points else ()
    shape = _shape(one.get('segmentation') or [], known.sizes[image]) if known.masks else ()
  except (KeyError, TypeError, ValueError) as error:
    raise _Wrong('objects with damaged points', str(error)) from error
  return (image, label, (x, y, x + w, y + h), bool(one.get('iscrowd', 0)),
          float(one.get('area', math.nan)), joints, shape)


def _padded(points: list, length: int) -> list:
  if len(points) not in (0, length) or length % 3:
    raise ValueError(f'keypoints has {len(points)} numbers; expected {length}, 3 for each of '
                     f'{length // 3}')
  return points or [0] * length


def _centred(joints: Sequence, j: int) -> np.ndarray:
  joints = np.array(joints, np.float32).reshape(-1, j, 3)
  seen = joints[..., 2:] > 0
  joints[..., :2] += .5
  return np.where(seen, joints, 0)


def _shape(segmentation, expected: tuple[int, int]):
  """What `Outlines` takes, or an error that says what is wrong with a segmentation."""
  if isinstance(segmentation, list):
    if any(len(ring) % 2 for ring in segmentation):
      raise ValueError('segmentation has a polygon of an odd number of coordinates')
    return [ring for ring in segmentation if len(ring) >= 6]   # two points enclose nothing
  size = tuple(segmentation['size'])
  if size != expected:
    raise ValueError(f'segmentation.size is {list(size)}; expected {list(expected)}, the height '
                     'and width of its image')
  counts = segmentation['counts']
  counts = read_counts(counts) if isinstance(counts, str) else np.array(counts, np.int64)
  if counts.ndim != 1 or (counts < 0).any() or counts.sum() != size[0] * size[1]:
    raise ValueError(f'segmentation.counts add up to {counts.sum()}; expected {size[0]} x '
                     f'{size[1]} pixels in runs of no less than 0')
  return Runs(counts, size)


def _numbers(ids) -> np.ndarray:
  """The ids (n,) int32 where they are such numbers, else 0, 1, ..."""
  ids = list(ids)
  plain = all(isinstance(i, int) and abs(i) < 2**31 for i in ids)
  return np.array(ids if plain else range(len(ids)), np.int32)
