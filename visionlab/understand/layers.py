"""The layers of a network, read and changed from outside while it computes."""

from collections.abc import Callable, Mapping
from functools import lru_cache

import flax.linen as nn
import jax
import numpy as np
from flax.core.tracers import current_trace

from visionlab.models.layers import POINT


def tapped(f: Callable, paths: set[str] | None, offsets: Mapping[str, jax.Array],
           order: dict[str, tuple] | None = None) -> Callable:
  """f, which also gives what layers put out: (f's result, {path: output}).

  Args:
    paths: of modules from the network's root, 'stage4/block2'; None: all.
    offsets: by path, added to outputs.
    order: comes to hold (kind of layer, shape) by path, in the order of the computation.
  """
  def call(*args):
    seen, calls, outer = {}, {}, current_trace()

    def intercept(layer, args, kwargs, context):
      out = layer(*args, **kwargs)
      # Within a scan or a map there are many of it, which belong to that alone.
      path = '/'.join(context.module.path)
      if (context.method_name != '__call__' or not isinstance(out, jax.Array) or out.ndim < 2
          or not path or current_trace() != outer):
        return out
      calls[path] = calls.get(path, -1) + 1
      path += f'@{calls[path]}' if calls[path] else ''
      if path in offsets:
        out = out + offsets[path]
      if order is not None:
        order[path] = type(context.module).__name__.lower(), out.shape
      if paths is None or path in paths:
        seen[path] = out
      return out

    with nn.intercept_methods(intercept):
      result = f(*args)
    return result, seen
  return call


@lru_cache(maxsize=64)
def layers_of(ask, find, tree, leaves, shape):
  """name: (path, shape) of the layers, for images of that shape."""
  variables, images, given, order = _specs(tree, leaves), _spec(shape), None, {}
  if find is not None:
    given = jax.eval_shape(find, variables, images)
  jax.eval_shape(tapped(ask, None, {}, order), variables, images, given)
  there = {}
  for path, (kind, shape) in order.items():
    name = path.replace(POINT, '')
    *parent, last = path.split('/')
    if '/'.join([*parent, POINT + last]) in order:
      name += '.' + kind
    there[name] = path, shape
  return there


@lru_cache(maxsize=64)
def hung_on(ask, find, tree, leaves, shape, names):
  """Those of the layers whose output the answer is computed from."""
  there = layers_of(ask, find, tree, leaves, shape)
  variables, images, given = _specs(tree, leaves), _spec(shape), None
  if find is not None:
    given = jax.eval_shape(find, variables, images)
  offsets = {there[name][0]: _spec(there[name][1]) for name in names}
  program = jax.make_jaxpr(lambda offsets, *rest: tapped(ask, set(), offsets)(*rest)[0])(
      offsets, variables, images, given).jaxpr
  needed = {id(v) for v in program.outvars}
  for equation in reversed(program.eqns):
    if any(id(v) in needed for v in equation.outvars):
      needed |= {id(v) for v in equation.invars}
  # The leaves of a dict are in the order of its keys.
  used = {path for path, v in zip(sorted(offsets), program.invars) if id(v) in needed}
  return [name for name in names if there[name][0] in used]


def _specs(tree, leaves):
  return jax.tree.unflatten(tree, [jax.ShapeDtypeStruct(*leaf) for leaf in leaves])


def _spec(shape):
  return jax.ShapeDtypeStruct(shape, np.float32)
