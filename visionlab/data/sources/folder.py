"""A folder of images, one subfolder per class, with or without folders for the splits."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import logging

from visionlab.config import ConfigError
from visionlab.data.files import ON_BROKEN, ImageFiles, encoded, in_threads
from visionlab.data.images import SUFFIXES, Canvas, open_image
from visionlab.data.source import Info, check_root, check_split


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
        image[i] = canvas.read(path.read_bytes(), cuts[i] if cuts else None)
      except Exception as error:  # what decoders raise for damaged files knows no bounds
        if self.on_broken == 'stop':
          raise _broken(path, error) from error
        logging.warning('%s is left out, it cannot be decoded: %s', path, error)
        label[i], valid[i] = 0, False
    batch = {'image': image, 'label': label}
    return batch if self.on_broken == 'stop' else {**batch, 'valid': valid}


def folder(split: str, *, root: str = '', size: int | tuple[int, int] = 224,
           resize: str = 'crop', crop_fraction: float = 1., channels: int = 3,
           on_broken: str = 'skip', check: bool = True) -> Folder:
  """Images in `root/<split>/<class>/`, or in `root/<class>/`, which is all 'train'.

  A folder of folders is a split, a folder of images is a class; the classes are those of all
  splits together, sorted by name. Hidden files, files without an image's suffix and folders
  inside class folders are not looked at. Pixels are read at every access: EXIF
  orientation is applied, transparency is put on white, 16-bit grey is scaled, and of animations
  the first frame counts.

  Args:
    split: the name of a split's folder, or 'train' where there are none.
    root: the folder.
    size, resize, crop_fraction, channels: the canvas, see `visionlab.data.images.Canvas`.
    on_broken: 'skip' leaves unreadable files out, or marks those found out only when decoded as
      not `valid`, with a warning; 'stop' raises an error that names the file.
    check: read every file's header when opening, so that broken files are left out for good.
      Takes about 0.05 ms a file, so off may be right for millions.

  Returns:
    A source of `image` (n h w c) uint8 and `label` (n,) int32; with 'skip' also `valid` (n,).

  Raises:
    ConfigError: a wrong option or split, a folder that is not laid out like this, a broken file.
  """
  canvas = Canvas(size, resize, crop_fraction, channels)
  if on_broken not in ON_BROKEN:
    raise ConfigError(f'folder: on_broken must be "skip" or "stop", not {on_broken!r}')
  top = check_root(root, 'folder', 'a subfolder of images per class, or such folders per split')
  splits = _splits(top)
  check_split(split, tuple(splits), f'folder {top}')
  classes = tuple(sorted({path.name for paths in splits.values() for path in paths}))
  number = {name: i for i, name in enumerate(classes)}
  files, labels = [], []
  for path in splits[split]:
    found = [str((path / name).relative_to(top)) for name in _listing(path)[1]]
    files += found
    labels += [number[path.name]] * len(found)
  if not files:
    raise ConfigError(f'folder {top}: the class folders of "{split}" hold no images '
                      f'({", ".join(SUFFIXES)})')
  sound = _sound(top, files, on_broken) if check else np.ones(len(files), bool)
  return Folder(top, [file for file, ok in zip(files, sound, strict=True) if ok],
                np.array(labels, np.int32)[sound], Info(classes), canvas, on_broken)


def _splits(top: Path) -> dict[str, list[Path]]:
  """The class folders of each split, sorted by name."""
  folders, files = _listing(top)
  inner = {name: _listing(top / name) for name in folders}
  # A split holds class folders and no images; a stray folder inside a class makes it no split.
  splits = {name: [top / name / sub for sub in subs]
            for name, (subs, images) in inner.items() if subs and not images}
  if splits:
    return splits
  if not folders:
    raise ConfigError(f'folder {top} has no subfolders, only {len(files)} images; expected '
                      '<split>/<class>/*.jpg or <class>/*.jpg')
  return {'train': [top / name for name in folders]}


def _listing(path: Path) -> tuple[list[str], list[str]]:
  """The names of the folders and of the image files in a folder, sorted, hidden ones left out."""
  try:
    with os.scandir(path) as entries:
      seen = [(entry.name, entry.is_dir()) for entry in entries if entry.name[0] != '.']
  except OSError as error:
    raise ConfigError(f'folder {path} cannot be listed: {error.strerror}') from error
  return (sorted(name for name, is_folder in seen if is_folder),
          sorted(name for name, is_folder in seen
                 if not is_folder and name.lower().endswith(SUFFIXES)))


def _sound(top: Path, files: list[str], on_broken: str) -> np.ndarray:
  """Which files (n,) have the header of an image."""
  def error_of(name: str) -> Exception | None:
    try:
      open_image(top / name).close()
    except Exception as error:  # as in Folder
      return error
    return None

  errors = in_threads(error_of, files)
  broken = [(top / name, error) for name, error in zip(files, errors, strict=True) if error]
  if broken and (on_broken == 'stop' or len(broken) == len(files)):
    raise _broken(*broken[0])
  if broken:
    logging.warning('folder %s: %d of %d files are left out, they cannot be read as images: %s%s',
                    top, len(broken), len(files), ', '.join(path.name for path, _ in broken[:5]),
                    ', ...' if len(broken) > 5 else '')
  return np.array([error is None for error in errors])


def _broken(path: Path, error: Exception) -> ConfigError:
  return ConfigError(f'{path} cannot be read as an image: {error} '
                     '(on_broken="skip" leaves such files out)')
