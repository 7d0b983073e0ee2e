"""What is looked into: a network with its weights, whose answers and maps can be asked for."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from visionlab.config import ConfigError, nearest
from visionlab.ops.image import to_float
from visionlab.task import Variables
from visionlab.understand.layers import hung_on, layers_of, tapped
from visionlab.understand.networks import Applied, Rebuilt, of_module, with_act
from visionlab.understand.targets import LARGEST, Answer, Target

SHOWN = 40            # names that an error lists


@partial(jax.tree_util.register_dataclass, data_fields=['variables'],
         meta_fields=['ask', 'find', 'model', 'rebuilt', 'shape', 'classes'])
@dataclasses.dataclass(frozen=True)
class Subject:
  """A network that is looked into. A pytree: jitted functions take it as it is, and are compiled
  once for all weights of a network.

  Attributes:
    ask: (variables, images (b h w c) in [0, 1], given) -> its answer, a dict of arrays.
    find: (variables, images) -> `given`, what answers are about, such as boxes; None: nothing.
    model: the linen module in it, or None.
    rebuilt: model -> (ask, find) of the same network in another form, or None.
    shape: (h, w, c) of the images it is made for.
    classes: their names, where it has any.
  """
  variables: Variables
  ask: Callable
  find: Callable | None
  model: nn.Module | None
  rebuilt: Callable | None
  shape: tuple[int, int, int]
  classes: tuple[str, ...] = ()

  @staticmethod
  def of(network: Any, shape: tuple[int, int, int] | None = None,
         classes: Sequence[str] = ()) -> 'Subject':
    """The subject of a run, or of a network of one's own.

    Args:
      network: what `visionlab.load` gives; or (module, variables) of a linen module, or
        (apply, variables) with apply(variables, images in [0, 1]) -> logits (b k), or a dict.
      shape: (h, w, c) of its images; a run has its own.
      classes: their names; a run has its own.

    Raises:
      ConfigError: a task that has no `answer`, or a network without a shape.
    """
    if isinstance(network, Subject):
      return network
    if isinstance(network, tuple) and len(network) == 2:
      module, variables = network
      if shape is None:
        raise ConfigError('Subject.of: a network of your own needs the shape (h, w, c) of its '
                          'images')
      model = module if isinstance(module, nn.Module) else None
      rebuilt = of_module if model is not None else None
      ask, find = of_module(module) if model is not None else (Applied(module), None)
      return Subject(variables, ask, find, model, rebuilt, tuple(shape), tuple(classes))
    task = network.task
    if network.facts.frames:
      raise ConfigError(f'{network!r}: only networks of images can be looked into')
    if not hasattr(task, 'answer'):
      raise ConfigError(f'{type(task).__name__}: this task has no method `answer`, which says '
                        'what its network answers, differentiably; see visionlab.task')
    rebuilt = Rebuilt(task)
    ask, find = rebuilt(task.model)
    return Subject(network.variables, ask, find, task.model, rebuilt,
                   tuple(shape or network.canvas.shape), tuple(classes or network.classes))

  def given(self, images: jax.Array) -> Mapping[str, jax.Array] | None:
    """What answers of images are about by default: what the network finds there, such as `boxes`
    (b 4) or `tokens` (b t); None where answers are about the whole image."""
    return None if self.find is None else _found(self, floats(images))

  def answer(self, images: jax.Array, given: Mapping | None = None) -> Answer:
    """What the network says of images (b h w c), uint8 or in [0, 1]; traceable."""
    images = floats(images)
    return self.ask(self.variables, images, self._given(images, given))

  def _given(self, images, given):
    if given is None and self.find is not None:
      return jax.lax.stop_gradient(self.find(self.variables, images))
    return given

  def read(self, images: jax.Array, names: Iterable[str], given: Mapping | None = None,
           offsets: Mapping[str, jax.Array] | None = None) -> tuple[Answer, dict[str, jax.Array]]:
    """The answer and what those layers put out, as `layers` names them; traceable.

    offsets: what is added to layers' outputs: the gradient by an offset is that by the map.
    """
    paths = {name: path for name, (path, _) in self._layers(images).items()}
    offsets = {paths[name]: offset for name, offset in (offsets or {}).items()}
    names, images = list(names), floats(images)
    given = self._given(images, given)         # before: what is read is of the answer alone
    answer, maps = tapped(self.ask, {paths[name] for name in names}, offsets)(
        self.variables, images, given)
    return answer, {name: maps[paths[name]] for name in names}

  def layers(self, images: jax.Array | None = None) -> dict[str, tuple[int, ...]]:
    """The shapes of all that can be read, by name, in the order of the computation.

    Names are paths of modules, such as 'stage4/block2/conv3', which say what that layer puts out
    (convolutions: before the activation); and those of the network's maps (after it), such as
    'stage4' or 'backbone/stem'. Where both are called alike, the module has '.conv' after its name,
    or whatever it is; a module's second call has '@1' after it.
    """
    return {name: shape for name, (_, shape) in self._layers(images).items()}

  def _layers(self, images):
    """name: (its path as `tapped` has it, its shape)."""
    return layers_of(*self._form(images))

  def _form(self, images):
    """What a trace of the network hangs on, hashable: it is traced once for all calls."""
    leaves, tree = jax.tree.flatten(self.variables)
    shape = (1, *self.shape) if images is None else np.shape(images)
    return self.ask, self.find, tree, tuple((w.shape, w.dtype) for w in leaves), tuple(shape)

  def layer(self, name: str, images: jax.Array | None = None) -> str:
    """The full name of a layer; its end is enough where one map alone has it.

    Raises:
      ConfigError: there is none, or there are several.
    """
    there = self.layers(images)
    if name in there:
      return name
    ends = [full for full in there if full.endswith('/' + name)]
    if len(ends) == 1:
      return ends[0]
    if ends:
      raise ConfigError(f'layer {name!r}: there are {len(ends)} of that name: '
                        f'{_some(ends)}; give more of its path')
    raise ConfigError(f'layer {name!r}: this network has none{nearest(name, there)}; it has: '
                      f'{_some(there)}')

  def last_map(self, images: jax.Array | None = None) -> str:
    """The name of the last map (b h w c) with places that the answer hangs on: of a backbone's,
    where there is one.

    Raises:
      ConfigError: a network without such maps.
    """
    there = self.layers(images)
    maps = [name for name, shape in there.items() if len(shape) == 4 and min(shape[1:3]) > 1]
    own = [name for name in maps if 'backbone/' in name]
    if not maps:
      raise ConfigError('this network has no maps (b h w c): there are no convolutions to look '
                        f'at; its layers: {_some(there)}')
    # A backbone may have maps beyond the one that is looked at.
    form = self._form(images)
    return (hung_on(*form, tuple(own)) or hung_on(*form, tuple(maps)) or maps)[-1]

  def target(self, target: Target | Sequence) -> tuple[Callable | None, np.ndarray]:
    """A target as `scores` takes it: a function or None, and the classes' numbers.

    Raises:
      ConfigError: no such class.
    """
    if callable(target):
      return target, np.int32(LARGEST)
    if isinstance(target, list | tuple | np.ndarray | jax.Array) and np.ndim(target) == 1:
      return None, np.array([self.target(one)[1] for one in target], np.int32)
    return None, np.int32(self._index(target))

  def _index(self, target) -> int:
    if target is None:
      return LARGEST
    if isinstance(target, str):
      if target in self.classes:
        return self.classes.index(target)
      if not target.isdecimal():
        there = f'; there are: {_some(self.classes)}' if self.classes else ''
        raise ConfigError(f'class {target!r}: not one of this network'
                          f'{nearest(target, self.classes)}{there}')
    index, k = int(target), len(self.classes)
    if index < 0 or k and index >= k:
      raise ConfigError(f'class {index}: this network has {k} classes, 0 to {k - 1}' if k else
                        f'class {index}: classes are numbered from 0')
    return index

  def with_act(self, act: Callable) -> 'Subject':
    """The same network with another function in place of each ReLU.

    Raises:
      ConfigError: a network whose activations are others, or cannot be changed from outside.
    """
    if self.rebuilt is None:
      raise ConfigError('this network is a function: its activations cannot be changed; give '
                        '(module, variables) of a linen module with a field `act`')
    model = with_act(self.model, act)
    if model == self.model:
      raise ConfigError(f'{type(self.model).__name__} has no field `act`: its activations cannot '
                        'be changed from outside')
    ask, find = self.rebuilt(model)
    return dataclasses.replace(self, ask=ask, find=find, model=model)


def floats(images: jax.Array) -> jax.Array:
  """Images in [0, 1]: uint8 divided by 255, floats as they are."""
  if isinstance(images, jax.Array):
    return to_float(images)
  images = np.asarray(images)
  # On the host, where images come from, so that no program is compiled for each number of them.
  return images.astype(np.float32) / np.float32(255 if images.dtype == np.uint8 else 1)


def in_chunks(f: Callable, chunk: int, *rows):
  """f(*rows) by `chunk` rows at a time, so that memory is bounded and one program serves all.

  rows: trees of arrays with as many rows; None stays None. The last chunk is filled up with its
  last row, and the result, arrays of NumPy, is cut to as many.
  """
  rows = jax.tree.map(np.asarray, rows)             # to be cut up on the host, without a program
  n = len(jax.tree.leaves(rows)[0])
  chunk = min(chunk, n)
  parts = []
  for start in range(0, n, chunk):
    index = np.minimum(np.arange(start, start + chunk), n - 1)
    parts.append(f(*jax.tree.map(lambda x, i=index: x[i], rows)))
  return jax.tree.map(lambda *x: np.concatenate(x)[:n], *parts)


def _some(names: Sequence[str]) -> str:
  names = list(names)
  more = f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''
  return ', '.join(names[:SHOWN]) + more


@jax.jit
def _found(subject, images):
  return subject.find(subject.variables, images)
