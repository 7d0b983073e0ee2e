"""How the learning rate changes over training."""

from collections import Counter
from collections.abc import Callable, Mapping

import jax.numpy as jnp
import optax

from visionlab.config import Duration, bind, check_choice


def make_schedule(options: Mapping, total: int, steps: Callable[[Duration, str], int]):
  """A multiplier of the learning rate as a function of the step.

  `name` is one of constant, steps (at=('50%', '75%'), factor=.1), cosine (end=0.), linear (end=0.),
  polynomial (power=2., end=0.), inverse (alpha=10., beta=.75: (1 + alpha p)^-beta with p the part
  of training done, Ganin et al. 2016). Each may have `warmup`, a duration over which the rate rises
  linearly to what the schedule says; cosine, linear and polynomial then run over what is left.
  """
  where = 'config.optim.schedule'
  options = {'name': 'constant', 'warmup': 0, **options}
  warm = steps(options.pop('warmup'), f'{where}.warmup')
  name = options.pop('name')

  left = max(total - warm, 1)

  def constant():
    return optax.constant_schedule(1.)

  def at_steps(at: tuple, factor: float = .1):
    edges = Counter(steps(a, f'{where}.at') for a in at)     # in a short run two may be one
    return optax.piecewise_constant_schedule(1., {t: factor ** n for t, n in edges.items()})

  def cosine(end: float = 0.):
    decay = optax.cosine_decay_schedule(1., left, end)
    return lambda t: decay(jnp.maximum(t - warm, 0))

  def polynomial(power: float = 2., end: float = 0.):
    return optax.polynomial_schedule(1., end, power, left, warm)

  def linear(end: float = 0.):
    return optax.linear_schedule(1., end, left, warm)

  def inverse(alpha: float = 10., beta: float = .75):
    return lambda t: (1 + alpha * jnp.minimum(t / total, 1)) ** -beta

  table = dict(constant=constant, steps=at_steps, cosine=cosine, linear=linear,
               polynomial=polynomial, inverse=inverse)
  check_choice(name, table, f'{where}.name')
  curve = bind(table[name], options, where)

  def multiplier(step):
    t = jnp.asarray(step, jnp.float32)
    ramp = jnp.minimum((t + 1) / warm, 1) if warm else 1.
    return ramp * curve(t)
  return multiplier
