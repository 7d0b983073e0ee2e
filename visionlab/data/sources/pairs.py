"""Images with a mask each: two folders of files that pair up by name."""

import os
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from absl import logging

from visionlab.config import ConfigError, check_choice
from visionlab.data.files import ON_BROKEN, ImageFiles, encoded, in_threads
from visionlab.data.images import SUFFIXES, Canvas, open_image, upright_size
from visionlab.data.masks import Labels, label_map, read_labels
from visionlab.data.source import Info, check_root, check_split, check_split_folders
from visionlab.ops.geometry import IGNORE


class Pairs(ImageFiles):
  """A source of image and mask files, decoded when they are asked for; see `pairs`.

  Args:
    where: begins error messages.
    root: what the names of files are relative to.
    files: (image, mask) names, at least one pair.
    labels: what the masks' pixels stand for.
    canvas: where both are put.
    on_broken, check: see `pairs`.

  Raises:
    ConfigError: see `pairs`.
  """

  def __init__(self, where: str, root: Path, files: Sequence[tuple[str, str]], labels: Labels,
               canvas: Canvas, on_broken: str = 'skip', check: bool = True):
    check_choice(on_broken, ON_BROKEN, f'{where}: on_broken')
    self.root, self.labels, self.canvas, self.on_broken = root, labels, canvas, on_broken
    self.info = Info(map_classes=labels.classes)
    self.files = encoded(name for pair in files for name in pair).reshape(-1, 2)
    if check:
      self.files = self.files[self._sound(where)]

  def read(self, indices: np.ndarray, canvas: Canvas, cuts: Sequence = ()):
    n = len(indices)
    image = np.zeros((n, *canvas.shape), np.uint8)
    maps = np.zeros((n, canvas.height, canvas.width), np.int32)
    valid = np.ones(n, bool)
    for i, paths in enumerate(map(self._paths, self.files[indices])):
      cut = cuts[i] if cuts else None
      try:
        pixels, mask = self._decode(*paths, canvas, cut)
        maps[i] = label_map(mask, self.labels, canvas, str(paths[1]), cut)
        image[i] = pixels
      except _Broken as error:
        if self.on_broken == 'stop':
          raise error.for_user() from error
        logging.warning('%s; it and its partner are left out', error)
        valid[i] = False
    batch = {'image': image, 'label_map': maps}
    return batch if self.on_broken == 'stop' else {**batch, 'valid': valid}

  def _paths(self, names: np.ndarray) -> tuple[Path, Path]:
    image, mask = (self.root / os.fsdecode(name) for name in names.tolist())
    return image, mask

  def _decode(self, image_path: Path, mask_path: Path, canvas: Canvas, cut):
    """The image on its canvas, and all of the mask's pixels."""
    with _reading(image_path):
      file = image_path.read_bytes()
      with open_image(file) as image:
        size = upright_size(image)
      pixels = canvas.read(file, cut)
    with _reading(mask_path), open_image(mask_path) as mask:
      self._check_mask(mask, mask_path, size, image_path)
      return pixels, self.labels.pixels(mask)

  def _check_mask(self, mask, mask_path: Path, size: tuple[int, int], image_path: Path) -> None:
    self.labels.check_mask(mask, str(mask_path))
    if mask.size != size:
      (w, h), (mask_w, mask_h) = size, mask.size
      turned = ' (the image is turned by its EXIF orientation)' if (h, w) == mask.size else ''
      raise ConfigError(f'{mask_path} is {mask_w}x{mask_h} pixels; expected {w}x{h}, the size of '
                        f'{image_path}{turned}')

  def _sound(self, where: str) -> np.ndarray:
    """Which pairs (n,) have the headers of an image and of a mask that fits it."""
    def error_of(names: np.ndarray) -> '_Broken | None':
      image_path, mask_path = self._paths(names)
      try:
        with _reading(image_path), open_image(image_path) as image:
          size = upright_size(image)
        with _reading(mask_path), open_image(mask_path) as mask:
          self._check_mask(mask, mask_path, size, image_path)
      except _Broken as error:
        return error
      return None

    errors = in_threads(error_of, self.files)
    broken = [error for error in errors if error]
    if broken and (self.on_broken == 'stop' or len(broken) == len(errors)):
      raise broken[0].for_user() from broken[0]
    if broken:
      logging.warning('%s: %d of %d pairs are left out, e.g. %s', where, len(broken), len(errors),
                      broken[0])
    return np.array([error is None for error in errors])


