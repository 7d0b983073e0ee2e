"""Images with a class each: a subfolder per class, or a table that names the class of each file."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from visionlab.config import ConfigError
from visionlab.data.file_warnings import reading
from visionlab.data.images.decode import Canvas, open_image
from visionlab.data.images.files import in_threads, reason, warn_of_dim
from visionlab.data.source import Info, check_root, check_split
from visionlab.data.sources.class_folders import class_folders
from visionlab.data.sources.encoded import Encoded, broken, check_on_broken
from visionlab.data.sources.labelled_files import labelled_files


class Folder(Encoded):
  """A source of image files, decoded when they are asked for; see `folder`."""

  def __init__(self, root: Path, files: Sequence[str], targets: Mapping[str, np.ndarray],
               info: Info, canvas: Canvas, on_broken: str = 'skip'):
    super().__init__(files, targets, info, canvas, on_broken)
    self.root = root

  def content(self, index: int) -> bytes:
    return self._path(index).read_bytes()

  def called(self, index: int) -> str:
    return str(self._path(index))

  def _path(self, index: int) -> Path:
    return self.root / os.fsdecode(self.files[index])


def folder(split: str, *, root: str = '', size: int | tuple[int, int] = 224,
           resize: str = 'crop', crop_fraction: float = 1., channels: int = 3,
           on_broken: str = 'skip', check: bool = True, labels: str = '', images: str = '',
           label: str = '') -> Folder:
  """Images in `root/<split>/<class>/`, or in `root/<class>/`, which is all 'train'.

  A folder of folders is a split, a folder of images is a class; the classes are those of all
  splits together, sorted by name. Hidden files and folders inside class folders are not looked at;
  other files that are no images, and folders that are neither, such as one of runs, are left out
  with a warning. With `labels`, a table says which file is of which class instead:
  labels='labels.csv', images='images'. Pixels are read at every access: EXIF orientation is
  applied, transparency is put on white, 16-bit grey is scaled, and of animations the first frame
  counts.

  Args:
    split: the name of a split's folder, or 'train' where there are none; with `labels` see
      `visionlab.data.sources.labelled_files.labelled_files`.
    root: the folder.
    size, resize, crop_fraction, channels: the canvas, see `visionlab.data.images.decode.Canvas`.
    on_broken: 'skip' leaves unreadable files out, or marks those found out only when decoded as
      not `valid`, with a warning; 'stop' raises an error that names the file.
    check: read every file's header when opening, so that broken files are left out for good.
      Takes about 0.05 ms a file, so off may be right for millions.
    labels: a table in `root`, .csv or .tsv, with columns `file` (or `image`, `id`, ...), `label`
      (or `class`, ...) and, if it likes, `split`; '{split}.csv' for one of each split. A name may
      lack its suffix.
    images: with `labels`, the folder in `root` with the files, e.g. 'images' or '{split}'.
    label: with `labels`, the name of the column of labels, if it is another.

  Returns:
    A source of `image` (n h w c) uint8 and `label` (n,) int32; with 'skip' also `valid` (n,).

  Raises:
    ConfigError: a wrong option or split, a folder that is not laid out like this, a broken file.
  """
  canvas = Canvas(size, resize, crop_fraction, channels)
  check_on_broken(on_broken, 'folder')
  top = check_root(root, 'folder', 'a subfolder of images per class, or such folders per split')
  if not labels and (images or label):
    raise ConfigError('folder: images and label are for tables; labels must name one, e.g. '
                      'labels="labels.csv"')
  if labels:
    files, numbers, classes = labelled_files(top, split, labels, images, label)
  else:
    files, numbers, classes = _of_folders(top, split)
  return image_files(f'folder {top}', top, files, dict(label=numbers), Info(classes), canvas,
                     on_broken, check)


def image_files(where: str, top: Path, files: Sequence[str], targets: Mapping[str, np.ndarray],
                info: Info, canvas: Canvas, on_broken: str, check: bool) -> Folder:
  """The source of the files that are sound, if that is to be checked; see `folder`."""
  sound = _sound(where, top, files, on_broken) if check else np.ones(len(files), bool)
  return Folder(top, [file for file, ok in zip(files, sound, strict=True) if ok],
                {key: value[sound] for key, value in targets.items()}, info, canvas, on_broken)


def _of_folders(top: Path, split: str) -> tuple[list[str], np.ndarray, tuple[str, ...]]:
  """The files of a split, their labels (n,) int32, and the classes."""
  splits = class_folders(top, split)
  check_split(split, tuple(splits), f'folder {top}')
  classes = tuple(sorted({Path(path).name for folders in splits.values() for path in folders}))
  number = {name: i for i, name in enumerate(classes)}
  found = [(f'{path}/{name}', number[Path(path).name])
           for path, own in splits[split].items() for name in own.images]
  if not found:
    raise ConfigError(f'folder {top}: the class folders of "{split}" hold no images '
                      '(.jpg, .png, .webp, .tif or others that Pillow reads)')
  files, labels = zip(*found, strict=True)
  return list(files), np.array(labels, np.int32), classes


def _sound(where: str, top: Path, files: Sequence[str], on_broken: str) -> np.ndarray:
  """Which files (n,) have the header of an image."""
  def look(name: str) -> tuple[Exception | None, bool]:
    try:
      with reading(top / name), open_image(top / name) as image:
        return None, image.mode.startswith('I')
    except Exception as error:  # as in Folder
      return error, False

  errors, deep = zip(*in_threads(look, files), strict=True)
  found = [(top / name, error) for name, error in zip(files, errors, strict=True) if error]
  if found and (on_broken == 'stop' or len(found) == len(files)):
    raise broken(*found[0])
  if found:
    logging.warning('%s: %d of %d files are left out, they cannot be read as images: %s%s '
                    '(the first: %s)', where, len(found), len(files),
                    ', '.join(path.name for path, _ in found[:5]),
                    ', ...' if len(found) > 5 else '', reason(found[0][1]))
  warn_of_dim(where, [top / name for name, is_deep in zip(files, deep, strict=True) if is_deep])
  return np.array([error is None for error in errors])
