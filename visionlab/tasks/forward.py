"""A model's forward pass as tasks make it."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax

from visionlab.config import ConfigError
from visionlab.task import Variables


def forward(model: Any, variables: Variables, x: jax.Array, key: jax.Array | None, *,
            train: bool, method: Callable | None = None) -> tuple[Any, Mapping[str, Any]]:
  """What the model says of preprocessed images, and the collections other than params after it.

  In training collections are updated and `key` feeds the rng stream 'dropout'; else they stay.

  method: (model, x, train=) in place of the model's own `__call__`.
  """
  mutable = [k for k in variables if k != 'params'] if train else False
  options = dict(method=method, train=train) if method else training(model, train)
  out = model.apply(variables, x, mutable=mutable, rngs={'dropout': key} if train else None,
                    **options)
  return out if train else (out, {k: v for k, v in variables.items() if k != 'params'})


def fresh(model: Any, key: jax.Array, x: jax.Array) -> Variables:
  """A model's first variables; of the images only the form matters."""
  return model.init(key, x, **training(model, False))


def training(model: Any, train: bool) -> dict[str, bool]:
  """`train` for a call of the model, but for one, of one's own, whose `__call__` names it not."""
  calls = [vars(kind)['__call__'] for kind in type(model).__mro__ if '__call__' in vars(kind)]
  if calls and 'train' not in inspect.signature(calls[0]).parameters:
    return {}
  return {'train': train}


def check_output(out: Any, shape: Sequence[int], model: Any, what: str) -> None:
  """Raises `ConfigError` unless a model gave an array of this shape; what: it is, in words."""
  if getattr(out, 'shape', None) != tuple(shape):
    got = out.shape if hasattr(out, 'shape') else repr(out)[:60]
    raise ConfigError(f'config.task.model: {type(model).__name__} gives {got}, and this task needs '
                      f'{tuple(shape)}, {what}; a model that takes `classes` is told the last')


def mean_over(ask: Callable, members: Sequence, variables: Sequence[Variables],
              views: Iterable) -> jax.Array:
  """The mean of ask(member, its variables, view), an array, over all members and views."""
  answers = [ask(member, own, view)
             for member, own in zip(members, variables, strict=True) for view in views]
  return sum(answers) / len(answers)
