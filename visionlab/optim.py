"""Optimisers and parameter groups, with every scalar read from traced `hp`.

An `Optimizer` is a pair of pure functions like optax's, but its update is given `hp`: the optax
transformation is built inside the trace, so a learning rate or momentum is data, not code.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from numbers import Real
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from visionlab.config import ConfigError, Duration, bind, check_choice, check_names, nearest
from visionlab.schedule import make_schedule

# The scalars each optimiser reads from hp, beside lr and weight_decay.
SCALARS = {
    'sgd': dict(momentum=0.),
    'adam': dict(b1=.9, b2=.999, eps=1e-8),
    'adamw': dict(b1=.9, b2=.999, eps=1e-8),
    'rmsprop': dict(momentum=0., rms_decay=.9, eps=1e-8),
    'lars': dict(momentum=.9, trust=.001),
    'lamb': dict(b1=.9, b2=.999, eps=1e-6),
    'lion': dict(b1=.9, b2=.99),
}

# The names of weights that multiply: layers' kernels and, of attention, its three. Biases, norms'
# scales and tables of embeddings are none.
WEIGHTS = r'(^|[/_])kernel$|(^|/)(query|score|gate)$'


class Optimizer(NamedTuple):
  """init(params) -> opt_state; update(grads, opt_state, params, hp, step) -> params, opt_state.

  `schedule(step)` multiplies hp['lr']. `freeze(params, phase)` stops the gradient of parameters
  that are frozen, or not yet trained in that phase, so that none is computed; `starts` are the
  steps at which the phases after the first begin. `setting(path)` is the `Group` that holds for a
  parameter, its decay a number.
  """
  hyperparameters: Mapping[str, float]
  init: Callable[[Any], Any]
  update: Callable[[Any, Any, Any, Mapping[str, jax.Array], jax.Array], tuple[Any, Any]]
  schedule: Callable[[jax.Array], jax.Array]
  freeze: Callable[[Any, int], Any]
  starts: tuple[int, ...]
  ema: bool
  setting: Callable[[str], 'Group']


class Group(NamedTuple):
  """What holds for the parameters whose path matches (a regex, searched). lr and decay multiply
  hp's; neither is negative. Without a decay of its own the optimiser's regex decides (1 or 0). They
  are trained from `start`, a duration, on; before that they cost no backward pass."""
  match: str
  lr: float = 1.
  decay: float | None = None
  frozen: bool = False
  start: int | str = 0


def make_optimizer(rule: str, *, total: int, steps: Callable[[Duration, str], int],
                   schedule: Mapping | None = None, decay: str | None = None,
                   groups: tuple = (), nesterov: bool = False, clip: bool = False,
                   ema: bool = False) -> Optimizer:
  """An optimiser by name.

  hp: `lr`, `weight_decay` (coupled: added to the gradient, for sgd, adam, rmsprop and lars;
  decoupled: multiplied by the learning rate only, for adamw, lamb and lion), `clip_norm` where
  clip is on, `ema_decay` where ema is, and the optimiser's own (`SCALARS`). Momentum is as in
  torch: the learning rate scales the accumulated gradient.

  Args:
    rule: one of `SCALARS` (config.optim.name).
    total: steps of the whole training.
    steps: turns a duration into steps.
    schedule: `name` of one of `visionlab.schedule.make_schedule`'s, and its options.
    decay: regex (searched in 'stage1/conv/kernel'): which parameters are decayed. By default
      `WEIGHTS`, so that biases, norms' scales and tables are left alone.
    groups: dicts of `Group`'s fields; the first whose `match` is found in a parameter's path
      holds. Where there are any they must cover every parameter, and each hold for one.
    nesterov: for sgd.
    clip: clips the gradient to a global norm of `hp.clip_norm`.
    ema: keeps an exponential moving average of the weights and of BatchNorm's statistics, which
      evaluation then uses.

  Raises:
    ConfigError: unknown name, or a wrong value; at `init`, parameters that no group covers, a
      group that holds for none, or a decay that decides for none.
  """
  check_choice(rule, SCALARS, 'config.optim.name')
  if nesterov and rule != 'sgd':
    raise ConfigError(f'config.optim.nesterov: for sgd, not {rule}')
  if decay is not None:
    _check_regex(decay, 'config.optim.decay')
  groups = tuple(_group(g, f'config.optim.groups[{i}]', total, steps)
                 for i, g in enumerate(groups))
  starts = tuple(sorted({g.start for g in groups if g.start and not g.frozen}))
  recipe = Recipe(rule, groups, decay, nesterov, clip, starts,
                  make_schedule(schedule or {}, total, steps))
  return Optimizer(_hyperparameters(rule, clip, ema), partial(_init, recipe),
                   partial(_update, recipe), recipe.schedule, partial(_freeze, recipe), starts, ema,
                   recipe.setting)


class Recipe(NamedTuple):
  """What `make_optimizer` was asked for, once it is known to make sense."""
  rule: str
  groups: tuple[Group, ...]
  decay: str | None
  nesterov: bool
  clip: bool
  starts: tuple[int, ...]
  schedule: Callable[[jax.Array], jax.Array]

  def setting(self, path: str) -> Group:
    """The group that holds for a parameter, with its decay made definite."""
    group = next((g for g in self.groups if re.search(g.match, path)), Group(''))
    if group.decay is None:
      return group._replace(decay=float(bool(re.search(self.decay or WEIGHTS, path))))
    return group


def _hyperparameters(rule, clip, ema) -> dict:
  """What is read from hp, with its default; None: there is none."""
  return dict(lr=None, weight_decay=0., **SCALARS[rule],
              **(dict(clip_norm=1.) if clip else {}), **(dict(ema_decay=.999) if ema else {}))


def _init(recipe, params):
  """start -> the state of the parameters that are trained from then on."""
  _check_groups(paths(params), recipe)
  # The state's form hangs on no value.
  hp = dict.fromkeys(_hyperparameters(recipe.rule, recipe.clip, False), jnp.float32(0))
  return {start: _transformation(recipe, hp).init(part)
          for start, part in _trainable(recipe, params).items()}


def _update(recipe, grads, opt_state, params, hp, step):
  """The parameters and the state after a step."""
  grads, parts = _trainable(recipe, grads), _trainable(recipe, params)
  if recipe.clip:
    grads, _ = optax.clip_by_global_norm(hp['clip_norm']).update(grads, optax.EmptyState())
  rule, changes, state = _transformation(recipe, hp), {}, {}
  for start, part in parts.items():
    change, state[start] = rule.update(grads[start], opt_state[start], part)
    if start != '0':
      change, state[start] = _once_begun(step >= int(start), change, state[start],
                                         opt_state[start])
    changes |= change
  return _moved(recipe, params, changes, hp['lr'] * recipe.schedule(step)), state


def _once_begun(begun, changes, state, old_state):
  """Until then nothing moves, and moments and their counts stay at zero."""
  return jax.tree.map(lambda new, old: jnp.where(begun, new, old), (changes, state),
                      (jax.tree.map(jnp.zeros_like, changes), old_state))


def _moved(recipe, params, changes, rate):
  """The parameters after changes, path -> array, at a learning rate; others as they were."""
  leaves = [p - rate * recipe.setting(n).lr * changes[n] if n in changes else p
            for n, p in zip(paths(params), jax.tree.leaves(params), strict=True)]
  return jax.tree.unflatten(jax.tree.structure(params), leaves)


def _freeze(recipe, params, phase=-1):
  """No gradient for what is frozen, nor for what is trained from a later phase on."""
  last = (0, *recipe.starts)[phase]
  settings = map(recipe.setting, paths(params))
  leaves = [jax.lax.stop_gradient(p) if own.frozen or own.start > last else p
            for own, p in zip(settings, jax.tree.leaves(params), strict=True)]
  return jax.tree.unflatten(jax.tree.structure(params), leaves)


def _trainable(recipe, params) -> dict[str, dict]:
  """start -> path -> leaf: the parameters trained from each start on; the frozen ones are left out,
  so that they cost no optimiser state."""
  parts = {start: {} for start in (0, *recipe.starts)}
  for n, p in zip(paths(params), jax.tree.leaves(params), strict=True):
    own = recipe.setting(n)
    if not own.frozen:
      parts[own.start][n] = p
  return {str(start): part for start, part in parts.items()}


def _transformation(recipe, hp) -> optax.GradientTransformation:
  """From gradients, path -> array, to what is subtracted, but for the learning rate."""
  core, decayed = _core(recipe, hp), _decayed(recipe, hp)
  if recipe.rule == 'lars':    # You et al. 2017, with |w| / |g + wd w|, as it mostly is;
    trust = optax.scale_by_trust_ratio(trust_coefficient=hp['trust'])
    decayed_only = optax.masked(trust, lambda u: {n: recipe.setting(n).decay > 0 for n in u})
    return optax.chain(decayed, decayed_only, core)    # what is not decayed has plain momentum
  if recipe.rule == 'lamb':    # You et al. 2020, algorithm 2
    return optax.chain(core, decayed, optax.scale_by_trust_ratio())
  late = recipe.rule in ('adamw', 'lion')
  return optax.chain(*((core, decayed) if late else (decayed, core)))


def _core(recipe, hp) -> optax.GradientTransformation:
  """Moments, without decay of the weights."""
  if recipe.rule in ('adam', 'adamw', 'lamb'):
    return optax.scale_by_adam(hp['b1'], hp['b2'], hp['eps'])
  if recipe.rule == 'lion':    # Chen et al. 2023, algorithm 2
    return optax.scale_by_lion(hp['b1'], hp['b2'])
  momentum = optax.trace(hp['momentum'], recipe.nesterov)
  if recipe.rule == 'rmsprop':
    scaled = optax.scale_by_rms(hp['rms_decay'], hp['eps'], eps_in_sqrt=False)
    return optax.chain(scaled, momentum)
  return momentum


def _decayed(recipe, hp) -> optax.GradientTransformation:
  """Adds to each parameter's update its decay times the parameter."""
  def add(updates, params):
    decays = {n: recipe.setting(n).decay for n in updates}
    return {n: u + hp['weight_decay'] * decays[n] * params[n] if decays[n] else u
            for n, u in updates.items()}
  return optax.stateless(add)


