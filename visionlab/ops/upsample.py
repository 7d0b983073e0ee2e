"""Ways to enlarge images and feature maps; none has a gradient that scatters.

Images are (... h w c): one, or a batch. Pixels are little squares, so that the first of `f` new
pixels lies at -.5 + .5 / f in units of the old (`align_corners=False` in torch).
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from visionlab.config import ConfigError
from visionlab.ops.conv import conv


def nearest(x: jax.Array, factor: int) -> jax.Array:
  """Repeats each pixel `factor` times each way, (... h w c) -> (... factor*h factor*w c).

  >>> nearest(jnp.array([[[1], [2]]]), 2)[..., 0].tolist()
  [[1, 1, 2, 2], [1, 1, 2, 2]]
  """
  *batch, h, w, c = x.shape
  blocks = jnp.broadcast_to(x[..., :, None, :, None, :], (*batch, h, factor, w, factor, c))
  return blocks.reshape(*batch, h * factor, w * factor, c)


def bed_of_nails(x: jax.Array, factor: int) -> jax.Array:
  """Each pixel at the upper left of a block of zeros, (... h w c) -> (... factor*h factor*w c).

  >>> bed_of_nails(jnp.array([[[1], [2]]]), 2)[..., 0].tolist()
  [[1, 0, 2, 0], [0, 0, 0, 0]]
  """
  kept, spread = (0, 0, 0), (0, factor - 1, factor - 1)
  config = [kept] * (x.ndim - 3) + [spread, spread, kept]
  return lax.pad(x, jnp.zeros((), x.dtype), config)


def bilinear(x: jax.Array, size: tuple[int, int]) -> jax.Array:
  """Linear interpolation along both axes, as torch's F.interpolate(mode='bilinear').

  Beyond the outermost pixels' centres it goes on flat. A reduction does not average
  (`antialias=False` in torch) and so skips pixels.

  Args:
    x: (... h w c).
    size: (height, width) of the result.

  Returns:
    (... height width c), of x's dtype if that is floating, else float32.

  >>> bilinear(jnp.array([[[0.], [4.]]]), (1, 4))[0, :, 0].tolist()
  [0.0, 1.0, 3.0, 4.0]
  """
  places = tuple(_places(n, m) for n, m in zip(x.shape[-3:-1], size, strict=True))
  dtype = x.dtype if jnp.issubdtype(x.dtype, jnp.floating) else jnp.float32
  return _interpolate(x.astype(jnp.float32), x.shape[-3:-1], places).astype(dtype)


def _places(n: int, m: int) -> tuple[float, ...]:
  """Where among n samples the m new ones lie."""
  return tuple(np.clip((np.arange(m) + .5) * (n / m) - .5, 0, n - 1).tolist())


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _interpolate(x: jax.Array, shape: tuple[int, int], places: tuple) -> jax.Array:
  for axis, n, at in zip((-3, -2), shape, map(np.array, places), strict=True):
    low = np.floor(at).astype(np.int32)
    share = (at - low).astype(np.float32).reshape(-1, *(1,) * (-axis - 1))
    x = ((1 - share) * jnp.take(x, low, axis, mode='clip')
         + share * jnp.take(x, np.minimum(low + 1, n - 1), axis, mode='clip'))
  return x


def _interpolate_forward(x, shape, places):
  return _interpolate(x, shape, places), None


def _interpolate_backward(shape, places, _, g):
  """Two matrix products, because the gradient of a gather is a scatter, which is slow on CPU."""
  rows, columns = (np.maximum(0, 1 - abs(np.array(at)[:, None] - np.arange(n))).astype(np.float32)
                   for n, at in zip(shape, places, strict=True))
  # At default precision a GPU would round the weights to 10 bits.
  g = jnp.einsum('Hh,...HWc->...hWc', rows, g, precision='highest')
  return (jnp.einsum('Ww,...hWc->...hwc', columns, g, precision='highest'),)


_interpolate.defvjp(_interpolate_forward, _interpolate_backward)


def bilinear_kernel(factor: int, channels: int = 1) -> np.ndarray:
  """The kernel for which `conv_transpose` interpolates bilinearly (FCN, Long et al. 2015, 3.3).

  Away from the border the result is that of `bilinear`; at the border it fades to zero, because
  there is nothing outside to interpolate to.

  Args:
    factor: of enlargement; the kernel's side is 2 * factor - factor % 2.
    channels: each is enlarged by itself.

  Returns:
    (k k channels channels) float32.

  >>> bilinear_kernel(2)[:, :, 0, 0][0].tolist()
  [0.0625, 0.1875, 0.1875, 0.0625]
  """
  k = kernel_size(factor)
  tent = 1 - abs(np.arange(k) - (k - 1) / 2) / factor
  return np.multiply.outer(np.outer(tent, tent), np.eye(channels)).astype(np.float32)


def kernel_size(factor: int) -> int:
  """The side of FCN's kernels: the least that is symmetric about a pixel of either grid."""
  return 2 * factor - factor % 2


