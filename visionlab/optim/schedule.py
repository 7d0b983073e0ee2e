"""How the learning rate changes over training."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from visionlab.config import ConfigError, Duration, bind, resolve
from visionlab.options.mistakes import is_own, own_mistakes

WHERE = 'config.optim.schedule'


def make_schedule(options: Mapping, total: int, steps: Callable[[Duration, str], int]):
  """A multiplier of the learning rate as a function of the step.

  `name` is one of `SCHEDULES`, with its options, or one's own, as 'optax:sgdr_schedule' or
  'package.module:function': called with its options, and the run's `Span` if it takes a `span`, it
  gives a function of the step. Each may have `warmup`, a duration over which the rate rises
  linearly to what the schedule says; cosine, linear and polynomial then run over what is left.

  Raises:
    ConfigError: no such schedule, an option that does not fit, or an own one that raises or gives
      no number.
  """
  options = {'name': 'constant', 'warmup': 0, **options}
  name = options['name']
  make = resolve(name, SCHEDULES, f'{WHERE}.name')
  run = Span(steps(options.pop('warmup'), f'{WHERE}.warmup'), total, steps)
  curve = bind(make, options, WHERE, span=run)
  if is_own(name):
    _check_curve(curve, name)

  def multiplier(step):
    t = jnp.asarray(step, jnp.float32)
    ramp = jnp.minimum((t + 1) / run.warm, 1) if run.warm else 1.
    return ramp * curve(t)
  return multiplier


def _check_curve(curve, name: str):
  """Raises `ConfigError` unless it gives a number for a step."""
  with own_mistakes(WHERE, name):
    form = jax.eval_shape(curve, jnp.float32(0)) if callable(curve) else None
  if getattr(form, 'shape', None) != ():
    raise ConfigError(f'{WHERE}: {name} gave {curve!r:.60}; expected a function of the step that '
                      'gives a number, what the learning rate is multiplied by')


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
