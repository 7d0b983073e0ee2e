"""Vision transformers (https://arxiv.org/abs/2010.11929).

A tiny one on scikit-learn's digits, which are 16 patches of 2 x 2 pixels:

python -m visionlab.train --config=configs/digits_cnn.py --workdir=runs/digits_vit \\
    --config.task.model.name=vit --config.task.model.patch=2 --config.task.model.width=64 \\
    --config.task.model.depth=4 --config.task.model.heads=4 --config.task.model.dropout=.1
Halfway (750 of 1,500 updates, seed 0) 97.9 % of the digits to choose by are right; not run further.
"""

import math
from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.config import ConfigError, check_choice
from visionlab.models.layers import Conv, Dense, Head, lecun_normal, noise, point
from visionlab.models.network import Network, Style
from visionlab.options.kinds import Count, Share

POOLS = ('token', 'mean')

# The variance by its definition: flax's faster one subtracts large numbers from each other.
LayerNorm = partial(nn.LayerNorm, epsilon=1e-6, use_fast_variance=False)


class Tokens(nn.Module):
  """What a transformer reads beside the patches: a class token, and where everything is.

  Positions are learnt for the grid of patches that the network begins with; for another one they
  are interpolated, see `resampled`.
  """

  @nn.compact
  def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Patches (b h w d) -> the class token (b 1 d) and the patches, with their positions added."""
    b, *grid, d = x.shape
    token = self.param('token', nn.initializers.zeros, (d,))
    place = self.param('token_position', _small, (d,))
    if self.has_variable('params', 'positions'):
      places = self.get_variable('params', 'positions')     # `param` would insist on their shape
    else:
      places = self.param('positions', _small, (*grid, d))
    places = resampled(places, grid)
    return jnp.broadcast_to((token + place).astype(x.dtype), (b, 1, d)), x + places.astype(x.dtype)


class Attention(nn.Module):
  """Multi-head self-attention (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, 3.2).

  Attributes:
    heads: each has an equal part of the features.
    dtype: of the computation; softmax is in float32.
  """

  heads: int
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(b t d) -> (b t d)."""
    b, t, d = x.shape
    qkv = Dense(3 * d, dtype=self.dtype, name='qkv')(x).reshape(b, t, 3, self.heads, -1)
    x = jax.nn.dot_product_attention(*jnp.moveaxis(qkv, 2, 0))
    return Dense(d, dtype=self.dtype, name='out')(x.reshape(b, t, d))


class Block(nn.Module):
  """x + attention(norm(x)), then x + mlp(norm(x)), with four times as many features in between.

  Attributes:
    style: of the layers.
    heads, dropout: as in `ViT`.
    drop_path: how often, in training, what a branch adds is left out of an example (stochastic
      depth, https://arxiv.org/abs/1603.09382); what is kept is so much larger.
  """

  style: Style
  heads: int
  dropout: float
  drop_path: float

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """(b t d) -> (b t d)."""
    dtype, d = self.style.dtype, x.shape[-1]
    drop = nn.Dropout(self.dropout, deterministic=not train)
    path = nn.Dropout(self.drop_path, broadcast_dims=(1, 2), deterministic=not train)
    y = LayerNorm(dtype=dtype, name='norm1')(x)
    x = x + path(drop(Attention(self.heads, dtype, name='attention')(y)))
    y = LayerNorm(dtype=dtype, name='norm2')(x)
    y = drop(self.style.act(Dense(4 * d, dtype=dtype, name='fc1')(y)))
    return x + path(drop(Dense(d, dtype=dtype, name='fc2')(y)))


