"""How networks are asked: those of tasks, and modules and functions of one's own.

What asks is hashable, as what is static under jit must be, and equal for equal networks.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.config import ConfigError
from visionlab.task import Task


@dataclasses.dataclass(frozen=True)
class Asked:
  """A task's answer about images."""
  task: Task

  def __call__(self, variables, images, given):
    return self.task.answer(variables, _batch(images), given)


@dataclasses.dataclass(frozen=True)
class Found:
  """What a task finds in images, which answers are then about."""
  task: Task

  def __call__(self, variables, images):
    return self.task.found(variables, _batch(images))


@dataclasses.dataclass(frozen=True)
class Rebuilt:
  """How a task is asked with another model."""
  task: Task

  def __call__(self, model):
    task = dataclasses.replace(self.task, model=model)
    return Asked(task), Found(task) if hasattr(task, 'found') else None


@dataclasses.dataclass(frozen=True)
class Applied:
  """A function of one's own, or a linen module."""
  network: Any

  def __call__(self, variables, images, given):
    apply = self.network.apply if isinstance(self.network, nn.Module) else self.network
    said = apply(variables, images)
    return said if isinstance(said, Mapping) else dict(logits=said)


def of_module(model):
  return Applied(model), None


def _batch(images):
  return dict(image=images, valid=jnp.ones(len(images), bool))


def with_act(model: nn.Module, act: Callable) -> nn.Module:
  """The module and all in its fields with `act` in place of ReLU."""
  changed = {}
  for field in dataclasses.fields(model):
    value = getattr(model, field.name, None)
    if isinstance(value, nn.Module) and field.name != 'parent':
      changed[field.name] = with_act(value, act)
  if hasattr(model, 'act'):
    if model.act not in ('relu', nn.relu, jax.nn.relu):
      name = model.act if isinstance(model.act, str) else getattr(model.act, '__name__', 'another')
      raise ConfigError(f'{type(model).__name__}: this needs a network of ReLUs, and its '
                        f'activation is {name}')
    changed['act'] = act
  return model.clone(**changed) if changed else model
