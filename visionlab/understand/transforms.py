"""Transformations against noise: an image must show what is wanted however it is held.

Each is a function (keys (b,), images (b h w c)) -> images of the same size, drawn for each image
anew at every step. They are hashable, as what is static under jit must be.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from visionlab.ops import warp


@dataclasses.dataclass(frozen=True)
class Jitter:
  """Rolls each image, what leaves it on one side comes in on the other, by up to `pixels`."""
  pixels: int

  def __call__(self, keys: jax.Array, images: jax.Array) -> jax.Array:
    def one(key, image):
      return jnp.roll(image, jax.random.randint(key, (2,), -self.pixels, self.pixels + 1), (0, 1))
    return jax.vmap(one)(keys, images)


@dataclasses.dataclass(frozen=True)
class Turn:
  """Turns each image about its middle by up to `degrees`, and enlarges it by a factor within
  `scale`; beyond its border the outermost pixels go on."""
  degrees: float = 10.
  scale: tuple[float, float] = (.9, 1.1)

  def __call__(self, keys: jax.Array, images: jax.Array) -> jax.Array:
    _, h, w, _ = images.shape
    to_middle = warp.translation(w / 2, h / 2)
    low, high = (math.log(factor) for factor in self.scale)

    def one(key, image):
      angle, size = jax.random.split(key)
      angle = jnp.deg2rad(jax.random.uniform(angle, (), minval=-self.degrees, maxval=self.degrees))
      size = jnp.exp(-jax.random.uniform(size, (), minval=low, maxval=high))
      matrix = warp.compose(to_middle, warp.rotation(angle), warp.scaling(size, size),
                            warp.translation(-w / 2, -h / 2))
      return warp.sample(image, warp.transform(matrix, warp.centres(h, w)), mode='edge')
    return jax.vmap(one)(keys, images)


@dataclasses.dataclass(frozen=True)
class Noise:
  """Adds Gaussian noise."""
  std: float = .02

  def __call__(self, keys: jax.Array, images: jax.Array) -> jax.Array:
    return images + self.std * jax.vmap(lambda key: jax.random.normal(key, images.shape[1:]))(keys)


STANDARD = (Jitter(8), Turn(), Jitter(4))
"""About those of Olah et al. 2017, https://distill.pub/2017/feature-visualization."""
