"""Spectral normalisation: weights over their largest singular value (Miyato et al. 2018,
https://arxiv.org/abs/1802.05957).

Weights are normalised as a tree, before a network is given them, so that any network's may be. The
vectors of the power iteration are a tree of their own, a function of the weights alone: they are
the same on every device, and for every pass of one update.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import lax


def first_vectors(key: jax.Array, params: Mapping) -> dict[str, Any]:
  """Random unit vectors (out,), a tree like that of the weights (... out); biases have none."""
  weights = {path: w for path, w in flatten_dict(params).items() if w.ndim > 1}
  keys = jax.random.split(key, max(len(weights), 1))
  return unflatten_dict({path: _unit(jax.random.normal(own, w.shape[-1:]))
                         for own, (path, w) in zip(keys, weights.items(), strict=False)})


def normalised(params: Mapping, vectors: Mapping) -> tuple[dict[str, Any], dict[str, Any]]:
  """The weights (... out) over the largest singular values of the matrices (in out), where `in` is
  all axes but the last; and the vectors after the one step of power iteration by which these are
  estimated (algorithm 1)."""
  made, new = flatten_dict(params), flatten_dict(vectors)
  for path, u in new.items():
    matrix = made[path].reshape(-1, len(u))
    held = lax.stop_gradient(matrix)
    v = _unit(held @ u)
    new[path] = u = _unit(held.T @ v)
    made[path] = made[path] / jnp.maximum(v @ matrix @ u, 1e-12)
  return unflatten_dict(made), unflatten_dict(new)


def _unit(x):
  return x / jnp.maximum(jnp.linalg.norm(x), 1e-12)
