"""Dense optical flow: where each pixel of a first frame is in a second one.

A flow field is (h w 2) in pixels, x first: what lies at pixel (i, j) of the first frame is found at
(i + flow[i, j, 1], j + flow[i, j, 0]) of the second. All three methods work from coarse to fine,
warp the second frame by what is known so far, and take the median of 3 x 3 vectors before each
warp: without it single wrong vectors draw their neighbours along. Shapes are static, loops are
`lax`'s: `jax.vmap` them over pairs.
"""

from collections.abc import Callable
from functools import reduce

import jax
import jax.numpy as jnp
from jax import lax

from visionlab.ops.colour import luma
from visionlab.ops.warp import centres, gaussian, sample

COARSEST = 16                   # pixels that the shorter side has at the top of a pyramid, about
Refine = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def horn_schunck(first: jax.Array, second: jax.Array, *, alpha: float = .03, warps: int = 5,
                 iterations: int = 100, coarsest: int = COARSEST, median: bool = True) -> jax.Array:
  """The flow that is as smooth as it can be: squared errors of both (Horn and Schunck 1981).

  Minimises the integral of (I_x u + I_y v + I_t)^2 + alpha^2 (|grad u|^2 + |grad v|^2) by Jacobi's
  iterations (their equations 12 and 13), on a pyramid, linearised again at each warp
  (Meinhardt-Llopis, Perez and Kondermann 2013, https://doi.org/10.5201/ipol.2013.20).

  Args:
    first, second: frames (h w) or (h w c), uint8 or floats in [0, 1].
    alpha: the weight of smoothness.
    warps: linearisations at each scale.
    iterations: of Jacobi in each.
    coarsest: see `coarse_to_fine`; a side as long as the frame's, and warps=1, are the method of
      1981, without a pyramid.
    median: whether fields are median filtered before each warp.

  Returns:
    (h w 2) float32.
  """
  def solve(first, warped, flow):
    slope = _gradient((first + warped) / 2)
    rest = warped - first - (slope * flow).sum(0)
    stiff = alpha ** 2 + (slope ** 2).sum(0)

    def step(_, found):
      mean = _neighbours(found)
      return mean - slope * ((slope * mean).sum(0) + rest) / stiff
    return lax.fori_loop(0, iterations, step, flow)
  return _warped(first, second, solve, warps, coarsest, median)


def lucas_kanade(first: jax.Array, second: jax.Array, *, radius: int = 7, warps: int = 10,
                 coarsest: int = COARSEST, median: bool = True) -> jax.Array:
  """The flow that explains a window best, least squares in each (Lucas and Kanade 1981), dense.

  All windows are registered together (Le Besnerais and Champagnat 2005,
  https://doi.org/10.1109/ICIP.2005.1529706), as in scikit-image's `optical_flow_ilk`. Where a
  window has no structure in two directions the flow stays what the coarser scale said.

  Args:
    radius: of the window, (2 radius + 1)^2 pixels.
    first, second, warps, coarsest, median, and what is returned: see `horn_schunck`.
  """
  def solve(first, warped, flow):
    x, y = slope = _gradient(warped)
    error = (slope * flow).sum(0) + first - warped
    a, b, c, p, q = _window(jnp.stack([x * x, x * y, y * y, x * error, y * error]), radius)
    clear = (a * c - b * b) / jnp.maximum(a + c, 1e-12) > 1e-8      # about the lesser eigenvalue
    scale = 1 / jnp.where(clear, a * c - b * b, 1)
    return jnp.where(clear, jnp.stack([c * p - b * q, a * q - b * p]) * scale, flow)
  return _warped(first, second, solve, warps, coarsest, median)


