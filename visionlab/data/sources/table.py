"""A table of images with classes or numbers: .csv, .tsv, lines of JSON, or parquet."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import logging

from visionlab.config import ConfigError
from visionlab.data.images.decode import Canvas
from visionlab.data.images.files import as_in_folder, in_threads, split_file, splits_with_file
from visionlab.data.source import check_split
from visionlab.data.sources.annotation_files import Faults
from visionlab.data.sources.arrow import Cells, schema_of
from visionlab.data.sources.arrow_images import ArrowImages
from visionlab.data.sources.encoded import Encoded, check_on_broken
from visionlab.data.sources.folder import image_files
from visionlab.data.sources.labelled_files import LABEL
from visionlab.data.sources.objects import Objects
from visionlab.data.sources.said_objects import Said, check_fitted, source_of
from visionlab.data.sources.table_rows import Rows, read_table, role_of, targets_of
from visionlab.data.sources.via import is_via, via_rows
from visionlab.data.table import FILE, SPLIT, plain

CORNERS = {names[0]: tuple((name,) for name in names) for names in (
    ('xmin', 'x_min', 'x1', 'left'), ('ymin', 'y_min', 'y1', 'top'),
    ('xmax', 'x_max', 'x2', 'right'), ('ymax', 'y_max', 'y2', 'bottom'))}
"""What the columns of a box are called, the likeliest first."""
SHOWN = 5                    # missing files that a warning names


def table(split: str, *, root: str = '', path: str = '', images: str = '', image_column: str = '',
          label_column: str = '', target_columns: tuple[str, ...] = (), split_column: str = '',
          boxes: bool = False, box_columns: tuple[str, ...] = (), box_format: str = 'xyxy',
          classes: tuple[str, ...] = (), size: int | tuple[int, int] = 224, resize: str = 'crop',
          crop_fraction: float = 1., channels: int = 3, most: int = 0, on_broken: str = 'skip',
          check: bool = True) -> Encoded | Objects:
  """Images that a table names, .csv, .tsv, .jsonl or .parquet, with a class or numbers each.

  path='labels.csv': a file that begins with a line such as `image,label`; or lines of JSON such as
  {"image": "a.jpg", "label": "cat"}; or a parquet file (`pip install 'visionlab[parquet]'`), where
  the column of images may hold the files' bytes instead. Labels are names or whole numbers.

  Args:
    split: a value of the column of splits; 'train' where there is none, of which
      'train[:90%]' and 'train[90%:]' are parts; or what {split} stands for in `path`.
    root: the folder that `path` is in.
    path: the table; '{split}.csv' where there is one for each split.
    images: the folder in the table's own that names of images are relative to.
    image_column: the column of names of images; '' for `image`, `file`, `path` and the like.
    label_column: the column of labels; '' for `label`, `class`, `category` and the like.
    target_columns: columns of numbers, which are predicted in place of a label: ('age',).
    boxes: whether a row is an object with a box, to be detected: `filename,width,height,class,xmin,
      ymin,xmax,ymax`, as Roboflow writes it for TensorFlow; or `a.jpg,10,20,40,60,cat` without
      names, as Keras-RetinaNet has it; or what the VGG Image Annotator writes, where label_column
      names an attribute of regions. Where a row has no box, its image may have no object.
    box_columns: their columns, four; () for `xmin`, `x1`, `left` and the like.
    box_format: 'xyxy', two corners in pixels; or 'xywh', top left corner, width and height.
    split_column: the column of splits; '' for `split`, `set` and the like, if there is one.
    classes: the names of classes in their order; by default those that the labels are, sorted, or
      by value if they are whole numbers. Labels 0, 1, ... may stand for the classes named here.
    size, resize, crop_fraction, channels: the canvas, see `visionlab.data.images.decode.Canvas`.
    most: objects per image, see `visionlab.data.sources.coco.coco`.
    on_broken: 'skip' leaves rows out whose file is missing or unreadable, with a warning that names
      them; 'stop' raises an error.
    check: look at every file when opening, so that what is missing or broken is left out for good.
      Takes about 0.1 ms a file. Bytes in parquet are not looked at.

  Returns:
    A source of `image` (n h w c) uint8 and `label` (n,) int32, or `target` (n k) float32; with
    'skip' also `valid` (n,). With boxes, what `visionlab.data.sources.objects.objects_of` gives.

  Raises:
    ConfigError: a wrong option or split, a table without such columns, a row without an image or
      label, all files missing.
  """
  canvas = Canvas(size, resize, crop_fraction, channels)
  check_on_broken(on_broken, 'table')
  if not path:
    raise ConfigError('table: path must name the table, e.g. path="labels.csv"')
  top = Path(root).expanduser()
  file = split_file(top, path, split, 'table')
  if boxes or box_columns:
    check_fitted('table', resize, crop_fraction, channels)
    if target_columns or len(box_columns) not in (0, 4):
      raise ConfigError('table: box_columns names four columns, in place of target_columns, not '
                        f'{box_columns!r}')
  read = Columns(image_column, label_column, target_columns, split_column,
                 boxes or bool(box_columns), box_columns)
  rows = read.rows(file)
  others = [read.rows(top / path.replace('{split}', name)) for name in splits_with_file(top, path)
            if name != split and not target_columns]
  own = _of_split(rows, split, '{split}' in path)
  if read.boxes:
    kinds = [kind for other in (rows, *others) for kind in other.columns['label']]
    return _detection(rows, own, kinds, images, classes, on_broken, box_format=box_format,
                      size=size, most=most, check=check)
  given, info = targets_of(rows, others, target_columns, classes)
  given = {key: value[own] for key, value in given.items()}
  if 'image' not in rows.columns:
    name = rows.names['image']
    cells = Cells([file], name, [schema_of(file)[1]])
    return ArrowImages(cells, own, [f'{file.name}:{i}' for i in own], given, info, canvas,
                       on_broken, f'table {file}: {name} of row')
  folder = file.parent / images
  names = [_name(rows, i) for i in own]
  _check_one_label(rows, own, names)
  files = as_in_folder(names, folder)
  there = _there(rows, own, files, folder, on_broken) if check else np.ones(len(own), bool)
  return image_files(f'table {file}', folder,
                     [name for name, is_there in zip(files, there, strict=True) if is_there],
                     {key: value[there] for key, value in given.items()}, info, canvas, on_broken,
                     check)


class Columns:
  """What the columns of a table are called."""

  def __init__(self, image: str, label: str, target: Sequence[str], split: str,
               boxes: bool = False, corners: Sequence[str] = ()):
    self.boxes, self.attribute = boxes, label
    self.needed = dict(image=_called(image, FILE))
    if boxes:
      self.needed |= {role: _called(name, usual) for (role, usual), name in zip(
          CORNERS.items(), corners or [''] * 4, strict=True)}
    if not target or label:
      self.needed['label'] = _called(label, LABEL)
    self.needed |= {role_of(name): _called(name, ()) for name in target}
    self.optional = {} if split else dict(split=SPLIT)
    if split:
      self.needed['split'] = _called(split, ())

  def rows(self, path: Path) -> Rows:
    try:
      if self.boxes and is_via(path):
        return via_rows(path, self.attribute, tuple(CORNERS), self.optional)
      rows = read_table(path, self.needed, self.optional, lazy=('image',))
    except ConfigError as error:
      options = {role: f'{role}_column names it' for role in ('image', 'label', 'split')}
      options |= dict.fromkeys(CORNERS, 'box_columns names all four')
      option = next((option for name, option in options.items() if f'no column "{name}"' in
                     str(error) or f'may be the {name}' in str(error)), '')
      if not option:
        raise
      raise ConfigError(f'{error}; or the option {option}') from error
    if not rows.places:
      raise ConfigError(f'{path} has no rows')
    return rows


def _detection(rows: Rows, own: np.ndarray, kinds: Sequence[str], images: str, classes, on_broken,
               **options) -> Objects:
  """The images of a split, of which each row is an object, or says that there is none."""
  if 'image' not in rows.columns:
    raise ConfigError(f'table {rows.path}: the images are bytes; expected names of files, as there '
                      'are several rows for an image; name="hf" reads images with lists of objects')
  folder, faults = rows.path.parent / images, Faults(f'table {rows.path}', on_broken)
  files = as_in_folder([_name(rows, i) for i in own], folder)
  numbers, said = {name: i for i, name in enumerate(dict.fromkeys(files))}, []
  for i, name in zip(own, files, strict=True):
    box = [rows.columns[side][i] for side in CORNERS]
    if any(side not in (None, '') and side == side for side in box):      # not NaN, as pandas has
      said.append(Said(numbers[name], box, rows.columns['label'][i],
                       f'{rows.path}, {rows.places[i]}'))
  return source_of(said, list(numbers), folder, faults, classes=classes, others=kinds, **options)


def _called(name: str, usual):
  return ((plain(name),),) if name else usual


def _of_split(rows: Rows, split: str, one_each: bool) -> np.ndarray:
  """The numbers of the rows of a split."""
  if one_each:
    return np.arange(len(rows.places))
  named = [str(value) if value not in (None, '') else 'train' for value in rows.columns['split']]
  check_split(split, sorted(set(named)), f'table {rows.path}')
  return np.flatnonzero([name == split for name in named])


def _name(rows: Rows, i: int) -> str:
  name = rows.columns['image'][i]
  if not isinstance(name, str) or not name or '\0' in name:
    raise ConfigError(f'{rows.path}, {rows.places[i]}: the image is {name!r:.60}; expected the '
                      'name of a file')
  return name.replace('\\', '/')                        # of Windows


def _check_one_label(rows: Rows, own: np.ndarray, names: Sequence[str]) -> None:
  """Raises a ConfigError where a file is there twice, as if of two classes."""
  if 'label' not in rows.columns:
    return
  said: dict[str, object] = {}
  for i, name in zip(own, names, strict=True):
    label = rows.columns['label'][i]
    if said.setdefault(name, label) != label:
      raise ConfigError(f'{rows.path}, {rows.places[i]}: {name} is {label!r} here, and '
                        f'{said[name]!r} before')


def _there(rows: Rows, own: np.ndarray, files: Sequence[str], folder: Path, on_broken: str
           ) -> np.ndarray:
  """Which files (n,) there are."""
  there = np.array(in_threads(lambda name: (folder / name).is_file(), files))
  missing = [f'{folder / files[i]} ({rows.places[own[i]]})' for i in np.flatnonzero(~there)]
  if missing and (on_broken == 'stop' or len(missing) == len(files)):
    raise ConfigError(f'table {rows.path}: there is no file {missing[0]}; the option images names '
                      'the folder that names are relative to')
  if missing:
    logging.warning('table %s: %d of %d files are missing: %s%s', rows.path, len(missing),
                    len(files), ', '.join(missing[:SHOWN]), ', ...' if len(missing) > SHOWN else '')
  return there
