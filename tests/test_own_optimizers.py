"""Any of optax's optimisers, and one's own, by 'module:name': their floats are traced hp."""

import importlib
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from visionlab.config import ConfigError
from visionlab.optim.optimiser import optimizer_of, options_of
from visionlab.optim.parameter_groups import paths

TOTAL = 8
OPTAX = ('adabelief', 'adadelta', 'adafactor', 'adagrad', 'adam', 'adamax', 'adamaxw', 'adamw',
         'adan', 'amsgrad', 'fromage', 'lamb', 'lars', 'lion', 'nadam', 'nadamw', 'novograd',
         'optimistic_gradient_descent', 'radam', 'rmsprop', 'rprop', 'sgd', 'sign_sgd', 'yogi',
         'contrib.ademamix', 'contrib.dog', 'contrib.madgrad', 'contrib.muon', 'contrib.prodigy')


def draw(seed):
  rng = np.random.default_rng(seed)
  shapes = {'conv': {'kernel': (2, 2, 3), 'bias': (3,)}, 'head': {'kernel': (3, 4)}}
  return jax.tree.map(lambda shape: rng.standard_normal(shape).astype(np.float32), shapes,
                      is_leaf=lambda x: isinstance(x, tuple))


def optimizer(**options):
  return optimizer_of(options, TOTAL, lambda duration, key: int(duration))


def run(optim, hp):
  params = draw(0)
  hp = {k: np.float32(v) for k, v in {**optim.hyperparameters, **hp}.items()}
  state, update = jax.jit(optim.init)(params, hp), jax.jit(optim.update)
  for i in range(4):
    params, state = update(draw(i + 1), state, params, hp, i)
  return flat(params)


def theirs(rule):
  params = draw(0)

  @jax.jit
  def update(gradient, state, params):
    updates, state = rule.update(gradient, state, params)
    return optax.apply_updates(params, updates), state
  state = jax.jit(rule.init)(params)
  for i in range(4):
    params, state = update(draw(i + 1), state, params)
  return flat(params)


def flat(tree):
  return dict(zip(paths(tree), map(np.asarray, jax.tree.leaves(tree)), strict=True))


