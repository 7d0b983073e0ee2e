"""Which pixels a unit sees: by arithmetic over the operations of a network, whatever they are.

The positions of pixels are sent through the network in place of its values: each operation gives
the least position that any of its inputs has. Of the rows, the columns and both negated that is
the box of the pixels that a unit depends on, for all units of all layers in one pass. Of a stack
of convolutions it is the well-known r += (k - 1) j, j *= s; and it holds as well for branches,
dilation, attention and whatever else a network is made of, as it follows the traced program.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax
import numpy as np

from visionlab.config import ConfigError, nearest
from visionlab.understand.subject import Subject


@dataclasses.dataclass(frozen=True)
class Field:
  """What the units of a layer see, in pixels.

  Attributes:
    boxes: (h' w' 4) int: top, left, bottom, right of the field of the unit at each place. Padding
      counts as pixels, so that fields at the border reach beyond the image.
    image: (h, w).
  """
  boxes: np.ndarray
  image: tuple[int, int]

  @property
  def size(self) -> tuple[int, int]:
    """Height and width of the largest field."""
    y1, x1, y2, x2 = np.moveaxis(self.boxes, -1, 0)
    return int((y2 - y1).max()), int((x2 - x1).max())

  @property
  def stride(self) -> tuple[int, int]:
    """Pixels from the field of a unit to that of the next; 0 where there is no next."""
    y1, x1 = self.boxes[..., 0], self.boxes[..., 1]
    return int(np.diff(y1[:2, 0]).sum()), int(np.diff(x1[0, :2]).sum())

  @property
  def inside(self) -> np.ndarray:
    """The boxes cut at the image's borders."""
    h, w = self.image
    return np.clip(self.boxes, 0, [h, w, h, w])

  @property
  def centres(self) -> tuple[np.ndarray, np.ndarray]:
    """y (h',) and x (w',) of the fields' centres, a pixel's own being its index."""
    middle = (self.boxes[..., :2] + self.boxes[..., 2:] - 1) / 2
    return middle[:, 0, 0], middle[0, :, 1]


def receptive_fields(subject: Subject, names: Sequence[str] | None = None,
                     shape: tuple[int, int, int] | None = None) -> dict[str, Field]:
  """The fields of the units of each layer: of maps (b h' w' c), and of vectors (b c) as of 1 x 1.

  A unit depends on no pixel outside its box. Where an operation is not known to look at some
  places alone (a loop, a sort), its result is taken to depend on all.

  Args:
    names: the layers, by default all such.
    shape: (h, w, c) of the images, by default the subject's own.

  Raises:
    ConfigError: there is no such layer.
  """
  h, w, _ = shape = tuple(shape or subject.shape)
  there = subject.layers(jax.ShapeDtypeStruct((1, *shape), np.float32))
  own = [n for n in there if len(there[n]) in (2, 4) and there[n][0] == 1]
  names = own if names is None else list(names)
  for name in names:
    if name not in own:
      raise ConfigError(f'layer {name!r}: no map or vector of each image'
                        f'{nearest(name, own)}, so its units have no fields')
  # By name: a dict's entries would come out in another order.
  def read(variables, images):
    maps = dataclasses.replace(subject, variables=variables).read(images, names)[1]
    return [maps[name] for name in names]
  traced = jax.make_jaxpr(read)(subject.variables, jax.ShapeDtypeStruct((4, *shape), np.float32))
  y, x = np.mgrid[:h, :w].astype(np.float32)
  positions = np.broadcast_to(np.stack([y, x, -y, -x])[..., None], (4, *shape))
  weights = [_value(leaf) for leaf in jax.tree.leaves(subject.variables)]
  reached = _follow(traced.jaxpr, list(map(_value, traced.consts)), [*weights, _Least(positions)])
  return {name: _field(one, aval.shape, (h, w))
          for name, one, aval in zip(names, reached, traced.out_avals, strict=True)}


def _field(reached, shape, image):
  place = shape[1:3] if len(shape) == 4 else (1, 1)
  least = reached.position if isinstance(reached, _Least) else np.full(shape, np.inf)
  top, left, bottom, right = least.min(-1).reshape(4, *place)
  boxes = np.stack([top, left, 1 - bottom, 1 - right], -1)
  return Field(np.where(np.isfinite(boxes), boxes, 0).astype(np.int64), image)


@dataclasses.dataclass(frozen=True)
class _Least:
  """The least position that each entry of an array depends on; inf: none.

  What depends on no pixel is a function that gives its value, as few values are asked for.
  """
  position: np.ndarray


def _value(x) -> Callable:
  return lambda: x


def _follow(jaxpr, consts, values) -> list:
  """The results of a traced program, of arguments that are `_Least` or functions of a value."""
  known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *values], strict=True))
  read = lambda x: _value(x.val) if hasattr(x, 'val') else known[x]
  for eqn in jaxpr.eqns:
    known.update(zip(eqn.outvars, _outputs(eqn, [*map(read, eqn.invars)]), strict=True))
  return [*map(read, jaxpr.outvars)]


