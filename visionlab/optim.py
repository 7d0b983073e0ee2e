"""Optimisers, schedules and parameter groups, with every scalar read from traced `hp`.

An `Optimizer` is a pair of pure functions like optax's, but its update is given `hp`: the optax
transformation is built inside the trace, so a learning rate or momentum is data, not code.
"""

import re
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from visionlab.config import ConfigError, Duration, bind, check_choice, check_names, nearest

# The scalars each optimiser reads from hp, beside lr and weight_decay.
SCALARS = {
    'sgd': dict(momentum=0.),
    'adam': dict(b1=.9, b2=.999, eps=1e-8),
    'adamw': dict(b1=.9, b2=.999, eps=1e-8),
    'rmsprop': dict(momentum=0., rms_decay=.9, eps=1e-8),
    'lars': dict(momentum=.9, trust=.001),
    'lamb': dict(b1=.9, b2=.999, eps=1e-6),
}


class Optimizer(NamedTuple):
  """init(params) -> opt_state; update(grads, opt_state, params, hp, step) -> params, opt_state.

  `schedule(step)` multiplies hp['lr']. `freeze(params, phase)` stops the gradient of parameters
  that are frozen, or not yet trained in that phase, so that none is computed; `starts` are the
  steps at which the phases after the first begin.
  """
  hyperparameters: Mapping[str, float]
  init: Callable[[Any], Any]
  update: Callable[[Any, Any, Any, Mapping[str, jax.Array], jax.Array], tuple[Any, Any]]
  schedule: Callable[[jax.Array], jax.Array]
  freeze: Callable[[Any, int], Any]
  starts: tuple[int, ...]
  ema: bool


class Group(NamedTuple):
  """What holds for the parameters whose path matches (a regex, searched). lr and decay multiply
  hp's; without a decay of its own the optimiser's regex decides (1 or 0). They are trained from
  `start`, a duration, on; before that they cost no backward pass."""
  match: str
  lr: float = 1.
  decay: float | None = None
  frozen: bool = False
  start: int | str = 0


