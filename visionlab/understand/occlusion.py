"""Which pixels an answer hangs on, found by hiding them."""

from collections.abc import Mapping, Sequence
from functools import partial

import jax
import numpy as np

from visionlab.config import ConfigError
from visionlab.understand.baselines import baseline
from visionlab.understand.explained import checked, fixed, judged, scored
from visionlab.understand.subject import Subject, in_chunks
from visionlab.understand.targets import Target

BLOCKS = 6                     # of the default side, along an image's shorter side


def occlusion(subject: Subject, images: jax.Array, target: Target | Sequence = None, *,
              window: int | tuple[int, int] | None = None,
              stride: int | tuple[int, int] | None = None, fill='grey',
              given: Mapping | None = None, chunk: int = 16) -> np.ndarray:
  """How much a target falls where a block covers a pixel (Zeiler and Fergus 2014, section 4.2).

  A block is laid on each place of a grid, ceil((n - window) / stride) + 1 along n pixels, the last
  one cut by the border. A pixel gets the mean fall over the blocks that cover it, and 0 where none
  does (a stride above the window). Any answer can be explained, it needs no gradient.

  Args:
    window: side of the block in pixels, or (height, width); by default a sixth of the shorter side.
    stride: between blocks; by default half the window.
    fill: what covers, as `visionlab.understand.baselines.baseline` takes it.
    chunk: covered images at a time, whichever image they are of.
    Others as for `visionlab.understand.attribute.saliency`. The target stays that of the image as
      it is: its class, its pixels of that class, its boxes, its words.

  Returns:
    (b h w), in units of the target; negative where the block helps.

  Raises:
    ConfigError: no such class; images that the network cannot look at; a window that is none.
  """
  images = checked(subject, images)
  size = images.shape[-3:-1]
  window = _pair(window or max(min(size) // BLOCKS, 1), 'window', size)
  stride = _pair(stride or tuple(max(n // 2, 1) for n in window), 'stride')
  rows, columns = (covers(*one) for one in zip(size, window, stride, strict=True))
  select, index = subject.target(target)
  given = in_chunks(subject.given, chunk, images) if given is None else given
  index = np.broadcast_to(index, (len(images),))
  whole, weights = in_chunks(partial(_whole, subject, select), chunk, images, index, given)
  kept = jax.device_put((images, baseline(images, fill), weights, given))
  which, top, left = (axis.ravel() for axis in np.indices((len(images), len(rows), len(columns))))
  covered = in_chunks(partial(_covered, subject, select, kept), chunk, which, rows[top],
                      columns[left])
  falls = whole[:, None, None] - covered.reshape(len(images), len(rows), len(columns))
  often = np.maximum(np.outer(rows.sum(0), columns.sum(0)), 1)
  return judged(np.einsum('bij,ih,jw->bhw', falls, rows, columns, optimize=True) / often)


def covers(n: int, window: int, stride: int) -> np.ndarray:
  """(blocks n) float32: 1 where a block covers a pixel, along one axis.

  >>> covers(5, 2, 2).tolist()
  [[1.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0]]
  """
  first = stride * np.arange(-(-max(n - window, 0) // stride) + 1)[:, None]
  pixel = np.arange(n)
  return ((pixel >= first) & (pixel < first + window)).astype(np.float32)


@partial(jax.jit, static_argnames='select')
def _whole(subject, select, images, index, given):
  answer = subject.answer(images, given)
  weights = fixed(answer, select, index)
  return scored(answer, select, weights), weights


@partial(jax.jit, static_argnames='select')
def _covered(subject, select, kept, which, rows, columns):
  images, fill, weights, given = jax.tree.map(lambda x: x[which], kept)
  hidden = rows[:, :, None, None] * columns[:, None, :, None]
  hidden = hidden.reshape(len(which), *[1] * (images.ndim - 4), *hidden.shape[1:])
  answer = subject.answer(images + hidden * (fill - images), given)
  return scored(answer, select, weights)


def _pair(value, name, most=None):
  height, width = value if isinstance(value, tuple | list) else (value, value)
  if min(height, width) < 1 or most and (height > most[0] or width > most[1]):
    raise ConfigError(f'{name}: expected a side of 1 pixel or more, or (height, width)'
                      f'{f", at most {most[0]} x {most[1]}" if most else ""}; got {value!r}')
  return int(height), int(width)
