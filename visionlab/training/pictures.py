"""Pictures at the end of a run, which never fail it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from absl import logging

from visionlab.storage.workdir import save_figures


def drawn(what: str, draw: Callable):
  """What `draw` gives; {} and a warning that says what went wrong where it fails: hours of training
  are not lost to a picture of them."""
  try:
    return draw()
  except Exception as e:           # whatever a drawing may raise
    logging.warning('%s could not be drawn: %s: %s', what, type(e).__name__, e)
    return {}


def saved(pictures: Mapping[str, np.ndarray], workdir: Path) -> dict[str, np.ndarray]:
  """Those that could be written to figures/<name>.png, each on its own."""
  return {name: picture for name, picture in pictures.items() if drawn(
      f'figures/{name}.png', lambda name=name, picture=picture: (
          save_figures(workdir, {name: picture}), True))}