def _outputs(eqn, inputs) -> list:
  name, params = eqn.primitive.name, eqn.params
  inner = next((params[key] for key in ('call_jaxpr', 'jaxpr', 'call') if key in params), None)
  if inner is not None and name in CALLS:
    consts = list(map(_value, getattr(inner, 'consts', ())))
    return _follow(getattr(inner, 'jaxpr', inner), consts, inputs)
  if not any(isinstance(x, _Least) for x in inputs):
    return _computed(eqn, inputs)
  if name == 'cond' and not isinstance(inputs[0], _Least):
    ways = [_follow(way.jaxpr, list(map(_value, way.consts)), inputs[1:])
            for way in params['branches']]
    return [_least_of(results, out) for results, out in zip(zip(*ways), eqn.outvars, strict=True)]
  if name in ELEMENTWISE:
    return [_least_of(inputs, eqn.outvars[0])]
  first, *others = inputs
  alone = isinstance(first, _Least) and not any(isinstance(x, _Least) for x in others)
  if name in MOVES and alone:
    params = params | ({'fill_value': np.inf} if 'fill_value' in params else {})
    out = eqn.primitive.bind(first.position, *(x() for x in others), **params)
    return [_Least(np.asarray(x)) for x in (out if eqn.primitive.multiple_results else [out])]
  if name in RULES and (alone or name in ('dot_general', 'concatenate')):
    shape = eqn.outvars[0].aval.shape
    return [_Least(np.broadcast_to(RULES[name](eqn, [getattr(x, 'position', None) for x in inputs]),
                                   shape))]
  # Not known: all of the result on all of the inputs.
  least = min(x.position.min() for x in inputs if isinstance(x, _Least))
  return [_Least(np.broadcast_to(least, out.aval.shape)) for out in eqn.outvars]


def _computed(eqn, inputs):
  @functools.cache
  def results():
    out = eqn.primitive.bind(*(x() for x in inputs), **eqn.params)
    return list(out) if eqn.primitive.multiple_results else [out]
  return [lambda i=i: results()[i] for i in range(len(eqn.outvars))]


def _least_of(values, out):
  positions = [x.position for x in values if isinstance(x, _Least)]
  if not positions:
    return _Least(np.broadcast_to(np.float32(np.inf), out.aval.shape))
  return _Least(np.broadcast_to(functools.reduce(np.minimum, positions), out.aval.shape))


def _convolved(eqn, positions):
  numbers, params = eqn.params['dimension_numbers'], eqn.params
  x = positions[0].transpose(numbers.lhs_spec).min(1, keepdims=True)       # (b 1 *spatial)
  taps = [eqn.invars[1].aval.shape[axis] for axis in numbers.rhs_spec[2:]]
  x = _least_in_windows(x, *(((fill, fill, *inside)) for fill, inside in (
      (1, taps), (1, params['window_strides']), ((0, 0), params['padding']),
      (1, params['lhs_dilation']), (1, params['rhs_dilation']))))
  return x.transpose(np.argsort(numbers.out_spec))                         # one channel, for all


def _windows(eqn, positions):
  params = eqn.params
  return _least_in_windows(
      positions[0], params['window_dimensions'], params['window_strides'], params['padding'],
      params['base_dilation'], params['window_dilation'])


def _least_in_windows(x, window, strides, padding, spread, dilation):
  """`reduce_window`; taps are taken axis by axis."""
  for axis in range(x.ndim):
    k, stride, gap = window[axis], strides[axis], dilation[axis]
    x = np.moveaxis(x, axis, 0)
    if spread[axis] > 1:
      spaced = np.full(((len(x) - 1) * spread[axis] + 1, *x.shape[1:]), np.inf, x.dtype)
      spaced[::spread[axis]] = x
      before, after = padding[axis]
      around = [(max(before, 0), max(after, 0)), *[(0, 0)] * (x.ndim - 1)]
      x = np.pad(spaced[max(-before, 0):len(spaced) - max(-after, 0)], around,
                 constant_values=np.inf)
    else:
      x = _extended(x, *padding[axis])
    count = (len(x) - (k - 1) * gap - 1) // stride + 1
    if k > 1 or stride > 1:
      x = functools.reduce(np.minimum, (
          x[i * gap:i * gap + (count - 1) * stride + 1:stride] for i in range(k)))
    x = np.moveaxis(x, 0, axis)
  return x


