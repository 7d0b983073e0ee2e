"""USPS: digits from envelopes."""

import bz2
from pathlib import Path

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.images.stretch import stretched
from visionlab.data.source import Arrays, Info, check_root, check_split
from visionlab.data.sources.mnist import DIGITS

FILES = dict(train='usps', test='usps.t')
_SIDE = 16


def usps(split: str, *, root: str = '', size: int = 16, channels: int = 1) -> Arrays:
  """USPS (Hull 1994, "A database for handwritten text recognition research"), 16x16x1: 7,291 for
  'train', 2,007 for 'test'.

  Reads LIBSVM's files, usps.bz2 and usps.t.bz2, as downloaded or unpacked: a line for each image
  with its label, 1 to 10 for the digits 0 to 9, and pixels from -1 to 1 as index:value.

  Args:
    split: 'train' or 'test'.
    root: the folder with the files.
    size, channels: what the images are scaled to (bilinearly) and repeated in, so that they can
      stand beside another data set.

  Returns:
    `image` (n size size channels) uint8, ink is bright, and `label` (n,) int32.

  Raises:
    ConfigError: an unknown split, or a file that is missing, damaged, or something else.
  """
  check_split(split, tuple(FILES), 'usps')
  folder = check_root(root, 'usps', 'usps.bz2 and usps.t.bz2')
  candidates = [folder / f'{FILES[split]}{end}' for end in ('.bz2', '')]
  file = next((f for f in candidates if f.is_file()), None)
  if file is None:
    there = ', '.join(sorted(p.name for p in folder.iterdir())[:8]) or 'nothing'
    raise ConfigError(f'usps: {folder} lacks {candidates[0].name}; it holds {there}')
  image, label = _parse(file)
  return Arrays({'image': stretched(image, size, channels), 'label': label}, Info(DIGITS))


def _parse(file: Path) -> tuple[np.ndarray, np.ndarray]:
  """(n 16 16 1) uint8 and (n,) int32."""
  try:
    content = file.read_bytes()
    text = (bz2.decompress(content) if file.suffix == '.bz2' else content).decode('ascii')
  except (OSError, ValueError) as error:
    raise ConfigError(f'usps: {file} cannot be read (is it truncated?): {error}') from error
  lines = [line.split() for line in text.splitlines() if line.strip()]
  pixels, label = np.zeros((len(lines), _SIDE ** 2)), np.zeros(len(lines), np.int32)
  for i, (first, *rest) in enumerate(lines):
    try:
      label[i] = int(float(first)) - 1
      places, values = zip(*(entry.split(':') for entry in rest), strict=True)
      pixels[i, np.array(places, int) - 1] = np.array(values, float)
    except (ValueError, IndexError) as error:
      raise ConfigError(f'usps: {file}, line {i + 1} is not a label and index:value pairs, the '
                        f'indices up to {_SIDE ** 2}: {error}') from error
    if not 0 <= label[i] < 10 or abs(pixels[i]).max() > 1:
      raise ConfigError(f'usps: {file}, line {i + 1}: expected a label from 1 to 10 and pixels '
                        f'from -1 to 1, found {first} and {abs(pixels[i]).max():g}')
  image = np.round((pixels + 1) * 127.5).astype(np.uint8)
  return image.reshape(-1, _SIDE, _SIDE, 1), label
