"""Convolution that on CPU keeps its speed inside compiled loops and under vmap.

`conv` computes what `lax.conv_general_dilated` computes and takes the same arguments, so it can be
handed to `nn.Conv(conv_general_dilated=conv)`. On CPU three things are done otherwise; elsewhere
the compiled program is lax's own.

* Gradients. XLA's CPU backend recognises a convolution by its layout. The gradients that autodiff
  derives have other layouts, and inside a loop (`scan`, `map`, `fori_loop`) they fall back to a
  reference implementation up to a hundred times slower. Here both gradients are themselves calls
  of `conv` on NHWC images and HWIO kernels, the layout that is recognised everywhere.
* The kernel's gradient. As a convolution it is one whose kernel is as large as an image, and takes
  2 to 10 times as long as the forward pass. Where there are channels enough it is made of products
  of matrices instead (`visionlab.ops.kernel_gradient`). CPU time of layers in ms, on one core that
  others used too, medians of 7 to 9 in turn, 30 November 2026:

  | images, kernel, stride            | forward | image | kernel, as convolution | as products |
  |-----------------------------------|---------|-------|------------------------|-------------|
  | 64 x 32 x 32 x 16, 3 x 3 x 16     | 8.5     | 9.0   | 48.1                   | 11.2        |
  | 64 x 32 x 32 x 16, 3 x 3 x 32, 2  | 3.6     | 7.8   | 9.1                    | 4.8         |
  | 64 x 32 x 32 x 16, 1 x 1 x 32, 2  | 1.2     | 1.5   | 5.3                    | 1.1         |
  | 64 x 16 x 16 x 32, 3 x 3 x 32     | 5.2     | 5.2   | 12.9                   | 7.8         |
  | 64 x 16 x 16 x 32, 3 x 3 x 64, 2  | 2.7     | 3.3   | 5.7                    | 3.5         |
  | 64 x 8 x 8 x 64, 3 x 3 x 64       | 4.2     | 4.6   | 8.0                    | 6.3         |
  | 64 x 14 x 14 x 48, 3 x 3 x 32     | 6.3     | 6.1   | 16.3                   | 8.8         |
  | 128 x 14 x 14 x 32, 3 x 3 x 64    | 12.7    | 13.5  | 44.1                   | 17.6        |
  | 8 x 28 x 28 x 64, 1 x 1 x 256     | 3.4     | 4.6   | 42.8                   | 3.3         |
  | 8 x 28 x 28 x 256, 1 x 1 x 64     | 4.3     | 3.4   | 27.8                   | 5.6         |
  | 2 x 56 x 56 x 64, 3 x 3 x 64      | 7.9     | 7.8   | 33.5                   | 11.3        |
  | 32 x 16 x 16 x 32, 5 x 5 x 48     | 11.0    | 10.0  | 19.7                   | 14.4        |

  The rest are left as they were: with 3 channels, as the first layer has them, either way wins,
  by size (6.6 and 11.3 for 32 x 64 x 64, 13.4 and 5.0 for 64 x 32 x 32).
* `vmap` over kernels. XLA's grouped convolution is several times slower than one convolution after
  another, so members take turns. A batch of images under one kernel is only a larger batch.

Forward-mode differentiation (`jax.jvp`, `jax.jacfwd`) is not defined; reverse mode is, to any
order.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from visionlab.ops import kernel_gradient

Padding = str | Sequence[tuple[int, int]]


class _Spec(NamedTuple):
  """What is static about a convolution of a (b *spatial c) image with a (*spatial i o) kernel."""

  strides: tuple[int, ...]
  padding: tuple[tuple[int, int], ...]
  lhs_dilation: tuple[int, ...]
  rhs_dilation: tuple[int, ...]
  groups: int
  precision: Any
  dtype: Any


def conv(
  x: jax.Array,
  kernel: jax.Array,
  strides: Sequence[int],
  padding: Padding,
  lhs_dilation: Sequence[int] | None = None,
  rhs_dilation: Sequence[int] | None = None,
  dimension_numbers: Any = None,
  feature_group_count: int = 1,
  batch_group_count: int = 1,
  precision: Any = None,
  preferred_element_type: Any = None,
) -> jax.Array:
  """`lax.conv_general_dilated`, fast inside loops and under `vmap`.

  Args:
    x: images; their layout, the kernel's and the result's are `dimension_numbers`.
    kernel: filters.
    strides: one per spatial axis.
    padding: 'SAME', 'VALID', 'SAME_LOWER' or (before, after) per spatial axis.
    lhs_dilation: spacing of the image's pixels (a transposed convolution's stride).
    rhs_dilation: spacing of the kernel's taps.
    dimension_numbers: as in lax; None is lax's default, NCHW images and OIHW kernels.
    feature_group_count: input channels and output features fall into this many separate groups.
    batch_group_count: if not 1, the call is lax's own.
    precision: as in lax.
    preferred_element_type: dtype of the result; None is the dtype of the arguments.

  Returns:
    The convolved images.

  >>> x, kernel = jnp.ones((2, 5, 5, 3)), jnp.ones((3, 3, 3, 4))
  >>> conv(x, kernel, (2, 2), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')).shape
  (2, 3, 3, 4)
  """
  if batch_group_count != 1:
    return lax.conv_general_dilated(
      x, kernel, strides, padding, lhs_dilation, rhs_dilation, dimension_numbers,
      feature_group_count, batch_group_count, precision, preferred_element_type)
  spatial = x.ndim - 2
  numbers = lax.conv_dimension_numbers(x.shape, kernel.shape, dimension_numbers)
  batch_axis, channel_axis, *image_axes = numbers.lhs_spec
  out_axis, in_axis, *kernel_axes = numbers.rhs_spec
  x = x.transpose(batch_axis, *image_axes, channel_axis)
  kernel = kernel.transpose(*kernel_axes, in_axis, out_axis)

  ones = (1,) * spatial
  strides, lhs_dilation = tuple(strides), tuple(lhs_dilation or ones)
  rhs_dilation = tuple(rhs_dilation or ones)
  if isinstance(padding, str):
    taps = _dilated(kernel.shape[:-2], rhs_dilation)
    padding = lax.padtype_to_pads(x.shape[1:-1], taps, strides, padding)
  padding = tuple((int(before), int(after)) for before, after in padding)
  x, kernel = _vary_alike(x, kernel)
  y = _conv(x, kernel, _Spec(strides, padding, lhs_dilation, rhs_dilation, feature_group_count,
                             precision, preferred_element_type))
  out_batch, out_channel, *out_spatial = numbers.out_spec
  source = {out_batch: 0, out_channel: spatial + 1}
  source |= {axis: i + 1 for i, axis in enumerate(out_spatial)}
  return y.transpose([source[axis] for axis in range(y.ndim)])


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv(x, kernel, spec):
  return _batchable(spec)(x, kernel)


def _forward(x, kernel, spec):
  return _conv(x, kernel, spec), (x, kernel)


@partial(jax.jit, static_argnums=0)     # traced once for all layers of a shape
def _backward(spec, residuals, g):
  spec = spec._replace(dtype=None)
  return lax.platform_dependent(*residuals, g, cpu=partial(_gradients, spec),
                                default=partial(_gradients_of_lax, spec))


_conv.defvjp(_forward, _backward)


def _gradients_of_lax(spec, x, kernel, g):
  _, pull = jax.vjp(partial(_lax_conv, spec), x, kernel)
  return pull(g.astype(x.dtype))


def _gradients(spec, x, kernel, g):
  g = g.astype(x.dtype)
  return _image_gradient(x, kernel, g, spec), _kernel_gradient(x, kernel, g, spec)


def _image_gradient(x, kernel, g, spec):
  """The convolution of the spread-out `g` with the flipped kernel, its channels exchanged."""
  *taps, _, _ = kernel.shape
  spatial = tuple(range(len(taps)))
  flipped = _exchange_channels(lax.rev(kernel, spatial), spec.groups)
  reach = _dilated(taps, spec.rhs_dilation)
  image = _dilated(x.shape[1:-1], spec.lhs_dilation)
  spread = _dilated(g.shape[1:-1], spec.strides)
  before = [r - 1 - lo for r, (lo, _) in zip(reach, spec.padding, strict=True)]
  padding = tuple((b, i + r - 1 - s - b)
                  for b, i, r, s in zip(before, image, reach, spread, strict=True))
  return _conv(g, flipped, spec._replace(
    strides=spec.lhs_dilation, padding=padding, lhs_dilation=spec.strides))


def _kernel_gradient(x, kernel, g, spec):
  """By products of matrices where that is faster, else by a convolution."""
  *taps, _, _ = kernel.shape
  plain = spec.groups == 1 and {*spec.lhs_dilation, *spec.rhs_dilation} == {1}
  if plain and min(min(pair) for pair in spec.padding) >= 0 and kernel_gradient.pays(x, g):
    return _by_products(x, g, spec, tuple(taps))
  return _by_convolution(x, kernel, g, spec)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _by_products(x, g, spec, taps):
  call = custom_vmap(lambda x, g: kernel_gradient.kernel_gradient(
    x, g, taps, spec.strides, spec.padding, spec.precision))

  @call.def_vmap
  def rule(axis_size, batched, *both):
    # Members take turns, as those of a convolution do.
    mapped = [a for a, many in zip(both, batched, strict=True) if many]

    def one(members):
      members = iter(members)
      return call(*(next(members) if many else a for a, many in zip(both, batched, strict=True)))
    return lax.map(one, mapped), True
  return call(x, g)


def _by_products_forward(x, g, spec, taps):
  return _by_products(x, g, spec, taps), (x, g)


def _by_products_backward(spec, taps, residuals, of_kernel):
  x, g = residuals
  return _image_gradient(x, of_kernel, g, spec), _conv(x, of_kernel, spec)


_by_products.defvjp(_by_products_forward, _by_products_backward)


def _by_convolution(x, kernel, g, spec):
  """The convolution of `x` with `g`, in which examples play the part of channels."""
  *taps, _, _ = kernel.shape
  spatial = tuple(range(1, len(taps) + 1))
  last = len(taps) + 1
  reach = _dilated(taps, spec.rhs_dilation)
  image = _dilated(x.shape[1:-1], spec.lhs_dilation)
  spread = _dilated(g.shape[1:-1], spec.strides)
  padding = tuple((lo, s + r - 1 - i - lo)
                  for (lo, _), s, r, i in zip(spec.padding, spread, reach, image, strict=True))
  by_group = x.reshape(*x.shape[:-1], spec.groups, x.shape[-1] // spec.groups)
  images = by_group.transpose(last + 1, *spatial, last, 0)
  images = images.reshape(*images.shape[:-2], spec.groups * len(x))
  kernels = g.transpose(*spatial, 0, last)
  dw = _conv(images, kernels, spec._replace(
    strides=spec.rhs_dilation, padding=padding, rhs_dilation=spec.strides))
  return dw.transpose(*spatial, 0, last)


def _lax_conv(spec, x, kernel):
  spatial = 'DHW'[-len(spec.strides):]
  return lax.conv_general_dilated(
    x, kernel, spec.strides, spec.padding, spec.lhs_dilation, spec.rhs_dilation,
    (f'N{spatial}C', f'{spatial}IO', f'N{spatial}C'), spec.groups,
    precision=spec.precision, preferred_element_type=spec.dtype)


def _batchable(spec):
  """`_lax_conv` with a rule for `vmap`."""
  call = custom_vmap(partial(_lax_conv, spec))

  @call.def_vmap
  def rule(axis_size, batched, x, kernel):
    x_batched, kernel_batched = batched
    if not kernel_batched:
      _, examples, *image = x.shape
      y = call(x.reshape(axis_size * examples, *image), kernel)
      return y.reshape(axis_size, examples, *y.shape[1:]), True
    together = jax.vmap(partial(_lax_conv, spec), (0 if x_batched else None, 0))
    one_by_one = partial(_map_both if x_batched else _map_kernels, call)
    return lax.platform_dependent(x, kernel, cpu=one_by_one, default=together), True

  return call


def _map_both(f, x, kernel):
  return lax.map(lambda member: f(*member), (x, kernel))


def _map_kernels(f, x, kernel):
  return lax.map(partial(f, x), kernel)


def _exchange_channels(kernel, groups):
  """(*s i o) -> (*s o/groups groups*i): the kernel of the transposed map."""
  *taps, i, o = kernel.shape
  kernel = kernel.reshape(*taps, i, groups, o // groups)
  return jnp.swapaxes(kernel, -3, -1).reshape(*taps, o // groups, groups * i)


def _vary_alike(*operands):
  """Under `shard_map`, marks all operands as varying over the mesh axes that any varies over.

  lax's operations do so themselves. The mark's own gradient is the sum over devices.
  """
  types = [jax.typeof(a) for a in operands]
  # Before jax 0.10 the type was flatter.
  varying = [t.vma if hasattr(t, 'vma') else t.manual_axis_type.varying for t in types]
  union = frozenset().union(*varying)
  mark = partial(lax.pcast, to='varying') if hasattr(lax, 'pcast') else lax.pvary     # jax 0.8
  return [mark(a, tuple(union - own)) if union - own else a
          for a, own in zip(operands, varying, strict=True)]


def _dilated(shape, dilation):
  return tuple(max(0, (n - 1) * d + 1) for n, d in zip(shape, dilation, strict=True))
