"""What a network sees of images before it decides: named feature maps, and a vector for each image.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.config import ConfigError, nearest
from visionlab.models.layers import POINT
from visionlab.models.two_column import TwoColumn
from visionlab.task import Task, Variables
from visionlab.understand.layers import tapped

ALL = 'all'
Features = Callable[[Variables, Mapping[str, jax.Array]], Any]


def features_of(task: Task, maps: str | Sequence[str] = ()) -> tuple[Features, list[str]]:
  """A function (variables, batch with `image` (b h w c)) -> features, float32, to be compiled; and
  the names of maps in the order of the network, which compiled functions do not keep: the list is
  filled when the function is traced.

  Args:
    maps: the name of one map: (b h w c); names of several, or 'all': a dict of them. By default a
      vector for each image (b d), see `embedding`.

  Raises:
    ConfigError: the task has no network of images; or, when it is traced, there is no such map.
  """
  model, preprocess = getattr(task, 'model', None), getattr(task, 'preprocess', None)
  if not isinstance(model, nn.Module) or preprocess is None:
    raise ConfigError(f'{type(task).__name__} has no network of images whose features could be had')

  names = []

  def ask(variables, batch):
    x = preprocess(batch['image'])
    if not maps:
      return embedding(model, variables, x).astype(jnp.float32)
    found = feature_maps(model, variables, x)
    one = isinstance(maps, str) and maps != ALL
    wanted = [maps] if one else found if maps == ALL else maps
    for name in wanted:
      if name not in found:
        raise ConfigError(f'no feature map {name!r}{nearest(name, found)}; there are: '
                          f'{", ".join(found)}')
    names[:] = [name for name in found if name in wanted]
    chosen = {name: found[name].astype(jnp.float32) for name in wanted}
    return chosen[maps] if one else chosen
  return ask, names


def feature_maps(model: nn.Module, variables: Variables, x: jax.Array) -> dict[str, jax.Array]:
  """Of normalised images (b h w c), in the order in which they are made: the maps that the network
  or its backbone names or, where neither does, what its own layers give, by their names."""
  naming = _naming(model)
  if naming:
    return model.apply(variables, x, method=naming)
  apply = lambda variables, x: model.apply(variables, x, train=False)
  _, layers = tapped(apply, None, {})(variables, x)
  found = {path.removeprefix(POINT): out for path, out in layers.items() if '/' not in path}
  if not found:
    raise ConfigError(f'{type(model).__name__} names no feature maps: it has neither a method '
                      '`features` nor layers of its own')
  return found


def embedding(model: nn.Module, variables: Variables, x: jax.Array) -> jax.Array:
  """Of normalised images (b h w c) a vector each, (b d): what a classifier's last fully connected
  layer is given, as timm's networks give with `num_classes=0`.

  Of a network that is built upon a backbone, or has no such layer, it is the mean over places of
  the last map before its answer.
  """
  given = []

  def note(call, inputs, options, context):
    if isinstance(context.module, nn.Dense) and context.method_name == '__call__':
      given.append(inputs[0])
    return call(*inputs, **options)
  if getattr(model, 'backbone', None) is None:
    with nn.intercept_methods(note):
      model.apply(variables, x, train=False)
  whole = [y for y in given if y.shape[:-1] == x.shape[:1]]
  if whole:
    return whole[-1]
  maps = [y for y in feature_maps(model, variables, x).values() if y.ndim > 2]
  last = maps[-1] if _naming(model) or len(maps) < 2 else maps[-2]     # the very last is the answer
  return last.mean(range(1, last.ndim - 1))


def _naming(model: nn.Module) -> Callable[[nn.Module, jax.Array], dict[str, jax.Array]] | None:
  """(model, x) -> maps by name, of a model in which something names them."""
  if isinstance(model, TwoColumn):
    return lambda m, x: m.maps(x, 'target')
  if hasattr(getattr(model, 'backbone', None), 'features'):
    return lambda m, x: m.backbone.features(x, train=False)
  return (lambda m, x: m.features(x, train=False)) if hasattr(model, 'features') else None
