"""A linear chain over the shots of a film, whose states are places in a book: exact, by dynamic
programming.

A state is the sentence that the film has come to, and whether it tells this shot; a shot that no
sentence tells stays where the shot before was. With a step from sentence j to k as likely as
`steps` has it, a path's score is the sum of

  told[i, k] + step[j, k]   of each shot i that sentence k tells, from j on; of the first told[0, k]
  untold[i]                 of each other shot

(the chain of Zhu et al. 2015, https://arxiv.org/abs/1506.06724, section 4.4, favours steps as long
in the book as in the film; that shots may be untold is ours).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

NOWHERE = -1                     # the sentence of a shot that none tells


class Path(NamedTuple):
  """Attributes:
    sentence: (s,) int32, of each shot, or `NOWHERE`.
    score: (), of the whole.
  """
  sentence: jax.Array
  score: jax.Array


def steps(sentences: int, pace: float, stay: float = .05, back: float = .1, jump: float = .1
          ) -> np.ndarray:
  """Log-probabilities (m m) float32 of going from each sentence to each.

  A share `stay` goes nowhere; `jump` anywhere, each sentence as likely; `back` goes back by one or
  more, half as often each time; what is left goes on, by a geometric number of mean `pace`. What
  would leave the book is shared by the others.

  >>> np.exp(steps(3, pace=2, stay=.2, back=0, jump=0)).round(2).tolist()
  [[0.25, 0.5, 0.25], [0.0, 0.33..., 0.67...], [0.0, 0.0, 1.0]]
  """
  by = np.arange(sentences) - np.arange(sentences)[:, None]
  going = 1 - 1 / max(pace, 1 + 1e-6)
  with np.errstate(over='ignore'):
    on = np.where(by > 0, (1 - going) * going ** np.maximum(by - 1, 0), 0)
    p = (stay * (by == 0) + jump / sentences + back * np.where(by < 0, .5 ** np.abs(by), 0)
         + (1 - stay - jump - back) * on)
  p = p / p.sum(1, keepdims=True)
  return np.log(np.maximum(p, 1e-30)).astype(np.float32)


def best_path(told: jax.Array, untold: jax.Array, step: jax.Array) -> Path:
  """The path with the highest score (Viterbi 1967).

  Args:
    told: (s m); untold: (s,); step: (m m).

  >>> best_path(jnp.array([[2., 0, 1], [0, 0, 3], [1, 1.5, 0]]), jnp.ones(3),
  ...           jnp.where(jnp.eye(3, k=1) > 0, 0., -9)).sentence.tolist()
  [-1, 2, -1]
  """
  def advance(reached, shot):
    told, untold = shot
    ways = reached[:, None] + step
    by_step, stay = ways.max(0) + told, reached + untold
    return jnp.maximum(by_step, stay), (by_step >= stay, ways.argmax(0))
  first = told[0], jnp.full_like(told[0], untold[0])
  reached, (telling, before) = lax.scan(advance, jnp.maximum(*first), (told[1:], untold[1:]))
  last = reached.argmax()

  def retrace(place, shot):
    telling, before = shot
    return jnp.where(telling[place], before[place], place), jnp.where(telling[place], place,
                                                                      NOWHERE)
  place, sentence = lax.scan(retrace, last, (telling, before), reverse=True)
  begin = jnp.where(first[0][place] >= first[1][place], place, NOWHERE)
  return Path(jnp.concatenate([begin[None], sentence]).astype(jnp.int32), reached.max())


def shares(told: jax.Array, untold: jax.Array, step: jax.Array) -> jax.Array:
  """The probability (s m) that a sentence tells a shot, if paths are as likely as exp(score) says.

  It is the gradient of the logarithm of all paths' sum; each step is computed twice, so that no
  more than one (m m) is kept.
  """
  @jax.checkpoint
  def advance(reached, shot):
    told, untold = shot
    ways = jax.nn.logsumexp(reached[:, None] + step, axis=0)
    return jnp.logaddexp(ways + told, reached + untold), None

  def total(told):
    # Of a first shot that is untold, the place is as likely to be any.
    first = jnp.logaddexp(told[0], jnp.full_like(told[0], untold[0]))
    reached, _ = lax.scan(advance, first, (told[1:], untold[1:]))
    return jax.nn.logsumexp(reached)
  return jax.grad(total)(told)


def warped(cost: np.ndarray) -> np.ndarray:
  """The steps (n 2) of shot and sentence of least summed cost (s m) by which a film and a book are
  gone through together from end to end, each time by a shot, a sentence or both: dynamic time
  warping (Sakoe and Chiba 1978). On the host."""
  s, m = cost.shape
  reached = np.full((s + 1, m + 1), np.inf)
  reached[0, 0] = 0
  for i in range(s):
    for j in range(m):
      reached[i + 1, j + 1] = cost[i, j] + min(reached[i, j], reached[i, j + 1], reached[i + 1, j])
  i, j, path = s, m, []
  while i or j:
    path.append((i - 1, j - 1))
    ways = (i - 1, j - 1), (i - 1, j), (i, j - 1)
    i, j = min((way for way in ways if min(way) >= 0), key=lambda way: reached[way])
  return np.array(path[::-1])
