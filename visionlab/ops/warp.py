"""Moving pixels: sampling at real-valued places, affine matrices, elastic displacement.

Coordinates are (x, y) in pixels and continuous: pixel i covers [i, i + 1) and its centre is i + .5,
so boxes, keypoints and images share one system (torch calls it align_corners=False). Matrices are
3x3, act on columns (x, y, 1), and map *output* to *input* wherever an image is sampled.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError, nearest

MODES = ('constant', 'edge', 'reflect')


def sample(image: jax.Array, coords: jax.Array, *, order: int = 1, mode: str = 'constant',
           fill: float = 0.) -> jax.Array:
  """The values of an image (h w) or (h w c) at coords (..., 2): shape (...) or (... c).

  order 0 takes the nearest pixel and keeps the dtype; order 1 is bilinear, order 3 bicubic (Keys
  1981, with a = -.75, as OpenCV and torch have it), and both give float32.
  Beyond the image, `constant` sees pixels of value `fill` (torch's 'zeros', SciPy's
  'grid-constant'), `edge` the nearest border pixel, `reflect` the image mirrored about its outline
  (d c b a | a b c d | d c b a). Nothing is smoothed first: shrinking to less than half aliases.

  Raises ConfigError for an unknown order or mode.

  >>> image = jnp.array([[0., 1.], [2., 3.]])
  >>> sample(image, jnp.array([[1., 1.], [1.5, .5]])).tolist()
  [1.5, 1.0]
  """
  if mode not in MODES:
    raise ConfigError(f'mode: expected one of {", ".join(MODES)}, got {mode!r}'
                      f'{nearest(mode, MODES)}')
  if order not in (0, 1, 3):
    raise ConfigError(f'order: expected 0 (nearest), 1 (bilinear) or 3 (bicubic), got {order!r}')
  image = jnp.asarray(image)
  if order == 0:
    column, row = jnp.moveaxis(jnp.floor(coords).astype(jnp.int32), -1, 0)
    return _pixel(image, row, column, mode, fill)
  image, coords = image.astype(jnp.float32), jnp.asarray(coords) - .5
  low = jnp.floor(coords)
  column, row = jnp.moveaxis(low.astype(jnp.int32), -1, 0)
  taps = _linear if order == 1 else _cubic
  across, along = (taps(_like(part, image)) for part in jnp.moveaxis(coords - low, -1, 0))
  lines = [(w, sum(v * _pixel(image, row + j, column + i, mode, fill) for i, v in across.items()))
           for j, w in along.items()]
  return sum(w * line for w, line in lines)


def _linear(part):
  """The weights of the pixels around a place that is `part` of the way to the next one."""
  return {0: 1 - part, 1: part}


def _cubic(part, a: float = -.75):
  def near(x):                    # up to 1 pixel away, and up to 2
    return ((a + 2) * x - (a + 3)) * x * x + 1

  def far(x):
    return a * (((x - 5) * x + 8) * x - 4)
  return {-1: far(1 + part), 0: near(part), 1: near(1 - part), 2: far(2 - part)}


def _like(plane, image):
  """A value per place, with the trailing axes that an image's channels need."""
  return plane.reshape(*plane.shape, *[1] * (image.ndim - 2))


def _pixel(image, row, column, mode, fill):
  h, w = image.shape[:2]
  if mode == 'reflect':
    row, column = (jnp.minimum(i % (2 * n), 2 * n - 1 - i % (2 * n))
                   for i, n in ((row, h), (column, w)))
  # Clipping here and promising it to the gather spares XLA its own bounds checks.
  value = image.at[jnp.clip(row, 0, h - 1), jnp.clip(column, 0, w - 1)].get(
      mode='promise_in_bounds')
  if mode != 'constant':
    return value
  inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
  return jnp.where(_like(inside, image), value, jnp.asarray(fill, value.dtype))


def centres(h: int, w: int) -> jax.Array:
  """The pixel centres of an h by w image, (h w 2) as (x, y)."""
  x, y = jnp.meshgrid(jnp.arange(w) + .5, jnp.arange(h) + .5)
  return jnp.stack([x, y], axis=-1)


def translation(x, y) -> jax.Array:
  """The matrix (3 3) that moves points by x to the right and y down."""
  return _matrix(1, 0, x, 0, 1, y)


def scaling(x, y) -> jax.Array:
  """The matrix (3 3) that stretches about the origin by the factors x and y."""
  return _matrix(x, 0, 0, 0, y, 0)


def rotation(angle) -> jax.Array:
  """The matrix (3 3) that turns about the origin by `angle` radians, clockwise on the screen."""
  cos, sin = jnp.cos(angle), jnp.sin(angle)
  return _matrix(cos, -sin, 0, sin, cos, 0)


def shearing(angle) -> jax.Array:
  """The matrix (3 3) that leans vertical lines by `angle` radians: x grows by tan(angle) y."""
  return _matrix(1, jnp.tan(angle), 0, 0, 1, 0)


def _matrix(*entries):
  return jnp.stack([jnp.asarray(e, jnp.float32) for e in (*entries, 0, 0, 1)]).reshape(3, 3)


def compose(*matrices: jax.Array) -> jax.Array:
  """The product (3 3) of affine matrices; the last one acts first.

  >>> transform(compose(translation(1, 0), scaling(2, 2)), jnp.array([3., 4.])).tolist()
  [7.0, 8.0]
  """
  product = jnp.eye(3)
  for matrix in matrices:
    # At default precision a GPU rounds factors to 10 bits, half a pixel in an image of 1000.
    product = jnp.matmul(product, matrix, precision='highest')
  return product


def invert(matrix: jax.Array) -> jax.Array:
  """The inverse (3 3) of an affine matrix, in closed form; not finite where it has none."""
  (a, b, x), (c, d, y) = matrix[0], matrix[1]
  a, b, c, d = (e / (a * d - b * c) for e in (d, -b, -c, a))
  return _matrix(a, b, -(a * x + b * y), c, d, -(c * x + d * y))


def transform(matrix: jax.Array, points: jax.Array) -> jax.Array:
  """Points (..., 2) moved by an affine matrix (3 3)."""
  x, y = points[..., 0], points[..., 1]
  (a, b, dx), (c, d, dy) = matrix[0], matrix[1]
  return jnp.stack([a * x + b * y + dx, c * x + d * y + dy], axis=-1)


def elastic_displacement(key: jax.Array, h: int, w: int, *, alpha: float,
                         sigma: float) -> jax.Array:
  """A smooth random displacement field (h w 2), in pixels as (x, y).

  Uniform noise in [-1, 1), smoothed by a Gaussian of `sigma` pixels and multiplied by `alpha`
  (Simard, Steinkraus and Platt 2003, section 2). Away from the border each component has
  standard deviation alpha / (sigma sqrt(12 pi)), since smoothing spreads the noise that thin.
  """
  noise = jax.random.uniform(key, (2, h, w), minval=-1., maxval=1.)
  smooth = jnp.einsum('yi,cij,xj->yxc', gaussian(h, sigma), noise, gaussian(w, sigma),
                      precision='highest')
  return alpha * smooth


def gaussian(n: int, sigma: float) -> np.ndarray:
  """Gaussian smoothing of n samples as a matrix (n n), cut at 4 sigma, zeros beyond the ends."""
  radius = math.ceil(4 * sigma)
  offset = np.arange(n)[:, None] - np.arange(n)
  weight = np.where(abs(offset) <= radius, np.exp(-.5 * (offset / sigma) ** 2), 0)
  return (weight / np.exp(-.5 * (np.arange(-radius, radius + 1) / sigma) ** 2).sum()).astype('f4')
