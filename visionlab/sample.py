"""Draws images that a network makes: python -m visionlab.sample --workdir=runs/digits_vae

Writes a sheet of them into the run's figures, or where --output says. With an output that ends in
.gif it is a walk: pictures that turn into one another, on a way that ends where it began.
"""

import os
from pathlib import Path

import jax
import numpy as np
from absl import flags
from PIL import Image

from visionlab import commandline
from visionlab.config import ConfigError
from visionlab.figures import charts
from visionlab.figures.drawing import as_picture
from visionlab.predict import check_output
from visionlab.run import Run, load

SIDE = 160              # pixels, of a walk's pictures at least
AT_ONCE = 256           # images that are made in one go


def sample(run: Run, n: int, seed: int = 0) -> np.ndarray:
  """n images (n h w c) in [0, 1] that the run's network makes of numbers drawn with that seed.

  Raises:
    ConfigError: it makes none.
  """
  return decode(run, _normal(run, seed, n))


def decode(run: Run, codes: np.ndarray) -> np.ndarray:
  """The images (n h w c) in [0, 1] that codes (n d) tell."""
  _check(run)
  parts = np.split(codes, range(AT_ONCE, len(codes), AT_ONCE))
  images = jax.jit(run.task.images)
  return np.concatenate([np.asarray(images(run.variables, part)) for part in parts])


def walk(run: Run, stops: int, frames: int, seed: int = 0) -> np.ndarray:
  """Images (stops*frames h w c) on a way through `stops` codes and back, `frames` from one to the
  next: along great circles, so that all are as far from the middle as codes that are drawn (White
  2016, https://arxiv.org/abs/1609.04468)."""
  places = _normal(run, seed, stops)
  share = np.arange(frames)[:, None] / frames
  codes = [between(a, b, share) for a, b in zip(places, np.roll(places, -1, 0), strict=True)]
  return decode(run, np.concatenate(codes))


def between(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
  """The codes (n d) that are a `share` (n 1) of the way from a (d) to b on a great circle.

  >>> between(np.array([1., 0]), np.array([0., 1]), np.array([[0.], [.5]])).round(3).tolist()
  [[1.0, 0.0], [0.707, 0.707]]
  """
  cosine = np.clip(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12), -1, 1)
  angle = np.arccos(cosine)
  if np.sin(angle) < 1e-6:
    return (1 - share) * a + share * b
  return (np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle)


def _normal(run, seed, n):
  _check(run)
  if n < 1:
    raise ConfigError(f'sample: at least one image, not {n}')
  return np.asarray(jax.random.normal(jax.random.key(seed), (n, run.task.model.codes)))


def _check(run):
  if not getattr(run.task, 'variational', False):
    raise ConfigError(f'{run.workdir}: this network makes no images of numbers that are drawn; a '
                      'variational autoencoder does, such as configs/digits_vae.py')


def save_walk(images: np.ndarray, path: str, seconds: float):
  """Writes images (n h w c) in [0, 1] as a GIF that goes on for ever."""
  zoom = max(1, -(-SIDE // min(images.shape[1:3])))
  pictures = [Image.fromarray(as_picture(image, zoom)) for image in images]
  pictures[0].save(path, save_all=True, append_images=pictures[1:], loop=0,
                   duration=round(1000 * seconds / len(pictures)))


def main(argv):
  options = flags.FLAGS
  run = load(options.workdir, step=commandline.chosen_step(), member=options.member)
  figures = run.workdir / 'figures'
  output = str(Path(options.output).expanduser()) if options.output else ''
  output = output or (str(figures / 'samples.png') if os.access(figures, os.W_OK) else '')
  if not output:
    raise ConfigError('--output: where is the picture to go? e.g. --output=samples.png')
  check_output(output)
  if output.lower().endswith('.gif'):
    images = walk(run, options.n, options.frames, options.seed)
    save_walk(images, output, .05 * len(images))
  else:
    images = sample(run, options.n, options.seed)
    charts.save(charts.image_grid(images, [''] * len(images), None, f'{run.workdir}'), output)
  print(f'picture: {output}')


if __name__ == '__main__':
  flags.DEFINE_string('workdir', None, 'The run.', required=True)
  flags.DEFINE_string('output', '', 'Where the picture goes; default: the run\'s figures.')
  flags.DEFINE_integer('n', 64, 'Images; of a walk the places it goes through.', lower_bound=1)
  flags.DEFINE_integer('frames', 12, 'Of a walk, pictures from one place to the next.',
                       lower_bound=1)
  flags.DEFINE_integer('seed', 0, 'Of the numbers that are drawn.')
  flags.DEFINE_string('member', None, 'Of a sweep, whose folder --workdir then is: the name of a '
                      'setting or its number.')
  commandline.step_flag()
  commandline.run(main)