def _group(options, where, total, steps) -> Group:
  """A group from a config; its start in steps."""
  group = bind(Group, options, where)
  _check_regex(group.match, f'{where}.match')
  for key in ('lr', 'decay'):
    value = getattr(group, key)
    if value is not None and not 0 <= value < math.inf:
      raise ConfigError(f'{where}.{key}: must be finite and not negative, not {value}')
  start = steps(group.start, f'{where}.start')
  if start and group.frozen:
    raise ConfigError(f'{where}: a frozen group is never trained; leave out start, or frozen')
  if start >= total > 0:
    raise ConfigError(f'{where}.start: step {start} is not before the end of training, {total}; '
                      'what is never trained is frozen=True')
  return group._replace(start=start)


def _check_regex(regex, where):
  if not regex:
    raise ConfigError(f'{where}: an empty regular expression matches everything; write "." for '
                      'all')
  try:
    re.compile(regex)
  except re.error as e:
    raise ConfigError(f'{where}: {regex!r} is no regular expression: {e}') from e


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
    if isinstance(value, bool) or not isinstance(value, Real) or math.isnan(value):
      raise ConfigError(f'config.hp.{key}: expected a number, got {value!r}')
  return {k: float(v) for k, v in hp.items()}


def paths(params) -> list[str]:
  """'stage1/conv/kernel' for each leaf, in the order of the leaves."""
  return [jax.tree_util.keystr(path, simple=True, separator='/')
          for path, _ in jax.tree_util.tree_leaves_with_path(params)]


