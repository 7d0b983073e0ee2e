"""Optimisers against torch and the papers' equations, schedules against closed forms."""

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.ops import recurrent
from visionlab.ops.attention import init_attention
from visionlab.optim.optimiser import complete, make_optimizer
from visionlab.optim.parameter_groups import paths
from visionlab.optim.schedule import make_schedule
from visionlab.optim.update_rules import SCALARS
from visionlab.options.durations import parse_steps

TOTAL = 200
STEPS = partial(parse_steps, batch=10, examples=200, total=TOTAL)       # an epoch has 20 steps


def optimizer(rule='sgd', **options):
  return make_optimizer(rule, total=TOTAL, steps=STEPS, **options)


def draw(seed):
  """A tree with the three kinds of parameters: a kernel, a bias and a norm's scale."""
  rng = np.random.default_rng(seed)
  tree = {'body': {'conv': {'kernel': (2, 2, 3), 'bias': (3,)}, 'norm': {'scale': (3,)}},
          'head': {'kernel': (3, 4)}}
  return jax.tree.map(lambda shape: rng.standard_normal(shape).astype(np.float32), tree,
                      is_leaf=lambda x: isinstance(x, tuple))


def run(optim, hp, steps=10, params=None, first=0):
  """Leaves by path after `steps` updates with the gradients draw(1), draw(2), ..."""
  params = draw(0) if params is None else params
  hp = {**optim.hyperparameters, **hp}
  hp = {k: np.float32(v) for k, v in hp.items()}
  state, update = jax.jit(optim.init)(params), jax.jit(optim.update)
  for i in range(steps):
    params, state = update(draw(i + 1), state, params, hp, first + i)
  return flat(params)


def flat(tree):
  return dict(zip(paths(tree), map(np.asarray, jax.tree.leaves(tree)), strict=True))


def close(got, want, rtol=2e-5):
  assert got.keys() == want.keys()
  for name in got:
    np.testing.assert_allclose(got[name], want[name], rtol=rtol, atol=2e-6, err_msg=name)


# --- rules ---

ADAM = dict(b1=.8, b2=.95, eps=1e-2)      # an eps that matters shows where it is added


@pytest.mark.parametrize('rule, options, hp, name, theirs', [
  ('sgd', {}, {}, 'SGD', {}),
  ('sgd', {}, dict(momentum=.9), 'SGD', dict(momentum=.9)),
  ('sgd', dict(nesterov=True), dict(momentum=.9), 'SGD', dict(momentum=.9, nesterov=True)),
  ('adam', {}, ADAM, 'Adam', dict(betas=(.8, .95), eps=1e-2)),
  ('adamw', {}, ADAM, 'AdamW', dict(betas=(.8, .95), eps=1e-2)),
  ('rmsprop', {}, dict(rms_decay=.95, eps=.1), 'RMSprop', dict(alpha=.95, eps=.1)),
  ('rmsprop', {}, dict(rms_decay=.95, eps=.1, momentum=.9), 'RMSprop',
   dict(alpha=.95, eps=.1, momentum=.9)),
])
@pytest.mark.parametrize('weight_decay', [0., .2])
def test_rule_equals_torch(rule, options, hp, name, theirs, weight_decay):
  torch = pytest.importorskip('torch')
  params = {k: torch.tensor(v, dtype=torch.float64) for k, v in flat(draw(0)).items()}
  reference = getattr(torch.optim, name)(params.values(), lr=.05, weight_decay=weight_decay,
                                         **theirs)
  for i in range(10):
    for key, gradient in flat(draw(i + 1)).items():
      params[key].grad = torch.tensor(gradient, dtype=torch.float64)
    reference.step()
  got = run(optimizer(rule, decay='.*', **options), dict(lr=.05, weight_decay=weight_decay, **hp))
  close(got, {k: v.numpy() for k, v in params.items()})


def test_defaults_are_those_of_the_papers():
  """Kingma & Ba 2015, algorithm 1; You et al. 2020, section 4."""
  assert SCALARS['adam'] == dict(b1=.9, b2=.999, eps=1e-8)
  assert SCALARS['lamb'] == dict(b1=.9, b2=.999, eps=1e-6)


