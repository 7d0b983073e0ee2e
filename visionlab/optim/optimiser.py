"""Optimisers, with every scalar read from traced `hp`.

An `Optimizer` is a pair of pure functions like optax's, but its update is given `hp`: the optax
transformation is built inside the trace, so a learning rate or momentum is data, not code.
"""

import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from numbers import Real
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from visionlab.config import ConfigError, Duration, bind, check_names, hints_of
from visionlab.optim.parameter_groups import Group, check_matches, check_regex, make_group, paths
from visionlab.optim.schedule import make_schedule
from visionlab.optim.update_rules import Rule, rule_of
from visionlab.options.mistakes import is_own


class Optimizer(NamedTuple):
  """init(params, hp) -> opt_state; update(grads, opt_state, params, hp, step) -> params, opt_state.

  `schedule(step)` multiplies hp['lr']. Training falls into phases, by the steps at which groups
  start and by the turns that players take: `phase(step)` is one of `phases`, and
  `freeze(params, phase)` stops the gradient of parameters that are not trained in it, so that none
  is computed. `setting(path)` is the `Group` that holds for a parameter, its decay a number.
  """
  hyperparameters: Mapping[str, float]
  init: Callable[..., Any]
  update: Callable[[Any, Any, Any, Mapping[str, jax.Array], jax.Array], tuple[Any, Any]]
  schedule: Callable[[jax.Array], jax.Array]
  freeze: Callable[[Any, int], Any]
  phases: int
  phase: Callable[[jax.Array], jax.Array]
  ema: bool
  setting: Callable[[str], Group]


def make_optimizer(rule: str, *, total: int, steps: Callable[[Duration, str], int],
                   schedule: Mapping | None = None, decay: str | None = None,
                   groups: tuple = (), nesterov: bool = False, clip: bool = False,
                   ema: bool = False, turns: tuple[str, ...] = (),
                   own: Mapping | None = None) -> Optimizer:
  """An optimiser by name.

  hp: `lr`, the groups' `rate`s, `weight_decay` (coupled: added to the gradient, for sgd, adam,
  rmsprop and lars; decoupled: multiplied by the learning rate only, for adamw, lamb and lion),
  `clip_norm` where clip is on, `ema_decay` where ema is, and the optimiser's own
  (`visionlab.optim.update_rules.SCALARS`).
  Momentum is as in torch: the learning rate scales the accumulated gradient.

  Args:
    rule: config.optim.name, one of `SCALARS`, or any of optax's or one's own, as 'optax:adan' (see
      `visionlab.optim.update_rules.rule_of`).
    total: steps of the whole training.
    steps: turns a duration into steps.
    schedule: `name` of one of `visionlab.optim.schedule.make_schedule`'s, and its options.
    decay: regex (searched in 'stage1/conv/kernel'): which parameters are decayed. By default
      `WEIGHTS`, so that biases, norms' scales and tables are left alone.
    groups: dicts of `Group`'s fields; the first whose `match` is found in a parameter's path
      holds. Where there are any they must cover every parameter, and each hold for one.
    nesterov: for sgd.
    clip: clips the gradient to a global norm of `hp.clip_norm`.
    ema: keeps an exponential moving average of the weights and of BatchNorm's statistics, which
      evaluation then uses.
    turns: regexes of which one after the other is trained, a step each, over and over:
      ('critic', 'critic', 'generator'). What is not trained in a step stands still, its moments and
      their counts too, and has no backward pass. Parameters that none matches are always trained.
    own: options of an own rule.

  Raises:
    ConfigError: unknown name, or a wrong value; at `init`, parameters that no group covers, a
      group that holds for none, or a decay that decides for none.
  """
  if nesterov and rule != 'sgd':
    raise ConfigError(f'config.optim.nesterov: for sgd, not {rule}')
  if decay is not None:
    check_regex(decay, 'config.optim.decay')
  groups = tuple(make_group(g, f'config.optim.groups[{i}]', total, steps)
                 for i, g in enumerate(groups))
  made = rule_of(rule, own, nesterov=nesterov)
  _check_decays(rule, made, decay, groups)
  for i, regex in enumerate(turns):
    check_regex(regex, f'config.optim.turns[{i}]')
  starts = tuple(sorted({g.start for g in groups if g.start and not g.frozen}))
  recipe = Recipe(made, groups, decay, clip, starts, make_schedule(schedule or {}, total, steps),
                  tuple(turns))
  hyperparameters = {**made.scalars, **(dict(clip_norm=1.) if clip else {}),
                     **(dict(ema_decay=.999) if ema else {})}
  for i, group in enumerate(groups):
    if group.rate in hyperparameters:
      raise ConfigError(f'config.optim.groups[{i}].rate: hp.{group.rate} means something else; a '
                        'name of its own is wanted, such as "critic_rate"')
  hyperparameters |= {group.rate: 1. for group in groups if group.rate}
  return Optimizer(hyperparameters, partial(_init, recipe), partial(_update, recipe),
                   recipe.schedule, partial(_freeze, recipe), recipe.phases, recipe.phase, ema,
                   recipe.setting)


