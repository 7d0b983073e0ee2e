"""Filters: what a convolution does to a picture, before any of its weights is learnt.

A filter lays a small kernel of weights on every pixel and sums what lies beneath it:

  y[i, j] = sum over u, v of kernel[u, v] * x[i + u - centre, j + v - centre]

Networks call this convolution, signal processing calls it correlation; convolution proper turns the
kernel by half a turn first, so that the image of a single bright pixel is the kernel itself. For
symmetric kernels it is all one. `experiments/filters` has pictures of what they do.

  >>> image = jnp.zeros((8, 8, 3)).at[:, 4:].set(1.)         # dark on the left, bright on the right
  >>> filter_image(image, VERTICAL_EDGES, 'edge')[4, :, 0].tolist()
  [0.0, 0.0, 0.0, 4.0, 4.0, 0.0, 0.0, 0.0]
  >>> bool((filter_image(image, HORIZONTAL_EDGES, 'edge') == 0).all())       # it has none
  True
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError, nearest
from visionlab.ops.conv import conv
from visionlab.ops.image import to_float

PADDINGS = ('zero', 'reflect', 'edge', 'valid')


def _kernel(*rows: tuple[int, ...]) -> np.ndarray:
  kernel = np.array(rows, np.float32)
  kernel.setflags(write=False)
  return kernel


IDENTITY = _kernel((0, 0, 0), (0, 1, 0), (0, 0, 0))
"""Leaves the image as it is."""

SHARPEN = _kernel((0, -1, 0), (-1, 5, -1), (0, -1, 0))
"""The image minus its Laplacian: what differs from its neighbours comes to differ more."""

VERTICAL_EDGES = _kernel((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))
"""Sobel's difference along x: positive where it gets brighter to the right.

I. Sobel and G. Feldman, "A 3x3 isotropic gradient operator for image processing", 1968; printed in
Duda and Hart, "Pattern Classification and Scene Analysis", 1973, p. 271.
"""

HORIZONTAL_EDGES = _kernel((-1, -2, -1), (0, 0, 0), (1, 2, 1))
"""Sobel's difference along y: positive where it gets brighter downwards."""

ALL_EDGES = _kernel((1, 1, 1), (1, -8, 1), (1, 1, 1))
"""The Laplacian over all eight neighbours: zero where the image is even or rises evenly, and of
both signs along edges of any direction (Gonzalez and Woods, "Digital Image Processing", 3.6)."""


def box(size: int) -> np.ndarray:
  """The mean of a square: blur, (size size) float32."""
  return np.full((size, size), 1 / size ** 2, np.float32)


def gaussian(sigma: float, truncate: float = 4.) -> np.ndarray:
  """Blur by a normal distribution, without box's streaks along x and y.

  Args:
    sigma: standard deviation in pixels.
    truncate: the kernel ends after this many of them.

  Returns:
    (k k) float32 that sum to one, k = 2 round(truncate sigma) + 1.

  Raises:
    ConfigError: sigma is not positive.
  """
  if not sigma > 0:
    raise ConfigError(f'gaussian: sigma must be positive, not {sigma}')
  reach = math.floor(truncate * sigma + .5)
  bell = np.exp(-.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
  bell /= bell.sum()
  return np.outer(bell, bell).astype(np.float32)


def filter_image(image: jax.Array, kernel: jax.Array, padding: str = 'zero') -> jax.Array:
  """Every channel of an image under a kernel.

  Args:
    image: (h w c) or (b h w c); uint8 is taken to [0, 1], other values as they are.
    kernel: (k k') weights. Its centre is the middle or, of an even number, the second of the two.
    padding: what lies outside the image. 'zero': black, which darkens the rim of a blur.
      'reflect': the image mirrored about its outermost pixels, c b a b c (as np.pad; scipy calls it
      'mirror'). 'edge': the outermost pixels for ever (scipy: 'nearest'). 'valid': nothing, the
      result is smaller by k - 1.

  Returns:
    The filtered image, float32, of the image's size except for 'valid'. It may leave [0, 1].

  Raises:
    ConfigError: an unknown padding, a kernel that is not (k k'), or one too large for the image.

  >>> spot = jnp.zeros((3, 3, 1)).at[1, 1].set(1.)
  >>> filter_image(spot, VERTICAL_EDGES)[..., 0].tolist()         # the kernel, half a turn further
  [[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]
  """
  kernel = jnp.asarray(kernel, jnp.float32)
  if padding not in PADDINGS:
    raise ConfigError(f'filter_image: padding must be one of {", ".join(PADDINGS)}, not '
                      f'{padding!r}{nearest(padding, PADDINGS)}')
  if kernel.ndim != 2 or image.ndim not in (3, 4):
    raise ConfigError('filter_image: expected a kernel (k k) and an image (h w c) or (b h w c), '
                      f'not {kernel.shape} and {image.shape}')
  around = [(k // 2, k - 1 - k // 2) for k in kernel.shape]
  short = padding in ('reflect', 'valid') and any(
      k > n for k, n in zip(kernel.shape, image.shape[-3:-1], strict=True))
  if short:
    raise ConfigError(f'filter_image: padding {padding!r} needs an image of at least the kernel\'s '
                      f'{kernel.shape}, not {image.shape[-3:-1]}')
  # A channel is filtered by itself, so it is an image of its own: (b c h w 1).
  planes = jnp.moveaxis(to_float(image), -1, -3)
  if padding in ('reflect', 'edge'):
    planes = jnp.pad(planes, [(0, 0)] * (planes.ndim - 2) + around, padding)
  filtered = conv(planes.reshape(-1, *planes.shape[-2:], 1), kernel[..., None, None], (1, 1),
                  around if padding == 'zero' else 'VALID', precision='highest',
                  dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
  filtered = filtered.reshape(*planes.shape[:-2], *filtered.shape[1:3])
  return jnp.moveaxis(filtered, -3, -1)