def _extended(x, before, after):
  """Along the first axis; padding has the positions that pixels there would have."""
  x = x[max(-before, 0):len(x) - max(-after, 0)]
  if max(before, after) <= 0:
    return x
  steps = lambda n: np.arange(1, n + 1, dtype=x.dtype).reshape(-1, *[1] * (x.ndim - 1))
  with np.errstate(invalid='ignore'):
    down, up = (np.nan_to_num(step, posinf=0, neginf=0) for step in (
        (x[:1] - x[1:2], x[-1:] - x[-2:-1]) if len(x) > 1 else (0 * x, 0 * x)))
  return np.concatenate([(x[:1] + down * steps(max(before, 0)))[::-1], x,
                         x[-1:] + up * steps(max(after, 0))])


def _padded(eqn, positions):
  x = positions[0]
  before, after, between = zip(*eqn.params['padding_config'], strict=True)
  return _least_in_windows(x, (1,) * x.ndim, (1,) * x.ndim, list(zip(before, after)),
                           [n + 1 for n in between], (1,) * x.ndim)


def _multiplied(eqn, positions):
  contracted, batched = eqn.params['dimension_numbers']
  shape = eqn.outvars[0].aval.shape
  least = np.full(shape, np.inf, np.float32)
  for side, x in enumerate(positions):
    if x is not None:
      free = [i for i in range(x.ndim) if i not in (*contracted[side], *batched[side])]
      x = x.transpose(*batched[side], *free, *contracted[side])
      x = x.min(tuple(range(x.ndim - len(contracted[side]), x.ndim)))
      shared, own = x.shape[:len(batched[side])], x.shape[len(batched[side]):]
      ones = (1,) * (len(shape) - x.ndim)
      least = np.minimum(least, x.reshape(shared + (own + ones if side == 0 else ones + own)))
  return least


def _joined(eqn, positions):
  return np.concatenate([np.full(var.aval.shape, np.inf, np.float32) if x is None else x
                         for var, x in zip(eqn.invars, positions, strict=True)],
                        eqn.params['dimension'])


def _broadcast(eqn, positions):
  shape, axes = eqn.params['shape'], eqn.params['broadcast_dimensions']
  sides = [1] * len(shape)
  for axis, n in zip(axes, positions[0].shape, strict=True):
    sides[axis] = n
  return positions[0].reshape(sides)


def _sliced(eqn, positions):
  limits = eqn.params['start_indices'], eqn.params['limit_indices']
  strides = eqn.params['strides'] or (1,) * positions[0].ndim
  return positions[0][tuple(map(slice, *limits, strides))]


def _reduced(eqn, positions):
  return positions[0].min(tuple(eqn.params['axes']))


def _along(eqn, positions):
  """Each result of all along an axis."""
  return positions[0].min(eqn.params['axis'], keepdims=True)


def _reshaped(eqn, positions):
  return positions[0].reshape(eqn.outvars[0].aval.shape)


CALLS = ('jit', 'pjit', 'closed_call', 'core_call', 'remat', 'checkpoint', 'custom_jvp_call',
         'custom_vjp_call', 'custom_vmap_call')

ELEMENTWISE = {
  'abs', 'acos', 'acosh', 'add', 'add_any', 'and', 'asin', 'asinh', 'atan', 'atan2', 'atanh',
  'cbrt', 'ceil', 'clamp', 'convert_element_type', 'copy', 'copy_p', 'cos', 'cosh', 'div', 'eq',
  'erf', 'erf_inv', 'erfc', 'exp', 'exp2', 'expm1', 'floor', 'ge', 'gt', 'integer_pow',
  'is_finite', 'le', 'log', 'log1p', 'logistic', 'lt', 'max', 'min', 'mul', 'ne', 'neg',
  'nextafter', 'not', 'optimization_barrier', 'or', 'pow', 'reduce_precision', 'rem', 'round',
  'rsqrt', 'select_n', 'sign', 'sin', 'sinh', 'sqrt', 'square', 'stop_gradient', 'sub', 'tan',
  'tanh', 'xor'}

MOVES = {'dynamic_slice', 'gather', 'split'}

RULES = {
  'conv_general_dilated': _convolved, 'dot_general': _multiplied, 'concatenate': _joined,
  'pad': _padded, 'broadcast_in_dim': _broadcast, 'slice': _sliced,
  'transpose': lambda eqn, positions: positions[0].transpose(eqn.params['permutation']),
  'rev': lambda eqn, positions: np.flip(positions[0], eqn.params['dimensions']),
  **dict.fromkeys(('reshape', 'squeeze', 'expand_dims'), _reshaped),
  **dict.fromkeys(('reduce_window', 'reduce_window_max', 'reduce_window_min', 'reduce_window_sum'),
                  _windows),
  **dict.fromkeys(('argmax', 'argmin', 'reduce_and', 'reduce_max', 'reduce_min', 'reduce_or',
                   'reduce_prod', 'reduce_sum'), _reduced),
  **dict.fromkeys(('cumlogsumexp', 'cummax', 'cummin', 'cumprod', 'cumsum'), _along),
}
