"""Where a run starts from."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp

from visionlab.config import ConfigError
from visionlab.paths import local
from visionlab.step import State, averageable
from visionlab.storage.checkpoint import ITEMS, read_newest
from visionlab.weights.files import read_weights
from visionlab.weights.fit import fit


def resume(workdir: Path, config, state: State) -> tuple[State, str]:
  """The state to start from, and a line that says which: the workdir's own newest checkpoint, else
  config.resume's, else the weights of config.init_from, else `state` as it is.

  Raises:
    ConfigError: config.resume or config.init_from holds nothing that fits.
  """
  own = read_newest(workdir, tuple(ITEMS), state, set_aside=True)
  if own:
    return State(**own[1]), f'resumed from step {own[0]}'
  if config.resume:
    found = read_newest(local(config.resume, 'config.resume'), tuple(ITEMS), state)
    if found is None:
      raise ConfigError(f'config.resume: no checkpoint in {config.resume}')
    return State(**found[1]), f'continued from {config.resume}, step {found[0]}'
  if config.init_from:
    try:
      variables, report = fit(read_weights(config.init_from),
                              {'params': state.params, **state.collections})
    except ConfigError as e:
      raise ConfigError(f'config.init_from: {e}') from e
    collections = dict(variables)
    params = collections.pop('params')
    ema = None if state.ema is None else jax.tree.map(
        jnp.copy, averageable(params, collections))             # a copy: both are donated
    return (dataclasses.replace(state, params=params, collections=collections, ema=ema),
            str(report))
  return state, 'started from scratch'