class ViT(Network, kw_only=True):
  """A transformer that reads an image as a sequence of patches, by default ViT-S/16.

  With 1000 classes and images of 224 x 224, S/16 has 22,050,664 parameters (Touvron et al. 2021,
  https://arxiv.org/abs/2012.12877, table 1); B/16 (width 768, 12 heads) 86,567,656, and L/16
  (width 1024, depth 24, 16 heads) 304,326,632.

  Images may have any sides that the patches divide. The positions are those of the first images
  that the network is made for, or of weights it is given, and are interpolated for others.

  Attributes, beside `Network`'s (`act` is the exact GELU):
    classes: number of classes k.
    patch: its side in pixels.
    width: features d of a token.
    depth: blocks.
    heads: of attention, which divide the width.
    pool: what is classified: 'token', the class token after the last block; 'mean', the mean of the
      patches, which is normalised after it, as timm does.
    dropout: the share of features set to zero in training after the positions are added, and of
      what each layer of a block puts out (rng stream 'dropout').
    drop_path: see `Block`; it rises evenly from 0 in the first block to this in the last.

  Raises:
    ConfigError: heads that do not divide the width, patches that do not divide the images, another
      pool, or an unknown activation.
  """

  classes: int
  patch: Count = 16
  width: Count = 384
  depth: Count = 12
  heads: Count = 6
  pool: str = 'token'
  dropout: Share = 0.
  drop_path: Share = 0.
  act: Callable | str = 'exact_gelu'

  def __post_init__(self):
    check_choice(self.pool, POOLS, 'model.pool of vit')
    if self.width % self.heads:
      raise ConfigError(f'model.heads of vit: {self.heads} heads do not divide a width of '
                        f'{self.width}; {_nearest_divisor(self.heads, self.width)} do')
    super().__post_init__()

  @property
  def strides(self) -> dict[str, int]:
    """Of the maps of `features`, in pixels."""
    return dict.fromkeys(['embed', *(f'block{i}' for i in range(self.depth))], self.patch)

  def setup(self):
    self.norm = LayerNorm(dtype=self.dtype)
    self.head = Head(self.classes)

  @nn.compact
  def tokens(self, x: jax.Array, *, train: bool = False) -> tuple[jax.Array, dict]:
    """Normalised images (b h w c) -> the class token (b d), and the maps of `features`."""
    self._check_sides(*x.shape[1:3])
    side, style = (self.patch, self.patch), self.style()
    x = Conv(self.width, side, side, padding='VALID', dtype=self.dtype, kernel_init=lecun_normal,
             name='embed')(x)
    token, x = Tokens(name='tokens')(x)
    token, x = (nn.Dropout(self.dropout, deterministic=not train)(y) for y in (token, x))
    maps = {'embed': point('embed', x)}
    for i in range(self.depth):
      b, h, w, d = x.shape
      y = jnp.concatenate([token, x.reshape(b, h * w, d)], 1)
      y = Block(style, self.heads, self.dropout, self.drop_path * i / max(self.depth - 1, 1),
                name=f'block{i}')(y, train)
      token, x = y[:, :1], point(f'block{i}', y[:, 1:].reshape(b, h, w, d))
      maps[f'block{i}'] = x
    return token[:, 0], maps

  def features(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
    """Normalised images (b h w c) -> the patches (b h/patch w/patch d) after each block."""
    return self.tokens(x, train=train)[1]

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised images (b h w c) -> logits (b k)."""
    token, maps = self.tokens(x, train=train)
    if self.pool == 'mean':
      token = [*maps.values()][-1].mean((1, 2), dtype=jnp.float32)
    return self.head(self.norm(token))

  def _check_sides(self, h, w):
    if h % self.patch or w % self.patch:
      raise ConfigError(f'model.patch of vit: {self.patch} does not divide images of {h} x {w}; '
                        f'{_nearest_divisor(self.patch, math.gcd(h, w))} does')


def resampled(positions: jax.Array, grid: tuple[int, int]) -> jax.Array:
  """Positions (h w d) for a grid of other sides, bicubic and without aliasing, as timm's
  `resample_abs_pos_embed`."""
  if positions.shape[:2] == tuple(grid):
    return positions
  return jax.image.resize(positions, (*grid, positions.shape[-1]), 'cubic')


def _small(key, shape, dtype=jnp.float32):
  """A standard deviation of .02, as positions have in the paper's code."""
  return noise(key, shape, dtype) * .02


def _nearest_divisor(n: int, of: int) -> int:
  return min((i for i in range(1, of + 1) if of % i == 0), key=lambda i: abs(i - n))
