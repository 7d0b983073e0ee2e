"""The layers that models share: linen's, with this library's convolution, constants and noise."""

import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from visionlab.ops import pool
from visionlab.ops.conv import conv


def noise(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
  """Standard normal numbers for initialisation, cheap to compile.

  On CPU most of the seconds that a jitted `init` takes go into compiling `jax.random`, anew for
  every parameter. This is one fused pass, and gives a key the same integers on every backend and
  version of jax: the place's index, scrambled with each word of the key by the finaliser of
  MurmurHash3. Fit for initial weights, not for statistics.
  """
  bits = lax.iota(jnp.uint32, math.prod(shape)) * jnp.uint32(0x9E3779B9)
  for word in jax.random.key_data(key):
    bits = _scramble(bits ^ word)
  # 23 bits and a half fit a float32 exactly, so that neither end of (-1, 1) is reached.
  uniform = ((bits >> 9).astype(jnp.float32) + .5) * 2. ** -22 - 1
  return (math.sqrt(2) * lax.erf_inv(uniform)).reshape(shape).astype(dtype)


def he_normal(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
  """Standard deviation sqrt(2 / fan-out), for (*spatial i o) kernels followed by ReLU.

  It keeps the variance of gradients (https://arxiv.org/abs/1502.01852, equation 14).
  """
  *taps, _, features = shape
  return noise(key, shape, dtype) * math.sqrt(2 / (math.prod(taps) * features))


def lecun_normal(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
  """Standard deviation sqrt(1 / fan-in) (LeCun et al. 1998, "Efficient BackProp", equation 16)."""
  return noise(key, shape, dtype) / math.sqrt(math.prod(shape[:-1]))


def small_normal(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
  """Standard deviation .01, for the last layer (https://arxiv.org/abs/1706.02677, section 5.1)."""
  return noise(key, shape, dtype) * .01


Conv = partial(nn.Conv, conv_general_dilated=conv, kernel_init=he_normal)
"""`nn.Conv`. Where torch pads by p, pass `padding=p`: 'SAME' is lopsided under a stride of 2."""

Dense = partial(nn.Dense, kernel_init=lecun_normal)
"""`nn.Dense`."""

Head = partial(nn.Dense, dtype=jnp.float32, kernel_init=small_normal, name='head')
"""The linear classifier (b c) -> (b k), in float32 whatever the model computes in."""

BatchNorm = partial(nn.BatchNorm, momentum=.9, epsilon=1e-5)
"""`nn.BatchNorm`; `momentum` is the share of the old average that is kept (torch's is 0.1)."""


def max_pool(x: jax.Array, window: int, stride: int, padding: int = 0) -> jax.Array:
  """The largest value of each square window, (b h w c) -> (b h' w' c)."""
  if window == stride and not padding:
    return pool.max_pool(x, window)
  return nn.max_pool(x, (window, window), (stride, stride), ((padding, padding),) * 2)


def global_mean(x: jax.Array) -> jax.Array:
  """The mean over the image, (b h w c) -> (b c), in float32."""
  return jnp.mean(x, (1, 2), dtype=jnp.float32)


def _scramble(h):
  """fmix32 of MurmurHash3, a bijection whose every output bit depends on every input bit."""
  h = (h ^ (h >> 16)) * jnp.uint32(0x85EBCA6B)
  h = (h ^ (h >> 13)) * jnp.uint32(0xC2B2AE35)
  return h ^ (h >> 16)
