"""The filters of a network's first layer as pictures."""

import numpy as np
from jax import tree_util

from visionlab.config import ConfigError
from visionlab.figures import drawing
from visionlab.understand.subject import Subject


def first_filters(subject: Subject) -> tuple[str, np.ndarray]:
  """The kernel of the network's first convolution.

  Returns:
    its name, and (kh kw c n) f32 with the channels in the images' order, RGB.

  Raises:
    ConfigError: a network that has none.
  """
  kernels = {'/'.join(str(key.key) for key in path[:-1]): np.asarray(leaf, np.float32)
             for path, leaf in tree_util.tree_leaves_with_path(subject.variables['params'])
             if path[-1].key == 'kernel' and leaf.ndim == 4}
  names = (name.removesuffix('.conv') for name in subject.layers())
  name = next((name for name in names if name in kernels), None)
  if name is None:
    raise ConfigError('filters: this network has no convolutions')
  kernel = kernels[name]
  return name, kernel[:, :, ::-1] if reversed_channels(subject) else kernel


def reversed_channels(subject: Subject) -> bool:
  """Whether the network sees BGR, as its task's preprocess says."""
  preprocess = getattr(getattr(subject.ask, 'task', None), 'preprocess', None)
  return getattr(preprocess, 'channel_order', 'RGB') == 'BGR'


def filter_tiles(kernel: np.ndarray) -> np.ndarray:
  """Filters (kh kw c n) as pictures in [0, 1]: (n kh kw 3) in colour where c is 3, else
  (n c kh kw 1), each channel for itself. The least and the largest of a filter's weights, over all
  its channels, are 0 and 1; a filter of equal weights is grey.

  >>> filter_tiles(np.arange(4.).reshape(1, 4, 1, 1))[0, 0, 0, :, 0].tolist()
  [0.0, 0.3333333333333333, 0.6666666666666666, 1.0]
  """
  low, high = kernel.min((0, 1, 2)), kernel.max((0, 1, 2))
  span = np.where(high > low, high - low, 1)
  scaled = np.where(high > low, (kernel - low) / span, .5)
  if kernel.shape[2] == 3:
    return scaled.transpose(3, 0, 1, 2)
  return scaled.transpose(3, 2, 0, 1)[..., None]


def filter_sheet(kernel: np.ndarray, *, zoom: int = 0) -> np.ndarray:
  """One picture (h w 3) uint8 of filters (kh kw c n): tiles in rows where c is 3 or 1, else each
  filter a column, a row for each channel.

  zoom: pixels a weight; 0: about 48 pixels a tile.
  """
  tiles = filter_tiles(kernel)
  zoom = zoom or max(1, 48 // max(kernel.shape[:2]))
  draw = lambda tile: drawing.as_picture(tile, zoom)
  if kernel.shape[2] in (1, 3):
    tiles = tiles.reshape(-1, *tiles.shape[-3:])
    across = int(np.ceil(np.sqrt(len(tiles) * 1.6)))
    rows = [tiles[i:i + across] for i in range(0, len(tiles), across)]
  else:
    rows = list(tiles.swapaxes(0, 1))
  return drawing.below([drawing.beside(list(map(draw, row)), 2) for row in rows], 2)
