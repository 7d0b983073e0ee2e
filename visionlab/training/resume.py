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
  config.resume's, else the weights of config.init_from, else `state` as it is. `hp` is that of
  `state`, which is the config's: what was changed in it holds from here on.

  Raises:
    ConfigError: config.resume or config.init_from holds nothing that fits.
  """
  own = read_newest(workdir, tuple(ITEMS), state, set_aside=True)
  if own:
    return with_own_hp(State(**own[1]), state, f'resumed from step {own[0]}')
  if config.resume:
    found = read_newest(local(config.resume, 'config.resume'), tuple(ITEMS), state)
    if found is None:
      raise ConfigError(f'config.resume: no checkpoint in {config.resume}')
    return with_own_hp(State(**found[1]), state,
                       f'continued from {config.resume}, step {found[0]}')
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


def with_own_hp(restored: State, fresh: State, origin: str) -> tuple[State, str]:
  """The restored state with the hp of the fresh one, and the line, which says what has changed."""
  old, new = jax.device_get((restored.hp, fresh.hp))
  changes = [f'hp.{name}: {float(old[name]):.4g} -> {float(new[name]):.4g}' for name in new
             if old[name] != new[name]]
  since = f'; {", ".join(changes)} from step {int(restored.step)}' if changes else ''
  return dataclasses.replace(restored, hp=fresh.hp), origin + since
