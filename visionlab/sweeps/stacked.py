"""Stacked states: every array has a leading member axis, but for a step that all share."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

from visionlab.state import State


def resized(state: State, rows: int):
  """The specs of a state like `state` with another number of rows."""
  def spec(x):
    return jax.ShapeDtypeStruct((rows, *x.shape[1:]) if x.ndim else (), x.dtype,
                                sharding=x.sharding)
  return jax.tree.map(spec, state)


def row(state: State, k: int) -> State:
  return jax.tree.map(lambda x: x[k] if x.ndim else x, state)


def stacked(rows: Sequence[State]) -> State:
  return jax.tree.map(lambda *x: jnp.stack(x), *rows)


def rows(state: State, count: int) -> State:
  """Of a state that fills the mesh, the members' own rows."""
  return jax.tree.map(lambda x: x[:count] if x.ndim else x, state)


def placed(state: State, mesh: Mesh) -> State:
  """Cut over the mesh; where that does not come out even, filled up with the first."""
  def place(x):
    if not x.ndim:
      return jax.device_put(x, NamedSharding(mesh, P()))
    more = -len(x) % mesh.size
    return jax.device_put(jnp.concatenate([x, *[x[:1]] * more]) if more else x,
                          NamedSharding(mesh, P(mesh.axis_names[0])))
  return jax.tree.map(place, state)


def choose(better, new: State, old: State) -> State:
  def pick(a, b):
    return jnp.where(better.reshape(-1, *[1] * (a.ndim - 1)), a, b)
  return jax.tree.map(pick, new, old)
