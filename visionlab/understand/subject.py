"""What is looked into: a network with its weights, whose answers and maps can be asked for."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.core.tracers import current_trace

from visionlab.config import ConfigError, nearest
from visionlab.models.layers import POINT
from visionlab.ops.image import to_float
from visionlab.task import Task, Variables

Answer = Mapping[str, jax.Array]
Target = Callable[[Answer], jax.Array] | str | int | None
LARGEST = -1          # the index of a target: the largest of an image's scores
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
      rebuilt = _of_module if model is not None else None
      ask, find = _of_module(module) if model is not None else (_Applied(module), None)
      return Subject(variables, ask, find, model, rebuilt, tuple(shape), tuple(classes))
    task = network.task
    if not hasattr(task, 'answer'):
      raise ConfigError(f'{type(task).__name__}: this task has no method `answer`, which says '
                        'what its network answers, differentiably; see visionlab.task')
    rebuilt = _Rebuilt(task)
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
    return _layers_of(*self._form(images))

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
    return (_hung_on(*form, tuple(own)) or _hung_on(*form, tuple(maps)) or maps)[-1]

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
    model = _with_act(self.model, act)
    if model == self.model:
      raise ConfigError(f'{type(self.model).__name__} has no field `act`: its activations cannot '
                        'be changed from outside')
    ask, find = self.rebuilt(model)
    return dataclasses.replace(self, ask=ask, find=find, model=model)


def scores(answer: Answer, select: Callable | None, index: jax.Array) -> jax.Array:
  """One number (b,) of each image's answer, which is explained.

  Args:
    select: of the answer, in place of what follows.
    index: () or (b,) int. Of `logits` (b k) the class; of `logits` (b h w k) the mean over the
      pixels that are of that class, or over all if none is; of `outputs` (b d) and of
      `log_likelihoods` (b t) which. `LARGEST`: the largest of the logits or outputs, the class of
      most pixels, or all words together.
  """
  if select is not None:
    return select(answer)
  name = next((name for name in ('logits', 'outputs', 'log_likelihoods') if name in answer), None)
  if name is None:
    raise ConfigError(f'target: this network answers {", ".join(sorted(answer))}; give a function '
                      'of that which says what is to be explained')
  values = answer[name]
  if values.ndim == 1:
    return values
  index = jnp.broadcast_to(index, values.shape[:1])
  if values.ndim == 4:
    return _of_pixels(values, index)
  whole = values.sum(-1) if name == 'log_likelihoods' else values.max(-1)
  return jnp.where(index == LARGEST, whole, _column(values, jnp.maximum(index, 0)))


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


@lru_cache(maxsize=64)
def _layers_of(ask, find, tree, leaves, shape):
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
def _hung_on(ask, find, tree, leaves, shape, names):
  """Those of the layers whose output the answer is computed from."""
  there = _layers_of(ask, find, tree, leaves, shape)
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


@dataclasses.dataclass(frozen=True)
class _Asked:
  """A task's answer about images; hashable, as what is static under jit must be."""
  task: Task

  def __call__(self, variables, images, given):
    return self.task.answer(variables, _batch(images), given)


@dataclasses.dataclass(frozen=True)
class _Found:
  task: Task

  def __call__(self, variables, images):
    return self.task.found(variables, _batch(images))


@dataclasses.dataclass(frozen=True)
class _Rebuilt:
  task: Task

  def __call__(self, model):
    task = dataclasses.replace(self.task, model=model)
    return _Asked(task), _Found(task) if hasattr(task, 'found') else None


@dataclasses.dataclass(frozen=True)
class _Applied:
  """A function of one's own, or a linen module."""
  network: Any

  def __call__(self, variables, images, given):
    apply = self.network.apply if isinstance(self.network, nn.Module) else self.network
    said = apply(variables, images)
    return said if isinstance(said, Mapping) else dict(logits=said)


def _of_module(model):
  return _Applied(model), None


def _batch(images):
  return dict(image=images, valid=jnp.ones(len(images), bool))


@jax.jit
def _found(subject, images):
  return subject.find(subject.variables, images)


def _with_act(model: nn.Module, act: Callable) -> nn.Module:
  """The module and all in its fields with `act` in place of ReLU."""
  changed = {}
  for field in dataclasses.fields(model):
    value = getattr(model, field.name, None)
    if isinstance(value, nn.Module) and field.name != 'parent':
      changed[field.name] = _with_act(value, act)
  if hasattr(model, 'act'):
    if model.act not in ('relu', nn.relu, jax.nn.relu):
      name = model.act if isinstance(model.act, str) else getattr(model.act, '__name__', 'another')
      raise ConfigError(f'{type(model).__name__}: this needs a network of ReLUs, and its '
                        f'activation is {name}')
    changed['act'] = act
  return model.clone(**changed) if changed else model


def _of_pixels(values, index):
  """The mean (b,) of logits (b h w k) of a class over the pixels that are of it."""
  b, _, _, k = values.shape
  predicted = values.argmax(-1).reshape(b, -1)
  most = jax.vmap(lambda p: jnp.bincount(p, length=k))(predicted).argmax(-1)
  index = jnp.where(index == LARGEST, most, index)
  own = predicted == index[:, None]
  own = jnp.where(own.any(-1, keepdims=True), own, True)
  of_class = jnp.take_along_axis(values.reshape(b, -1, k), index[:, None, None], -1)[..., 0]
  return (own * of_class).sum(-1) / own.sum(-1)


def _column(values, index):
  return jnp.take_along_axis(values, index[:, None], 1)[:, 0]


def _some(names: Sequence[str]) -> str:
  names = list(names)
  more = f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''
  return ', '.join(names[:SHOWN]) + more
