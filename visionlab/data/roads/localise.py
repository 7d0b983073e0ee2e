"""Where the car is on the map, by what is seen (Amini et al. 2019,
https://arxiv.org/abs/1811.10119).

Each pose on the map demands a way to steer; the network says how probable that is of what the
camera sees. So each view tells poses from one another, the more the road bends: of a straight one
all places along it are alike.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.data.roads.road import Road, on_ground, pursuit, seen_from
from visionlab.ops.mixtures import log_density

NARROWEST = .004                 # standard deviation of steering, 1/m: what a map's line is good to
SHARE = .3                       # of a view's likelihood that counts, as views half a second apart
                                 # are much alike


class Grid(NamedTuple):
  """Attributes:
    offsets: (g, 3) metres ahead, metres to the left, and rad, by which the receiver may be off.
    prior: (g,) logarithms of their probabilities, which sum to 1.
  """
  offsets: np.ndarray
  prior: np.ndarray


def grid(spread: tuple[float, float, float], points: tuple[int, int, int] = (13, 13, 9),
         reach: float = 3.) -> Grid:
  """The errors of a receiver with standard deviations `spread`, so many of them up to `reach` times
  that, as probable as a normal distribution says."""
  axes = [np.linspace(-reach, reach, n) for n in points]
  units = np.stack(np.meshgrid(*axes, indexing='ij'), -1).reshape(-1, 3)
  prior = -.5 * (units ** 2).sum(-1)
  return Grid(np.asarray(units * spread, np.float32),
              np.asarray(prior - np.logaddexp.reduce(prior), np.float32))


def likelihood(road: Road, pose: jax.Array, error: jax.Array, offsets: jax.Array,
               weights: jax.Array, means: jax.Array, sigmas: jax.Array) -> jax.Array:
  """How well what is seen agrees with each pose that the car may have: log-likelihoods (g,).

  Args:
    road: that is near, on the map.
    pose: (3,) of the car, and `error` (3,) of its receiver, ahead, to the left and in rad: what is
      known is the sum of both.
    offsets: (g, 3) errors that it may have.
    weights, means, sigmas: (k,) of the distribution of steering, 1/m, by the network. Where the
      road forks any branch may be the right one.
  """
  def demanded(by):
    thought = jnp.concatenate([on_ground(by[:2], pose), pose[2:] + by[2]])
    return jax.vmap(pursuit)(seen_from(road.lines, thought))
  ways = jax.vmap(demanded)(error - offsets)
  each = log_density(ways, jnp.log(weights), means, jnp.maximum(sigmas, NARROWEST))
  each = jnp.where(road.there, each, -jnp.inf)
  return jax.nn.logsumexp(each, -1) - jnp.log(road.there.sum())


def followed_up(likelihoods: np.ndarray, prior: np.ndarray, share: float = SHARE) -> np.ndarray:
  """Log-probabilities (t + 1, g) before any view and after each of t views, of their
  log-likelihoods (t, g); share: of each that counts."""
  summed = prior + share * np.concatenate([np.zeros_like(likelihoods[:1]),
                                           np.cumsum(likelihoods, 0)])
  return summed - np.logaddexp.reduce(summed, -1, keepdims=True)


def entropy(log_p: np.ndarray) -> np.ndarray:
  """Of log-probabilities (..., g), in nats (...)."""
  return -(np.exp(log_p) * log_p).sum(-1)
