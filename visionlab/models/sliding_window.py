"""A classifier that slides over the image, as detectors did before there were proposals."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError
from visionlab.models.network import Network
from visionlab.models.patches import PatchClassifier, check_patch, cut
from visionlab.options.kinds import Count, Share


class SlidingWindow(Network):
  """Every window of several shapes, on a grid, is classified: an object of a class, or background.

  For each shape the image is resized so that the window becomes a square of `patch` pixels. Then
  the classifier is a convolution, which shares what overlapping windows have in common
  (OverFeat, https://arxiv.org/abs/1312.6229): one pass over the resized image gives the logits of
  all windows of that shape, 2 ** len(widths) of its pixels apart. Not `shared`, the windows are cut
  out and classified one by one, which says the same at many times the cost.

  Attributes, beside `Network`'s:
    classes: k, without the background, which is the first logit.
    shapes: (height, width) of each kind of window, in pixels.
    patch: side of what the classifier sees.
    shared: whether windows share what they have in common.
    widths, hidden, dropout: of `visionlab.models.patches.PatchClassifier`.

  Raises:
    ConfigError: no shape, a patch too small for its stages, or an unknown activation; when it is
      called, an image that is smaller than a window.

  >>> model = SlidingWindow(3, shapes=((32, 16),), patch=16, widths=(4, 4), hidden=8)
  >>> outputs, _ = model.init_with_output(jax.random.key(0), jnp.ones((1, 48, 24, 3)))
  >>> outputs.shape, model.windows((48, 24))[-1].tolist()
  ((1, 9, 4), [8.0, 16.0, 24.0, 48.0])
  """

  classes: int
  shapes: tuple = ((64, 64),)
  patch: Count = 32
  shared: bool = True
  widths: tuple[Count, ...] = (16, 32, 64)
  hidden: Count = 128
  dropout: Share = 0.

  masks, keypoints = False, 0

  def __post_init__(self):
    if not self.shapes or any(not isinstance(s, tuple) or len(s) != 2 or min(s) < 1
                              for s in self.shapes):
      raise ConfigError('model.shapes of sliding_window: expected (height, width) for each kind of '
                        f'window, such as ((64, 64), (64, 32)), got {self.shapes}')
    check_patch(self.patch, len(self.widths))
    super().__post_init__()

  def setup(self):
    self.classifier = PatchClassifier(1 + self.classes, self.patch, self.widths, self.hidden,
                                      self.dropout, act=self.act, dtype=self.dtype)

  @property
  def stride(self) -> int:
    """Between windows, in pixels of the resized image."""
    return 2 ** len(self.widths)

  def windows(self, size: tuple[int, int]) -> np.ndarray:
    """All windows (n 4) of an image of that size (h, w), in pixels, in the order of the logits."""
    boxes = []
    for resized in self._sizes(size):
      rows, columns = self._grid(resized)
      y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing='ij')
      corner = np.stack([x, y], -1).reshape(-1, 2) * self.stride
      scale = np.divide(size, resized)[::-1]
      boxes.append(np.concatenate([corner * scale, (corner + self.patch) * scale], -1))
    return np.concatenate(boxes).astype(np.float32)

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised images (b h w c) -> logits of all windows (b n 1+k)."""
    if not self.shared:
      return self.one_by_one(x, train=train)
    logits = []
    for image in self._resized(x):
      # A patch may be larger than what its classifier sees: then there is room for more.
      rows, columns = self._grid(image.shape[1:3])
      said = self.classifier.windows(image, train=train)[:, :rows, :columns]
      logits.append(said.reshape(x.shape[0], -1, 1 + self.classes))
    return jnp.concatenate(logits, 1)

  def one_by_one(self, x: jax.Array, *, train: bool = False, chunk: int = 256) -> jax.Array:
    """The logits of windows that are cut out, `chunk` at a time."""
    logits = []
    for image in self._resized(x):
      grid = jnp.meshgrid(*map(jnp.arange, (x.shape[0], *self._grid(image.shape[1:3]))),
                          indexing='ij')
      places = jnp.stack(grid, -1).reshape(-1, 3) * jnp.array([1, self.stride, self.stride])
      said = [self.classifier.classify(cut(image, some, self.patch), train=train)
              for some in jnp.split(places, list(range(chunk, len(places), chunk)))]
      logits.append(jnp.concatenate(said).reshape(x.shape[0], -1, 1 + self.classes))
    return jnp.concatenate(logits, 1)

  def _resized(self, x):
    """The images, for each shape of window resized."""
    for size in self._sizes(x.shape[1:3]):
      yield jax.image.resize(x, (x.shape[0], *size, x.shape[3]), 'linear')

  def _sizes(self, size):
    sizes = [tuple(math.floor(n * self.patch / side) for n, side in zip(size, shape, strict=True))
             for shape in self.shapes]
    for shape, resized in zip(self.shapes, sizes, strict=True):
      if min(resized) < self.patch:
        raise ConfigError(f'model.shapes of sliding_window: a window of {shape[0]}x{shape[1]} '
                          f'pixels does not fit into an image of {size[0]}x{size[1]}')
    return sizes

  def _grid(self, size):
    """Rows and columns of windows in a resized image."""
    return tuple((n - self.patch) // self.stride + 1 for n in size)