def test_lars_equals_its_equations():
  """You et al. 2017, algorithm 1, with the trust ratio |w| / |g + wd w| that implementations use;
  the paper's eq. 6 has |w| / (|g| + wd |w|), which is never larger. Biases and scales are left to
  plain momentum."""
  lr, wd, momentum, trust = .5, .1, .9, .02
  params, velocity = flat(draw(0)), {}
  params = {k: v.astype(np.float64) for k, v in params.items()}
  for i in range(10):
    for name, g in flat(draw(i + 1)).items():
      w, rate = params[name], 1.
      if name.endswith('kernel'):
        g = g + wd * w
        rate = trust * np.linalg.norm(w) / np.linalg.norm(g)
      velocity[name] = momentum * velocity.get(name, 0) + rate * g
      params[name] = w - lr * velocity[name]
  close(run(optimizer('lars'), dict(lr=lr, weight_decay=wd, momentum=momentum, trust=trust)),
        params)


def test_lamb_equals_its_equations():
  """You et al. 2020, algorithm 2, with phi the identity."""
  lr, wd, b1, b2, eps = .05, .3, .8, .95, 1e-2
  params = {k: v.astype(np.float64) for k, v in flat(draw(0)).items()}
  m, v = dict.fromkeys(params, 0.), dict.fromkeys(params, 0.)
  for i in range(10):
    for name, g in flat(draw(i + 1)).items():
      w = params[name]
      m[name] = b1 * m[name] + (1 - b1) * g
      v[name] = b2 * v[name] + (1 - b2) * g.astype(np.float64) ** 2
      r = m[name] / (1 - b1 ** (i + 1)) / (np.sqrt(v[name] / (1 - b2 ** (i + 1))) + eps)
      r = r + (wd * w if name.endswith('kernel') else 0)
      params[name] = w - lr * np.linalg.norm(w) / np.linalg.norm(r) * r
  close(run(optimizer('lamb'), dict(lr=lr, weight_decay=wd, b1=b1, b2=b2, eps=eps)), params)


def test_lion_equals_its_equations():
  """Chen et al. 2023, algorithm 2."""
  lr, wd, b1, b2 = .01, .3, .8, .95
  params = {k: v.astype(np.float64) for k, v in flat(draw(0)).items()}
  m = dict.fromkeys(params, 0.)
  for i in range(10):
    for name, g in flat(draw(i + 1)).items():
      w = params[name]
      update = np.sign(b1 * m[name] + (1 - b1) * g) + (wd * w if name.endswith('kernel') else 0)
      m[name], params[name] = b2 * m[name] + (1 - b2) * g, w - lr * update
  close(run(optimizer('lion'), dict(lr=lr, weight_decay=wd, b1=b1, b2=b2)), params)


@pytest.mark.parametrize('rule', ['lars', 'lamb'])
def test_trust_ratio_of_zero_weights_lets_them_move(rule):
  params = jax.tree.map(np.zeros_like, draw(0))
  got = run(optimizer(rule), dict(lr=.1), steps=1, params=params)
  assert all(np.isfinite(v).all() and (v != 0).all() for v in got.values())


@pytest.mark.parametrize('rule', sorted(SCALARS))
def test_only_kernels_decay_by_default(rule):
  """Without a gradient a parameter moves only if it decays."""
  optim, params = optimizer(rule), draw(0)
  hp = {k: np.float32(v) for k, v in {**optim.hyperparameters, 'lr': .1,
                                      'weight_decay': .5}.items()}
  zero = jax.tree.map(np.zeros_like, params)
  after, _ = jax.jit(optim.update)(zero, jax.jit(optim.init)(params), params, hp, 0)
  before, after = flat(params), flat(after)
  moved = {n for n in before if not np.array_equal(before[n], after[n])}
  assert moved == {'body/conv/kernel', 'head/kernel'}


@pytest.mark.parametrize('rule, factor', [('adamw', 1 - .1 * .5), ('sgd', 1 - .1 * .5)])
def test_decay_of_a_step_without_gradient(rule, factor):
  optim, params = optimizer(rule), {'kernel': jnp.full(3, 2.)}
  hp = {**optim.hyperparameters, 'lr': .1, 'weight_decay': .5}
  after, _ = optim.update({'kernel': jnp.zeros(3)}, optim.init(params), params, hp, 0)
  np.testing.assert_allclose(after['kernel'], 2 * factor, rtol=1e-6)


# --- schedules ---

def ramp(t, n):
  return np.minimum((t + 1) / n, 1)


def part(t, n):
  return np.clip((t - n) / (TOTAL - n), 0, 1)       # of what warm-up leaves of the training