def make_optimizer(rule: str, *, total: int, steps: Callable[[Duration, str], int],
                   schedule: Mapping | None = None, decay: str = r'(^|/)kernel$',
                   groups: tuple = (), nesterov: bool = False, clip: bool = False,
                   ema: bool = False) -> Optimizer:
  """An optimiser by name.

  hp: `lr`, `weight_decay` (coupled: added to the gradient, for sgd, adam, rmsprop and lars;
  decoupled: multiplied by the learning rate only, for adamw and lamb), `clip_norm` where clip is
  on, `ema_decay` where ema is, and the optimiser's own (`SCALARS`). Momentum is as in torch: the
  learning rate scales the accumulated gradient.

  Args:
    rule: one of `SCALARS` (config.optim.name).
    total: steps of the whole training.
    steps: turns a duration into steps.
    schedule: `name` of one of `make_schedule`'s, and its options.
    decay: regex (searched in 'stage1/conv/kernel'): which parameters are decayed. By default only
      kernels, so that biases, norms' scales and tables are left alone.
    groups: dicts of `Group`'s fields; the first whose `match` is found in a parameter's path
      holds. Where there are any they must cover every parameter.
    nesterov: for sgd.
    clip: clips the gradient to a global norm of `hp.clip_norm`.
    ema: keeps an exponential moving average of the weights, which evaluation then uses.

  Raises:
    ConfigError: unknown name; at `init`, parameters that no group covers or a group that matches
      none.
  """
  check_choice(rule, SCALARS, 'config.optim.name')
  multiplier = make_schedule(schedule or {}, total, steps)
  groups = tuple(bind(Group, g, f'config.optim.groups[{i}]') for i, g in enumerate(groups))
  groups = tuple(g._replace(start=steps(g.start, f'config.optim.groups[{i}].start'))
                 for i, g in enumerate(groups))
  starts = tuple(sorted({g.start for g in groups if g.start and not g.frozen}))
  for where, regex in (('decay', decay), *((f'groups[{i}].match', g.match)
                                           for i, g in enumerate(groups))):
    try:
      re.compile(regex)
    except re.error as e:
      raise ConfigError(f'config.optim.{where}: {regex!r} is no regular expression: {e}') from e
  if nesterov and rule != 'sgd':
    raise ConfigError(f'config.optim.nesterov: for sgd, not {rule}')

  def setting(path):
    return _setting(path, groups, decay)

  def trainable(params):
    """path -> leaf, for each start the parameters trained from then on; the frozen ones are left
    out, so that they cost no optimiser state."""
    parts = {start: {} for start in (0, *starts)}
    for n, p in zip(paths(params), jax.tree.leaves(params), strict=True):
      if not setting(n).frozen:
        parts[setting(n).start][n] = p
    return {str(start): part for start, part in parts.items()}

  def transformation(hp):
    def add_decay(updates, params):
      return {n: u + hp['weight_decay'] * setting(n).decay * params[n] if setting(n).decay else u
              for n, u in updates.items()}
    decayed = optax.stateless(add_decay)
    if rule in ('adam', 'adamw', 'lamb'):
      core = optax.scale_by_adam(hp['b1'], hp['b2'], hp['eps'])
    else:
      core = optax.trace(hp['momentum'], nesterov)
    if rule == 'rmsprop':
      core = optax.chain(optax.scale_by_rms(hp['rms_decay'], hp['eps'], eps_in_sqrt=False), core)
    if rule == 'lars':      # You et al. 2017, with |w| / |g + wd w|, as it is mostly implemented;
      trust = optax.scale_by_trust_ratio(trust_coefficient=hp['trust'])
      decayed_only = optax.masked(trust, lambda u: {n: setting(n).decay > 0 for n in u})
      stages = [decayed, decayed_only, core]     # what is not decayed has plain momentum
    elif rule == 'lamb':    # You et al. 2020, algorithm 2
      stages = [core, decayed, optax.scale_by_trust_ratio()]
    else:
      stages = [core, decayed] if rule == 'adamw' else [decayed, core]
    return optax.chain(*stages)

  def init(params):
    _check_groups(params, groups)
    hp = dict.fromkeys(hyperparameters, jnp.float32(0))      # the state's form hangs on no value
    return {start: transformation(hp).init(part) for start, part in trainable(params).items()}

  def update(grads, opt_state, params, hp, step):
    given = trainable(grads)
    if clip:
      given, _ = optax.clip_by_global_norm(hp['clip_norm']).update(given, optax.EmptyState())
    rate = hp['lr'] * multiplier(step)
    kept, new_state, updates = {}, {}, {}
    for start, part in trainable(params).items():
      changes, state = transformation(hp).update(given[start], opt_state[start], part)
      if start != '0':      # until then nothing moves, and moments and their counts stay at zero
        begun = step >= int(start)
        changes, state = jax.tree.map(
            lambda new, old, begun=begun: jnp.where(begun, new, old), (changes, state),
            (jax.tree.map(jnp.zeros_like, changes), opt_state[start]))
      kept, updates, new_state[start] = {**kept, **part}, {**updates, **changes}, state
    leaves = [p - rate * setting(n).lr * updates[n] if n in kept else p
              for n, p in zip(paths(params), jax.tree.leaves(params), strict=True)]
    return jax.tree.unflatten(jax.tree.structure(params), leaves), new_state

  def freeze(params, phase=-1):
    last = (0, *starts)[phase]
    leaves = [jax.lax.stop_gradient(p) if setting(n).frozen or setting(n).start > last else p
              for n, p in zip(paths(params), jax.tree.leaves(params), strict=True)]
    return jax.tree.unflatten(jax.tree.structure(params), leaves)

  hyperparameters = dict(lr=None, weight_decay=0., **SCALARS[rule],
                         **(dict(clip_norm=1.) if clip else {}),
                         **(dict(ema_decay=.999) if ema else {}))
  return Optimizer(hyperparameters, init, update, multiplier, freeze, starts, ema)


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

  def constant():
    return lambda t: jnp.ones_like(t)

  def at_steps(at: tuple, factor: float = .1):
    edges = jnp.array([steps(a, f'{where}.at') for a in at], jnp.float32)
    return lambda t: factor ** (t[..., None] >= edges).sum(-1)

  def left(t):            # from 1 after warm-up to 0 at the end
    return 1 - jnp.clip((t - warm) / max(total - warm, 1), 0, 1)

  def cosine(end: float = 0.):
    return lambda t: end + (1 - end) * .5 * (1 - jnp.cos(jnp.pi * left(t)))

  def polynomial(power: float = 2., end: float = 0.):
    return lambda t: end + (1 - end) * left(t) ** power

  def linear(end: float = 0.):
    return polynomial(1., end)

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


def complete(hp: Mapping, *defaults: Mapping[str, float]) -> dict[str, float]:
  """config.hp over the defaults of whatever reads it (None: there is none).

  Raises:
    ConfigError: a key that nothing reads, one that is missing, or a value that is no number.
  """
  known = {k: v for d in defaults for k, v in d.items()}
  check_names(hp, known, 'config.hp')
  hp = {**known, **hp}
  for key, value in hp.items():
    if value is None:
      raise ConfigError(f'config.hp.{key}: missing')
    if isinstance(value, bool) or not isinstance(value, Real):
      raise ConfigError(f'config.hp.{key}: expected a number, got {value!r}')
  return {k: float(v) for k, v in hp.items()}


def paths(params) -> list[str]:
  """'stage1/conv/kernel' for each leaf, in the order of the leaves."""
  return [jax.tree_util.keystr(path, simple=True, separator='/')
          for path, _ in jax.tree_util.tree_leaves_with_path(params)]


def _setting(path, groups, decay) -> Group:
  """The group that holds for a parameter, with its decay made definite."""
  group = next((g for g in groups if re.search(g.match, path)), Group('.*'))
  if group.decay is None:
    return group._replace(decay=float(bool(re.search(decay, path))))
  return group


def _check_groups(params, groups):
  names = paths(params)
  left = [n for n in names if not any(re.search(g.match, n) for g in groups)]
  if groups and left:
    raise ConfigError(f'config.optim.groups: no group covers {", ".join(left)}; '
                      'add a last group dict(match=".*")')
  for i, g in enumerate(groups):
    if not any(re.search(g.match, n) for n in names):
      raise ConfigError(f'config.optim.groups[{i}].match: {g.match!r} matches no parameter'
                        f'{nearest(g.match, names)}; there are: {", ".join(names)}')

