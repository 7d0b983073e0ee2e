"""Two players in one objective are two optimisers side by side."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from visionlab.config import ConfigError
from visionlab.data.source import Info
from visionlab.models.gan import GAN
from visionlab.ops.spectral import normalised
from visionlab.optim.optimiser import make_optimizer
from visionlab.step import init_state, make_step
from visionlab.tasks.draws import keys_of
from visionlab.tasks.generate import adversarial_losses, between, generate, squared_slope

SHAPE, N = (4, 4, 1), 6
IMAGES = np.random.default_rng(0).random((N, *SHAPE), np.float32)
HP = dict(lr=.01, b1=0., b2=.9, eps=1e-8, weight_decay=0.)


def task_of(model=None, info=None, **options):
  example = dict(image=jax.ShapeDtypeStruct((1, *SHAPE), np.float32),
                 label=jax.ShapeDtypeStruct((1,), np.int32))
  make = lambda **given: GAN(**{'latent': 3, 'widths': (3,), **(model or {})}, **given)
  return generate(make_model=make, info=info or Info(tuple('ab')), example=example, **options)


def batch_of():
  return dict(image=IMAGES, valid=np.ones(N, bool), label=np.arange(N, dtype=np.int32) % 2)


def optimizer_of(**options):
  return make_optimizer('adam', total=100, steps=lambda d, where: int(d), **options)


def started(task, optimizer, hp=None):
  mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ('data',))
  hp = {**task.hyperparameters(), **HP, **(hp or {})}
  return init_state(task, optimizer, hp, 0, batch_of(), mesh)


def stepped(task, optimizer, steps, state):
  step, states = jax.jit(make_step(task, optimizer, total=100)), [state]
  for _ in range(steps):
    state, metrics = step(states[-1], batch_of())
    assert np.isfinite(float(metrics['loss'].value))
    states.append(state)
  return states


@pytest.mark.parametrize('loss, penalties', [
  ('relativistic', ('r1', 'r2')), ('non_saturating', ('r1',)), ('hinge', ()),
  ('wasserstein', ('penalty',))])
def test_both_at_once_equal_two_optimisers(loss, penalties):
  task, optimizer = task_of(loss=loss, penalties=penalties), optimizer_of()
  state = started(task, optimizer)
  expected = two_optimisers(task, state, 20)
  found = stepped(task, optimizer, 20, state)[-1].params
  jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), found, expected)


def two_optimisers(task, state, steps):
  """Written by hand: each player's loss, by its own parameters alone."""
  model, rule = task.model, optax.adam(HP['lr'], HP['b1'], HP['b2'], HP['eps'])
  params, key = dict(state.params), state.key
  moments = {player: rule.init(part) for player, part in params.items()}
  weights = task.hyperparameters()

  def make(params, keys):
    return model.apply({'params': params}, task.latent(keys), method='generate')

  def said(params, x):
    return model.apply({'params': params}, x, method='judge')

  def critic_loss(own, params, keys):
    params = {**params, 'critic': own}
    fake = make(params, keys)
    loss = adversarial_losses(task.loss_form, said(params, IMAGES), said(params, fake),
                              jnp.zeros(N))[0].mean()
    slope = lambda x: squared_slope(lambda x: said(params, x), x)
    penalties = dict(
        r1=lambda: .5 * slope(IMAGES), r2=lambda: .5 * slope(fake),
        penalty=lambda: (jnp.sqrt(slope(between(IMAGES, fake, keys)) + 1e-12) - 1) ** 2)
    return loss + sum(weights[f'{k}_weight'] * penalties[k]().mean() for k in task.penalties)

  def generator_loss(own, params, keys):
    judged = said(params, make({**params, 'generator': own}, keys))
    real = said(params, IMAGES)
    return adversarial_losses(task.loss_form, real, real, judged)[1].mean()

  @jax.jit
  def step(params, moments, i):
    keys = jax.vmap(jax.random.fold_in, (None, 0))(
        jax.random.fold_in(jax.random.fold_in(key, i), 2), jnp.arange(N))
    grads = {'critic': jax.grad(critic_loss)(params['critic'], params, keys),
             'generator': jax.grad(generator_loss)(params['generator'], params, keys)}
    new = {k: rule.update(grads[k], moments[k]) for k in params}
    return ({k: optax.apply_updates(params[k], new[k][0]) for k in params},
            {k: new[k][1] for k in params})
  for i in range(steps):
    params, moments = step(params, moments, i)
  return params


