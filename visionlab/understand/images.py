"""Images that may change: parameters, and how they are made into pixels in [0, 1].

>>> image = fourier(4, (128, 128, 3), jax.random.key(0))                      # doctest: +SKIP
>>> image.images().shape                                                      # doctest: +SKIP
(4, 128, 128, 3)

Any number of channels goes; colours are decorrelated where there are three.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError, check_choice
from visionlab.understand.subject import floats

# The root of the covariance of ImageNet's colours, as Lucid has it (github.com/tensorflow/lucid).
COLOURS = np.array([[.26, .09, .02], [.27, 0., -.05], [.27, -.09, .03]], np.float32)
COLOURS /= np.linalg.norm(COLOURS, axis=0).max()
SPREAD = 4.                   # that factor of Lucid's by which a spectrum's image is divided
EDGE = 1e-4                   # images that are taken through a logit are kept this far from 0 and 1
BOUNDS = ('clip', 'sigmoid', 'none')


@partial(jax.tree_util.register_dataclass, data_fields=['params'],
         meta_fields=['render', 'project'])
@dataclasses.dataclass(frozen=True)
class Image:
  """Some images, as what an ascent may change.

  Attributes:
    params: a tree of arrays (b ...).
    render: params -> images (b h w c); hashable.
    project: params -> params, back to what is allowed, after each step; or None.
  """
  params: Any
  render: Callable[[Any], jax.Array]
  project: Callable[[Any], Any] | None = None

  def images(self) -> jax.Array:
    """The images (b h w c)."""
    return self.render(self.params)


def pixels(images: jax.Array, bound: str = 'clip') -> Image:
  """Images (b h w c), uint8 or in [0, 1], as their pixels.

  bound: how they stay in [0, 1]: 'clip' cuts after each step, 'sigmoid' changes their logits,
    which gives pixels of the same start only where they are not quite 0 or 1, 'none': they do not.
  """
  check_choice(bound, BOUNDS, 'bound')
  images = np.asarray(floats(images))
  if images.ndim != 4:
    raise ConfigError(f'pixels: expected images (b h w c), not an array {images.shape}')
  if bound == 'sigmoid':
    return Image(_logit(images), jax.nn.sigmoid)
  return Image(images, _same, _clip if bound == 'clip' else None)


def fourier(n: int, shape: tuple[int, int, int], key: jax.Array, *, sd: float = .01,
            decay: float = 1.) -> Image:
  """Images as their spectra, the frequencies scaled to natural images' power and the colours
  decorrelated, so that one rate fits all of them (Olah et al. 2017).

  Args:
    n, shape: (n, *shape) are the images, shape (h, w, c).
    key: of the random start.
    sd: of the start's numbers.
    decay: the power with which amplitudes fall with the frequency.
  """
  h, w, c = shape
  start = sd * jax.random.normal(key, (n, 2, h, w // 2 + 1, c))
  return Image(start, Spectrum((h, w), decay))


def fourier_of(images: jax.Array, *, decay: float = 1.) -> Image:
  """Given images (b h w c) as `fourier`'s parameters."""
  images = np.asarray(floats(images))
  spectrum = Spectrum(images.shape[1:3], decay)
  return Image(spectrum.inverse(images), spectrum)


@dataclasses.dataclass(frozen=True)
class Spectrum:
  """The images of spectra (b 2 h w//2+1 c), real and imaginary parts."""
  size: tuple[int, int]
  decay: float

  def __call__(self, params: jax.Array) -> jax.Array:
    spectrum = jax.lax.complex(params[:, 0], params[:, 1]) * self._scale()
    x = jnp.fft.irfft2(spectrum, self.size, (1, 2)) / SPREAD
    if x.shape[-1] == 3:
      x = jnp.matmul(x, COLOURS.T, precision='highest')
    return jax.nn.sigmoid(x)

  def inverse(self, images: np.ndarray) -> np.ndarray:
    """The spectra of images (b h w c)."""
    x = _logit(images).astype(np.float64)
    if x.shape[-1] == 3:
      x = x @ np.linalg.inv(COLOURS.T.astype(np.float64))
    spectrum = np.fft.rfft2(x * SPREAD, axes=(1, 2)) / self._scale()
    return np.stack([spectrum.real, spectrum.imag], 1).astype(np.float32)

  def _scale(self):
    h, w = self.size
    frequency = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w))
    scale = np.sqrt(h * w) / np.maximum(frequency, 1 / max(h, w)) ** self.decay
    return scale[..., None].astype(np.float32)


def generator(n: int, shape: tuple[int, int, int], key: jax.Array, *, hidden: int = 24,
              layers: int = 6) -> Image:
  """Images as small networks from a pixel's place to its colour (Mordvintsev et al. 2018,
  https://distill.pub/2018/differentiable-parameterizations): smooth, and sharp at any size.

  Args:
    n, shape, key: as for `fourier`.
    hidden, layers: units of each hidden layer, and their number.
  """
  h, w, c = shape
  # Each layer passes on a value and its square: see `Places`.
  widths = [2, *[hidden] * layers, c]
  keys = jax.random.split(key, len(widths) - 1)
  params = []
  for i, (inside, outside) in enumerate(zip(widths, widths[1:], strict=False)):
    inside = inside if i == 0 else 2 * inside
    scale = np.sqrt(1 / inside) if i < layers else 0.      # so that all images start grey
    params.append(dict(kernel=scale * jax.random.normal(keys[i], (n, inside, outside)),
                       bias=jnp.zeros((n, 1, outside))))
  return Image(params, Places((h, w)))


@dataclasses.dataclass(frozen=True)
class Places:
  """The images of `generator`'s networks, at any size."""
  size: tuple[int, int]

  def __call__(self, params: list[dict[str, jax.Array]]) -> jax.Array:
    h, w = self.size
    longest = max(h, w)
    y, x = np.meshgrid((np.arange(h) - (h - 1) / 2) / longest * np.sqrt(12),
                       (np.arange(w) - (w - 1) / 2) / longest * np.sqrt(12), indexing='ij')
    at = jnp.stack([x, y], -1).reshape(1, -1, 2).astype(jnp.float32)
    for i, layer in enumerate(params):
      at = jnp.matmul(at, layer['kernel']) + layer['bias']
      if i + 1 < len(params):
        at = jnp.arctan(at)
        # Both of about unit variance, with means taken away: Lucid's composed activation.
        at = jnp.concatenate([at / .67, (at ** 2 - .45) / .396], -1)
    return jax.nn.sigmoid(at.reshape(len(at), h, w, -1))


def _logit(images):
  images = np.clip(images, EDGE, 1 - EDGE)
  return np.log(images / (1 - images))


def _same(params):
  return params


def _clip(params):
  return jnp.clip(params, 0, 1)
