"""Images with a class each: a subfolder per class, or a table that names the class of each file."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import logging

from visionlab.config import ConfigError
from visionlab.data.file_warnings import reading, warn_once
from visionlab.data.files import ON_BROKEN, ImageFiles, encoded, in_threads, reason, warn_of_dim
from visionlab.data.images import Canvas, open_image
from visionlab.data.source import Info, check_root, check_split
from visionlab.data.sources.class_folders import class_folders
from visionlab.data.sources.labelled_files import labelled_files


class Folder(ImageFiles):
  """A source of image files, decoded when they are asked for; see `folder`."""

  def __init__(self, root: Path, files: list[str], labels: np.ndarray, info: Info,
               canvas: Canvas, on_broken: str = 'skip'):
    self.root, self.labels, self.info = root, labels, info
    self.canvas, self.on_broken = canvas, on_broken
    self.files = encoded(files)

  def read(self, indices: np.ndarray, canvas: Canvas, cuts: Sequence = ()):
    image = np.zeros((len(indices), *canvas.shape), np.uint8)
    label = self.labels[indices]
    valid = np.ones(len(indices), bool)
    for i, name in enumerate(self.files[indices].tolist()):
      path = self.root / os.fsdecode(name)
      try:
        with reading(path):
          image[i] = canvas.read(path.read_bytes(), cuts[i] if cuts else None)
      except Exception as error:  # what decoders raise for damaged files knows no bounds
        if self.on_broken == 'stop':
          raise _broken(path, error) from error
        warn_once(f'{path} is left out, it cannot be decoded: {reason(error)}')
        label[i], valid[i] = 0, False
    batch = {'image': image, 'label': label}
    return batch if self.on_broken == 'stop' else {**batch, 'valid': valid}


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
    size, resize, crop_fraction, channels: the canvas, see `visionlab.data.images.Canvas`.
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
  if on_broken not in ON_BROKEN:
    raise ConfigError(f'folder: on_broken must be "skip" or "stop", not {on_broken!r}')
  top = check_root(root, 'folder', 'a subfolder of images per class, or such folders per split')
  if not labels and (images or label):
    raise ConfigError('folder: images and label are for tables; labels must name one, e.g. '
                      'labels="labels.csv"')
  if labels:
    files, numbers, classes = labelled_files(top, split, labels, images, label)
  else:
    files, numbers, classes = _of_folders(top, split)
  sound = _sound(top, files, on_broken) if check else np.ones(len(files), bool)
  return Folder(top, [file for file, ok in zip(files, sound, strict=True) if ok],
                numbers[sound], Info(classes), canvas, on_broken)


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


def _sound(top: Path, files: list[str], on_broken: str) -> np.ndarray:
  """Which files (n,) have the header of an image."""
  def look(name: str) -> tuple[Exception | None, bool]:
    try:
      with reading(top / name), open_image(top / name) as image:
        return None, image.mode.startswith('I')
    except Exception as error:  # as in Folder
      return error, False

  errors, deep = zip(*in_threads(look, files), strict=True)
  broken = [(top / name, error) for name, error in zip(files, errors, strict=True) if error]
  if broken and (on_broken == 'stop' or len(broken) == len(files)):
    raise _broken(*broken[0])
  if broken:
    logging.warning('folder %s: %d of %d files are left out, they cannot be read as images: %s%s '
                    '(the first: %s)', top, len(broken), len(files),
                    ', '.join(path.name for path, _ in broken[:5]),
                    ', ...' if len(broken) > 5 else '', reason(broken[0][1]))
  warn_of_dim(f'folder {top}', [top / name for name, is_deep in zip(files, deep, strict=True)
                                if is_deep])
  return np.array([error is None for error in errors])


def _broken(path: Path, error: Exception) -> ConfigError:
  return ConfigError(f'{path} cannot be read as an image: {reason(error)} '
                     '(on_broken="skip" leaves such files out)')