def test_who_is_not_on_turn_stands_still_with_its_moments():
  task = task_of()
  optimizer = optimizer_of(turns=('critic', 'critic', 'generator'))
  states = stepped(task, optimizer, 6, started(task, optimizer))
  same = lambda a, b: all(np.array_equal(x, y) for x, y in zip(
      jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
  for i, (old, new) in enumerate(zip(states, states[1:], strict=False)):
    assert same(old.params['generator'], new.params['generator']) == (i % 3 != 2)
    assert same(old.params['critic'], new.params['critic']) == (i % 3 == 2)
    assert same(old.opt_state['0_2'], new.opt_state['0_2']) == (i % 3 != 2)
  counts = [int(states[-1].opt_state[part][1].count) for part in ('0_0_1', '0_2')]
  assert counts == [4, 2]


def test_a_player_that_moves_alone_moves_as_if_the_other_were_frozen():
  task = task_of()
  frozen = optimizer_of(groups=(dict(match='generator', frozen=True), dict(match='.*')))
  turns = optimizer_of(turns=('critic', 'critic', 'generator'))
  alone = stepped(task, frozen, 2, started(task, frozen))[-1]
  both = stepped(task, turns, 2, started(task, turns))[-1]
  jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), alone.params['critic'],
               both.params['critic'])


def test_the_gradient_of_the_squared_slope_is_torchs():
  torch = pytest.importorskip('torch')
  model = GAN(shape=SHAPE, latent=3, widths=(3,))
  params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 3)))['params']['critic']
  x = IMAGES

  def penalty(params):
    return .5 * squared_slope(lambda x: model.apply({'params': {'critic': params}}, x,
                                                    method='judge'), x).mean()
  value, found = jax.jit(jax.value_and_grad(penalty))(params)

  own = jax.tree.map(lambda a: torch.tensor(np.array(a), requires_grad=True), params)
  images = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
  act = partial(torch.nn.functional.leaky_relu, negative_slope=.2)

  def conv(y, layer, **geometry):
    return torch.nn.functional.conv2d(y, layer['kernel'].permute(3, 2, 0, 1), layer['bias'],
                                      **geometry)
  y = act(conv(2 * images - 1, own['pixels'], padding=1))
  y = act(conv(y, own['down1'], stride=2, padding=1))
  said = y.permute(0, 2, 3, 1).reshape(N, -1) @ own['head']['kernel'] + own['head']['bias']
  (slope,) = torch.autograd.grad(said.sum(), images, create_graph=True)
  expected = .5 * (slope ** 2).sum((1, 2, 3)).mean()
  expected.backward()
  assert float(value) == pytest.approx(expected.item(), rel=1e-5)
  for path, leaf in jax.tree_util.tree_leaves_with_path(found):
    twin = own[path[0].key][path[1].key].grad
    twin = np.zeros(leaf.shape) if twin is None else twin.numpy()
    np.testing.assert_allclose(leaf, twin, rtol=1e-4, atol=1e-6)


def test_losses_by_hand():
  on_real, on_fake = jnp.array([2., -1.]), jnp.array([.5, 0.])
  soft = lambda x: np.log1p(np.exp(x))
  expected = dict(
      relativistic=(soft(np.array([-1.5, 1.])), soft(np.array([1.5, -1.]))),
      non_saturating=(soft(np.array([-2., 1.])) + soft(np.array([.5, 0.])),
                      soft(np.array([-.5, 0.]))),
      hinge=([0 + 1.5, 2 + 1.], [-.5, 0.]),
      wasserstein=([-1.5, 1.], [-.5, 0.]))
  for form, wanted in expected.items():
    for found, value in zip(adversarial_losses(form, on_real, on_fake, on_fake), wanted,
                            strict=True):
      np.testing.assert_allclose(found, value, rtol=1e-6)


