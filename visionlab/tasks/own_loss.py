"""Losses of one's own, named in a task's options as 'package.module:function'."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from visionlab.config import ConfigError, hints_of, resolve
from visionlab.options.mistakes import own_mistakes

TAKEN = (                                      # names in the log, and of other terms
  'loss', 'lr', 'grad_norm', 'accuracy', 'pixel_accuracy', 'word_accuracy', 'word_cross_entropy',
  'coverage', 'detection', 'domain', 'domain_accuracy', 'confusion', 'mmd', 'coral', 'soft',
  'lambda')


class OwnLoss(NamedTuple):
  """A function of the outputs and the targets of a batch, which come first, and of numbers of
  config.hp by their names. It gives a loss for each example, or each part of it that counts; the
  task leaves out what is not valid and takes the mean."""
  where: str
  name: str
  function: Callable
  scalars: tuple[tuple[str, float | None], ...]        # those numbers, with their defaults

  @property
  def hyperparameters(self) -> dict[str, float | None]:
    """What config.hp may set of it; `progress`, the part of training done, is there anyway."""
    return {k: v for k, v in self.scalars if k != 'progress'}

  @property
  def term(self) -> str:
    """What the loss is called in the log, and in `hp.<term>_weight`."""
    own = getattr(self.function, '__name__', 'loss')
    return f'own_{own}' if own in TAKEN else own

  def __call__(self, outputs: jax.Array, targets: jax.Array, hp: Mapping[str, Any],
               shape: Sequence[int]) -> jax.Array:
    """shape: that the losses must have, or begin with."""
    with own_mistakes(self.where, self.name):
      losses = self.function(outputs, targets, **{k: hp[k] for k, _ in self.scalars})
    found = getattr(losses, 'shape', None)
    if found is None or found[:len(shape)] != tuple(shape) or not jnp.issubdtype(losses.dtype,
                                                                                 jnp.floating):
      got = f'{losses.dtype} {found}' if found is not None else f'{losses!r:.60}'
      raise ConfigError(f'{self.where}: {self.name} gave {got}; expected floats {tuple(shape)}, a '
                        'loss for each, of which the task takes the mean')
    return losses.astype(jnp.float32)

  def of_each(self, outputs: jax.Array, targets: jax.Array, hp: Mapping[str, Any]) -> jax.Array:
    """(n,) of outputs (n ...): the mean of the losses of each."""
    losses = self(outputs, targets, hp, outputs.shape[:1])
    return losses.reshape(len(losses), -1).mean(-1)


def own_loss(name: str, ours: Sequence[str], where: str) -> OwnLoss | None:
  """The loss that a task's option names; None: it is one of `ours`.

  Raises:
    ConfigError: no such loss, or a function that cannot be called as one.
  """
  if name in ours:
    return None
  function = resolve(name, dict.fromkeys(ours, ''), where)
  parameters, hints = inspect.signature(function).parameters, hints_of(function)
  _check_call(function, parameters, f'{where}: {name}')
  more = list(parameters.values())[2:]
  scalars = tuple((p.name, p.default if isinstance(p.default, float) else None) for p in more
                  if isinstance(p.default, float)
                  or p.default is p.empty and hints.get(p.name) is float)
  return OwnLoss(where, name, function, scalars)


def hyperparameters_of(losses: Sequence[OwnLoss | None], ours: Mapping[str, float]
                       ) -> dict[str, float | None]:
  """What config.hp may set of losses, and `ours`, of what is beside them.

  Raises:
    ConfigError: a loss reads one of `ours`; or two read a number which by default is not the same
      in both.
  """
  scalars = {}
  for loss in filter(None, losses):
    for name, default in loss.hyperparameters.items():
      if name in ours:
        raise ConfigError(f'{loss.where}: {loss.name} reads config.hp.{name}, which is the '
                          f'task\'s own ({ours[name]} by default); give it another name')
      if scalars.setdefault(name, default) != default:
        raise ConfigError(f'{loss.where}: {loss.name} and another loss both read config.hp.{name}, '
                          f'which is {default} in one by default and {scalars[name]} in the other; '
                          'give it another name in one of them')
  return scalars | dict(ours)


def _check_call(function, parameters, cannot: str):
  """Raises `ConfigError` unless it takes outputs, targets and, beside these, numbers."""
  needed = [p for p in parameters.values()
            if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
  hints = hints_of(function)
  first = [p for p in parameters.values() if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD)][:2]
  many = len(first) == 2 or any(p.kind is p.VAR_POSITIONAL for p in first)
  if not many or any(hints.get(p.name) is not float for p in needed if p not in first):
    raise ConfigError(f'{cannot}{inspect.signature(function)} must take the outputs and the '
                      'targets first, and else only what has a default, or is a float of config.hp')