@pytest.mark.parametrize('options, curve', [
  ({}, lambda t: np.ones_like(t)),
  (dict(name='constant', warmup=10), lambda t: ramp(t, 10)),
  (dict(name='steps', at=('50%', '8 epochs'), factor=.2),
   lambda t: np.where(t < 100, 1, np.where(t < 160, .2, .04))),
  (dict(name='steps', at=(150,), warmup='1 epochs'),
   lambda t: ramp(t, 20) * np.where(t < 150, 1, .1)),
  (dict(name='steps', at=()), lambda t: np.ones_like(t)),
  (dict(name='cosine'), lambda t: .5 * (1 + np.cos(np.pi * t / 200))),
  (dict(name='cosine', warmup='10%', end=.1),
   lambda t: ramp(t, 20) * (.1 + .9 * .5 * (1 + np.cos(np.pi * part(t, 20))))),
  (dict(name='linear', warmup='400 examples', end=.2),
   lambda t: ramp(t, 40) * (1 - .8 * part(t, 40))),
  (dict(name='polynomial'), lambda t: (1 - t / 200) ** 2),
  (dict(name='polynomial', power=3., end=.05, warmup=7),
   lambda t: ramp(t, 7) * (.05 + .95 * (1 - part(t, 7)) ** 3)),
  (dict(name='inverse'), lambda t: (1 + 10 * t / 200) ** -.75),
  (dict(name='inverse', alpha=4., beta=.5, warmup='5%'),
   lambda t: ramp(t, 10) / np.sqrt(1 + 4 * t / 200)),
])
def test_schedule_equals_its_formula(options, curve):
  t = np.array([0, 1, 5, 6, 7, 9, 10, 19, 20, 39, 40, 99, 100, 149, 150, 159, 160, 199, 200])
  schedule = make_schedule(options, TOTAL, STEPS)
  want = curve(t.astype(np.float64))
  one = jax.jit(schedule)
  np.testing.assert_allclose(one(t), want, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose([one(jnp.int32(x)) for x in t], want, rtol=1e-5, atol=1e-6)


def test_inverse_schedule_ends_where_the_paper_does():
  """Ganin et al. 2016, section 5.2.2: .01 / (1 + 10 p)^.75 with p from 0 to 1."""
  schedule = make_schedule(dict(name='inverse'), TOTAL, STEPS)
  np.testing.assert_allclose([.01 * float(schedule(s)) for s in (0, TOTAL)], [.01, .0016556],
                             rtol=1e-4)


def test_schedule_scales_the_learning_rate_of_its_step():
  optim = optimizer(schedule=dict(name='linear', warmup=10))
  for step, rate in ((0, .1), (4, .5), (9, 1.), (105, .5)):
    got = run(optim, dict(lr=.2), steps=1, first=step)
    start, gradient = flat(draw(0)), flat(draw(1))
    close(got, {k: start[k] - .2 * rate * gradient[k] for k in start})


@pytest.mark.parametrize('options, says', [
  (dict(name='cosin'), r"schedule\.name: unknown name 'cosin' .*did you mean \"cosine\""),
  (dict(name='cosine', edn=.1), r'config\.optim\.schedule\.edn: no such key .*"end"'),
  (dict(name='steps'), r'config\.optim\.schedule\.at: missing'),
  (dict(name='steps', at=('half',)), r"config\.optim\.schedule\.at: 'half' is no duration"),
  (dict(name='linear', end='low'), r'config\.optim\.schedule\.end: expected float'),
  (dict(warmup='soon'), r"config\.optim\.schedule\.warmup: 'soon' is no duration"),
])
def test_schedule_errors(options, says):
  with pytest.raises(ConfigError, match=says):
    make_schedule(options, TOTAL, STEPS)


# --- groups ---

def test_group_multiplies_the_learning_rate():
  optim = optimizer(groups=(dict(match='^head', lr=3.), dict(match='.*')))
  start, gradient = flat(draw(0)), flat(draw(1))
  want = {k: start[k] - .1 * (3 if k == 'head/kernel' else 1) * gradient[k] for k in start}
  close(run(optim, dict(lr=.1), steps=1), want)


def test_a_groups_rate_is_a_scalar_of_hp():
  """So that a sweep of two players' learning rates is one program."""
  optim = optimizer(groups=(dict(match='^head', lr=3., rate='head_rate'), dict(match='.*')))
  start, gradient = flat(draw(0)), flat(draw(1))
  assert optim.hyperparameters['head_rate'] == 1
  want = {k: start[k] - .1 * (1.5 if k == 'head/kernel' else 1) * gradient[k] for k in start}
  close(run(optim, dict(lr=.1, head_rate=.5), steps=1), want)


def test_group_overrides_decay():
  optim = optimizer(groups=(dict(match='head', decay=0.), dict(match='scale', decay=.5),
                            dict(match='.*')))
  start, gradient = flat(draw(0)), flat(draw(1))
  decay = {'head/kernel': 0, 'body/norm/scale': .5, 'body/conv/kernel': 1, 'body/conv/bias': 0}
  want = {k: start[k] - .1 * (gradient[k] + .3 * decay[k] * start[k]) for k in start}
  close(run(optim, dict(lr=.1, weight_decay=.3), steps=1), want)


def test_first_group_that_matches_holds():
  optim = optimizer(groups=(dict(match='kernel', lr=2.), dict(match='body/conv', lr=7.),
                            dict(match='.*')))
  start, gradient = flat(draw(0)), flat(draw(1))
  rate = {'head/kernel': 2, 'body/conv/kernel': 2, 'body/conv/bias': 7, 'body/norm/scale': 1}
  close(run(optim, dict(lr=.1), steps=1),
        {k: start[k] - .1 * rate[k] * gradient[k] for k in start})


def decayed_of(params):
  """Which leaves the default decays."""
  optim = optimizer()
  return {path for path in paths(params) if optim.setting(path).decay}


@pytest.mark.parametrize('cell', [recurrent.RNN, recurrent.LSTM, recurrent.GRU])
def test_recurrent_kernels_decay_by_default(cell):
  params = {'layer0': recurrent.init(jax.random.key(0), cell, 3, 4)}
  assert decayed_of(params) == {'layer0/input_kernel', 'layer0/state_kernel'}


def test_what_multiplies_in_attention_decays_by_default():
  params = {'attend': init_attention(jax.random.key(0), 3, 4)}
  assert decayed_of(params) == {'attend/query', 'attend/score', 'attend/gate'}


def test_tables_norms_and_modules_called_kernel_do_not_decay_by_default():
  names = ('table', 'norm/scale', 'kernel/bias', 'query/bias', 'kernels', 'score_bias')
  assert decayed_of(dict.fromkeys(names, 0.)) == set()


@pytest.mark.parametrize('rule', sorted(SCALARS))
def test_frozen_parameters_stay_and_cost_nothing(rule):
  groups = (dict(match='^body', frozen=True), dict(match='.*'))
  optim, free = optimizer(rule, decay='.*', groups=groups), optimizer(rule, decay='.*')
  start = flat(draw(0))
  got = run(optim, dict(lr=.1, weight_decay=.1))
  for name in start:
    same = np.array_equal(got[name], start[name])
    assert same == name.startswith('body'), name
  np.testing.assert_allclose(got['head/kernel'],
                             run(free, dict(lr=.1, weight_decay=.1))['head/kernel'], rtol=1e-6)

  def kept(optim, tree):
    return sum(np.prod(x.shape) for x in jax.tree.leaves(jax.eval_shape(optim.init, tree)))
  assert kept(optim, draw(0)) == kept(free, {'head': draw(0)['head']}) < kept(free, draw(0))


def test_freeze_stops_the_gradient_of_frozen_parameters_only():
  optim = optimizer(groups=(dict(match='bias|scale', frozen=True), dict(match='.*')))

  def objective(params):
    return sum((x ** 2).sum() for x in jax.tree.leaves(optim.freeze(params)))
  start = flat(draw(0))
  for name, gradient in flat(jax.jit(jax.grad(objective))(draw(0))).items():
    np.testing.assert_allclose(gradient, 2 * start[name] * name.endswith('kernel'), rtol=1e-6)


@pytest.mark.parametrize('groups, says', [
  ((dict(match='kernel'),), r'no group covers body/conv/bias, body/norm/scale; add a last group'),
  ((dict(match='hed/kernel'), dict(match='.*')),
   r"groups\[0\]\.match: 'hed/kernel' matches no parameter \(did you mean \"head/kernel\"\?\); "
   r'there are: .*body/conv/bias'),
  ((dict(match='.*'), dict(match='^conv')), r"groups\[1\]\.match: '\^conv' matches no parameter"),
  ((dict(match='.*'), dict(match='head', lr=2.)),
   r"groups\[1\]\.match: 'head' never holds: config\.optim\.groups\[0\]\.match, '\.\*', comes "
   'first for head/kernel; put the narrower one before it'),
  ((dict(match='head'), dict(match='conv/kernel'), dict(match='kernel'), dict(match='.')),
   r"groups\[2\]\.match: 'kernel' never holds"),
])
def test_groups_must_fit_the_parameters(groups, says):
  with pytest.raises(ConfigError, match=says):
    optimizer(groups=groups).init(draw(0))


@pytest.mark.parametrize('groups, decay, says', [
  ((), 'weights', "decay: 'weights' matches no parameter.*; there are: body/conv/bias"),
  ((dict(match='.', decay=1.),), 'kernel', "'kernel' matches only parameters that are frozen"),
  ((dict(match='head', frozen=True), dict(match='.')), 'head', 'decay of its own'),
])
def test_a_decay_must_decide_for_something(groups, decay, says):
  with pytest.raises(ConfigError, match=says):
    optimizer(groups=groups, decay=decay).init(draw(0))


@pytest.mark.parametrize('options, says', [
  (dict(rule='sdg'), r"config\.optim\.name: unknown name 'sdg' .*did you mean \"sgd\""),
  (dict(rule='adam', nesterov=True), r'config\.optim\.nesterov: for sgd, not adam'),
  (dict(groups=(dict(match='.*', lrr=2.),)), r'config\.optim\.groups\[0\]\.lrr: .*"lr"'),
  (dict(groups=(dict(lr=2.),)), r'config\.optim\.groups\[0\]\.match: missing'),
  (dict(groups=(dict(match='.*', lr='2x'),)), r'config\.optim\.groups\[0\]\.lr: expected float'),
  (dict(groups=(dict(match='.*', frozen='no'),)),
   r'config\.optim\.groups\[0\]\.frozen: expected bool'),
  (dict(groups=('head',)), r'config\.optim\.groups\[0\]'),
  (dict(groups=(dict(match='(head'),)), r'config\.optim\.groups\[0\]\.match'),
  (dict(decay='(kernel'), r'config\.optim\.decay'),
  (dict(decay=''), r'config\.optim\.decay: an empty regular expression matches everything'),
  (dict(groups=(dict(match=''),)), r'groups\[0\]\.match: an empty regular expression'),
  (dict(groups=(dict(match='.', rate='momentum'),)), r'groups\[0\]\.rate: hp.momentum means'),
  (dict(groups=(dict(match='.', lr=-1.),)), r'groups\[0\]\.lr: .* not negative, not -1'),
  (dict(groups=(dict(match='.', decay=float('nan')),)), r'groups\[0\]\.decay: .* got nan'),
  (dict(groups=(dict(match='.', frozen=True, start='50%'),)), r'groups\[0\]: a frozen group'),
  (dict(groups=(dict(match='.', start='100%'),)),
   r'groups\[0\]\.start: step 200 is not before the end of training, 200'),
])
def test_mistakes_in_an_optimiser(options, says):
  with pytest.raises(ConfigError, match=says):
    optimizer(**options).init(draw(0))


# --- clipping, hyperparameters ---

@pytest.mark.parametrize('norm', [.5, 3., 1e3])
def test_clip_scales_the_global_norm(norm):
  gradient = flat(draw(1))
  whole = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradient.values()))
  factor = min(1, norm / whole)
  assert (factor == 1) == (norm == 1e3)
  start = flat(draw(0))
  close(run(optimizer(clip=True), dict(lr=.1, clip_norm=norm), steps=1),
        {k: start[k] - .1 * factor * gradient[k] for k in start})


