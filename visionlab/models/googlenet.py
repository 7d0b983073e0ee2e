"""GoogLeNet, the first Inception network (https://arxiv.org/abs/1409.4842)."""

import dataclasses
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.config import check_choice
from visionlab.models.layers import Dense, Head, check_size, global_mean, he_fan_in, point
from visionlab.models.network import NormNetwork, Style
from visionlab.ops.normalise import local_response
from visionlab.ops.pool import adaptive_mean, max_pool
from visionlab.options.kinds import Amount, Share

INCEPTIONS = {  # name: channels of branch1, branch2 reduced and full, branch3 likewise, branch4
  '3a': (64, (96, 128), (16, 32), 32),
  '3b': (128, (128, 192), (32, 96), 64),
  '4a': (192, (96, 208), (16, 48), 64),
  '4b': (160, (112, 224), (24, 64), 64),
  '4c': (128, (128, 256), (24, 64), 64),
  '4d': (112, (144, 288), (32, 64), 64),
  '4e': (256, (160, 320), (32, 128), 128),
  '5a': (256, (160, 320), (32, 128), 128),
  '5b': (384, (192, 384), (48, 128), 128),
}


class ConvNorm(nn.Module):
  """act(norm(conv(x))), the image's size divided by the stride.

  Attributes:
    width: output channels.
    size: side of the kernel.
    style: of the layers.
    stride: of the convolution.
  """

  width: int
  size: int
  style: Style
  stride: int = 1

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """(b h w c) -> (b h/stride w/stride width)."""
    return self.style.act(self.style.conv(x, self.width, self.size, 'conv', 'norm', train,
                                          strides=self.stride, kernel_init=he_fan_in))


class Inception(nn.Module):
  """Four branches side by side: 1x1, 3x3 and larger convolutions, and max-pooling.

  Attributes:
    widths: a row of `INCEPTIONS`.
    large: side of the third branch's kernel.
    style: of the layers.
  """

  widths: tuple
  large: int
  style: Style

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """(b h w c) -> (b h w c')."""
    layer = partial(ConvNorm, style=self.style)
    one, (reduce2, two), (reduce3, three), four = self.widths
    branch1 = layer(one, 1, name='branch1')(x, train)
    branch2 = layer(reduce2, 1, name='branch2_reduce')(x, train)
    branch2 = layer(two, 3, name='branch2')(branch2, train)
    branch3 = layer(reduce3, 1, name='branch3_reduce')(x, train)
    branch3 = layer(three, self.large, name='branch3')(branch3, train)
    branch4 = layer(four, 1, name='branch4')(max_pool(x, 3, 1, padding=1), train)
    return jnp.concatenate((branch1, branch2, branch3, branch4), -1)


class Auxiliary(nn.Module):
  """A classifier on a map in the middle; attributes as in GoogLeNet and ConvNorm."""

  classes: int
  dropout: float
  style: Style

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """(b h w c) -> logits (b k)."""
    x = ConvNorm(128, 1, self.style, name='conv')(adaptive_mean(x, 4), train)
    x = x.reshape(x.shape[0], -1)
    x = self.style.act(Dense(1024, dtype=self.style.dtype, kernel_init=he_fan_in, name='fc')(x))
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return Head(self.classes)(x)


class GoogLeNet(NormNetwork):
  """22 layers, 9 Inception modules, and in training two auxiliary classifiers.

  With `norm='batch'` it is torchvision's form: BatchNorm, 3x3 convolutions where the paper has
  5x5, a last max-pooling of 2x2; 13,004,888 parameters with 1000 classes, 6,624,904 without the
  auxiliary classifiers. With `norm='local'` it is the paper's: biases, 5x5 convolutions, 3x3
  max-pooling, and local response normalisation, with the constants of Caffe's reference model
  since the paper gives none; 13,378,280 and 6,998,552 parameters. In both an auxiliary classifier
  sees the mean over 4 x 4 cells, as in torchvision, so that images may have any size; the paper
  takes it over 5x5 windows with stride 3. Kernels start as He et al. proposed.

  Attributes, beside `NormNetwork`'s:
    classes: number of classes k.
    norm: 'batch' or 'local', as above.
    aux: whether there are auxiliary classifiers.
    dropout: share of the last features set to zero in training (rng stream 'dropout'); the
      paper has .4.
    aux_dropout: the same in the auxiliary classifiers.

  Raises:
    ConfigError: another norm, an unknown activation, or images smaller than 15 x 15.
  """

  classes: int
  norm: str = 'batch'
  aux: bool = True
  dropout: Share = .2
  aux_dropout: Share = .7
  epsilon: Amount = dataclasses.field(default=1e-3, kw_only=True)    # torchvision's

  strides = {'conv1': 2, 'pool1': 4, 'conv3': 4, 'pool2': 8, 'inception3a': 8, 'inception3b': 8,
             'pool3': 16, **{f'inception4{i}': 16 for i in 'abcde'}, 'pool4': 32,
             'inception5a': 32, 'inception5b': 32}

  def __post_init__(self):
    check_choice(self.norm, ('batch', 'local'), 'model.norm of googlenet')
    super().__post_init__()

  @property
  def auxiliary(self) -> dict[str, float]:
    """The weight of each auxiliary classifier's loss beside that of the logits (section 5)."""
    return {'aux1': .3, 'aux2': .3} if self.aux else {}

  def setup(self):
    if self.aux:
      self.aux1, self.aux2 = (Auxiliary(self.classes, self.aux_dropout, self._style())
                              for _ in range(2))
    self.drop = nn.Dropout(self.dropout)
    self.head = Head(self.classes)

  @nn.compact
  def features(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
    """Normalised images (b h w c) -> maps by name."""
    check_size('googlenet', x, 15)
    style, local = self._style(), self.norm == 'local'
    respond = partial(local_response, size=5, alpha=1e-4, beta=.75, k=1.)
    norm = respond if local else (lambda x: x)
    pool = partial(max_pool, window=3, stride=2, ceil=True)

    maps = {}
    maps['conv1'] = ConvNorm(64, 7, style, stride=2, name='conv1')(x, train)
    maps['pool1'] = point('pool1', norm(pool(maps['conv1'])))
    x = ConvNorm(64, 1, style, name='conv2')(maps['pool1'], train)
    maps['conv3'] = ConvNorm(192, 3, style, name='conv3')(x, train)
    x = maps['pool2'] = point('pool2', pool(norm(maps['conv3'])))
    for name, widths in INCEPTIONS.items():
      if name == '4a':
        x = maps['pool3'] = point('pool3', pool(x))
      if name == '5a':
        x = pool(x) if local else max_pool(x, 2, ceil=True)
        x = maps['pool4'] = point('pool4', x)
      name = f'inception{name}'
      x = maps[name] = Inception(widths, 5 if local else 3, style, name=name)(x, train)
    return maps

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array | dict[str, jax.Array]:
    """Normalised images (b h w c) -> logits (b k).

    In training with auxiliary classifiers: a dict of the logits 'logits', 'aux1' and 'aux2'.
    """
    maps = self.features(x, train=train)
    x = self.drop(global_mean(maps['inception5b']), deterministic=not train)
    outputs = {'logits': self.head(x)}
    if self.aux and (train or self.is_initializing()):
      outputs['aux1'] = self.aux1(maps['inception4a'], train)
      outputs['aux2'] = self.aux2(maps['inception4d'], train)
    return outputs if self.aux and train else outputs['logits']

  def _style(self):
    return self.style(norm=self.norm == 'batch')
