"""When one of several tasks that are learnt together has nothing more to give."""

import jax
import jax.numpy as jnp

CAP = 100.       # of the first factor: how little a flat curve weighs


def stopping_measure(history: jax.Array, best: jax.Array, held_out: jax.Array,
                     weight: jax.Array) -> jax.Array:
  """How far a task is past its use, the higher the further (Zhang et al. 2014, "Facial landmark
  detection by deep multi-task learning", ECCV, section 3.2): the product of

    k med / (sum_j E_j - k med), the smaller the faster the training errors E_j fall, and
    (E_held_out - E_best) / (weight E_best), by how much the held-out error exceeds them.

  Where training errors do not fall, the first denominator is zero or negative, noise decides which,
  and the formula jumps from one end to the other; here the factor is then `CAP`, its upper bound.

  Args:
    history: (... k), the training errors of the last k strips of training, in any order.
    best: (...), the lowest training error up to now.
    held_out: (...), the latest error on examples that are not learnt from.
    weight: (...), the task's, relative to the main one's.

  Returns:
    (...) float32; negative as long as the held-out error is below the best training error.

  >>> falling, flat = jnp.array([8., 2, 1]), jnp.array([1., 1, 1])
  >>> [round(float(stopping_measure(x, 1., 1.5, 1.)), 2) for x in (falling, flat)]
  [0.6, 50.0]
  """
  k = history.shape[-1]
  median = k * jnp.median(history, -1)
  fall = history.sum(-1) - median
  tendency = median / jnp.maximum(fall, median / CAP + 1e-12)
  return tendency * (held_out - best) / jnp.maximum(weight * best, 1e-12)
