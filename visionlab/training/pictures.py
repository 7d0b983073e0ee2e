"""Pictures at the end of a run, which never fail it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from absl import logging
from PIL import Image

from visionlab.figures import charts
from visionlab.figures.drawing import as_picture
from visionlab.figures.films import write_film
from visionlab.storage.workdir import save_figures

FRAMES = 'film'                  # the folder of a run that holds what it made of the same numbers
SIDE = 480                       # pixels of a frame, about


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


def mosaic(images: np.ndarray) -> np.ndarray:
  """Images (n h w c) in [0, 1] in as many rows as columns: a picture (h w 3) uint8."""
  n, h, w, c = images.shape
  side = int(np.ceil(n ** .5))
  whole = np.zeros((side * side, h, w, c), np.float32)
  whole[:n] = images
  rows = whole.reshape(side, side, h, w, c).swapaxes(1, 2).reshape(side * h, side * w, c)
  return as_picture(rows, max(1, SIDE // len(rows)))


def keep_frame(workdir: Path, step: int, images: np.ndarray):
  """Writes what is made of the same numbers at a step, for the film of training."""
  (workdir / FRAMES).mkdir(exist_ok=True)
  charts.save(mosaic(images), workdir / FRAMES / f'{step:09}.png')


def write_film_of(workdir: Path):
  """Writes figures/training.gif of the frames that were kept, where there are several."""
  frames = [np.asarray(Image.open(path)) for path in sorted((workdir / FRAMES).glob('*.png'))]
  if len(frames) > 1:
    write_film(workdir / 'figures' / 'training.gif', frames, seconds=.4)
