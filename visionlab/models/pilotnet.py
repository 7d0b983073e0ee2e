"""PilotNet: from a camera's view, and perhaps a map, to how to steer; alone, or with a memory."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.models.layers import Conv, Dense, Head, check_size, point
from visionlab.models.network import Network
from visionlab.ops import recurrent
from visionlab.options.kinds import Count

LAYERS = ((5, 2), (5, 2), (5, 2), (3, 1), (3, 1))         # size and stride of each convolution
CHART = ((24, 5), (36, 5), (48, 3))                       # width and size, with strides of 2


class PilotNet(Network):
  """Five convolutions, the last two without a stride, and three hidden layers (Bojarski et al.
  2016, https://arxiv.org/abs/1604.07316, figure 4).

  With the default sizes, 66 x 200 x 3 images and one output it has 252,219 parameters. A map has
  three convolutions of its own, of 24, 36 and 48 channels, and joins before the hidden layers
  (in the manner of Amini et al. 2019, https://arxiv.org/abs/1811.10119).

  Attributes, beside `Network`'s:
    classes: number of outputs k.
    widths: output channels of the convolutions.
    hidden: widths of the hidden layers.
    same: whether the convolutions keep the border, as small images need.

  Raises:
    ConfigError: images of which the convolutions leave nothing.
  """

  classes: int
  widths: tuple[Count, ...] = (24, 36, 48, 64, 64)
  hidden: tuple[Count, ...] = (100, 50, 10)
  same: bool = False

  @nn.compact
  def __call__(self, x: jax.Array | tuple[jax.Array, jax.Array], *, train: bool = False
               ) -> jax.Array:
    """Images (b h w c), or these and maps (b m m d), -> (b k); of clips (b t h w c), with maps
    (b t m m d), each frame by itself -> (b t k)."""
    frames, times = one_by_one(x)
    return over_time(Head(self.classes)(self.hidden_of(frames)), times)

  @nn.nowrap
  def hidden_of(self, x: jax.Array | tuple[jax.Array, jax.Array]) -> jax.Array:
    """What the last hidden layer says (b d)."""
    image, chart = x if isinstance(x, tuple) else (x, None)
    if not self.same:
      check_size('pilotnet', image, 61)                   # what five such layers need
    act, padding = self.style().act, 'SAME' if self.same else 'VALID'
    x = image
    for i, (width, (size, stride)) in enumerate(zip(self.widths, LAYERS, strict=True), 1):
      x = Conv(width, (size, size), (stride, stride), padding, dtype=self.dtype, name=f'conv{i}')(x)
      x = point(f'conv{i}', act(x))
    x = x.reshape(x.shape[0], -1)
    if chart is not None:
      for i, (width, size) in enumerate(CHART, 1):
        chart = act(Conv(width, (size, size), (2, 2), 'SAME', dtype=self.dtype,
                         name=f'chart{i}')(chart))
      x = jnp.concatenate([x, chart.reshape(chart.shape[0], -1)], -1)
    for i, width in enumerate(self.hidden, 1):
      x = act(Dense(width, dtype=self.dtype, name=f'dense{i}')(x))
    return x


class PilotLSTM(PilotNet):
  """PilotNet with an LSTM over its last hidden layer; both are read by the head.

  Attributes, beside `PilotNet`'s:
    memory: width of the LSTM's state.
  """

  memory: Count = 64

  @nn.compact
  def __call__(self, x: jax.Array | tuple[jax.Array, jax.Array],
               state: recurrent.State | None = None, *, train: bool = False
               ) -> jax.Array | tuple[jax.Array, recurrent.State]:
    """As `PilotNet`, of images as of clips of one frame.

    Args:
      state: of the LSTM before the first frame, see `begin`; None: it has seen nothing.

    Returns:
      (b t k), or of images (b k); with a state also that after the last frame.
    """
    frames, times = one_by_one(x)
    hidden = self.hidden_of(frames)
    steps = over_time(hidden, times) if times else hidden[:, None]
    params = self.param('lstm', lambda key: recurrent.init(
        key, recurrent.LSTM, steps.shape[-1], self.memory))
    before = self.begin(len(steps)) if state is None else state
    known, after = recurrent.run(recurrent.LSTM, params, before, steps.astype(jnp.float32))
    out = Head(self.classes)(jnp.concatenate([steps, known.astype(steps.dtype)], -1))
    out = out if times else out[:, 0]
    return out if state is None else (out, after)

  @nn.nowrap
  def begin(self, b: int) -> recurrent.State:
    """The state, arrays (b h), before the first frame of b drives."""
    return (jnp.zeros((b, self.memory)),) * recurrent.LSTM.parts


def one_by_one(x) -> tuple:
  """Images with their maps as they are, and (); of clips (b t ...) frames (b*t ...), and (b, t)."""
  image = x[0] if isinstance(x, tuple) else x
  if image.ndim < 5:
    return x, ()
  return jax.tree.map(lambda part: part.reshape(-1, *part.shape[2:]), x), image.shape[:2]


def over_time(x: jax.Array, times: tuple[int, ...]) -> jax.Array:
  """What was said of frames (b*t k), of each clip (b t k)."""
  return x.reshape(*times, -1) if times else x
