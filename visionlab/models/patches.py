"""Segmentation by classifying the patch around each pixel, as before fully convolutional networks.

Ciresan et al. 2012 ("Deep neural networks segment neuronal membranes in electron microscopy
images") slid such a network over images. Neighbouring patches overlap almost wholly; shared, the
same sums take a fraction of the time.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from visionlab.config import ConfigError
from visionlab.models.layers import Conv, Head
from visionlab.models.network import Network
from visionlab.ops.pool import max_pool
from visionlab.options.kinds import Count, Share


class PatchClassifier(Network):
  """Classifies the centre pixel of patches: convolutions and pooling, a hidden layer, a head.

  `__call__` gives what `classify` says of the patch around every pixel, in one pass and with the
  same parameters. Where `classify` pools to half the size, the pass keeps all pixels and spreads
  the taps of every layer that follows by 2 ("a trous", the stitched shifts of Sermanet et al.
  2013, https://arxiv.org/abs/1312.6229). So a step on whole images is one on all their patches as
  a batch (Long et al. 2015, https://arxiv.org/abs/1411.4038, section 3.4).

  The centre of a patch is its pixel (patch // 2, patch // 2), which for an even side is the lower
  right one of the middle four. Beyond the border an image goes on with zeros.

  Attributes, beside `Network`'s:
    classes: number of classes k.
    patch: side of the patches, in pixels.
    widths: channels of each stage, a 3 x 3 convolution that shrinks the map by 2 pixels, and 2 x 2
      max-pooling, which leaves an odd last row and column out.
    hidden: width of the hidden layer, which sees the whole map left by the last stage.
    dropout: share of the hidden layer's units set to zero in training (rng stream 'dropout').

  Raises:
    ConfigError: a patch too small for its stages, or an unknown activation.
  """

  classes: int
  patch: Count = 33
  widths: tuple[Count, ...] = (16, 32, 64)
  hidden: Count = 128
  dropout: Share = 0.

  def __post_init__(self):
    check_patch(self.patch, len(self.widths))
    super().__post_init__()

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised images (b h w c) -> logits of every pixel (b h w k)."""
    height, width = x.shape[1:3]
    logits = self._logits(padded(x, self.patch), shared=True, train=train)
    return logits[:, :height, :width]      # a patch may be larger than what its classifier sees

  def classify(self, patches: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised patches (n patch patch c) -> logits of their centres (n k).

    Raises:
      ConfigError: patches of another size.
    """
    if patches.shape[1:3] != (self.patch, self.patch):
      raise ConfigError(f'patch_classifier: expected patches of {self.patch} x {self.patch} pixels,'
                        f' got {patches.shape[1]} x {patches.shape[2]}')
    return self._logits(patches, shared=False, train=train)[:, 0, 0]

  def windows(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised images (b h w c) -> logits (b h' w' k) of the patches within them whose corners
    lie at multiples of 2 ** len(widths) pixels: as `classify` says, in one pass."""
    return self._logits(x, shared=False, train=train)

  @nn.compact
  def _logits(self, x, *, shared, train):
    act, side, spread = self.style().act, self.patch, 1
    for i, width in enumerate(self.widths):
      x = Conv(width, (3, 3), padding='VALID', kernel_dilation=spread, dtype=self.dtype,
               name=f'conv{i + 1}')(x)
      x = act(_max_of_pairs(x, spread) if shared else max_pool(x, 2))
      side = (side - 2) // 2
      spread *= 2 if shared else 1
    x = act(Conv(self.hidden, (side, side), padding='VALID', kernel_dilation=spread,
                 dtype=self.dtype, name='hidden')(x))
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return Head(self.classes)(x)


def classify_patches(model: PatchClassifier, variables, images: jax.Array, *,
                     chunk: int = 256) -> jax.Array:
  """What `model` says of the patch around every pixel, patch by patch: the slow way.

  Args:
    images: normalised (b h w c).
    chunk: patches at a time, which bounds the memory.

  Returns:
    (b h w k), equal to `model.apply(variables, images)` but for rounding.

  >>> model = PatchClassifier(2, patch=9, widths=(4,), hidden=4)
  >>> images = jnp.ones((1, 5, 6, 1))
  >>> variables = model.init(jax.random.key(0), images)
  >>> classify_patches(model, variables, images, chunk=16).shape
  (1, 5, 6, 2)
  """
  b, h, w, _ = images.shape
  around = padded(images, model.patch)

  def classify(places):
    return model.apply(variables, cut(around, places, model.patch), method='classify')
  places = jnp.stack(jnp.meshgrid(*map(jnp.arange, (b, h, w)), indexing='ij'), -1).reshape(-1, 3)
  places = jnp.pad(places, ((0, -len(places) % chunk), (0, 0)))
  logits = lax.map(classify, places.reshape(-1, chunk, 3))
  return logits.reshape(-1, model.classes)[:b * h * w].reshape(b, h, w, model.classes)


def cut(images: jax.Array, places: jax.Array, side: int) -> jax.Array:
  """The patches (n side side c) of images (b h w c) with their corners at places (n 3): the number
  of the image, the row and the column."""
  size = (1, side, side, images.shape[-1])
  return jax.vmap(lambda at: lax.dynamic_slice(images, (*at, 0), size)[0])(places)


def padded(x: jax.Array, patch: int) -> jax.Array:
  """Images (b h w c) with the zeros that the patches of their border pixels reach into."""
  around = (patch // 2, (patch - 1) // 2)
  return jnp.pad(x, ((0, 0), around, around, (0, 0)))


def check_patch(patch: int, stages: int) -> None:
  """Raises `ConfigError` where a patch is too small for its stages."""
  least = smallest_patch(stages)
  if patch < least:
    raise ConfigError(f'model.patch: {stages} stages need patches of at least {least} pixels, not '
                      f'{patch}')


def smallest_patch(stages: int) -> int:
  """The least side of which that many stages leave a pixel.

  >>> [smallest_patch(n) for n in range(4)]
  [1, 4, 10, 22]
  """
  return 3 * 2 ** stages - 2


def _max_of_pairs(x, spread):
  """The maximum of each pixel, those `spread` away to the right and below, and the one across."""
  x = jnp.maximum(x[:, :-spread], x[:, spread:])
  return jnp.maximum(x[:, :, :-spread], x[:, :, spread:])
