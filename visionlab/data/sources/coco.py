"""COCO's json: boxes, polygons and run lengths, keypoints, crowds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from visionlab.config import ConfigError, check_choice
from visionlab.data.images.decode import Canvas
from visionlab.data.images.files import encoded
from visionlab.data.source import check_root, check_split
from visionlab.data.sources.annotation_files import (
  COORDINATES,
  Annotations,
  Faults,
  image_sizes,
)
from visionlab.data.sources.coco_entries import (
  Known,
  read_categories,
  read_entry,
  read_images,
  skeleton,
  without_shared_ids,
)
from visionlab.data.sources.fields import identity
from visionlab.data.sources.objects import Objects, objects_of
from visionlab.data.sources.orientation import upright
from visionlab.data.sources.outlines import Outlines
from visionlab.data.text.text_files import read_json


def coco(split: str, *, root: str = '', annotations: str = 'annotations/instances_{split}.json',
         images: str = '{split}', size: int | tuple[int, int] = 512, most: int = 0,
         masks: bool = False, keypoints: bool = False, coordinates: str = 'upright',
         on_broken: str = 'skip', check: bool = True) -> Objects:
  """Images with objects as COCO has them (Lin et al. 2014), and whoever writes the same json.

  Classes are the categories in the order of their ids, whatever those are. Numbers may be text, and
  what is null is as if it were not there: an image's size is then that of the picture itself, a box
  that of the mask, an area that of the box. Names of files may be those of Windows, or of URLs, and
  differ in their case. The annotations of a split are read once and kept as flat arrays: of COCO's
  train2017 some 300 MB with masks.

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
    coordinates: 'upright' if annotations are of images with EXIF's orientation applied; 'stored' if
      without: they are then turned with the images, which are upright always.
    on_broken: 'skip' leaves objects and images out that cannot be used, clips boxes that stick out,
      and counts both in a warning; 'stop' raises an error that names the first.
    check: read all images' headers when opening, so that what is missing or of another size than
      the json says is known then. Takes about 0.05 ms an image. If not, only those are read whose
      size the json does not say.

  Returns:
    A source as `visionlab.data.sources.objects.objects_of` describes it, with `area`.

  Raises:
    ConfigError: a wrong option or split, a json without what is needed, and what `objects_of` says.
  """
  check_choice(coordinates, COORDINATES, 'coco: coordinates')
  Canvas(size)                 # what is wrong with it is said before a large file is read
  top = check_root(root, 'coco', f'{annotations} and the folder {images}')
  path = _json_path(top, annotations, split)
  faults = Faults(f'coco {path}', on_broken)
  content = _load(path)
  listed = read_images(content['images'], top, images.replace('{split}', split), str(path), faults)
  faults.check_left('images', len(listed.files))
  objects = content['annotations']
  used = {identity(one.get('category_id')) for one in objects if isinstance(one, dict)}
  categories = read_categories(content['categories'], used, str(path))
  points = _points(objects, categories.drawn, path) if keypoints else 0
  files = encoded(listed.files)
  stated = np.array(listed.sizes, np.int64).reshape(-1, 2)
  sizes = image_sizes(top, files, faults, stated, check, coordinates)
  known = Known(listed.numbers, categories.numbers, np.where(sizes, sizes, stated).tolist(), points,
                masks)
  read, rows, shapes = _objects(objects, known, path, faults)
  joints, limbs = skeleton(categories.drawn, points // 3, str(path)) if keypoints else ((), ())
  read = Annotations(files=files, ids=_numbers(listed.ids), sizes=sizes, **read)
  if coordinates == 'stored':
    read, shapes = upright(read, shapes, top)
  return objects_of(
      read.of_images(sizes.all(-1) & without_shared_ids(listed)),
      lambda row: f'{path}: annotation {rows[row]}', faults, root=top, classes=categories.names,
      size=size, most=most, check=False, outlines=Outlines(shapes) if masks else None,
      joints=joints, limbs=limbs)


def _json_path(top: Path, pattern: str, split: str) -> Path:
  path = top / pattern.replace('{split}', split)
  if not path.is_file():
    before, _, after = pattern.partition('{split}')
    if not after:
      raise ConfigError(f'coco: there is no file {path}; the option annotations names it')
    found = [match.relative_to(top).as_posix() for match in sorted(top.glob(f'{before}*{after}'))]
    if not found:
      others = [other.relative_to(top).as_posix() for other in sorted(top.glob('**/*.json'))[:4]]
      there = f'; there are {", ".join(others)}' if others else ''
      raise ConfigError(f'coco: there is no file {path}, and none like {pattern}{there}; the '
                        'option annotations names it')
    check_split(split, tuple(name[len(before):len(name) - len(after)] for name in found),
                f'coco {top}: {pattern}')
  return path


def _load(path: Path) -> dict:
  content = read_json(path)
  for key in ('images', 'annotations', 'categories'):
    if not isinstance(content, dict) or not isinstance(content.get(key), list):
      raise ConfigError(f'coco: {path} has no list "{key}"; expected an object with "images", '
                        '"annotations" and "categories"')
  for key in ('images', 'categories'):
    if not content[key]:
      raise ConfigError(f'coco: {path}: the list "{key}" is empty')
  return content


def _points(objects: list, drawn: dict, path: Path) -> int:
  """How many numbers the keypoints of an object are: those of the category, if any object has so
  many, or else as many as the longest list."""
  points = [one.get('keypoints') for one in objects if isinstance(one, dict)]
  lengths = {len(own) for own in points if isinstance(own, list) and own and len(own) % 3 == 0}
  if not lengths:
    raise ConfigError(f'coco: {path} has no keypoints; expected those of person_keypoints_*.json, '
                      'or keypoints=False')
  named = drawn.get('keypoints')
  expected = 3 * len(named) if isinstance(named, list) else 0
  return expected if expected in lengths else max(lengths)


def _objects(entries: list, known: Known, path: Path, faults: Faults) -> tuple[dict, list, list]:
  """Of `Annotations` what is each object's, the id in the json of each row, and its shape."""
  rows, read = [], []
  for i, one in enumerate(entries):
    row = identity(one.get('id')) if isinstance(one, dict) else None
    row = f'number {i}' if row is None else row
    entry = read_entry(one, known, f'{path}: annotation {row}', faults)
    if entry:
      rows.append(row)
      read.append(entry)
  owner, labels, boxes, crowd, area, joints, shapes = zip(*read) if read else [()] * 7
  boxes = np.array(boxes, np.float64).reshape(-1, 4)
  with np.errstate(all='ignore'):        # what is not finite is left out, with its box
    own = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    area = np.where(np.isnan(area), own, area).astype(np.float32)
  return dict(owner=np.array(owner, np.int64), row=np.arange(len(rows)), boxes=boxes,
              classes=np.array(labels, np.int32), crowd=np.array(crowd, bool), area=area,
              keypoints=_centred(joints, known.points // 3) if known.points else None), rows, shapes


def _centred(joints: Sequence, j: int) -> np.ndarray:
  joints = np.array(joints, np.float32).reshape(-1, j, 3)
  seen = joints[..., 2:] > 0
  joints[..., :2] += .5
  return np.where(seen, joints, 0)


def _numbers(ids: list) -> np.ndarray:
  """The ids (n,) int32 where they are such numbers, else 0, 1, ..."""
  plain = all(isinstance(i, int) and abs(i) < 2**31 for i in ids)
  return np.array(ids if plain else range(len(ids)), np.int32)
