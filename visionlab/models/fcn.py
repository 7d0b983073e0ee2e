"""Fully convolutional networks for segmentation (FCN, https://arxiv.org/abs/1411.4038).

Any classifier that has `features` and `strides` becomes one: its coarsest map is scored by a 1 x 1
convolution, enlarged, and on the way up joined by the scores of finer maps.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.config import check_choice
from visionlab.models.layers import Conv
from visionlab.models.network import Network, check_backbone
from visionlab.models.upsample import ConvTranspose
from visionlab.ops.crop import centre_crop, filled_up
from visionlab.options.kinds import Count, Natural, Share


class FCN(Network):
  """A backbone, its fully connected layers as convolutions, and scores fused from coarse to fine.

  With VGG-16 strides 32, 16 and 8 are the paper's FCN-32s, -16s (joined by pool4) and -8s (and
  pool3): 134,346,581, 134,364,410 and 134,376,863 parameters for 21 classes.

  Scores start at zero and the enlargements by 2 as bilinear interpolation, which they may unlearn;
  the last enlargement is interpolation and stays so (section 4.3). So a network of stride 16 or 8
  starts where one of stride 32 stopped, given its weights (`config.init_from`), and a classifier's
  fc6 and fc7 fit the layers of these names.

  The paper pads images by 100 pixels, because its convolutions shrink maps, and crops by offsets
  worked out layer by layer. Here convolutions keep the size. An image is filled up with zeros, at
  the bottom and the right, to a multiple of the coarsest stride, so that each map lies exactly over
  the image, and logits are cropped to it. Where a backbone's maps are smaller or larger than the
  image divided by their stride (AlexNet's are), scores are centred, and at the border repeated or
  cropped.

  Attributes, beside `Network`'s:
    classes: number of classes k.
    backbone: the classifier; its own last layers are not used.
    stride: of the finest map that is scored, in pixels.
    hidden: width of fc6 and fc7; 0: the coarsest map is scored as it is.
    window: side of fc6 in pixels of the coarsest map: 7 for VGG, 6 for AlexNet.
    dropout: share of the outputs of fc6 and fc7 set to zero in training (rng stream 'dropout').

  Raises:
    ConfigError: a backbone without `features`, a stride that it does not have, or an unknown
      activation.

  >>> from visionlab.models.cnn import CNN
  >>> model = FCN(3, CNN(1, widths=(4, 8, 8)), stride=4, hidden=0)
  >>> model.init_with_output(jax.random.key(0), jnp.ones((1, 30, 21, 3)))[0].shape
  (1, 30, 21, 3)
  """

  classes: int
  backbone: Any
  stride: Count = 8
  hidden: Natural = 4096
  window: Count = 7
  dropout: Share = .5

  def __post_init__(self):
    check_backbone(self.backbone, 'fcn', 'dict(name="vgg", depth=16)')
    endpoints(self.backbone.strides, self.stride)
    super().__post_init__()

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised images (b h w c) -> logits (b h w k)."""
    height, width = x.shape[1:3]
    (coarsest, top), *finer = endpoints(self.backbone.strides, self.stride).items()
    x = filled_up(x, coarsest)
    maps = self.backbone.features(x, train=train)
    score = partial(Conv, self.classes, (1, 1), dtype=jnp.float32,
                    kernel_init=nn.initializers.zeros)
    scores = score(name=f'score{coarsest}')(self._classified(maps[top], train))
    for stride, name in finer:
      here = score(name=f'score{stride}')(maps[name])
      scores = ConvTranspose(self.classes, 2, name=f'up{stride}')(scores)
      scores = fitted(scores, here.shape[1:3]) + here
    if self.stride > 1:
      scores = ConvTranspose(self.classes, self.stride, frozen=True)(scores)
    return fitted(scores, x.shape[1:3])[:, :height, :width]

  def _classified(self, x, train):
    """The fully connected layers at every place, (b h w c) -> (b h w hidden)."""
    if not self.hidden:
      return x
    for name, side in (('fc6', self.window), ('fc7', 1)):
      x = Conv(self.hidden, (side, side), dtype=self.dtype, name=name)(x)
      x = nn.Dropout(self.dropout, deterministic=not train)(self.style().act(x))
    return x


def endpoints(strides: Mapping[str, int], finest: int) -> dict[int, str]:
  """The maps that are scored, by stride, from the coarsest to `finest`.

  The coarsest is the network's last; of several maps of a finer stride that which was pooled to it,
  as in the paper, or without such a one the last.

  Raises:
    ConfigError: no map has that stride, or one that lies between.

  >>> endpoints(dict(conv1=1, pool1=2, conv2=2, pool2=4), 2)
  {4: 'pool2', 2: 'pool1'}
  >>> endpoints(dict(stem=1, stage1=1, stage2=2), 1)
  {2: 'stage2', 1: 'stage1'}
  """
  last = {stride: name for name, stride in strides.items()}
  pooled = {stride: name for name, stride in strides.items() if name.startswith('pool')}
  coarsest = max(last)
  wanted, stride = {coarsest: last[coarsest]}, coarsest
  while stride % 2 == 0 and stride // 2 in last:
    stride //= 2
    wanted[stride] = pooled.get(stride, last[stride])
  check_choice(finest, tuple(wanted), 'model.stride of fcn')
  return {stride: name for stride, name in wanted.items() if stride >= finest}


def fitted(x: jax.Array, size: tuple[int, int]) -> jax.Array:
  """The map (b h w c) at another size, its middle in the middle: cropped, or its border repeated.

  >>> fitted(jnp.arange(3.).reshape(1, 1, 3, 1), (1, 6))[0, 0, :, 0].tolist()
  [0.0, 0.0, 1.0, 2.0, 2.0, 2.0]
  """
  missing = [max(0, n - have) for n, have in zip(size, x.shape[1:3], strict=True)]
  if any(missing):
    x = jnp.pad(x, [(0, 0), *((n // 2, n - n // 2) for n in missing), (0, 0)], mode='edge')
  return centre_crop(x, size)
