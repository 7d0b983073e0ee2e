"""Where all maps of a network agree, from the last down to the image; it asks for no target."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError
from visionlab.models.layers import POINT
from visionlab.understand.explained import checked, judged
from visionlab.understand.subject import Subject, in_chunks

EPSILON = 1e-12


class Window(NamedTuple):
  """What of a map one place of the next one sees: sides and strides, (height, width)."""
  sides: tuple[int, int]
  strides: tuple[int, int]


def visual_backprop(subject: Subject, images: jax.Array, *, at: Sequence[str] | None = None,
                    given: Mapping | None = None, chunk: int = 16) -> np.ndarray:
  """VisualBackProp (Bojarski et al. 2016, https://arxiv.org/abs/1611.05418).

  From the last map down to the first, the mean of a map's channels times the mask from above, which
  is enlarged to it by a transposed convolution of ones: of the kernel and stride of the convolution
  that leads from the one map to the other, if there is one alone, else of the ratio of their sizes.

  Args:
    at: maps in the order of the computation, none larger than the one before it; by default the
      network's own maps, after their activations, of each size the last.
    Others as for `visionlab.understand.attribute.saliency`.

  Returns:
    (b h w), least 0 and largest 1.

  Raises:
    ConfigError: no such layer, one without places, or a network that has none with.
  """
  images = checked(subject, images)
  names, windows = path_of_maps(subject, images, at)
  given = in_chunks(subject.given, chunk, images) if given is None else given
  return judged(in_chunks(lambda x, g: _masks(subject, x, g, names, windows), chunk, images, given))


def path_of_maps(subject: Subject, images: np.ndarray,
                 at: Sequence[str] | None) -> tuple[tuple[str, ...], tuple[Window, ...]]:
  """The names of the maps, and the window of each in what is before it, the image first."""
  shapes, order = subject.layers(images), _order(subject, images)
  if at is None:
    names = _own(order, shapes) or [subject.last_map(images)]
  else:
    names = [subject.layer(name, images) for name in at]
  flat = [name for name in names if len(shapes[name]) != 4]
  if flat or not names:
    raise ConfigError(f'at: VisualBackProp looks at maps (b h w c), not at {flat or "none"}')
  sizes = [images.shape[1:3], *(shapes[name][1:3] for name in names)]
  places = [-1, *(next(i for i, (path, _) in enumerate(order) if _is(path, name))
                  for name in names)]
  windows = []
  for i, name in enumerate(names):
    if places[i] >= places[i + 1] or any(np.greater(sizes[i + 1], sizes[i])):
      raise ConfigError(f'at: {name!r} is to come after the map before it, and be no larger')
    between = [conv for _, conv in order[places[i] + 1:places[i + 1] + 1] if conv]
    windows.append(_window(between, sizes[i], sizes[i + 1]))
  return tuple(names), tuple(windows)


@partial(jax.jit, static_argnames=('names', 'windows'))
def _masks(subject, images, given, names, windows):
  _, maps = subject.read(images, names, given)
  sizes = [images.shape[1:3], *(maps[name].shape[1:3] for name in names)]
  mask = jnp.ones(maps[names[-1]].shape[:3])
  for i in reversed(range(len(names))):
    mask = mask * maps[names[i]].mean(-1)
    mask = mask / (abs(mask).max((1, 2), keepdims=True) + EPSILON)
    mask = enlarged(mask, windows[i], sizes[i])
  mask = mask - mask.min((1, 2), keepdims=True)
  return mask / (mask.max((1, 2), keepdims=True) + EPSILON)


def enlarged(mask: jax.Array, window: Window, size: tuple[int, int]) -> jax.Array:
  """A transposed convolution of ones of (b h w), and of that the middle of `size`; zeros where it
  does not reach."""
  for axis, (side, stride) in enumerate(zip(*window, strict=True), 1):
    n = mask.shape[axis]
    length = (n - 1) * stride + side
    sees = np.zeros((length, n), np.float32)
    for i in range(n):
      sees[i * stride:i * stride + side, i] = 1
    cut = max(length - size[axis - 1], 0) // 2
    sees = sees[cut:cut + size[axis - 1]]
    sees = np.pad(sees, ((0, size[axis - 1] - len(sees)), (0, 0)))
    mask = jnp.moveaxis(jnp.tensordot(mask, sees, (axis, 1)), -1, axis)
  return mask


def _order(subject, images):
  """(path, (Window, size of what it sees, size of its map) of a convolution or None) of all layers,
  in the order of the computation."""
  order = []

  def intercept(layer, args, kwargs, context):
    out, module = layer(*args, **kwargs), context.module
    if context.method_name == '__call__' and module.path:
      conv = isinstance(module, nn.Conv) and len(module.kernel_size) == 2
      strides = np.broadcast_to(module.strides or 1, 2).tolist() if conv else ()
      window = Window(tuple(module.kernel_size), tuple(strides)) if conv else None
      order.append(('/'.join(module.path),
                    (window, args[0].shape[1:3], out.shape[1:3]) if conv else None))
    return out
  with nn.intercept_methods(intercept):
    jax.eval_shape(subject.answer, jax.ShapeDtypeStruct(images.shape, np.float32))
  return order


def _own(order, shapes):
  """Names of the maps that the network, or its backbone, marks: of each size the last."""
  marked = [path.replace(POINT, '') for path, _ in order if path.split('/')[-1].startswith(POINT)]
  maps = [name for name in marked if len(shapes.get(name, ())) == 4 and min(shapes[name][1:3]) > 1]
  maps = [name for name in maps if 'backbone/' in name] or maps
  return list({shapes[name][1:3]: name for name in maps}.values())


def _is(path, name):
  """Whether a layer's path is that of a name of `Subject.layers`."""
  parent, _, last = name.rpartition('/')
  own, dot, _ = last.rpartition('.')
  if dot:                                        # a layer beside the map of its name
    return path == f'{parent}/{own}'.lstrip('/')
  return path.replace(POINT, '') == name and (POINT in path or '.' not in last)


def _window(between, size, next_size):
  if len(between) != 1:
    ratio = tuple(-(-n // m) for n, m in zip(size, next_size, strict=True))
    return Window(ratio, ratio)
  (sides, strides), seen, own = between[0]
  # Pooling before the convolution, and after it: a place sees all that the pooled places see.
  before = [max(round(n / m), 1) for n, m in zip(size, seen, strict=True)]
  after = [max(round(n / m), 1) for n, m in zip(own, next_size, strict=True)]
  parts = list(zip(sides, strides, before, after, strict=True))
  return Window(tuple((k + s * (a - 1)) * b for k, s, b, a in parts),
                tuple(s * a * b for _, s, b, a in parts))
