"""BatchNorm whose arithmetic is traced once for all layers of a shape."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax


class BatchNorm(nn.Module):
  """Batch normalisation over all axes but the last (Ioffe and Szegedy 2015,
  https://arxiv.org/abs/1502.03167); variables and numbers are those of `nn.BatchNorm`.

  A ResNet-152 has 155 of them of 12 shapes. linen's are traced, differentiated and lowered one by
  one, and are two fifths of the operations of a training step; here it is done once a shape.

  Attributes:
    use_running_average: normalises by the averages kept, and leaves them; else by the mean and
      (biased) variance of x, in float32, which then move the averages.
    momentum: the share of the old average that is kept (torch's is what is not).
    epsilon: added to the variance.
    dtype: of the result; None is that of x and float32 together.
    axis_name: the mapped axis over which the mean and the variance are shared, under pmap.
    scale_init: of the scale, by default ones.
  """

  use_running_average: bool | None = None
  momentum: float = .9
  epsilon: float = 1e-5
  dtype: Any = None
  axis_name: str | None = None
  scale_init: Any = nn.initializers.ones

  @nn.compact
  def __call__(self, x: jax.Array, use_running_average: bool | None = None) -> jax.Array:
    """x (... c) normalised, scaled and moved. use_running_average: here, where the layer itself
    was not told."""
    average = nn.merge_param('use_running_average', self.use_running_average, use_running_average)
    shape = x.shape[-1:]
    mean = self.variable('batch_stats', 'mean', jnp.zeros, shape, jnp.float32)
    var = self.variable('batch_stats', 'var', jnp.ones, shape, jnp.float32)
    scale = self.param('scale', self.scale_init, shape, jnp.float32)
    bias = self.param('bias', nn.initializers.zeros, shape, jnp.float32)
    moments = mean.value, var.value
    if not average:
      # Initialisation is outside the mapped axis, and moves nothing.
      axis_name = None if self.is_initializing() else self.axis_name
      moments = _moments(x, axis_name)
      if not self.is_initializing():
        mean.value, var.value = _moved((mean.value, var.value), moments, self.momentum)
    return _normalised(x, *moments, scale, bias, self.epsilon, self.dtype)


@partial(jax.jit, static_argnums=1)
def _moments(x, axis_name):
  """Mean and variance (c) of x (... c), not less than 0 where rounding would have it so."""
  x, axes = x.astype(jnp.float32), tuple(range(x.ndim - 1))
  mean, of_squares = x.mean(axes), lax.square(x).mean(axes)
  if axis_name:
    mean, of_squares = lax.pmean(jnp.stack([mean, of_squares]), axis_name)
  return mean, jnp.maximum(0., of_squares - lax.square(mean))


@partial(jax.jit, static_argnums=2)
def _moved(averages, moments, momentum):
  return [momentum * old + (1 - momentum) * new
          for old, new in zip(averages, moments, strict=True)]


@partial(jax.jit, static_argnums=(5, 6))
def _normalised(x, mean, var, scale, bias, epsilon, dtype):
  y = (x - mean) * (lax.rsqrt(var + epsilon) * scale) + bias
  return y if dtype is None else y.astype(dtype)