def test_clip_counts_no_frozen_gradient_and_comes_before_decay():
  optim = optimizer(clip=True, groups=(dict(match='^body', frozen=True), dict(match='.*')))
  start, gradient = flat(draw(0))['head/kernel'], flat(draw(1))['head/kernel']
  want = start - .1 * (gradient / np.linalg.norm(gradient) * .5 + .3 * start)
  got = run(optim, dict(lr=.1, clip_norm=.5, weight_decay=.3), steps=1)
  np.testing.assert_allclose(got['head/kernel'], want, rtol=1e-5)


@pytest.mark.parametrize('rule', sorted(SCALARS))
def test_changing_a_hyperparameter_never_traces_again(rule):
  optim, params, traces = optimizer(rule, clip=True, ema=True), draw(0), []

  @jax.jit
  def update(*args):
    traces.append(1)
    return optim.update(*args)
  state = optim.init(params)
  base = {k: 1. if v is None else v for k, v in optim.hyperparameters.items()}
  assert {'lr', 'weight_decay', 'clip_norm', 'ema_decay', *SCALARS[rule]} == set(base)
  results = []
  for key in ['lr', 'weight_decay', 'clip_norm', *SCALARS[rule]]:
    hp = {k: jnp.float32(.5 * v + .1 if k == key else v) for k, v in base.items()}
    results.append(flat(update(draw(1), state, params, hp, jnp.int32(3))[0])['head/kernel'])
  assert len(traces) == 1
  if rule == 'sgd':      # and it is not that hp is ignored
    assert not np.allclose(results[0], results[1])