def check_matches(regexes: Mapping[str, str], names: Sequence[str]) -> None:
  """Checks a table of regexes, where -> regex, of which the first that is found in a name holds.

  Raises:
    ConfigError: one is found in no name, or only in such as an earlier one holds for.
  """
  holds = {}
  for where, regex in regexes.items():
    found = [n for n in names if re.search(regex, n)]
    if not found:
      raise ConfigError(f'{where}: {regex!r} matches no parameter{nearest(regex, names)}; '
                        f'there are: {", ".join(names)}')
    if all(n in holds for n in found):
      first = holds[found[0]]
      raise ConfigError(f'{where}: {regex!r} never holds: {first}, {regexes[first]!r}, comes first '
                        f'for {found[0]}; put the narrower one before it')
    holds = {**dict.fromkeys(found, where), **holds}


def _check_groups(names, recipe):
  groups = recipe.groups
  left = [n for n in names if not any(re.search(g.match, n) for g in groups)]
  if groups and left:
    raise ConfigError(f'config.optim.groups: no group covers {", ".join(left)}; '
                      'add a last group dict(match=".*")')
  check_matches({f'config.optim.groups[{i}].match': g.match for i, g in enumerate(groups)}, names)
  if recipe.decay is None:
    return
  check_matches({'config.optim.decay': recipe.decay}, names)
  if not any(_decay_is_open(recipe, n) for n in names if re.search(recipe.decay, n)):
    raise ConfigError(f'config.optim.decay: {recipe.decay!r} matches only parameters that are '
                      'frozen or whose group has a decay of its own')


def _decay_is_open(recipe, path):
  """Whether the optimiser's regex has a say in a parameter's decay."""
  group = next((g for g in recipe.groups if re.search(g.match, path)), Group(''))
  return group.decay is None and not group.frozen