def optimizer_of(options: Mapping, total: int, steps: Callable[[Duration, str], int]) -> Optimizer:
  """`make_optimizer` of config.optim, where an own rule's options stand beside the others.

  Raises:
    ConfigError: an option that neither has, or a number that is hp's.
  """
  where, options = 'config.optim', dict(options)
  if 'name' not in options:
    raise ConfigError(f'{where}.name: missing')
  known, rule = options_of(options['name']), rule_of(options['name'])
  for key in options:
    if key in rule.scalars and key not in known:
      raise ConfigError(f'{where}.{key}: is a traced number, which config.hp.{key} sets')
  check_names(options, known, where)
  own = {k: options.pop(k) for k in rule.options if k in options and is_own(options['name'])}
  return bind(make_optimizer, options, where, rule=options['name'], total=total, steps=steps,
              own=own)


def options_of(name: str) -> dict[str, Any]:
  """What config.optim may set where its name is this one, with the annotations."""
  rule = rule_of(name)
  ours = {k: v for k, v in hints_of(make_optimizer).items()
          if k not in ('rule', 'total', 'steps', 'own', 'return')}
  if is_own(name):
    del ours['nesterov']
  return {**rule.options, **ours, 'name': str}


class Recipe(NamedTuple):
  """What `make_optimizer` was asked for, once it is known to make sense."""
  rule: Rule
  groups: tuple[Group, ...]
  decay: str | None
  clip: bool
  starts: tuple[int, ...]
  schedule: Callable[[jax.Array], jax.Array]
  turns: tuple[str, ...] = ()

  @property
  def phases(self) -> int:
    return (1 + len(self.starts)) * max(len(self.turns), 1)

  def phase(self, step) -> jax.Array:
    """The phase that a step is of: they are numbered turn by turn, after each start anew."""
    begun = sum((step >= start for start in self.starts), jnp.int32(0))
    turns = max(len(self.turns), 1)
    return begun * turns + step % turns

  def turns_of(self, path: str) -> tuple[int, ...]:
    """The turns at which a parameter is trained; none where it always is."""
    return tuple(i for i, regex in enumerate(self.turns) if re.search(regex, path))

  def setting(self, path: str) -> Group:
    """The group that holds for a parameter, with its decay made definite."""
    group = next((g for g in self.groups if re.search(g.match, path)), Group(''))
    if group.decay is None:
      decayed = re.search(self.decay or self.rule.decays, path)
      return group._replace(decay=float(bool(decayed)))
    return group

  def transformation(self, hp, step) -> optax.GradientTransformation:
    """Of gradients, path -> array, at a step."""
    rate = hp['lr'] * self.schedule(step)
    return self.rule.make({**hp, 'lr': rate}, lambda path: self.setting(path).decay)


def _init(recipe, params, hp=None):
  """start -> the state of the parameters that are trained from then on."""
  _check_groups(paths(params), recipe)
  # That of ours hangs on no value of hp.
  defaults = {k: 0. if v is None else v for k, v in recipe.rule.scalars.items()}
  rule = recipe.transformation(jax.tree.map(jnp.float32, {**defaults, **(hp or {})}), 0)
  return {start: rule.init(part) for start, part in _trainable(recipe, params).items()}


def _update(recipe, grads, opt_state, params, hp, step):
  """The parameters and the state after a step."""
  grads, parts = _trainable(recipe, grads), _trainable(recipe, params)
  if recipe.clip:
    grads, _ = optax.clip_by_global_norm(hp['clip_norm']).update(grads, optax.EmptyState())
  rule, changes, state = recipe.transformation(hp, step), {}, {}
  for start, part in parts.items():
    change, state[start] = rule.update(grads[start], opt_state[start], part)
    if start != '0':
      change, state[start] = _if_trained(_trained_at(recipe, start, step), change, state[start],
                                         opt_state[start])
    changes |= change
  rate = -1. if recipe.rule.has_rate else hp['lr'] * recipe.schedule(step)
  return _moved(recipe, params, changes, hp, rate), state


