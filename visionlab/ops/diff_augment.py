"""Augmentation that a critic's images go through, real and made alike, and gradients with them
(Zhao et al. 2020, https://arxiv.org/abs/2006.10738)."""

import jax
import jax.numpy as jnp
from jax import lax

GREY = .5          # of pixels in [0, 1]: the authors' zero, theirs being in [-1, 1]


def diff_augment(keys: jax.Array, images: jax.Array, policy: tuple[str, ...]) -> jax.Array:
  """Images (b h w c) in [0, 1], each changed as its key (b,) says; values may leave [0, 1].

  Args:
    policy: of 'colour', 'translation', 'cutout', with the authors' ranges.
  """
  def one(key, image):
    for name in policy:
      i = list(POLICIES).index(name)
      image = POLICIES[name](jax.random.fold_in(key, i), image)
    return image
  return jax.vmap(one)(keys, images)


def colour(key: jax.Array, image: jax.Array) -> jax.Array:
  """Brightness by -1/4 to 1/4, saturation by 0 to 2, contrast by .5 to 1.5."""
  brightness, saturation, contrast = jax.random.uniform(key, (3,))
  image = image + (brightness - .5) / 2
  grey = image.mean(-1, keepdims=True)
  image = (image - grey) * saturation * 2 + grey
  mean = image.mean()
  return (image - mean) * (contrast + .5) + mean


def translation(key: jax.Array, image: jax.Array, share: float = .125) -> jax.Array:
  """Moved by up to `share` of its sides, whole pixels; what comes into it is grey."""
  h, w, c = image.shape
  most = jnp.array([round(h * share), round(w * share)])
  y, x = jax.random.randint(key, (2,), 0, 2 * most + 1)
  border = ((round(h * share),) * 2, (round(w * share),) * 2, (0, 0))
  return lax.dynamic_slice(jnp.pad(image, border, constant_values=GREY), (y, x, 0), (h, w, c))


def cutout(key: jax.Array, image: jax.Array, share: float = .5) -> jax.Array:
  """A box of `share` of its sides, whose middle lies anywhere in it, is grey."""
  inside = []
  for i, n in enumerate(image.shape[:2]):
    size = round(n * share)
    start = jax.random.randint(jax.random.fold_in(key, i), (), 0, n + 1 - size % 2) - size // 2
    place = jnp.arange(n)
    inside.append((place >= start) & (place < start + size))
  return jnp.where((inside[0][:, None] & inside[1])[..., None], GREY, image)


POLICIES = dict(colour=colour, translation=translation, cutout=cutout)