def test_updates_mapped_over_settings_equal_single_ones():
  optim, params = optimizer('adamw'), draw(0)
  rates = jnp.array([.01, .1, 1.])

  def one(lr):
    hp = {**optim.hyperparameters, 'lr': lr, 'weight_decay': lr / 2}
    return optim.update(draw(1), optim.init(params), params, hp, 0)[0]
  together = flat(jax.vmap(one)(rates))
  for i, lr in enumerate(rates):
    close({k: v[i] for k, v in together.items()}, flat(one(lr)))
  assert all((a != b).any() for a, b in pairwise(together['head/kernel']))


def test_complete_fills_in_defaults():
  got = complete(dict(lr=1, eps=.1), dict(lr=None, weight_decay=0.), dict(eps=1e-8))
  assert got == dict(lr=1., weight_decay=0., eps=.1)
  assert all(type(v) is float for v in got.values())


@pytest.mark.parametrize('hp, says', [
  (dict(lr=.1, momentun=.9), r'config\.hp\.momentun: no such key \(did you mean "momentum"\?\)'),
  (dict(momentum=.9), r'config\.hp\.lr: missing'),
  (dict(lr='fast'), r"config\.hp\.lr: expected a number, got 'fast'"),
  (dict(lr=True), r'config\.hp\.lr: expected a number, got True'),
  (dict(lr=float('nan')), r'config\.hp\.lr: expected a number, got nan'),
])
def test_complete_errors(hp, says):
  with pytest.raises(ConfigError, match=says):
    complete(hp, optimizer().hyperparameters)


