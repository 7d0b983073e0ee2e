"""What training carries from step to step, and what it adds up."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from visionlab.metrics import Ratio
from visionlab.task import Variables

AVERAGED = 'batch_stats'   # the collection that belongs to weights, and is averaged with them


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
  """All that training carries; saving it is saving the run."""
  step: jax.Array                    # () int32: updates made, and the index of the next batch
  params: Any
  collections: Variables             # the other variables, e.g. batch_stats
  opt_state: Any
  ema: Any                           # {'params': averaged, 'batch_stats': too}, or None
  hp: Mapping[str, jax.Array]        # () float32 each
  key: jax.Array                     # typed; folded with the step, never split and stored

  @property
  def variables(self) -> Variables:
    """For evaluation: the averaged weights where there are any."""
    return {'params': self.params, **self.collections, **(self.ema or {})}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Tally:
  """Metrics added up over the steps since the last log line, and the first step gone wrong."""
  metrics: Mapping[str, Ratio]
  bad_step: jax.Array                # () int32, -1: none
  bad_values: Mapping[str, jax.Array]

  def add(self, step: jax.Array, metrics: Mapping[str, Ratio]) -> 'Tally':
    finite = jnp.isfinite(metrics['loss'].sum) & jnp.isfinite(metrics['grad_norm'].sum)
    first = (self.bad_step < 0) & ~finite
    return Tally(
        {k: v + metrics[k] for k, v in self.metrics.items()},
        jnp.where(first, step, self.bad_step),
        {k: jnp.where(first, metrics[k].value, v) for k, v in self.bad_values.items()})

  def cleared(self, empty: 'Tally') -> 'Tally':
    """`empty`, with the step gone wrong, if there was one: who has diverged stays so."""
    return dataclasses.replace(empty, bad_step=self.bad_step, bad_values=self.bad_values)


def averageable(params: Any, collections: Variables) -> Variables:
  """The variables that `State.ema` averages: params and BatchNorm's statistics, which are those of
  the weights beside them and would not fit averaged ones."""
  return {'params': params, **{k: v for k, v in collections.items() if k == AVERAGED}}