def tv_l1(first: jax.Array, second: jax.Array, *, attachment: float = 38.25,
          tightness: float = .3, warps: int = 5, filters: int = 10, iterations: int = 30,
          tolerance: float = .01, coarsest: int = 24, median: bool = True) -> jax.Array:
  """The flow with the least total variation and absolute error: edges stay sharp (Zach, Pock and
  Bischof 2007, https://doi.org/10.1007/978-3-540-74936-3_22).

  Each iteration brings the flow to the data by thresholding (their equation 15), then smooths it by
  a step of the dual of total variation (their equation 11). Weights and numbers are those of
  OpenCV's program (Sanchez, Meinhardt-Llopis and Facciolo 2013,
  https://doi.org/10.5201/ipol.2013.26). As there, the second frame is warped bicubically:
  bilinearly it is blurred by flow of half a pixel and not by none, which is an error to be
  explained where nothing moves; and copies are not as small as they may be: on a plain photograph
  what moves before it is then all that is left.

  Args:
    attachment: their lambda, for brightness in [0, 1]: the less, the smoother.
    tightness: their theta, by which both parts are coupled.
    filters: how often at each warp, at most, the field is filtered, with as many
    iterations: after each.
    tolerance: in pixels: a warp ends when the root mean square of an iteration's change is less.
    first, second, warps, coarsest, median, and what is returned: see `horn_schunck`.
  """
  reach, step = attachment * tightness, .25 / tightness

  def refine(first, second, flow):
    limit = tolerance ** 2 * first.size

    def warp(_, state):
      flow, dual = state
      warped = _moved(second, flow, order=3)
      slope = _gradient(warped)
      norm = (slope ** 2).sum(0)
      rest = warped - first - (slope * flow).sum(0)

      def iterated(state):
        flow, dual, done, _ = state
        error = (slope * flow).sum(0) + rest
        # On a plateau nothing is known: the division is guarded, and the slope makes it zero.
        near = jnp.clip(error / jnp.maximum(norm, 1e-12), -reach, reach)
        found = flow - near * slope + tightness * _divergence(dual)
        rise = _forward(found)
        length = jnp.sqrt((rise ** 2).sum(1, keepdims=True))
        dual = (dual + step * rise) / (1 + step * length)
        return found, dual, done + 1, ((found - flow) ** 2).sum()

      def filtered(state):
        flow, dual, done, change = state
        flow = median_filter(flow) if median else flow
        flow, dual, _, change = lax.while_loop(goes_on(iterations), iterated,
                                               (flow, dual, 0, change))
        return flow, dual, done + 1, change
      return lax.while_loop(goes_on(filters), filtered, (flow, dual, 0, jnp.inf))[:2]

    def goes_on(most):
      return lambda state: (state[2] < most) & (state[3] > limit)
    nothing = jnp.zeros((2, *flow.shape))
    return lax.fori_loop(0, warps, warp, (flow, nothing))[0]
  return coarse_to_fine(first, second, refine, coarsest)


def _warped(first, second, solve: Refine, warps: int, coarsest: int, median: bool) -> jax.Array:
  """The flow by solve(first, second as warped by a flow (2 h w), that flow), again and again."""
  def refine(first, second, flow):
    def warp(_, flow):
      flow = median_filter(flow) if median else flow
      return solve(first, _moved(second, flow), flow)
    return lax.fori_loop(0, warps, warp, flow)
  return coarse_to_fine(first, second, refine, coarsest)


def coarse_to_fine(first: jax.Array, second: jax.Array, refine: Refine,
                   coarsest: int = COARSEST) -> jax.Array:
  """The flow of frames, found in their smallest copies and refined in each twice as large.

  Args:
    first, second: (h w) or (h w c), uint8 or floats in [0, 1].
    refine: (first, second, flow (2 h w)) -> flow, of grey frames (h w) in [0, 1].
    coarsest: frames are halved while their shorter side is more than twice as long.

  Returns:
    (h w 2) float32.
  """
  scales = [(_grey(first), _grey(second))]
  while min(scales[-1][0].shape) > 2 * coarsest:
    scales.append(tuple(map(_halved, scales[-1])))
  flow = jnp.zeros((2, *scales[-1][0].shape))
  for first, second in reversed(scales):
    flow = refine(first, second, _enlarged(flow, first.shape))
  return jnp.moveaxis(flow, 0, -1)


def warp_back(image: jax.Array, flow: jax.Array, *, order: int = 1) -> jax.Array:
  """A second frame (h w) or (h w c) as the first would see it: float32, beyond the border the
  border's pixels. order: of the interpolation, see `visionlab.ops.warp.sample`.

  >>> warp_back(jnp.array([[0., 1., 2., 3.]]), jnp.full((1, 4, 2), 1.)).tolist()
  [[1.0, 2.0, 3.0, 3.0]]
  """
  return sample(image, centres(*flow.shape[:2]) + flow, order=order, mode='edge')


