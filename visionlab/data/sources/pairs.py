"""Images with a mask each: two folders of files that pair up by name."""

import os
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from absl import logging

from visionlab.config import ConfigError, check_choice
from visionlab.data.file_warnings import reading, warn_once
from visionlab.data.images.decode import Canvas, open_image, upright_size
from visionlab.data.images.files import (
  ON_BROKEN,
  ImageFiles,
  encoded,
  in_threads,
  reason,
  warn_of_dim,
)
from visionlab.data.images.masks import Labels, label_map, read_labels
from visionlab.data.source import Info, check_root
from visionlab.data.sources.paired_files import Affixes, paired_files
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
        with reading(paths[0]):
          pixels, mask = self._decode(*paths, canvas, cut)
        maps[i] = label_map(mask, self.labels, canvas, str(paths[1]), cut)
        image[i] = pixels
      except _Broken as error:
        if self.on_broken == 'stop':
          raise error.for_user() from error
        warn_once(f'{error}; it and its partner are left out')
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
    def look(names: np.ndarray) -> tuple['_Broken | None', Path | None]:
      image_path, mask_path = self._paths(names)
      try:
        with _reading(image_path), open_image(image_path) as image:
          size, deep = upright_size(image), image.mode.startswith('I')
        with _reading(mask_path), open_image(mask_path) as mask:
          self._check_mask(mask, mask_path, size, image_path)
      except _Broken as error:
        return error, None
      return None, image_path if deep else None

    errors, deep = zip(*in_threads(look, self.files), strict=True)
    warn_of_dim(where, list(filter(None, deep)))
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
          on_broken: str = 'skip', check: bool = True, image_suffix: str = '',
          image_prefix: str = '', mask_prefix: str = '') -> Pairs:
  """Images in `root/<split>/images/` with masks of the same names in `root/<split>/masks/`.

  Without folders for the splits, `root/images/` and `root/masks/` are all 'train'. Other layouts
  are spelt out: `images='{split}', masks='{split}annot'` is CamVid's as SegNet has it, and
  `images='images/{split}', masks='annotations/{split}', ignore=0, offset=-1` is ADE20K's. `a.jpg`
  goes with `a.png`, and `b/a.jpg` with `b/a.png`; DRIVE's `21_training.tif` goes with its
  `21_manual1.gif` by image_suffix='_training', mask_suffix='_manual1'.

  A mask holds a class number in every pixel, as PNGs of mode L or P do (of P the indices count, not
  the colours), or with `palette` colours. A mask of 0 and 255 needs one as well, because 255 is
  otherwise what is ignored: palette=dict(background=0, nucleus=255).

  Args:
    split: the name of a split's folder, or 'train' where there are none.
    root: the folder.
    images, masks: the folders inside it.
    mask_suffix, image_suffix: what their names have in addition, e.g. '_mask' for a_mask.png, or
      '_mask.png' where there are others beside it. Both may be in one folder then.
    mask_prefix, image_prefix: likewise, what their names begin with.
    classes: names of the classes 0, 1, ...; those of the palette, sorted, if empty.
    palette: name -> (r, g, b), or several such, or a grey: see
      `visionlab.data.images.masks.read_labels`.
    ignore: a value in masks that counts nowhere, besides 255; it becomes 255.
    offset: what is added to masks' other values: -1 where classes are counted from 1.
    size, resize, crop_fraction, channels: the canvas, see `visionlab.data.images.decode.Canvas`.
      Masks are put onto it by the nearest pixel; what 'pad' adds is ignored.
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
  files = paired_files(top, split, images, masks, Affixes(image_prefix, image_suffix),
                       Affixes(mask_prefix, mask_suffix))
  return Pairs(f'pairs {top}', top, files, labels, canvas, on_broken, check)


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
    raise _Broken(f'{path} cannot be read as an image: {reason(error)}') from error