def test_paths_are_in_the_order_of_the_leaves():
  tree = draw(0)
  for path, leaf in zip(paths(tree), jax.tree.leaves(tree), strict=True):
    node = tree
    for key in path.split('/'):
      node = node[key]
    assert node is leaf


def test_a_group_that_starts_late_stays_until_then_and_then_goes_as_from_step_0():
  params = {'head': {'kernel': jnp.ones(3)}, 'stage': {'kernel': jnp.full(2, 2.)}}
  groups = (dict(match='head'), dict(match='.*', start=3))
  late = make_optimizer('adam', total=8, steps=lambda d, where: int(d), groups=groups)
  plain = make_optimizer('adam', total=8, steps=lambda d, where: int(d))
  assert [int(late.phase(step)) for step in range(5)] == [0, 0, 0, 1, 1]
  assert (late.phases, plain.phases) == (2, 1)
  hp = {k: jnp.float32(v) for k, v in dict(late.hyperparameters, lr=.1, weight_decay=.01).items()}
  grads = {'head': {'kernel': jnp.array([1., -2, 3])}, 'stage': {'kernel': jnp.array([.5, -1])}}

  def stages(optimizer, steps):
    p, state, seen = params, optimizer.init(params), []
    for step in steps:
      p, state = optimizer.update(grads, state, p, hp, jnp.int32(step))
      seen.append(p)
    return seen
  seen, expected = stages(late, range(8)), stages(plain, range(8))
  for i in range(3):
    np.testing.assert_array_equal(seen[i]['stage']['kernel'], params['stage']['kernel'])
  for i in range(5):      # its moments and their bias correction began with it
    np.testing.assert_allclose(seen[3 + i]['stage']['kernel'], expected[i]['stage']['kernel'],
                               rtol=1e-6)
  jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), [s['head'] for s in seen],
               [s['head'] for s in expected])


def test_a_group_that_has_not_started_costs_no_backward_pass():
  optimizer = make_optimizer('sgd', total=8, steps=lambda d, where: int(d), groups=(
    dict(match='head'), dict(match='late', start=2), dict(match='.*', start=5)))
  params = {'head': jnp.ones(()), 'late': jnp.ones(()), 'rest': jnp.ones(())}
  for phase, trained in enumerate((('head',), ('head', 'late'), ('head', 'late', 'rest'))):
    grads = jax.grad(lambda p, phase=phase: sum(optimizer.freeze(p, phase).values()))(params)
    assert {k for k, g in grads.items() if g} == set(trained)
