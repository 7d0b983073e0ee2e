"""The layers that models share: linen's, with this library's convolution, constants and noise."""

import math
from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from visionlab.config import ConfigError, nearest
from visionlab.ops.conv import conv
from visionlab.ops.pool import adaptive_mean, largest

ACTIVATIONS = (
  'abs_tanh', 'celu', 'elu', 'exact_gelu', 'gelu', 'hard_sigmoid', 'hard_silu', 'hard_tanh',
  'leaky_relu', 'log_sigmoid', 'mish', 'relu', 'relu6', 'selu', 'sigmoid', 'silu', 'soft_sign',
  'softplus', 'sparse_plus', 'squareplus', 'swish', 'tanh')


def activation(act: Callable | str) -> Callable:
  """The elementwise function of a name in `jax.nn`, or of `OWN`; a function stays as it is.

  Raises:
    ConfigError: for a name that is not in `ACTIVATIONS`.

  >>> activation('relu')(jnp.array([-1., 2.])).tolist()
  [0.0, 2.0]
  """
  if callable(act):
    return act
  if act not in ACTIVATIONS:
    raise ConfigError(f'model.act: no activation {act!r}{nearest(act, ACTIVATIONS)}; '
                      f'there are {", ".join(ACTIVATIONS)}')
  return OWN[act] if act in OWN else getattr(jax.nn, act)


def exact_gelu(x: jax.Array) -> jax.Array:
  """GELU by the error function, as torch's is (https://arxiv.org/abs/1606.08415); JAX's own is
  by default its approximation by tanh, up to 5e-4 off."""
  return jax.nn.gelu(x, approximate=False)


def abs_tanh(x: jax.Array) -> jax.Array:
  """|tanh x| (Jarrett et al. 2009, "What is the best multi-stage architecture for object
  recognition?"; of TCDCN, Zhang et al. 2014)."""
  return jnp.abs(jnp.tanh(x))


OWN = dict(abs_tanh=abs_tanh, exact_gelu=exact_gelu)


@partial(jax.jit, static_argnums=(1, 2))     # traced once a shape: `apply` asks for it each time
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


def he_fan_out(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
  """Standard deviation sqrt(2 / fan-out), for (*spatial i o) kernels followed by ReLU.

  It keeps the variance of gradients (https://arxiv.org/abs/1502.01852, equation 14).
  """
  *taps, _, features = shape
  return noise(key, shape, dtype) * math.sqrt(2 / (math.prod(taps) * features))


def he_fan_in(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
  """Standard deviation sqrt(2 / fan-in), for layers that no normalisation follows.

  It keeps the variance of activations (https://arxiv.org/abs/1502.01852, equation 10).
  """
  return lecun_normal(key, shape, dtype) * math.sqrt(2)


def lecun_normal(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
  """Standard deviation sqrt(1 / fan-in) (LeCun et al. 1998, "Efficient BackProp", equation 16)."""
  return noise(key, shape, dtype) / math.sqrt(math.prod(shape[:-1]))


def small_normal(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
  """Standard deviation .01, for the last layer (https://arxiv.org/abs/1706.02677, section 5.1)."""
  return noise(key, shape, dtype) * .01


Conv = partial(nn.Conv, conv_general_dilated=conv, kernel_init=he_fan_out)
"""`nn.Conv`. Where torch pads by p, pass `padding=p`: 'SAME' is lopsided under a stride of 2."""

Dense = partial(nn.Dense, kernel_init=lecun_normal)
"""`nn.Dense`."""

Head = partial(nn.Dense, dtype=jnp.float32, kernel_init=small_normal, name='head')
"""The linear classifier (b c) -> (b k), in float32 whatever the model computes in."""


class Point(nn.Module):
  """A place where a map can be read, or changed, from outside (`visionlab.understand.subject`)."""

  def __call__(self, x: jax.Array) -> jax.Array:
    """What it is given."""
    return x


POINT = ':'
"""How the name of a `Point` begins, so that a layer beside it may have the same name."""


def point(name: str, x: jax.Array) -> jax.Array:
  """x, as the map of that name: for maps that no module of this name puts out."""
  return Point(name=POINT + name)(x)


def global_mean(x: jax.Array) -> jax.Array:
  """The mean over the image, (b h w c) -> (b c), in float32."""
  return jnp.mean(x, (1, 2), dtype=jnp.float32)


def pooled(x: jax.Array, pool: str) -> jax.Array:
  """A map (b h w c) as one vector for each image.

    mean      over the places, (b c)
    flatten   all of it, (b h*w*c): what is where, to be learnt anew for each place
    points    (b 4c): of each feature the mean, the maximum, and x and y in [-1, 1] of where it is,
              weighed by its softmax over the places (Levine et al. 2016, section 5.1)

  >>> x = jnp.zeros((1, 3, 3, 1)).at[0, 0, 2].set(99.)
  >>> pooled(x, 'points').tolist()
  [[11.0, 99.0, 1.0, -1.0]]
  """
  if pool == 'flatten':
    return x.reshape(x.shape[0], -1)
  x = x.astype(jnp.float32)
  mean = x.mean((1, 2))
  if pool == 'mean':
    return mean
  weights = jax.nn.softmax(x, axis=(1, 2))
  where = [(weights * axis).sum((1, 2)) for axis in map_axes(x)]
  most = largest(x.reshape(len(x), -1, x.shape[-1]), 1)
  return jnp.concatenate([mean, most, *where], axis=-1)


def map_axes(x):
  """x (1 1 w 1) and y (1 h 1 1) in [-1, 1] of the places of a map (b h w c)."""
  _, h, w, _ = x.shape
  along = lambda n: jnp.linspace(-1, 1, n, dtype=x.dtype)
  return along(w)[None, None, :, None], along(h)[None, :, None, None]


def fully_connected_layers(model: nn.Module) -> tuple[nn.Module, ...]:
  """The layers fc6, fc7, drop and head that a `model` of `fully_connected` makes in its setup."""
  fc6, fc7 = (Dense(model.hidden, dtype=model.dtype, kernel_init=he_fan_in) for _ in range(2))
  return fc6, fc7, nn.Dropout(model.dropout), Head(model.classes)


def fully_connected(model: nn.Module, x: jax.Array, size: int, train: bool) -> jax.Array:
  """What follows the maps of AlexNet, ZFNet and VGG: (b h w c) -> logits (b k).

  The model's layers fc6 and fc7 of `hidden` units, on the mean over size x size cells, then its
  head. Each has its activation; in training a share `dropout` of what it puts out is set to zero
  (rng stream 'dropout').
  """
  act = activation(model.act)
  x = adaptive_mean(x, size)
  x = x.reshape(x.shape[0], -1)
  for layer in (model.fc6, model.fc7):
    x = model.drop(act(layer(x)), deterministic=not train)
  return model.head(x)


def check_size(model: str, x: jax.Array, smallest: int) -> None:
  """Raises ConfigError where images (b h w c) are smaller than `model` can shrink."""
  h, w = x.shape[1:3]
  if min(h, w) < smallest:
    raise ConfigError(f'model: {model} needs images of at least {smallest} x {smallest} pixels, '
                      f'not {h} x {w}')


def _scramble(h):
  """fmix32 of MurmurHash3, a bijection whose every output bit depends on every input bit."""
  h = (h ^ (h >> 16)) * jnp.uint32(0x85EBCA6B)
  h = (h ^ (h >> 13)) * jnp.uint32(0xC2B2AE35)
  return h ^ (h >> 16)
