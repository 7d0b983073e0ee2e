"""Keys for what is drawn of an example: the example's own, wherever in whatever batch it comes."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp


def keys_of(key: jax.Array, images: jax.Array) -> jax.Array:
  """A typed PRNG key (b,) for each of images (b h w c), of `key` and its pixels alone."""
  return jax.vmap(lambda image: jax.random.fold_in(key, checksum(image)))(images)


def checksum(image: jax.Array) -> jax.Array:
  """A number, uint32, that tells images (h w c) apart, uint8 or float: pixels in their places.

  >>> int(checksum(jnp.array([[[1], [2]]], jnp.uint8))), int(checksum(jnp.zeros((2, 2, 3))))
  (1013904243, 0)
  """
  pixels = image.ravel()
  if not jnp.issubdtype(pixels.dtype, jnp.integer):
    pixels = jax.lax.bitcast_convert_type(pixels.astype(jnp.float32), jnp.uint32)
  weights = jnp.arange(pixels.size, dtype=jnp.uint32) * jnp.uint32(2654435769) | 1   # odd: no pixel
  return (pixels.astype(jnp.uint32) * weights).sum(dtype=jnp.uint32)                # is lost


def draw_of(batch: Mapping, key: jax.Array | None = None) -> jax.Array:
  """The keys (b,) of what is drawn of each example; in an evaluation they hang on its pixels."""
  if 'draw' in batch:
    return batch['draw']
  pixels = batch['image' if 'image' in batch else 'video']
  return keys_of(jax.random.key(0) if key is None else key, pixels)
