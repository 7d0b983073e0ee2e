"""What is left of an image in a layer: images that give the same features."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import numpy as np
import optax

from visionlab.understand.ascend import ascend
from visionlab.understand.images import pixels
from visionlab.understand.objectives import features_like, read
from visionlab.understand.regularisers import alpha_norm, total_variation
from visionlab.understand.subject import Subject, floats

# Of images in [0, 1]: what a pixel is away from grey, and what it is from its neighbour, in a
# natural image, about. Mahendran and Vedaldi 2016 (https://arxiv.org/abs/1512.02017), section 3.
BRIGHT = 80 / 255
STEP = BRIGHT / 6.5


class Inversion(NamedTuple):
  """Attributes:
    images: (b h w c), the best of all restarts.
    errors: (b,), |F - F0| / |F0| of the features F of those, F0 of the given images.
    curve: (steps, b), the objective.
  """
  images: np.ndarray
  errors: np.ndarray
  curve: np.ndarray


@lru_cache
def falling(rate: float, steps: int) -> optax.GradientTransformation:
  """Adam, whose rate falls to 0 along a cosine."""
  return optax.adam(optax.cosine_decay_schedule(rate, steps))


def invert(subject: Subject, images: jax.Array, at: str, *, strength: float = 100.,
           alpha: float = 1., tv: float = 1., power: float = 2., restarts: int = 1,
           steps: int = 400, rate: float = .05, key: jax.Array | None = None,
           **options) -> Inversion:
  """Inversion by gradient (Mahendran and Vedaldi 2015, https://arxiv.org/abs/1412.0035).

  The image with the least  strength * |F - F0|^2 / |F0|^2 + alpha * R_6 + tv * V  from noise, where
  R_6 keeps values in range and V is the total variation, both about 1 in a natural image.

  Args:
    images: (b h w c), uint8 or in [0, 1].
    at: the layer.
    strength, alpha, tv: weights of the features and of the regularisers (0: none).
    power: of the total variation; 1 leaves edges sharp.
    restarts: from other noise; the best is kept.
    options: of `ascend`.
  """
  images, key = floats(images), jax.random.key(0) if key is None else key
  n = len(images)
  many = np.repeat(images, restarts, 0)
  wanted = strength * features_like(subject, at, many)
  if alpha:
    wanted = wanted - alpha * alpha_norm(6., BRIGHT)
  if tv:
    wanted = wanted - tv * total_variation(power, STEP)
  noise = .5 + .1 * jax.random.normal(key, many.shape)
  found, curve = ascend(subject, wanted, pixels(noise), steps=steps,
                        optimizer=falling(rate, steps), key=key, **options)
  errors = feature_errors(subject, found, many, at).reshape(n, restarts)
  best = np.arange(n) * restarts + curve[-1].reshape(n, restarts).argmax(-1)
  return Inversion(found[best], errors.reshape(-1)[best], curve[:, best])


def invert_layers(subject: Subject, images: jax.Array, layers: Sequence[str], *,
                  callback: Callable | None = None, **options) -> dict[str, Inversion]:
  """`invert` at each of some layers. callback: as in `ascend`, over all layers' steps."""
  found = {}
  for i, at in enumerate(layers):
    told = callback and partial(_told, callback, i, len(layers))
    found[at] = invert(subject, images, at, callback=told, **options)
  return found


def feature_errors(subject: Subject, images: jax.Array, others: jax.Array, at: str) -> np.ndarray:
  """|F - F0| / |F0| (b,) of a layer's features F of images, F0 of others."""
  at = subject.layer(at, others)
  f, wanted = (read(subject, x, [at])[at].reshape(len(x), -1) for x in (images, others))
  return np.linalg.norm(f - wanted, axis=-1) / np.maximum(np.linalg.norm(wanted, axis=-1), 1e-12)


def _told(callback, i, layers, done, of, images):
  callback(i * of + done, layers * of, images)
