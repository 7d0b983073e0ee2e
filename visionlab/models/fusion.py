"""Networks of images that see clips: when and how their frames are brought together.

Karpathy et al. 2014, "Large-scale video classification with convolutional neural networks" (CVPR).
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError, check_choice
from visionlab.models.dann import Predictor, check_stand
from visionlab.models.layers import pooled
from visionlab.models.network import Network
from visionlab.models.sequence import Recurrent
from visionlab.options.kinds import Count, Share

FUSIONS = ('single', 'early', 'late', 'slow')
SLOW = ((4, 2), (2, 2), (2, 2))        # extent and stride in time of the first convolutions


class Fusion(Network):
  """A clip's class by any backbone of images.

    single  the middle frame alone
    early   all frames as the channels of one image: the first convolution extends over all time
    late    the first and the last frame, each by the same layers; their maps side by side
    slow    the first three convolutions extend over 4, 2 and 2 responses in time and go on by 2:
            of ten frames 4, 2 and 1 are left. With other numbers of them a last step is shorter

  Attributes, beside `Network`'s:
    classes: number of classes k.
    backbone: a network with `features`; its last map goes on to the classifier. That of slow fusion
      is a chain of convolutions, such as cnn, alexnet, zfnet or vgg.
    fusion: one of the above.
    fovea: two backbones in place of one: the context sees whole frames at half the resolution, the
      fovea their central half as it is. Their last maps side by side go on. The paper leaves out
      the last pooling of both: the backbone should have one less.
    pool, dropout: as in `visionlab.models.dann.DANN`.
    hidden: widths of the classifier's hidden layers.
    axis_name: the mapped axis, under pmap.

  Raises:
    ConfigError: another fusion or pooling, or a backbone that cannot be fused so.
  """

  classes: int
  backbone: Any
  fusion: str = 'slow'
  fovea: bool = False
  pool: str = 'flatten'
  hidden: tuple[Count, ...] = (96,)
  dropout: Share = 0.
  axis_name: str | None = None

  def __post_init__(self):
    check_choice(self.fusion, FUSIONS, 'model.fusion')
    check_stand(self, 'fusion')
    super().__post_init__()

  def setup(self):
    if self.fovea:
      self.context = self.backbone.clone(name='context')
      self.centre = self.backbone.clone(name='centre')
    self.predictor = Predictor(self.classes, self.hidden, self.dropout, self.style())

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised clips (b t h w c) -> logits (b k)."""
    seen = [(self.backbone, x)]
    if self.fovea:
      seen = [(self.context, halved(x)), (self.centre, central(x))]
    maps = [self.fused(backbone, frames, train) for backbone, frames in seen]
    return self.predictor(jnp.concatenate([pooled(m, self.pool) for m in maps], -1), train=train)

  def widened(self, kernel: np.ndarray, channels: int) -> np.ndarray | None:
    """A kernel (h w i o) of a network of images as it starts here, where it sees so many channels:
    of as many moments side by side as there are kernels in it. None if it has no such place."""
    moments, rest = divmod(channels, kernel.shape[2])
    over_time = self.fusion in ('early', 'slow') and not rest
    return inflated(kernel, moments) if over_time else None

  def fused(self, backbone: nn.Module, x: jax.Array, train: bool) -> jax.Array:
    """Clips (b t h w c) -> the last map (b h' w' c') that a backbone makes of them."""
    if self.fusion == 'single':
      return _last(backbone, x[:, x.shape[1] // 2], train)
    if self.fusion == 'early':
      return _last(backbone, stacked(x), train)
    if self.fusion == 'late':
      ends = _last(backbone, jnp.concatenate([x[:, 0], x[:, -1]]), train)
      return jnp.concatenate(jnp.split(ends, 2), -1)
    try:
      with nn.intercept_methods(Extended(SLOW, x.shape[1])):
        y = _last(backbone, jnp.concatenate(list(jnp.moveaxis(x, 1, 0))), train)
    except TypeError as e:      # what goes past a convolution has other moments than what leaves it
      raise ConfigError('model.backbone: slow fusion needs a chain of convolutions, such as '
                        f'dict(name="cnn"), not {type(backbone).__name__}') from e
    return jnp.concatenate(jnp.split(y, y.shape[0] // x.shape[0]), -1)


class FrameLSTM(Network):
  """An LSTM over what a backbone makes of each frame; its last output is classified.

  Donahue et al. 2015, "Long-term recurrent convolutional networks for visual recognition and
  description" (CVPR).

  Attributes, beside `Network`'s:
    classes: number of classes k.
    backbone, pool: as in `Fusion`.
    width: of the LSTM's state.
    dropout: of what the classifier reads.
    remat: for long clips: the backbone sees one moment after the other, and its maps are computed
      anew for the gradient: 36 MB in place of 396 for 8 clips of 64 frames of 64 x 64 and three
      convolutions. BatchNorm's statistics are then those of each moment.
    axis_name: the mapped axis, under pmap.

  Raises:
    ConfigError: another pooling, or a backbone without `features`.
  """

  classes: int
  backbone: Any
  width: Count = 64
  pool: str = 'flatten'
  dropout: Share = 0.
  remat: bool = False
  axis_name: str | None = None

  def __post_init__(self):
    check_stand(self, 'frame_lstm')
    super().__post_init__()

  def setup(self):
    self.reader = Recurrent(self.classes, width=self.width, dropout=self.dropout, dtype=self.dtype)

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised clips (b t h w c) -> logits (b k)."""
    b, t = x.shape[:2]

    def seen(backbone, frames):
      return pooled(_last(backbone, frames, train), self.pool)
    if self.remat and not self.is_initializing():       # what is carried along must be there
      moments = one_by_one(seen)(self.backbone, x)
    else:
      moments = seen(self.backbone, x.reshape(b * t, *x.shape[2:])).reshape(b, t, -1)
    return self.reader(moments, train=train)


def one_by_one(call: Callable) -> Callable:
  """call(module, frames (b h w c)) -> (b d), as one of clips (b t h w c) -> (b t d) that sees one
  moment after the other and keeps nothing of it for the gradient but what came of it."""
  def step(module, _, frames):
    return (), call(module, frames)
  scanned = nn.scan(nn.remat(step, prevent_cse=False), variable_broadcast='params',
                    variable_carry='batch_stats', split_rngs=dict(params=False, dropout=True),
                    in_axes=1, out_axes=1)
  return lambda module, clips: scanned(module, (), clips)[1]


class Extended:
  """An interceptor (`flax.linen.intercept_methods`) by which a network of images, given the frames
  of clips one clip's moment after the other (t*b h w c), has convolutions that extend over time.

  A convolution over time is one over the channels of the frames that it extends over, side by side.

  Args:
    layers: (extent, stride) in time of each convolution, in the order of their calls; those after
      them look at each moment alone.
    moments: t.
  """

  def __init__(self, layers: Sequence[tuple[int, int]], moments: int):
    self.layers, self.moments = list(layers), moments

  def __call__(self, call, inputs, options, context):
    convolves = isinstance(context.module, nn.Conv) and context.method_name == '__call__'
    if not (convolves and self.layers):
      return call(*inputs, **options)
    (extent, stride), (x,) = self.layers.pop(0), inputs
    x = x.reshape(self.moments, -1, *x.shape[1:])
    extent = min(extent, self.moments)
    starts = starts_of(self.moments, extent, stride)
    self.moments = len(starts)
    return call(jnp.concatenate([stacked(jnp.moveaxis(x[i:i + extent], 0, 1)) for i in starts]),
                **options)


def starts_of(moments: int, extent: int, stride: int) -> list[int]:
  """Where, of so many moments, windows start; the last ends with them, so that none is left out.

  >>> starts_of(10, 4, 2), starts_of(4, 2, 2), starts_of(3, 2, 2)
  ([0, 2, 4, 6], [0, 2], [0, 1])
  """
  last = moments - extent
  return [*range(0, last, stride), last]


def _last(backbone, x, train):
  *_, last = backbone.features(x, train=train).values()
  return last


def stacked(x: jax.Array) -> jax.Array:
  """Frames (b t h w c) as one image's channels (b h w t*c): of a flow dx, dy, dx, dy, ... as
  Simonyan and Zisserman stack it."""
  b, t, h, w, c = x.shape
  return jnp.moveaxis(x, 1, 3).reshape(b, h, w, t * c)


def inflated(kernel: np.ndarray, moments: int) -> np.ndarray:
  """A kernel (h w i o) of images as one over moments side by side (h w moments*i o), repeated and
  divided by their number: of a clip that is one image again and again it makes what the image's
  network makes (Carreira and Zisserman 2017, "Quo vadis, action recognition?", CVPR, section 2.4).

  >>> inflated(np.ones((1, 1, 1, 1)), 4).ravel().tolist()
  [0.25, 0.25, 0.25, 0.25]
  """
  return np.tile(kernel, (1, 1, moments, 1)) / moments


def for_flow(kernel: np.ndarray, channels: int) -> np.ndarray:
  """A first layer's kernel (h w c o) of images as one of flow (h w channels o): its mean over the
  colours for each channel (Wang et al. 2015, "Towards good practices for very deep two-stream
  ConvNets", https://arxiv.org/abs/1507.02159, section 3)."""
  return np.repeat(kernel.mean(2, keepdims=True), channels, 2)


def halved(x: jax.Array) -> jax.Array:
  """Frames (b t h w c) at half their height and width: means of 2 x 2 pixels."""
  b, t, h, w, c = x.shape
  if h % 2 or w % 2:
    raise ConfigError(f'model.fovea: halves frames, which {h} x {w} pixels cannot be')
  return x.reshape(b, t, h // 2, 2, w // 2, 2, c).mean((3, 5))


def central(x: jax.Array) -> jax.Array:
  """The centre of frames (b t h w c), half their height and width."""
  h, w = x.shape[2:4]
  return x[:, :, h // 4:h // 4 + h // 2, w // 4:w // 4 + w // 2]
