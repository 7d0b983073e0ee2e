"""Images of codes: of such as are drawn, and on a way from one to another."""

from functools import partial

import jax
import numpy as np

from visionlab.config import ConfigError, check_choice
from visionlab.task import Task, Variables
from visionlab.understand.subject import in_chunks

AT_ONCE = 256           # images that are made in one go


def sample(task: Task, variables: Variables, n: int, seed: int = 0,
           asked: str = '') -> np.ndarray:
  """n images (n h w c) in [0, 1] that a network makes of numbers drawn with that seed.

  asked: the class that they are to be of, where the network was trained to be asked; by default
    each in turn.

  Raises:
    ConfigError: it makes none, or none of that class.
  """
  return decode(task, variables, _normal(task, seed, n), asked)


def decode(task: Task, variables: Variables, codes: np.ndarray, asked: str = '') -> np.ndarray:
  """The images (n h w c) in [0, 1] that codes (n d) tell. asked: see `sample`.

  Raises:
    ConfigError: a network without codes, or another number of them; no such class.
  """
  codes = np.asarray(codes, np.float32)
  if not hasattr(task, 'images'):
    raise ConfigError(f'{type(task).__name__}: this network makes no images of codes; an '
                      'autoencoder does, such as configs/digits_autoencoder.py')
  if codes.ndim != 2 or codes.shape[1] != task.model.codes:
    raise ConfigError(f'codes: expected (n {task.model.codes}), got {codes.shape}')
  label = _asked(task, asked, len(codes))
  return in_chunks(partial(_images, task, variables), AT_ONCE, codes, label)


def _first_class(task):
  return task.classes[0] if getattr(task, 'conditional', False) else ''


def asked_for(task: Task, n: int, asked: str = '') -> list[str]:
  """The class that each of n samples is to be of, '' where the network is asked for none."""
  label = _asked(task, asked, n)
  return [''] * n if label is None else [task.classes[i] for i in label]


def _asked(task, asked, n):
  """The class (n,) that each image is to be of, or None where nobody asks."""
  if not getattr(task, 'conditional', False):
    if asked:
      raise ConfigError(f'{asked!r}: this network was not trained to be asked for a class '
                        '(config.task.conditional)')
    return None
  if asked:
    check_choice(asked, task.classes, 'the class that is asked for')
    return np.full(n, task.classes.index(asked), np.int32)
  return np.arange(n, dtype=np.int32) % len(task.classes)


@partial(jax.jit, static_argnums=0)
def _images(task, variables, codes, label):
  return task.images(variables, codes) if label is None else task.images(variables, codes, label)


def walk(task: Task, variables: Variables, stops: int, frames: int, seed: int = 0,
         asked: str = '') -> np.ndarray:
  """Images (stops*frames h w c) on a way through `stops` codes and back, `frames` from one to the
  next: along great circles, so that all are as far from the middle as codes that are drawn (White
  2016, https://arxiv.org/abs/1609.04468). asked: see `sample`; by default the first class."""
  places = _normal(task, seed, stops)
  share = np.arange(frames)[:, None] / frames
  codes = [between(a, b, share) for a, b in zip(places, np.roll(places, -1, 0), strict=True)]
  return decode(task, variables, np.concatenate(codes), asked or _first_class(task))


def traverse(task: Task, variables: Variables, values: np.ndarray, seed: int = 0,
             asked: str = '') -> np.ndarray:
  """Images (d m h w c): row i is one image, of codes that are drawn, whose i-th code takes each of
  the `values` (m,). asked: as in `walk`."""
  base = _normal(task, seed, 1)
  d, m = base.shape[1], len(values)
  codes = np.broadcast_to(base, (d, m, d)).copy()
  codes[np.arange(d), :, np.arange(d)] = values
  images = decode(task, variables, codes.reshape(-1, d), asked or _first_class(task))
  return images.reshape(d, m, *images.shape[1:])


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


def _normal(task, seed, n):
  if not getattr(task, 'generative', False):
    raise ConfigError('this network makes no images of numbers that are drawn; a variational '
                      'autoencoder does, such as configs/digits_vae.py, and a generator, such as '
                      "configs/digits_gan.py's")
  if n < 1:
    raise ConfigError(f'sample: at least one image, not {n}')
  return np.asarray(jax.random.normal(jax.random.key(seed), (n, task.model.codes)))
