"""How the learning rate changes over training."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax.numpy as jnp
import optax

from visionlab.config import Duration, bind, check_choice

WHERE = 'config.optim.schedule'


def make_schedule(options: Mapping, total: int, steps: Callable[[Duration, str], int]):
  """A multiplier of the learning rate as a function of the step.

  `name` is one of `SCHEDULES`, with its options. Each may have `warmup`, a duration over which the
  rate rises linearly to what the schedule says; cosine, linear and polynomial then run over what is
  left.
  """
  options = {'name': 'constant', 'warmup': 0, **options}
  name = options.pop('name')
  check_choice(name, SCHEDULES, f'{WHERE}.name')
  run = Span(steps(options.pop('warmup'), f'{WHERE}.warmup'), total, steps)
  curve = bind(SCHEDULES[name], options, WHERE, span=run)

  def multiplier(step):
    t = jnp.asarray(step, jnp.float32)
    ramp = jnp.minimum((t + 1) / run.warm, 1) if run.warm else 1.
    return ramp * curve(t)
  return multiplier


class Span(NamedTuple):
  """The steps over which a schedule runs: `warm` of `total` are spent on warming up; steps: turns
  a duration into steps."""
  warm: int
  total: int
  steps: Callable[[Duration, str], int]

  @property
  def left(self) -> int:
    return max(self.total - self.warm, 1)


def constant(span: Span):
  """1 all the time."""
  return optax.constant_schedule(1.)


def at_steps(span: Span, at: tuple, factor: float = .1):
  """Multiplied by `factor` at each of the durations `at`, such as ('50%', '75%')."""
  edges = Counter(span.steps(a, f'{WHERE}.at') for a in at)     # in a short run two may be one
  return optax.piecewise_constant_schedule(1., {t: factor ** n for t, n in edges.items()})


def cosine(span: Span, end: float = 0.):
  """Half a cosine from 1 to `end`."""
  decay = optax.cosine_decay_schedule(1., span.left, end)
  return lambda t: decay(jnp.maximum(t - span.warm, 0))


def linear(span: Span, end: float = 0.):
  """A straight line from 1 to `end`."""
  return optax.linear_schedule(1., end, span.left, span.warm)


def polynomial(span: Span, power: float = 2., end: float = 0.):
  """end + (1 - end) (1 - p)^power, with p the part that is done."""
  return optax.polynomial_schedule(1., end, power, span.left, span.warm)


def inverse(span: Span, alpha: float = 10., beta: float = .75):
  """(1 + alpha p)^-beta, with p the part of training done (Ganin et al. 2016)."""
  return lambda t: (1 + alpha * jnp.minimum(t / span.total, 1)) ** -beta


SCHEDULES = dict(constant=constant, steps=at_steps, cosine=cosine, linear=linear,
                 polynomial=polynomial, inverse=inverse)
