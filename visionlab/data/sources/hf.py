"""Image datasets of the Hugging Face hub, from a folder: of save_to_disk, or shards of parquet."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from visionlab.config import ConfigError, check_choice
from visionlab.data.classes import check_classes
from visionlab.data.images.decode import Canvas
from visionlab.data.source import Info, check_root, check_split
from visionlab.data.sources.annotation_files import Faults, Packed
from visionlab.data.sources.arrow import (
  Cells,
  holds_bytes,
  need_pyarrow,
  read_column,
  schema_of,
)
from visionlab.data.sources.arrow_images import ArrowImages, content_of
from visionlab.data.sources.encoded import Encoded, check_on_broken
from visionlab.data.sources.hf_shards import HOLDS, shards
from visionlab.data.sources.labelled_files import LABEL
from visionlab.data.sources.objects import Objects
from visionlab.data.sources.said_objects import check_fitted, objects_in, source_of
from visionlab.data.sources.table_rows import Rows, role_of, targets_of
from visionlab.data.table import FILE, plain
from visionlab.data.text.text_files import read_json


def hf(split: str, *, root: str = '', image_column: str = '', label_column: str = '',
       target_columns: tuple[str, ...] = (), objects_column: str = '', box_format: str = 'xywh',
       classes: tuple[str, ...] = (), size: int | tuple[int, int] = 224, resize: str = 'crop',
       crop_fraction: float = 1., channels: int = 3, most: int = 0, on_broken: str = 'skip'
       ) -> Encoded | Objects:
  """A dataset of Hugging Face's `datasets`, read without that package and without a network.

  The folder is what `dataset.save_to_disk(folder)` wrote, of one split or of several; or a copy
  of a repository of the hub with its shards in parquet (`hf download --repo-type=dataset <name>
  --local-dir=<folder>`). `pip install 'visionlab[parquet]'`. Images are decoded when they are
  asked for. Arrow files are read from disk as they are; of parquet all images are kept in memory,
  encoded, up to 4 GiB, and of larger sets a group of rows at a time: there save_to_disk is quicker.

  Args:
    split: 'train', 'test', ...; a dataset that was saved as one is all 'train', or what it says.
    root: the folder; of a repository with several configurations, that of one of them.
    image_column: '' for the one that the dataset says is an image.
    label_column: '' for the one that it says is a label of classes, or `label` and the like.
    target_columns: columns of numbers, which are predicted in place of a label: ('age',).
    objects_column: of objects with boxes, to be detected in place of a label: {'bbox': [[10, 20,
      30, 40]], 'category': [0]}, or a list of such. '' for `objects`, if there is one and no other
      column is named.
    box_format: of these, 'xywh', top left corner, width and height in pixels, as COCO has it; or
      'xyxy', two corners.
    classes: the names of classes in their order, where the dataset does not say them; see
      `visionlab.data.sources.table.table`.
    size, resize, crop_fraction, channels: the canvas, see `visionlab.data.images.decode.Canvas`.
    most: objects per image, see `visionlab.data.sources.coco.coco`.
    on_broken: 'skip' marks images that cannot be decoded as not `valid`, with a warning; 'stop'
      raises an error.

  Returns:
    A source of `image` (n h w c) uint8 and `label` (n,) int32, or `target` (n k) float32; with
    'skip' also `valid` (n,). With objects, what `visionlab.data.sources.objects.objects_of` gives.

  Raises:
    ConfigError: a wrong option or split, pyarrow is not installed, a folder without such files, a
      dataset without images or labels, labels that are hidden.
  """
  canvas = Canvas(size, resize, crop_fraction, channels)
  check_on_broken(on_broken, 'hf')
  top = check_root(root, 'hf', HOLDS)
  need_pyarrow('hf')
  splits = shards(top)
  check_split(split, tuple(splits), f'hf {top}')
  parts = {name: Part.of(name, files) for name, files in splits.items()}
  own = parts[split]
  image = own.image(image_column)
  found = own.objects(objects_column, label_column or target_columns)
  if found:
    check_fitted('hf', resize, crop_fraction, channels)
    return _detection(parts, split, image, found, classes, top, box_format=box_format, size=size,
                      most=most, on_broken=on_broken)
  label = own.label(label_column) if label_column or not target_columns else ''
  target = target_columns if not label else ()
  for name in target:
    own.check_column(name, 'target_columns')
  rows = own.rows(label, target)
  if 'names' in own.features.get(label, {}):
    given, info = _numbered(rows, classes or own.features[label]['names'])
  else:
    others = [part.rows(label) for name, part in parts.items()
              if label in part.kinds and name != split]
    given, info = targets_of(rows, others, target, classes)
  count = len(rows.places)
  return ArrowImages(Cells(own.files, image, own.counts), np.arange(count),
                     [f'{split}:{i}' for i in range(count)], given, info, canvas, on_broken,
                     f'hf {top}: {image} of {split}', own.files[0].parent)


def _detection(parts, split, image, column, classes, top, *, on_broken, **options) -> Objects:
  own, folder = parts[split], parts[split].files[0].parent
  where = f'hf {top}: {image} of {split} '
  faults = Faults(f'hf {top}: "{split}"', on_broken)

  def said(part, faults):
    """All objects of a split."""
    values, found = part.rows('', (column,)).columns[role_of(column)], []
    for i, value in enumerate(values):
      try:
        found += objects_in(value, i, f'hf {top}: {column} of {part.name} {i}')
      except ValueError as error:
        faults.add('objects that cannot be read', f'hf {top}: {column} of {part.name} {i}: {error}')
    return found
  classes = classes or names_in(own.features.get(column, {}))
  others = () if classes else [
      one.kind for name, part in parts.items() if name != split and column in part.kinds
      for one in said(part, Faults('hf', 'skip'))]
  pictures = Packed(Cell(Cells(own.files, image, own.counts), folder), where)
  return source_of(said(own, faults), [str(i) for i in range(sum(own.counts))], pictures, faults,
                   classes=classes, others=others, **options)


class Cell(NamedTuple):
  """Gives the bytes of the image in a row, by its number as text."""
  cells: Cells
  folder: Path

  def __call__(self, row: str) -> bytes:
    return content_of(self.cells[int(row)], self.folder)


def names_in(feature: Any) -> tuple[str, ...]:
  """The names of classes that a feature of `datasets` has anywhere within; () without any.

  >>> names_in({'feature': {'bbox': {}, 'category': {'_type': 'ClassLabel', 'names': ['a', 'b']}}})
  ('a', 'b')
  """
  if isinstance(feature, Mapping):
    if feature.get('_type') == 'ClassLabel':
      return tuple(map(str, feature.get('names') or ()))
    feature = list(feature.values())
  inside = map(names_in, feature) if isinstance(feature, list) else ()
  return next(filter(None, inside), ())


class Part(NamedTuple):
  """A split.

  Attributes:
    files: its shards.
    counts: rows of each.
    kinds: the Arrow type of each column.
    features: what `datasets` says of columns: {'label': {'_type': 'ClassLabel', 'names': ...}}.
  """
  name: str
  files: Sequence[Path]
  counts: Sequence[int]
  kinds: Mapping[str, Any]
  features: Mapping[str, Mapping]

  @classmethod
  def of(cls, name: str, files: Sequence[Path]) -> 'Part':
    schemas, counts = zip(*map(schema_of, files), strict=True)
    for file, schema in zip(files, schemas, strict=True):
      if schema.names != schemas[0].names:
        raise ConfigError(f'{file} has the columns {", ".join(schema.names)}, {files[0].name} '
                          f'{", ".join(schemas[0].names)}; expected the same in all of a split')
    kinds = {field.name: field.type for field in schemas[0]}
    return cls(name, files, counts, kinds, _features(schemas[0], files[0].parent))

  def image(self, wanted: str) -> str:
    """The column of images."""
    said = [name for name in self.kinds if self._is(name, 'Image')]
    usual = [name for name in self.kinds if plain(name) in FILE[1] and holds_bytes(
        self.kinds[name])]
    return self._column(wanted, 'image_column', said or usual, 'images')

  def label(self, wanted: str) -> str:
    """The column of labels."""
    said = [name for name in self.kinds if self._is(name, 'ClassLabel')]
    usual = [name for names in LABEL for name in self.kinds if plain(name) in names]
    return self._column(wanted, 'label_column', [n for n in said if n == 'label'] or said
                        or usual[:1], 'labels')

  def objects(self, wanted: str, others: Any) -> str:
    """The column of objects, or ''; others: whether columns of other things are named."""
    if wanted:
      self.check_column(wanted, 'objects_column')
    there = 'objects' in self.kinds and self.kinds['objects'].num_fields     # lists or dicts
    return wanted or ('objects' if there and not others else '')

  def _is(self, name: str, kind: str) -> bool:
    return self.features.get(name, {}).get('_type') == kind

  def _column(self, wanted: str, option: str, found: Sequence[str], what: str) -> str:
    if wanted:
      self.check_column(wanted, option)
      return wanted
    if len(found) != 1:
      said = f'{len(found)} columns of {what}, {", ".join(found)}' if found else (
          f'no column that is known to hold {what}; it has {", ".join(self.kinds)}')
      raise ConfigError(f'hf {self.files[0].parent}: {said}; {option} names one')
    return found[0]

  def check_column(self, name: str, option: str) -> None:
    check_choice(name, tuple(self.kinds), f'hf {self.files[0].parent}: {option}')

  def rows(self, label: str, target: Sequence[str] = ()) -> Rows:
    roles = ({'label': label} if label else {}) | {role_of(name): name for name in target}
    columns = {role: [value for file in self.files for value in read_column(file, name)]
               for role, name in roles.items()}
    return Rows(self.files[0].parent, columns,
                [f'row {i} of {self.name}' for i in range(sum(self.counts))])


def _features(schema, folder: Path) -> dict[str, Mapping]:
  """What `datasets` wrote into a file, or beside it, of its columns."""
  try:
    said = json.loads((schema.metadata or {}).get(b'huggingface', b'{}'))
  except ValueError:
    said = {}
  found = said.get('info', {}).get('features') if isinstance(said, dict) else None
  beside = folder / 'dataset_info.json'
  if not found and beside.is_file():
    content = read_json(beside)
    found = content.get('features') if isinstance(content, dict) else None
  found = found if isinstance(found, dict) else {}
  found = {name: {'feature': of} if isinstance(of, list) else of for name, of in found.items()}
  return {name: of for name, of in found.items() if isinstance(of, dict)}


def _numbered(rows: Rows, names: Sequence[str]) -> tuple[dict[str, np.ndarray], Info]:
  """Labels that are numbers of classes which the dataset names."""
  classes = check_classes(tuple(map(str, names)), str(rows.path))
  labels = rows.columns['label']
  wrong = next((i for i, label in enumerate(labels)
                if not isinstance(label, int) or not 0 <= label < len(classes)), None)
  if wrong is not None:
    hidden = ', as where labels are hidden' if labels[wrong] in (-1, None) else ''
    raise ConfigError(f'{rows.path}: the label of {rows.places[wrong]} is {labels[wrong]!r:.60}'
                      f'{hidden}; expected the number of one of {len(classes)} classes')
  return dict(label=np.array(labels, np.int32)), Info(classes)
