"""Colour arithmetic on images (..., c) in [0, 1], as torchvision's tensor functions define it.

Images that have not three channels have no colour: `saturate` and `turn_hue` leave them alone.
"""

import jax
import jax.numpy as jnp


def luma(image: jax.Array) -> jax.Array:
  """The perceived lightness (..., 1) of an image (ITU-R BT.601, rounded as in torchvision).

  >>> bool(luma(jnp.array([0., 1., 0.])) == jnp.float32(.587))
  True
  """
  if image.shape[-1] != 3:
    return image.mean(axis=-1, keepdims=True)
  # At default precision a GPU would round the factors to 10 bits. On CPU a sum is 5 times slower.
  weights = jnp.array([.2989, .587, .114])
  return jnp.matmul(image, weights[:, None], precision='highest')


def blend(image: jax.Array, other: jax.Array | float, factor) -> jax.Array:
  """`image` for factor 1, `other` for 0, the line through both elsewhere, clipped to [0, 1]."""
  return jnp.clip(factor * image + (1 - factor) * other, 0, 1)


def brighten(image: jax.Array, factor) -> jax.Array:
  """The image (h w c) times a factor, clipped: 0 is black, 1 the image."""
  return blend(image, 0., factor)


def contrast(image: jax.Array, factor) -> jax.Array:
  """The image (h w c) away from its mean lightness by a factor: 0 is flat, 1 the image."""
  return blend(image, luma(image).mean(axis=(-3, -2, -1), keepdims=True), factor)


def saturate(image: jax.Array, factor) -> jax.Array:
  """The image (h w 3) away from its own lightness by a factor: 0 is grey, 1 the image."""
  return blend(image, luma(image), factor) if image.shape[-1] == 3 else image


def turn_hue(image: jax.Array, turn) -> jax.Array:
  """The image (h w 3) with its hue moved round the circle: by 1/3 red becomes green, by 1 itself.

  >>> turn_hue(jnp.array([[[1., 0., 0.]]]), 1 / 3).round(3).tolist()
  [[[0.0, 1.0, 0.0]]]
  """
  if image.shape[-1] != 3:
    return image
  red, green, blue = (image[..., c] for c in range(3))
  value = jnp.maximum(jnp.maximum(red, green), blue)
  spread = value - jnp.minimum(jnp.minimum(red, green), blue)
  safe = jnp.where(spread > 0, spread, 1)
  hue = jnp.where(value == red, (green - blue) / safe,
                  jnp.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe))
  value, spread, hue = value[..., None], spread[..., None], hue[..., None] + 6 * turn
  sector = jnp.array([5., 3., 1.]) + hue
  sector = sector - 6 * jnp.floor(sector / 6)  # on CPU several times faster than %
  # A channel's height over the six sectors of the circle is a trapezium (Smith 1978).
  return value - spread * jnp.clip(jnp.minimum(sector, 4 - sector), 0, 1)
