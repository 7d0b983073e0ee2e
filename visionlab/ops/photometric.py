"""What changes an example's pixels and nothing else: colours, noise, blur, holes, policies.

Each function takes a key and an example whose `image` (h w c) is float32 in [0, 1], as
`visionlab.augmentation.augment` gives it.
"""

import jax
import jax.numpy as jnp

from visionlab.ops import colour as hues, policies


def colour(key, example, brightness: float = .4, contrast: float = .4, saturation: float = .4,
           hue: float = .1, p: float = 1.):
  """Jitters by factors in [1 - x, 1 + x] and the hue by [-hue, hue] turns, as torchvision does."""
  chance, turn, *draws = jax.random.uniform(key, (5,))
  image = example['image']
  for change, x, u in zip((hues.brighten, hues.contrast, hues.saturate),
                          (brightness, contrast, saturation), draws, strict=True):
    if x:  # a factor of 1 changes nothing; choosing between two images would take as long again
      low, high = max(0., 1 - x), 1 + x
      image = change(image, jnp.where(chance < p, low + (high - low) * u, 1.))
  if hue:
    image = hues.turn_hue(image, jnp.where(chance < p, hue * (2 * turn - 1), 0.))
  return {**example, 'image': image}


def grey(key, example, p: float = .1):
  """Takes all colour away with chance p."""
  plain = hues.saturate(example['image'], 0.)
  return {**example, 'image': jnp.where(jax.random.uniform(key) < p, plain, example['image'])}


def noise(key, example, std: float = .05, p: float = 1.):
  """Adds Gaussian noise of standard deviation `std` (the image spans [0, 1]) and clips."""
  image = example['image']
  chance, draw = jax.random.fold_in(key, 0), jax.random.fold_in(key, 1)
  noisy = jnp.clip(image + std * jax.random.normal(draw, image.shape), 0, 1)
  return {**example, 'image': jnp.where(jax.random.uniform(chance) < p, noisy, image)}


def cutout(key, example, size: int = 8, p: float = 1.):
  """Blackens a square of `size` pixels centred anywhere in the image (DeVries and Taylor 2017)."""
  image = example['image']
  chance, y, x = jax.random.uniform(key, (3,))
  near = [abs(jnp.arange(n) + .5 * (1 - size % 2) - jnp.floor(u * n)) <= (size - 1) / 2
          for n, u in zip(image.shape[:2], (y, x), strict=True)]
  hole = near[0][:, None] & near[1] & (chance < p)
  return {**example, 'image': jnp.where(hole[..., None], 0., image)}


def erase(key, example, area: tuple = (.02, .33), ratio: tuple = (.3, 3.3), p: float = .5):
  """Fills a rectangle with noise (Zhong et al. 2020): its share of the area is in `area`, its
  height to width log-uniform in `ratio`; it lies within the image, and is cut where it is longer.
  """
  image = example['image']
  h, w = image.shape[:2]
  chance, share, shape, y, x = jax.random.uniform(key, (5,))
  share = h * w * (area[0] + (area[1] - area[0]) * share)
  low, high = jnp.log(ratio[0]), jnp.log(ratio[1])
  shape = jnp.exp(low + (high - low) * shape)
  high, wide = (jnp.clip(jnp.round(side), 1, most) for side, most in
                ((jnp.sqrt(share * shape), h), (jnp.sqrt(share / shape), w)))
  rows, columns = (_within(n, jnp.floor(u * (n - length + 1)), length)
                   for n, u, length in ((h, y, high), (w, x, wide)))
  hole = rows[:, None] & columns & (chance < p)
  noise = jax.random.uniform(jax.random.fold_in(key, 0), image.shape)
  return {**example, 'image': jnp.where(hole[..., None], noise, image)}


def blur(key, example, sigma: tuple = (.1, 2.), p: float = .5):
  """Blurs by a Gaussian of a standard deviation uniform in `sigma`, in pixels (SimCLR, Chen et al.
  2020); beyond the image its outermost pixels go on."""
  image = example['image']
  chance, draw = jax.random.uniform(key, (2,))
  sigma_ = sigma[0] + (sigma[1] - sigma[0]) * draw
  reach = max(1, round(3 * sigma[1]))
  weights = jnp.exp(-.5 * (jnp.arange(-reach, reach + 1) / sigma_) ** 2)
  weights = weights / weights.sum()
  for axis in (0, 1):                    # a Gaussian is one along rows times one along columns
    padded = jnp.pad(image, [(reach, reach) if a == axis else (0, 0) for a in range(3)], 'edge')
    n = image.shape[axis]
    image = sum(weights[i] * jax.lax.slice_in_dim(padded, i, i + n, axis=axis)
                for i in range(2 * reach + 1))
  return {**example, 'image': jnp.where(chance < p, image, example['image'])}


def rand_augment(key, example, number: int = 2, magnitude: float = 9.):
  """`number` operations in a row, each at `magnitude` of 30 (Cubuk et al. 2020)."""
  return {**example, 'image': policies.rand_augment(key, example['image'], number, magnitude)}


def trivial_augment(key, example, p: float = 1.):
  """One operation at a random strength (Müller and Hutter 2021)."""
  image = example['image']
  chance = jax.random.uniform(jax.random.fold_in(key, 1))
  return {**example, 'image': jnp.where(chance < p, policies.trivial_augment(key, image), image)}


def _within(n, start, length):
  place = jnp.arange(n)
  return (place >= start) & (place < start + length)
