"""Images in files of any kind, wherever their bytes are, each with a class or with numbers."""

import os
from collections.abc import Mapping, Sequence

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.file_warnings import reading, warn_once
from visionlab.data.images.decode import Canvas
from visionlab.data.images.files import ON_BROKEN, ImageFiles, encoded, reason
from visionlab.data.source import Info


class Encoded(ImageFiles):
  """A source of encoded images, decoded when they are asked for; `content` says where they are.

  Args:
    files: what each is called, in messages and records.
    targets: `label` (n,) int32 or `target` (n k) float32.
    info: with the classes.
    canvas: where images are put.
    on_broken: 'skip' marks what cannot be decoded as not `valid`, with a warning; 'stop' raises an
      error that names it.
  """

  def __init__(self, files: Sequence[str], targets: Mapping[str, np.ndarray], info: Info,
               canvas: Canvas, on_broken: str):
    self.files, self.targets, self.info = encoded(files), dict(targets), info
    self.canvas, self.on_broken = canvas, on_broken

  @property
  def labels(self) -> np.ndarray | None:
    """The classes (n,) of all examples, known before any is read."""
    return self.targets.get('label')

  def content(self, index: int) -> bytes:
    """The bytes of image `index`."""
    raise NotImplementedError

  def called(self, index: int) -> str:
    """What messages call image `index`."""
    return os.fsdecode(self.files[index])

  def read(self, indices: np.ndarray, canvas: Canvas, cuts: Sequence = ()):
    indices = np.arange(len(self))[indices]
    image = np.zeros((len(indices), *canvas.shape), np.uint8)
    targets = {key: value[indices] for key, value in self.targets.items()}
    valid = np.ones(len(indices), bool)
    for i, index in enumerate(indices.tolist()):
      try:
        with reading(self.called(index)):
          image[i] = canvas.read(self.content(index), cuts[i] if cuts else None)
      except Exception as error:  # what decoders raise for damaged files knows no bounds
        if self.on_broken == 'stop':
          raise broken(self.called(index), error) from error
        warn_once(f'{self.called(index)} is left out, it cannot be decoded: {reason(error)}')
        valid[i] = False
        for value in targets.values():
          value[i] = 0
    batch = {'image': image, **targets}
    return batch if self.on_broken == 'stop' else {**batch, 'valid': valid}


def broken(name, error: Exception) -> ConfigError:
  return ConfigError(f'{name} cannot be read as an image: {reason(error)} '
                     '(on_broken="skip" leaves such files out)')


def check_on_broken(on_broken: str, where: str) -> None:
  if on_broken not in ON_BROKEN:
    raise ConfigError(f'{where}: on_broken must be "skip" or "stop", not {on_broken!r}')