def _trained_at(recipe, part, step):
  """Whether a part of the parameters, as `_trainable` names it, is trained in a step."""
  start, *turns = map(int, part.split('_'))
  begun = step >= start
  return begun & jnp.isin(step % len(recipe.turns), jnp.array(turns)) if turns else begun


def _if_trained(trained, changes, state, old_state):
  """Else nothing moves, and moments and their counts stay as they are."""
  return jax.tree.map(lambda new, old: jnp.where(trained, new, old), (changes, state),
                      (jax.tree.map(jnp.zeros_like, changes), old_state))


def _moved(recipe, params, changes, hp, rate):
  """The parameters after changes, path -> array, at a learning rate; others as they were."""
  groups = {n: recipe.setting(n) for n in changes}
  rates = {group: rate * group.lr * (hp[group.rate] if group.rate else 1)
           for group in dict.fromkeys(groups.values())}     # once each, not once a leaf
  leaves = [p - rates[groups[n]] * changes[n] if n in changes else p
            for n, p in zip(paths(params), jax.tree.leaves(params), strict=True)]
  return jax.tree.unflatten(jax.tree.structure(params), leaves)


def _freeze(recipe, params, phase=-1):
  """No gradient for what is frozen, nor for what is trained from a later phase on or in another
  turn. Phase -1: the last, whoever's turn it is."""
  begun, turn = divmod(phase, max(len(recipe.turns), 1)) if phase >= 0 else (-1, None)
  last = (0, *recipe.starts)[begun]

  def held(path):
    own, turns = recipe.setting(path), recipe.turns_of(path)
    return own.frozen or own.start > last or bool(turns) and turn not in (None, *turns)
  leaves = [jax.lax.stop_gradient(p) if held(path) else p
            for path, p in zip(paths(params), jax.tree.leaves(params), strict=True)]
  return jax.tree.unflatten(jax.tree.structure(params), leaves)


def _trainable(recipe, params) -> dict[str, dict]:
  """'start' or 'start_turn_turn' -> path -> leaf: the parameters that are trained at the same
  steps; the frozen ones are left out, so that they cost no optimiser state."""
  parts = {str(start): {} for start in (0, *recipe.starts)}
  for n, p in zip(paths(params), jax.tree.leaves(params), strict=True):
    own = recipe.setting(n)
    if not own.frozen:
      part = '_'.join(map(str, (own.start, *recipe.turns_of(n))))
      parts.setdefault(part, {})[n] = p
  return parts


def complete(hp: Mapping, *defaults: Mapping[str, float]) -> dict[str, float]:
  """config.hp over the defaults of whatever reads it (None: there is none).

  Raises:
    ConfigError: a key that nothing reads or that two do, one that is missing, or a value that is no
      number.
  """
  known = {}
  for scalars in defaults:
    for key in scalars:
      if key in known:
        raise ConfigError(f'config.hp.{key}: is read by the optimiser and by the loss; give one of '
                          'them another name for it')
    known |= scalars
  check_names(hp, known, 'config.hp')
  hp = {**known, **hp}
  for key, value in hp.items():
    if value is None:
      raise ConfigError(f'config.hp.{key}: missing')
    if isinstance(value, bool) or not isinstance(value, Real) or math.isnan(value):
      raise ConfigError(f'config.hp.{key}: expected a number, got {value!r}')
  return {k: float(v) for k, v in hp.items()}


def _check_decays(name, rule, decay, groups):
  """Of an own rule, which may know of no decay but its own."""
  asked = {f'config.optim.groups[{i}].decay': g.decay for i, g in enumerate(groups)
           if g.decay is not None}
  if rule.closed and (asked or decay is not None):
    where = 'config.optim.decay' if decay is not None else next(iter(asked))
    raise ConfigError(f'{where}: {name} takes weight_decay and no mask, and so decays every '
                      'parameter; leave this out')
  for where, value in asked.items():
    if rule.masks and value not in (0, 1):
      raise ConfigError(f'{where}: {name} decays a parameter or not; write 1 or 0, not {value}')


def _check_groups(names, recipe):
  groups = recipe.groups
  left = [n for n in names if not any(re.search(g.match, n) for g in groups)]
  if groups and left:
    raise ConfigError(f'config.optim.groups: no group covers {", ".join(left)}; '
                      'add a last group dict(match=".*")')
  check_matches({f'config.optim.groups[{i}].match': g.match for i, g in enumerate(groups)}, names)
  for i, regex in enumerate(recipe.turns):
    check_matches({f'config.optim.turns[{i}]': regex}, names)
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
