"""Warnings about files: said once, though files are read in every epoch, and with their names."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from absl import logging
from PIL import Image

_here = threading.local()        # `file`: what this thread is reading


@cache
def warn_once(message: str):
  """A warning, unless this process has said the same before."""
  logging.warning('%s', message)


@contextlib.contextmanager
def reading(file: object) -> Iterator[None]:
  """Within it, what Pillow warns of in this thread is of that file."""
  before, _here.file = getattr(_here, 'file', None), file
  try:
    yield
  finally:
    _here.file = before


def with_files(show: Callable) -> Callable:
  """`warnings.showwarning` that names the file of which Pillow says that its EXIF data are damaged
  and the like. What it says of large images is left out: `open_image` refuses them, by name.

  Recording warnings would not do: images are read in threads, and all would record all of them.
  """
  def shown(message, category, filename, lineno, file=None, line=None):
    of = getattr(_here, 'file', None)
    if of is None or Path(filename).parent.name != 'PIL':
      show(message, category, filename, lineno, file, line)
    elif category is not Image.DecompressionBombWarning:
      warn_once(f'{of}: {message}')
  return shown