def median_filter(field: jax.Array) -> jax.Array:
  """The median of each 3 x 3 pixels of planes (... h w); beyond the border its own are repeated.

  A network of minima and maxima (Paeth 1990): sorting 9 numbers a pixel takes many times as long.
  """
  p = [_shifted(field, y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
  for i, j in _MEDIAN_OF_9:
    p[i], p[j] = jnp.minimum(p[i], p[j]), jnp.maximum(p[i], p[j])
  return p[4]


_MEDIAN_OF_9 = ((1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8), (0, 3),
                (5, 8), (4, 7), (3, 6), (1, 4), (2, 5), (4, 7), (4, 2), (6, 4), (4, 2))


def _grey(image: jax.Array) -> jax.Array:
  image = jnp.asarray(image)
  image = image / 255. if image.dtype == jnp.uint8 else image.astype(jnp.float32)
  return luma(image)[..., 0] if image.ndim == 3 else image


def _halved(image: jax.Array) -> jax.Array:
  """(h w) -> (h/2 w/2), rounded up, smoothed first by as much as keeps it from aliasing."""
  h, w = image.shape
  smooth = jnp.pad(image, 4, mode='reflect')
  smooth = jnp.matmul(jnp.matmul(gaussian(h + 8, 2 / 3), smooth, precision='highest'),
                      gaussian(w + 8, 2 / 3).T, precision='highest')[4:-4, 4:-4]
  half = -(-h // 2), -(-w // 2)
  return sample(smooth, centres(*half) * jnp.array([w / half[1], h / half[0]]), mode='edge')


def _enlarged(flow: jax.Array, size: tuple[int, int]) -> jax.Array:
  """A field (2 h w) at another size, its vectors as much longer."""
  h, w = flow.shape[1:]
  grow = jnp.array([size[1] / w, size[0] / h])
  return jnp.stack([sample(plane, centres(*size) / grow, mode='edge') for plane in flow]
                   ) * grow[:, None, None]


def _moved(image, flow, order=1):
  return warp_back(image, jnp.moveaxis(flow, 0, -1), order=order)


def _gradient(image):
  return jnp.stack(jnp.gradient(image)[::-1])


def _shifted(planes, y: int, x: int):
  """planes[..., i + y, j + x]; beyond the border the border's own."""
  h, w = planes.shape[-2:]
  wide = [(0, 0)] * (planes.ndim - 2) + [(1, 1), (1, 1)]
  padded = jnp.pad(planes, wide, mode='edge')
  return padded[..., 1 + y:1 + y + h, 1 + x:1 + x + w]


def _neighbours(planes):
  """Their mean, the four near ones counting twice (Horn and Schunck 1981, section 8)."""
  across = _shifted(planes, 0, -1) + _shifted(planes, 0, 1)
  near = _shifted(planes, -1, 0) + _shifted(planes, 1, 0) + across
  return near / 6 + (_shifted(across, -1, 0) + _shifted(across, 1, 0)) / 12


def _window(planes, radius: int):
  """The means over (2 radius + 1)^2 pixels; beyond the border the mirror image."""
  size = 2 * radius + 1
  for axis in (-2, -1):
    n = planes.shape[axis]
    wide = [(0, 0)] * planes.ndim
    wide[axis] = radius, radius
    padded = jnp.pad(planes, wide, mode='reflect')
    parts = [lax.slice_in_dim(padded, i, i + n, axis=axis % planes.ndim) for i in range(size)]
    # Not a running sum: its rounding would hide windows with next to no structure.
    planes = reduce(jnp.add, parts) / size
  return planes


def _forward(planes):
  """Forward differences (d 2 h w) of planes (d h w), zero across the border."""
  return jnp.stack([_shifted(planes, 0, 1) - planes, _shifted(planes, 1, 0) - planes], 1)


def _divergence(dual):
  """(d h w) of (d 2 h w): less the adjoint of `_forward`."""
  x, y = dual[:, 0], dual[:, 1]
  x, y = x.at[..., :, -1].set(0), y.at[..., -1, :].set(0)
  back_x = x - jnp.pad(x, ((0, 0), (0, 0), (1, 0)))[..., :, :-1]
  back_y = y - jnp.pad(y, ((0, 0), (1, 0), (0, 0)))[..., :-1, :]
  return back_x + back_y