def close(got, want):
  for name in want:
    np.testing.assert_allclose(got[name], want[name], rtol=2e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize('name', OPTAX)
def test_equals_optax_with_hyperparameters_injected(name):
  """Also where optax puts the rate before a momentum, or a number into the first state."""
  module, _, rule = f'optax.{name}'.rpartition('.')
  factory = getattr(importlib.import_module(module), rule)
  schedule = optax.cosine_decay_schedule(.1, TOTAL)
  optim = optimizer(name=f'{module}:{rule}', schedule=dict(name='cosine'),
                    **({'decay': '.'} if takes_mask(factory) else {}))
  assert all(v is None or isinstance(v, float) for v in optim.hyperparameters.values())
  whole = [k for k, p in inspect.signature(factory).parameters.items() if type(p.default) is int]
  close(run(optim, dict(lr=.1)),
        theirs(optax.inject_hyperparams(factory, static_args=whole)(schedule)))


def takes_mask(factory):
  taken = inspect.signature(factory).parameters
  return 'weight_decay' not in taken or {'mask', 'weight_decay_mask'} & {*taken}


def against(b1=.9, *, sign: bool = True, **more):
  """One of one's own, of a direction: without a rate."""
  return optax.chain(optax.trace(b1), optax.stateless(
      lambda g, p: jax.tree.map(jnp.sign, g) if sign else g))


def with_rate(lr, power: float):
  """One whose rate is its own affair; `power` has no default."""
  return optax.scale(-lr ** power)


def test_one_without_a_rate_gives_a_direction_and_a_coupled_decay():
  got = run(optimizer(name='test_own_optimizers:against'), dict(lr=.01, weight_decay=.5, b1=0.))
  want = flat(draw(0))
  for i in range(4):
    for name, g in flat(draw(i + 1)).items():
      decay = .5 * want[name] if 'kernel' in name else 0
      want[name] = want[name] - .01 * np.sign(g + decay)
  close(got, want)


def test_options_that_are_no_numbers_are_configs_and_groups_scale_what_it_gives():
  optim = optimizer(name='test_own_optimizers:against', sign=False,
                    groups=(dict(match='head', lr=3.), dict(match='.', frozen=True)))
  got, start, gradient = run(optim, dict(lr=.1, b1=0.)), flat(draw(0)), np.zeros((3, 4))
  for i in range(4):
    gradient += flat(draw(i + 1))['head/kernel']
  np.testing.assert_allclose(got['head/kernel'], start['head/kernel'] - .3 * gradient, rtol=1e-5)
  np.testing.assert_array_equal(got['conv/bias'], start['conv/bias'])


def test_a_number_without_a_default_is_one_that_hp_must_have():
  optim = optimizer(name='test_own_optimizers:with_rate')
  assert optim.hyperparameters == dict(lr=None, weight_decay=0., power=None)
  got = run(optim, dict(lr=.1, power=2.))
  want = flat(draw(0))['conv/bias'] - .01 * sum(flat(draw(i))['conv/bias'] for i in range(1, 5))
  np.testing.assert_allclose(got['conv/bias'], want, rtol=1e-5)


def test_optax_decays_what_the_config_says():
  optim = optimizer(name='optax:adamw', groups=(dict(match='head', decay=0.), dict(match='.')))
  def mask(params):
    return jax.tree_util.tree_map_with_path(
        lambda path, _: jax.tree_util.keystr(path) == "['conv']['kernel']", params)
  close(run(optim, dict(lr=.1, weight_decay=.3)),
        theirs(optax.inject_hyperparams(optax.adamw, 'mask')(.1, weight_decay=.3, mask=mask)))


def test_settings_of_a_sweep_are_data():
  optim, params, traces = optimizer(name='optax:lion'), draw(0), []

  def one(b1, lr):
    traces.append(1)
    hp = {**optim.hyperparameters, 'lr': lr, 'b1': b1}
    return optim.update(draw(1), optim.init(params, hp), params, hp, 0)[0]
  rates, b1 = jnp.array([.01, .1, .1]), jnp.array([.9, .9, 1.5])
  together = flat(jax.jit(jax.vmap(one))(b1, rates))
  assert len(traces) == 1
  for i in range(3):
    close({k: v[i] for k, v in together.items()}, flat(one(b1[i], rates[i])))
  assert (together['head/kernel'][1] != together['head/kernel'][2]).any()


def two(learning_rate):
  return learning_rate, 2


def broken(learning_rate):
  return optax.scale(learning_rate.shape[0])


def other_shape(learning_rate):
  return optax.stateless(lambda g, p: jax.tree.map(jnp.sum, g))


def other_state(learning_rate):
  return optax.GradientTransformation(lambda p: jnp.float32(0), lambda g, s, p: (g, jnp.ones(2)))


def twice(learning_rate, a, b):
  return None


@pytest.mark.parametrize('options, said', [
    (dict(name='optax.lion'), r"name: unknown name 'optax.lion' \(did you mean \"optax:lion\"\?\)"),
    (dict(name='optax:loin'), r"name: cannot load 'optax:loin': .*no attribute 'loin' "
                              r'\(did you mean "lion"\?\)'),
    (dict(name='optax:lion', b1=.5), r'b1: is a traced number, which config.hp.b1 sets'),
    (dict(name='sgd', momentum=.5), r'momentum: is a traced number, which config.hp.momentum sets'),
    (dict(name='optax:adam', nestrov=True), r'nestrov: no such key \(did you mean "nesterov"\?\)'),
    (dict(name='optax:adam', nesterov=1), r'nesterov: expected bool, got 1'),
    (dict(name='optax:novograd', decay='kernel'), r'decay: optax:novograd takes weight_decay'),
    (dict(name='optax:adamw', groups=(dict(match='.', decay=.5),)),
     r'groups\[0\].decay: optax:adamw decays a parameter or not; write 1 or 0, not 0.5'),
    (dict(name='optax.contrib:sophia'), r'name: optax.contrib:sophia: .*line \d+: ValueError'),
    (dict(name='test_own_optimizers:two'), r'name: test_own_optimizers:two gave .*; expected an '),
    (dict(name='test_own_optimizers:broken'),
     r'test_own_optimizers:broken: .*test_own_optimizers.py, line \d+: IndexError'),
    (dict(name='test_own_optimizers:twice'), r'a: missing \(twice needs it\)'),
    (dict(name='test_own_optimizers:other_shape'),
     r'name: test_own_optimizers:other_shape changes the form of the update'),
    (dict(name='test_own_optimizers:other_state'),
     r'name: test_own_optimizers:other_state changes the form of the state'),
    (dict(name='optax:sgd', schedule=dict(name='test_own_optimizers:against')),
     r'schedule: test_own_optimizers:against gave .*; expected a function of the step'),
    (dict(name='optax:sgd', schedule=dict(name='optax:linear_schedule', init_value=1.)),
     r'schedule.end_value: missing \(linear_schedule needs it\)')])
def test_mistakes_name_the_key_and_the_part(options, said):
  with pytest.raises(ConfigError, match=rf'^config.optim(\.|: ){said}'):
    optim = optimizer(**options)
    hp = {k: 1. if v is None else v for k, v in optim.hyperparameters.items()}
    jax.eval_shape(optim.update, draw(1), optim.init(draw(0), hp), draw(0), hp, 0)


def test_a_schedule_of_optax_and_ones_own():
  def rates(**schedule):
    schedule = optimizer(name='sgd', schedule=schedule).schedule
    return [float(schedule(t)) for t in range(TOTAL)]
  np.testing.assert_allclose(
      rates(name='optax:linear_schedule', init_value=1., end_value=0., transition_steps=4),
      [1, .75, .5, .25, 0, 0, 0, 0])
  np.testing.assert_allclose(rates(name='test_own_optimizers:halves', every='2', warmup='2'),
                             [.5, 1, 1, 1, .5, .5, .25, .25])


def halves(span, every: int | str):
  steps = span.steps(every, 'every')
  return lambda t: .5 ** jnp.floor(jnp.maximum(t - span.warm, 0) / steps)


def test_what_config_optim_may_set():
  assert {'nesterov', 'mu_dtype', 'groups', 'ema'} <= {*options_of('optax:adam')}
  assert not {'learning_rate', 'b1', 'own', 'mask', 'rule'} & {*options_of('optax:adamw')}
