"""Training without the loop's logs and checkpoints, and how far apart its results are."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np


def driven(job, steps):
  """(state, tally) after some steps of a fresh job, driven as the loop does."""
  state = job.init()
  tally = job.empty(state)
  for data, n in job.batches.start(0, job.total).take(steps):
    state, tally = job.run(state, tally, data, n)
  return state, tally


def trained(job, steps):
  """(params, collections) after some steps, and the mean metrics."""
  state, tally = driven(job, steps)
  means = {k: float(v.value) for k, v in tally.metrics.items()}
  return jax.device_get((state.params, state.collections)), means


def with_hp(state, hp):
  """The state with some of its hyperparameters replaced by other numbers."""
  return dataclasses.replace(state, hp=state.hp | {k: jnp.float32(v) for k, v in hp.items()})


def difference(a, b):
  """The largest between two trees of arrays."""
  return max(float(np.abs(x - y).max())
             for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