def pairs(split: str, *, root: str = '', images: str = 'images', masks: str = 'masks',
          mask_suffix: str = '', classes: tuple[str, ...] = (), palette: Mapping | None = None,
          ignore: int = IGNORE, offset: int = 0, size: int | tuple[int, int] = 224,
          resize: str = 'crop', crop_fraction: float = 1., channels: int = 3,
          on_broken: str = 'skip', check: bool = True) -> Pairs:
  """Images in `root/<split>/images/` with masks of the same names in `root/<split>/masks/`.

  Without folders for the splits, `root/images/` and `root/masks/` are all 'train'. Other layouts
  are spelt out: `images='{split}', masks='{split}annot'` is CamVid's as SegNet has it, and
  `images='images/{split}', masks='annotations/{split}', ignore=0, offset=-1` is ADE20K's. `a.jpg`
  goes with `a.png`.

  A mask holds a class number in every pixel, as PNGs of mode L or P do (of P the indices count, not
  the colours), or with `palette` colours. A mask of 0 and 255 needs one as well, because 255 is
  otherwise what is ignored: palette=dict(background=0, nucleus=255).

  Args:
    split: the name of a split's folder, or 'train' where there are none.
    root: the folder.
    images, masks: the folders inside it.
    mask_suffix: what the masks' names have in addition, e.g. '_mask' for a_mask.png.
    classes: names of the classes 0, 1, ...; those of the palette, sorted, if empty.
    palette: name -> (r, g, b), or several such, or a grey: see `visionlab.data.masks.read_labels`.
    ignore: a value in masks that counts nowhere, besides 255; it becomes 255.
    offset: what is added to masks' other values: -1 where classes are counted from 1.
    size, resize, crop_fraction, channels: the canvas, see `visionlab.data.images.Canvas`. Masks
      are put onto it by the nearest pixel; what 'pad' adds is ignored.
    on_broken: 'skip' leaves pairs with an unreadable file out, or marks those found out only when
      decoded as not `valid`, with a warning; 'stop' raises an error that names the file.
    check: read all headers when opening, so that what is broken or does not fit is known then.

  Returns:
    A source of `image` (n h w c) uint8 and `label_map` (n h w) int32, 255 where ignored; with
    'skip' also `valid` (n,).

  Raises:
    ConfigError: a wrong option or split, a folder that is not laid out like this, a file without
      its partner, an image and a mask of different sizes, a mask whose values are no classes. The
      last may be known only when the mask is read.
  """
  labels = read_labels('pairs', classes, palette, ignore, offset)
  canvas = Canvas(size, resize, crop_fraction, channels)
  top = check_root(root, 'pairs', f'the folders {images} and {masks}, or such folders per split')
  image_folder, mask_folder = _folders(top, split, images, masks)
  image_names, mask_names = _by_stem(image_folder), _by_stem(mask_folder, mask_suffix)
  for here, there, folder, suffix, kind in (
      (image_names, mask_names, mask_folder, mask_suffix, 'mask'),
      (mask_names, image_names, image_folder, '', 'image')):
    alone = sorted(here.keys() - there.keys())
    if alone:
      raise ConfigError(f'pairs: {here[alone[0]]} has no {kind}; expected {folder}/{alone[0]}'
                        f'{suffix}.* ({len(alone)} of {len(here)} lack theirs)')
  files = [tuple(str(path.relative_to(top)) for path in (image_names[stem], mask_names[stem]))
           for stem in sorted(image_names)]
  return Pairs(f'pairs {top}', top, files, labels, canvas, on_broken, check)


def _folders(top: Path, split: str, images: str, masks: str) -> tuple[Path, Path]:
  """The folders of a split's images and masks."""
  names = images, masks
  if any('{split}' in name for name in names):
    check_split_folders(top, names, split, 'pairs')
    found = [top / name.replace('{split}', split) for name in names]
  elif (top / images).is_dir():
    check_split(split, ('train',), f'pairs {top}')
    found = [top / name for name in names]
  else:
    splits = sorted(path.parent.relative_to(top).as_posix() for path in top.glob(f'*/{images}'))
    if not splits:
      raise ConfigError(f'pairs {top} has no folder {images}, nor <split>/{images}; the options '
                        'images and masks name others')
    check_split(split, splits, f'pairs {top}')
    found = [top / split / name for name in names]
  for path in found:
    if not path.is_dir():
      raise ConfigError(f'pairs: there is no folder {path}; expected it by images={images!r}, '
                        f'masks={masks!r}')
  return found[0], found[1]


def _by_stem(folder: Path, suffix: str = '') -> dict[str, Path]:
  """The image files of a folder by their names up to `suffix`, hidden ones left out."""
  try:
    names = sorted(os.listdir(folder))
  except OSError as error:
    raise ConfigError(f'pairs: {folder} cannot be listed: {error.strerror}') from error
  found: dict[str, Path] = {}
  for name in names:
    stem = Path(name).stem
    if name[0] == '.' or not name.lower().endswith(SUFFIXES) or not stem.endswith(suffix):
      continue
    stem = stem.removesuffix(suffix)
    if stem in found:
      raise ConfigError(f'pairs: {found[stem]} and {folder / name} have one name; expected one of '
                        'them')
    found[stem] = folder / name
  if not found:
    raise ConfigError(f'pairs: {folder} holds no images *{suffix}.* ({", ".join(SUFFIXES)})')
  return found


class _Broken(Exception):
  """A file that cannot be read; the text names it."""

  def for_user(self) -> ConfigError:
    return ConfigError(f'{self} (on_broken="skip" leaves such pairs out)')


@contextmanager
def _reading(path: Path):
  try:
    yield
  except ConfigError:
    raise
  except Exception as error:  # what decoders raise for damaged files knows no bounds
    raise _Broken(f'{path} cannot be read as an image: {error}') from error
