"""What an optimiser makes of a gradient, by its name: one of ours, or any of optax's or one's own.

An own one is named as 'optax:adan' or 'package.module:function' and called inside the trace, like
ours: its float arguments are `hp`'s.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from visionlab.config import ConfigError, bind, check_kind, hints_of, resolve
from visionlab.optim.parameter_groups import WEIGHTS
from visionlab.options.mistakes import own_mistakes
from visionlab.options.parts import parameters_of

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

NAME = 'config.optim.name'
RATES = ('learning_rate', 'lr')               # what an own optimiser may call hp.lr
MASKS = ('mask', 'weight_decay_mask')         # and which parameters are decayed

Scalars = Mapping[str, Any]                   # numbers, traced or not
Decay = Callable[[str], float]                # a parameter's path -> what multiplies weight_decay


class Rule(NamedTuple):
  """An optimiser, before it is told what to train.

  Attributes:
    scalars: what it reads from hp, with the defaults; None: there is none.
    make: (hp, decay) -> the optax transformation of gradients, path -> array. hp.lr is that of the
      step.
    has_rate: whether its updates are added as they are; else they are subtracted, times hp.lr.
    options: what config.optim may set of it, by name, with annotations.
    decays: the regex of the parameters that are decayed unless the config says otherwise.
    masks: whether a parameter is decayed wholly or not at all.
    closed: whether the config has no say in that.
  """
  scalars: Mapping[str, float | None]
  make: Callable[[Scalars, Decay], optax.GradientTransformation]
  has_rate: bool = False
  options: Mapping[str, Any] = {}
  decays: str = WEIGHTS
  masks: bool = False
  closed: bool = False


def rule_of(name: str, options: Mapping[str, Any] | None = None, *, nesterov: bool = False) -> Rule:
  """The rule that config.optim.name names.

  An own function is called with the arguments it names: `learning_rate` (or `lr`), the rate of the
  step; floats, from hp, where their defaults are its own; `weight_decay`, from there too, with
  `mask` or `weight_decay_mask`, by config.optim.decay; all else from config.optim. It returns an
  optax transformation: of updates to be added if it takes the rate, else of a direction against
  which the rate goes. Without a `weight_decay` the decay is added to the gradient.

  Args:
    options: of config.optim, those that are an own function's.
    nesterov: for sgd.

  Raises:
    ConfigError: no such rule; when it is made, whatever an own one raises.
  """
  check_kind(name, str, NAME)
  if name in SCALARS:
    return Rule(dict(lr=None, weight_decay=0., **SCALARS[name]),
                partial(_ours, name, nesterov), options=dict(nesterov=bool))
  return _own_rule(name, resolve(name, dict.fromkeys(SCALARS, ''), NAME), options or {})


def _own_rule(name: str, function: Callable, options: Mapping[str, Any]) -> Rule:
  """What its arguments say of it."""
  parameters, hints = parameters_of(function, NAME), hints_of(function)
  takes_decay = 'weight_decay' in parameters
  masks = tuple(k for k in MASKS if k in parameters and takes_decay)
  scalars = {'lr': None, 'weight_decay': 0.}
  for key, p in parameters.items():
    if key not in RATES and isinstance(p.default, float):
      scalars[key] = p.default
    elif key not in RATES and p.default is p.empty and hints.get(key) is float:
      scalars[key] = None
  free = {k: hints.get(k, Any) for k in parameters if k not in (*scalars, *RATES, *masks)}
  make = partial(_own, function, {**options, 'name': name}, tuple(scalars), masks, takes_decay)
  closed = takes_decay and not masks
  return Rule(scalars, make, has_rate=any(k in parameters for k in RATES), options=free,
              decays='.' if closed else WEIGHTS, masks=bool(masks), closed=closed)


def _ours(name, nesterov, hp, decay) -> optax.GradientTransformation:
  """From gradients, path -> array, to what is subtracted, but for the learning rate."""
  core, decayed = _core(name, nesterov, hp), _decayed(hp, decay)
  if name == 'lars':    # You et al. 2017, with |w| / |g + wd w|, as it mostly is;
    trust = optax.scale_by_trust_ratio(trust_coefficient=hp['trust'])
    decayed_only = optax.masked(trust, partial(_mask, decay))
    return optax.chain(decayed, decayed_only, core)    # what is not decayed has plain momentum
  if name == 'lamb':    # You et al. 2020, algorithm 2
    return optax.chain(core, decayed, optax.scale_by_trust_ratio())
  late = name in ('adamw', 'lion')
  return optax.chain(*((core, decayed) if late else (decayed, core)))


def _core(name, nesterov, hp) -> optax.GradientTransformation:
  """Moments, without decay of the weights."""
  if name in ('adam', 'adamw', 'lamb'):
    return optax.scale_by_adam(hp['b1'], hp['b2'], hp['eps'])
  if name == 'lion':    # Chen et al. 2023, algorithm 2
    return optax.scale_by_lion(hp['b1'], hp['b2'])
  momentum = optax.trace(hp['momentum'], nesterov)
  if name == 'rmsprop':
    scaled = optax.scale_by_rms(hp['rms_decay'], hp['eps'], eps_in_sqrt=False)
    return optax.chain(scaled, momentum)
  return momentum


def _decayed(hp, decay) -> optax.GradientTransformation:
  """Adds to each parameter's update its decay times the parameter."""
  def add(updates, params):
    decays = {n: decay(n) for n in updates}
    return {n: u + hp['weight_decay'] * decays[n] * params[n] if decays[n] else u
            for n, u in updates.items()}
  return optax.stateless(add)


def _mask(decay, tree) -> dict[str, bool]:
  return {n: decay(n) > 0 for n in tree}


def _own(function, options, scalars, masks, takes_decay, hp, decay) -> optax.GradientTransformation:
  """What an own function makes of the options and of hp, checked at every call."""
  given = {k: hp[k] for k in scalars} | dict.fromkeys(RATES, hp['lr'])
  given |= dict.fromkeys(masks, partial(_mask, decay))
  rule = bind(function, options, 'config.optim', **given)
  name = options['name']
  if not (hasattr(rule, 'init') and hasattr(rule, 'update')):
    raise ConfigError(f'{NAME}: {name} gave {rule!r:.60}; expected an optax transformation, with '
                      'init and update')
  checked = optax.GradientTransformation(partial(_init, rule, name), partial(_update, rule, name))
  return checked if takes_decay else optax.chain(_decayed(hp, decay), checked)


def _init(rule, name, params):
  with own_mistakes(NAME, name):
    return rule.init(params)


def _update(rule, name, grads, state, params):
  with own_mistakes(NAME, name):
    updates, new = rule.update(grads, state, params)
  for what, wanted, found in (('update', params, updates), ('state', state, new)):
    if _form(found) != _form(wanted):
      raise ConfigError(f'{NAME}: {name} changes the form of the {what}: expected '
                        f'{_form(wanted)!s:.200}, got {_form(found)!s:.200}')
  return updates, new


def _form(tree):
  return jax.tree.map(lambda x: f'{jnp.result_type(x)}{list(jnp.shape(x))}', tree)
