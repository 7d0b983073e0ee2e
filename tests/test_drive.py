"""Distributions of steering: densities as SciPy's, scores by hand, and the task's contract."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from configs import roads_drive
from visionlab import build
from visionlab.augmentation.augment import make_augment
from visionlab.config import ConfigError
from visionlab.data.roads.roads import roads
from visionlab.data.source import Arrays
from visionlab.measures.driving import driving_scores
from visionlab.models.pilotnet import PilotLSTM, PilotNet
from visionlab.ops.mixtures import cumulative, log_density
from visionlab.runs.load import load
from visionlab.tasks.drive import drive
from visionlab.train import train


@pytest.fixture(scope='module')
def mixture():
  rng = np.random.default_rng(0)
  weights = rng.dirichlet((1, 1, 1), 50)
  return (rng.normal(0, 2, 50), np.log(weights), rng.normal(0, 1, (50, 3)),
          rng.uniform(.05, 2, (50, 3)))


def test_densities_are_scipys(mixture):
  x, log_weights, means, sigmas = mixture
  each = stats.norm.logpdf(x[:, None], means, sigmas)
  np.testing.assert_allclose(jax.jit(log_density)(*mixture),
                             np.log((np.exp(log_weights) * np.exp(each)).sum(-1)), rtol=2e-5,
                             atol=2e-5)
  below = (np.exp(log_weights) * stats.norm.cdf(x[:, None], means, sigmas)).sum(-1)
  np.testing.assert_allclose(jax.jit(cumulative)(*mixture), below, atol=2e-6)


def test_what_is_far_from_all_components_has_a_gradient():
  def loss(means):
    return -log_density(np.float32([50.]), np.log(np.float32([[.5, .5]])), means,
                        np.float32([[.03, .03]])).sum()
  value, slope = jax.jit(jax.value_and_grad(loss))(np.float32([[0., 1.]]))
  assert np.isfinite(value) and np.isfinite(slope).all() and slope[0, 1] < 0


def test_a_model_that_is_the_generator_is_calibrated():
  rng = np.random.default_rng(1)
  n = 4000
  means, sigmas = rng.normal(0, .04, n), rng.uniform(.005, .02, n)
  target = rng.normal(means, sigmas)
  below = stats.norm.cdf(target, means, sigmas)
  nll = -stats.norm.logpdf(target, means, sigmas)
  found = driving_scores(means, target, nll, below)
  assert found['coverage'] == pytest.approx(.9, abs=.015)
  assert found['pit_distance'] == pytest.approx(stats.kstest(below, 'uniform').statistic)
  too_sure = stats.norm.cdf(target, means, sigmas / 3)
  assert driving_scores(means, target, nll, too_sure)['coverage'] < .6


def test_branches_are_known_that_have_a_tenth_of_the_probability():
  found = driving_scores(
      [0., .1, 0.], [.1, .1, 0.], [1., 3., 9.], [.5, .5, .5],
      taken=[[.6, .05, .3], [.2, .9, .9], [1., 0., 0.]],
      there=[[True, True, True], [True, False, False], [False, True, False]], fork=[1, 1, 0])
  assert found['branch_recall'] == .75 and found['nll_at_forks'] == 2.
  assert found['r2_at_forks'] == 0.                       # what was driven at forks does not vary


@pytest.mark.parametrize('given, expected', [((66, 200, 3), 252_219), ((66, 200, 1), 251_019)])
def test_pilotnet_has_the_papers_parameters(given, expected):
  shapes = jax.eval_shape(PilotNet(classes=1).init, jax.random.key(0), jnp.zeros((1, *given)))
  assert sum(x.size for x in jax.tree.leaves(shapes)) == expected
  kernels = shapes['params']
  assert kernels['dense1']['kernel'].shape == (64 * 18, 100)   # figure 4: 64 maps of 1 x 18


def test_the_chart_that_is_asked_for_is_seen():
  def model(classes):
    return PilotNet(classes=classes, widths=(2,) * 5, hidden=(8,), same=True)
  rng = np.random.default_rng(0)
  batch = dict(image=rng.integers(0, 256, (2, 16, 40, 3), np.uint8),
               map=rng.integers(0, 256, (2, 16, 16, 2), np.uint8),
               steering=np.zeros(2, np.float32), valid=np.ones(2, bool))
  example = {k: jax.ShapeDtypeStruct((1, *v.shape[1:]), v.dtype) for k, v in batch.items()}
  for chart, channel in (('none', None), ('all', 0), ('route', 1)):
    task = drive(make_model=model, example=example, chart=chart)
    variables = jax.jit(task.init)(jax.random.key(1), batch)
    variables = jax.tree.map(lambda x: x + .05, variables)      # the head begins near 0
    before = task.predict(variables, batch)['prediction']
    for changed in (0, 1):
      other = batch['map'].copy()
      other[..., changed] = 255 - other[..., changed]
      after = task.predict(variables, batch | dict(map=other))['prediction']
      assert np.array_equal(before, after) == (changed != channel)
  assert before.shape == (2,)


def test_a_distribution_learns_both_branches_where_the_camera_cannot_tell(tmp_path):
  """Views without any information, of two ways: a mixture has both, one normal neither."""
  rng = np.random.default_rng(0)
  steering = (rng.choice((-.08, .08), 512) + rng.normal(0, .004, 512)).astype(np.float32)
  source = Arrays(dict(image=np.zeros((512, 16, 16, 1), np.uint8), steering=steering))
  config = roads_drive.get_config('smoke')
  config.parallel.devices = 1
  config.update(dict(steps=300, batch=64))
  config.evals = {}
  config.checkpoint.best = ''
  config.data = dict(name='arrays', path=str(saved(tmp_path / 'two.npz', source.arrays)))
  config.task.chart = 'none'
  config.task.model.widths, config.task.model.hidden = (2,) * 5, (16,)
  config.hp.lr = .02
  train(config, tmp_path / 'run')
  said = load(tmp_path / 'run').predict(source.arrays['image'][:1])
  weights, means = said['weights'][0], said['means'][0]
  assert weights[means > .06].sum() == pytest.approx(.5, abs=.1)
  assert weights[means < -.06].sum() == pytest.approx(.5, abs=.1)
  assert abs(said['prediction'][0]) < .02
  with pytest.raises(ConfigError, match=r'sees nothing; beside= gives map \(1, 4\)'):
    load(tmp_path / 'run').predict(source.arrays['image'][:1], beside=dict(map=np.zeros((1, 4))))


def saved(path, arrays):
  np.savez(path, **{f'train_{name}': value for name, value in arrays.items()})
  return path


@pytest.fixture(scope='module')
def remembering():
  """A task with a memory that sees the route, its variables, and clips."""
  rng = np.random.default_rng(0)
  clips = dict(video=rng.integers(0, 256, (2, 5, 16, 40, 3), np.uint8),
               map=rng.integers(0, 256, (2, 5, 16, 16, 2), np.uint8),
               steering=rng.normal(0, .04, (2, 5)).astype(np.float32),
               valid=np.array([True, False]))
  example = {k: jax.ShapeDtypeStruct((1, *v.shape[1:]), v.dtype) for k, v in clips.items()}
  task = drive(make_model=lambda classes: PilotLSTM(classes=classes, widths=(2,) * 5, hidden=(8,),
                                                    same=True, memory=4),
               example=example, chart='route')
  variables = jax.tree.map(lambda x: x + rng.normal(0, .2, x.shape).astype(np.float32),
                           jax.jit(task.init)(jax.random.key(1), clips))
  return task, variables, clips


def test_steps_with_a_memory_are_the_clip(remembering):
  task, variables, clips = remembering
  predict = jax.jit(task.predict)
  whole = predict(variables, clips)
  step, memory = jax.jit(task.step), task.begin(2)
  for t in range(5):
    seen = dict(image=clips['video'][:, t], map=clips['map'][:, t], fresh=np.array([t == 2, False]))
    said, memory = step(variables, seen, memory)
  for name, value in whole.items():
    np.testing.assert_allclose(said[name][1], value[1], atol=1e-6)
  # The first drive began anew at its third frame.
  late = predict(variables, {k: v[:, 2:] if v.ndim > 1 else v for k, v in clips.items()})
  for name, value in late.items():
    np.testing.assert_allclose(said[name][0], value[0], atol=1e-6)
  assert abs(whole['prediction'][0] - late['prediction'][0]) > 1e-5


def test_the_loss_is_that_of_all_frames_of_valid_clips(remembering):
  task, variables, clips = remembering
  terms, _ = jax.jit(lambda v, b: task.loss(v, b, None, {}, train=False))(variables, clips)
  log_weights, means, sigmas, _ = jax.jit(task.mixture)(variables, clips)
  assert means.shape == (2, 5, 3)
  target = clips['steering'][0, :, None] / .04
  density = (np.exp(log_weights[0]) * stats.norm.pdf(target, means[0], sigmas[0])).sum(-1)
  assert float(terms['nll'].value) == pytest.approx(-np.log(density).mean(), rel=1e-4)
  assert float(terms['nll'].count) == 1


def test_a_network_without_a_memory_sees_frames_one_by_one():
  clips = np.random.default_rng(0).normal(size=(2, 3, 16, 40, 3)).astype(np.float32)
  net = PilotNet(classes=3, widths=(2,) * 5, hidden=(8,), same=True)
  variables = jax.jit(net.init)(jax.random.key(0), clips)
  apply = jax.jit(net.apply)
  out = apply(variables, clips)
  assert out.shape == (2, 3, 3)
  np.testing.assert_allclose(out[1, 2], apply(variables, clips[:, 2])[1], atol=1e-6)
  # An LSTM of 4 units on 8 numbers, and as many more inputs of the head.
  other = PilotLSTM(classes=3, widths=(2,) * 5, hidden=(8,), same=True, memory=4)
  sizes = [sum(x.size for x in jax.tree.leaves(jax.eval_shape(one.init, jax.random.key(0), clips)))
           for one in (net, other)]
  assert sizes[1] - sizes[0] == 16 * (8 + 4 + 1) + 4 * 3


@pytest.mark.parametrize('options, said', [
    (dict(chart='rout'), 'did you mean "route"'), (dict(components=0), 'at least 1'),
    (dict(target_std=-1.), '0 or more'), (dict(told=True), "last command, `previous`")])
def test_mistakes_in_options(options, said):
  config = roads_drive.get_config('smoke')
  config.task.update(options)
  with pytest.raises(ConfigError, match=said):
    build.assemble(config)


def test_data_without_steering_are_refused():
  config = roads_drive.get_config('smoke')
  config.data = config.evals.test.data = config.evals.val.data = dict(name='digits')
  with pytest.raises(ConfigError, match="needs data with 'steering', such as \"roads\""):
    build.assemble(config)


def recording(n=64, seed=0):
  """Commands that are the last one and what is seen: how bright a picture is."""
  rng = np.random.default_rng(seed)
  change = rng.uniform(-1, 1, n)
  steering = np.cumsum(change - .2 * change.cumsum() / np.arange(1, n + 1)) * .01
  image = np.broadcast_to((127.5 + 120 * change)[:, None, None, None], (n, 16, 16, 3))
  previous = np.concatenate([[0.], steering[:-1]])
  return Arrays(dict(image=image.astype(np.uint8), steering=steering.astype(np.float32),
                     previous=previous.astype(np.float32)))


def test_who_is_told_the_last_command_begins_from_it():
  def made(**options):
    source = recording()
    task = drive(make_model=lambda classes: PilotNet(
        classes=classes, widths=(2,) * 5, hidden=(8,), same=True), example=source.arrays, **options)
    batch = dict(source[np.arange(64)], valid=np.ones(64, bool))
    return task, task.init(jax.random.key(0), batch), batch
  task, variables, batch = made(told=True, target_std=.02)
  assert task.beside == ('previous',)
  off = task.predict(variables, batch)['prediction'] - batch['previous']
  moved = dict(batch, previous=batch['previous'] + 1)
  alone, own, _ = made(target_std=.02)
  np.testing.assert_array_equal(alone.predict(own, batch)['prediction'],
                                alone.predict(own, moved)['prediction'])
  assert np.abs(off).max() < .1 < task.predict(variables, moved)['prediction'].min()
  with pytest.raises(ConfigError, match='told the last command .* no `previous`'):
    task.predict(variables, {k: v for k, v in batch.items() if k != 'previous'})


def test_the_standard_deviation_may_be_that_of_the_data():
  config = roads_drive.get_config('smoke')
  config.task.target_std = 0.
  job = build.assemble(config)
  steering = roads('train', examples=64).arrays['steering']
  assert job.task.target_std == pytest.approx(steering.std(), rel=1e-5)


def test_a_run_of_drawn_roads_is_measured_on_recordings(caplog):
  config = roads_drive.get_config('smoke')
  config.task.chart = 'none'
  task = build.assemble(config).task
  source = recording()
  batch = dict(source[np.arange(64)], valid=np.ones(64, bool))
  variables = task.init(jax.random.key(0), batch)
  evaluator = task.evaluators()['driving']
  rows = jax.device_get(evaluator.update(variables, batch, {}))
  found = evaluator.finish(rows)
  steering = source.arrays['steering'].astype(np.float64)
  assert found['rmse_constant'] == pytest.approx(steering.std())
  last = np.sqrt(np.mean((steering - source.arrays['previous']) ** 2))
  assert found['rmse_last'] == pytest.approx(last, rel=1e-5) and 'branch_recall' not in found
  assert 'its units may be others' not in caplog.text
  evaluator.finish(rows | dict(target=rows['target'] * 100))
  assert 'its units may be others; see the options scale, unit' in caplog.text
  assert 'go against each other' not in caplog.text
  many = {name: np.tile(value, 2) for name, value in rows.items()}
  evaluator.finish(many | dict(target=-many['prediction']))
  assert 'go against each other' in caplog.text


def test_a_mirror_turns_steering_round():
  image = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)
  chart = np.arange(8, dtype=np.uint8).reshape(1, 2, 2, 2)
  batch = dict(image=image, map=chart, steering=np.float32([.3]), previous=np.float32([-.1]))
  seen = make_augment(dict(flip=dict(p=1.)))(jax.random.key(0), batch)
  np.testing.assert_allclose(seen['image'] * 255, image[:, :, ::-1], atol=1e-4)
  np.testing.assert_array_equal(seen['map'], chart[:, :, ::-1])
  assert seen['steering'] == -batch['steering'] and seen['previous'] == -batch['previous']
  same = make_augment(dict(flip=dict(p=0.)))(jax.random.key(0), batch)
  assert same['steering'] == batch['steering']
  clips = dict(video=image[:, None], steering=np.zeros((1, 1), np.float32))
  with pytest.raises(ConfigError, match='flip: mirrors clips, and not how'):
    make_augment(dict(flip=True))(jax.random.key(0), clips)