def test_the_judges_statistics_are_of_real_and_made_images_and_not_of_the_generators_pass():
  task = task_of(model=dict(norm=True, widths=(3, 3)))
  optimizer = optimizer_of()
  state = started(task, optimizer)
  _, aux = task.loss(state.variables, batch_of(), jax.random.key(0),
                     {k: jnp.float32(v) for k, v in task.hyperparameters().items()}, train=True)
  stats = {'params': state.params, **state.collections}
  apply = partial(task.model.apply, train=True, mutable=['batch_stats'])
  fake, made = apply(stats, task.latent(keys_of(jax.random.key(0), jnp.asarray(IMAGES))), None,
                     method='generate')
  _, once = apply({**stats, **made}, IMAGES, None, method='judge')
  _, twice = apply({**stats, **once}, fake, None, method='judge')
  jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5),
               aux.collections['batch_stats']['critic'], twice['batch_stats']['critic'])


def test_the_critic_is_normalised_by_one_step_an_update():
  task = task_of(spectral_norm=True, loss='hinge', penalties=())
  variables = jax.jit(task.init)(jax.random.key(0), batch_of())

  @jax.jit
  def loss(params, ends):
    terms, aux = task.loss({**variables, 'params': params}, batch_of(), jax.random.key(0),
                           dict(update_ends=ends), train=True)
    return terms['critic'].value, aux.collections['spectral']
  params = variables['params']
  first, vectors = loss(params, True)
  expected = normalised({'critic': params['critic']}, variables['spectral'])[1]
  jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), vectors, expected)
  _, vectors = loss(params, False)                 # more microbatches of the same update follow
  jax.tree.map(np.testing.assert_array_equal, vectors, variables['spectral'])
  # Weights that are larger say the same.
  larger = jax.tree.map(lambda w: w * 7 if w.ndim > 1 else w, params['critic'])
  assert float(loss({**params, 'critic': larger}, True)[0]) == pytest.approx(float(first), rel=1e-5)


def test_the_critic_sees_real_and_made_images_changed_alike():
  """Grey boxes over everything: then nothing tells them apart."""
  task = task_of(diff_augment=('cutout',), penalties=())
  variables = jax.jit(task.init)(jax.random.key(0), batch_of())
  real = task.disturbed(jnp.asarray(IMAGES), keys_of(jax.random.key(0), jnp.asarray(IMAGES)), 2)
  assert ((real == .5) | (real == IMAGES)).all() and (real == .5).any((1, 2, 3)).all()
  _, aux = task.loss(variables, batch_of(), jax.random.key(0), {}, train=False)
  said = task.model.apply(variables, real, None, method='judge')
  assert float(aux.metrics['said_of_real'].value) == pytest.approx(float(said.mean()), rel=1e-5)


def test_classes_are_asked_for():
  task = task_of(conditional=True)
  variables = jax.jit(task.init)(jax.random.key(0), batch_of())
  codes = jnp.ones((2, 3))
  a, b = (task.images(variables, codes, jnp.full(2, k)) for k in (0, 1))
  assert a.shape == (2, *SHAPE) and not np.allclose(a, b)
  said = [task.model.apply(variables, IMAGES, jnp.full(N, k), method='judge') for k in (0, 1)]
  assert not np.allclose(*said)


def test_what_does_not_fit_is_said():
  with pytest.raises(ConfigError, match='config.task.loss'):
    task_of(loss='relativistc')
  with pytest.raises(ConfigError, match=r'config.task.penalties\[0\]'):
    task_of(penalties=('r3',))
  with pytest.raises(ConfigError, match=r'config.task.diff_augment\[0\]: .*colour'):
    task_of(diff_augment=('color',))
  with pytest.raises(ConfigError, match='no classes'):
    task_of(conditional=True, info=Info(()))
  with pytest.raises(ConfigError, match='4 x 4 pixels; expected a multiple of 8'):
    task_of(model=dict(widths=(2, 2, 2)))
  optimizer = optimizer_of(turns=('critic', 'genrator'))
  with pytest.raises(ConfigError, match=r"config.optim.turns\[1\]: 'genrator' matches no"):
    optimizer.init(started(task_of(), optimizer_of()).params)