def conv_transpose(x: jax.Array, kernel: jax.Array, factor: int) -> jax.Array:
  """Transposed convolution to exactly `factor` times the size.

  Every pixel stamps the kernel, times its value, onto an image of (h - 1) * factor + k rows, whose
  k - factor surplus rows are cropped, of an odd number the larger part at the top; columns
  likewise. That is torch's conv_transpose2d with stride=factor, padding=ceil((k - factor) / 2) and
  output_padding=(k - factor) % 2, for a weight of kernel.transpose(2, 3, 0, 1).

  The new pixels at one place within their blocks all see the image through the same few taps of the
  kernel. So this is an ordinary small convolution to factor^2 times the features, rearranged, and
  no time goes into the zeros of an image spread out (`lhs_dilation`).

  Args:
    x: (... h w i).
    kernel: (k k i o), k >= factor; not flipped: kernel[0, 0] lands at the upper left.
    factor: of enlargement.

  Returns:
    (... factor*h factor*w o).

  Raises:
    ConfigError: the kernel does not reach from a pixel to the next.

  >>> x, kernel = jnp.array([[[1.], [2.]]]), jnp.ones((3, 3, 1, 1))
  >>> conv_transpose(x, kernel, 2)[..., 0].tolist()
  [[1.0, 3.0, 2.0, 2.0], [1.0, 3.0, 2.0, 2.0]]
  """
  *batch, h, w, i = x.shape
  if min(kernel.shape[:2]) < factor:
    raise ConfigError(f'conv_transpose: a kernel of {kernel.shape[0]}x{kernel.shape[1]} leaves '
                      f'gaps at factor {factor}; expected at least {factor}x{factor}')
  features = kernel.shape[3]
  kernel, rows = _by_phase(kernel, 0, factor)
  kernel, columns = _by_phase(kernel, 2, factor)
  # (taps phases taps phases i o) -> (taps taps i phases*phases*o)
  kernel = kernel.transpose(0, 2, 4, 1, 3, 5)
  kernel = kernel.reshape(*kernel.shape[:3], factor ** 2 * features)
  y = conv(x.reshape(-1, h, w, i), kernel, (1, 1), (rows, columns),
           dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
  y = y.reshape(-1, h, w, factor, factor, features).transpose(0, 1, 3, 2, 4, 5)
  return y.reshape(*batch, h * factor, w * factor, features)


def _by_phase(kernel: jax.Array, axis: int, factor: int):
  """Splits an axis of k taps into (taps on the image, phases), and says how to pad the image.

  New pixel f q + r gets tap t of old pixel q + m where t = r + crop - f m. So the taps, counted
  from t = crop - f last, are rows of f phases, for m = last, last - 1, ..., first.
  """
  k = kernel.shape[axis]
  crop = -(-(k - factor) // 2)
  first, last = -((k - 1 - crop) // factor), (factor - 1 + crop) // factor
  n = last - first + 1
  before = factor * last - crop
  padding = [(0, 0)] * kernel.ndim
  padding[axis] = (before, factor * n - k - before)
  shape = (*kernel.shape[:axis], n, factor, *kernel.shape[axis + 1:])
  return jnp.flip(jnp.pad(kernel, padding).reshape(shape), axis), (-first, last)
