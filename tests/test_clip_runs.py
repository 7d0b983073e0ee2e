"""A run of clips from its training to its answers: loaded, asked, measured, averaged, exported."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from PIL import Image
from safetensors.numpy import save_file

from visionlab import build, exports
from visionlab.build import build_task
from visionlab.config import ConfigError
from visionlab.data.actions.actions import actions
from visionlab.evaluate import evaluate
from visionlab.facts import Facts
from visionlab.models.cnn import CNN
from visionlab.ops import optical_flow
from visionlab.ops.views import rescaled
from visionlab.runs.load import load
from visionlab.train import train
from visionlab.training.resume import resume


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('clips')
  train(tiny.clips(steps=5), workdir)
  return load(workdir)


@pytest.fixture(scope='module')
def films():
  return actions('test', size=16, frames=4, clips=64).arrays


def test_a_run_answers_as_its_task_does(run, films):
  clips = films['video'][:5]
  assert 'clips of 4x16x16x3' in repr(run)
  said = run.predict(clips)
  true = run.task.predict(run.variables, dict(video=clips))
  np.testing.assert_allclose(said['probabilities'], true['probabilities'], atol=1e-5)
  listed = run.predict([list(map(Image.fromarray, clip)) for clip in clips])
  np.testing.assert_array_equal(listed['logits'], said['logits'])
  assert run.predict(clips[0])['prediction'].shape == (1,)
  with pytest.raises(ConfigError, match='features are those of images, and it sees clips'):
    run.features(clips)
  with pytest.raises(ConfigError, match='only networks of images can be looked into'):
    run.explain(clips)


def test_windows_are_averaged_and_counted_each(run, films):
  """By hand: the first three of four frames, and the last three."""
  whole = dataclasses.replace(run.task, frames=0, windows=1)
  parts = [whole.predict(run.variables, dict(video=films['video'][:, i:i + 3]))['probabilities']
           for i in (0, 1)]
  said = run.task.predict(run.variables, films)
  np.testing.assert_allclose(said['probabilities'], (parts[0] + parts[1]) / 2, atol=1e-5)
  results, _ = evaluate([run], 'test')
  right = [(p.argmax(-1) == films['label']).mean() for p in (*parts, said['probabilities'])]
  assert results['clip@1'] == pytest.approx(np.mean(right[:2]))
  assert results['video@1'] == results['accuracy'] == pytest.approx(right[2])
  assert results['video@5'] == pytest.approx(1 - results['top5_error'])


def test_two_streams_are_two_runs_averaged(run):
  """Of a network that sees frames and one that sees flow, with the second's data."""
  source = dict(run.config.data.to_dict(), flow=True)
  clips = actions('test', size=16, frames=4, clips=64, flow=True)
  config = tiny.clips(data=source, task=run.config.task.to_dict() | dict(
      sees='flow', model=run.config.task.model.to_dict() | dict(fusion='early')))
  facts = Facts.of(clips)
  task = build_task(config, facts)
  variables = jax.jit(task.init)(jax.random.key(0), clips.arrays)
  flow = dataclasses.replace(run, config=config, task=task, variables=variables, facts=facts)
  results, _ = evaluate([flow, run], 'test')
  p = sum(one.task.predict(one.variables, clips.arrays)['probabilities'] for one in (flow, run))
  assert results['accuracy'] == pytest.approx((p.argmax(-1) == clips.arrays['label']).mean())
  with pytest.raises(ConfigError, match='change frames, and not the flow'):
    evaluate([flow], 'test', views=rescaled(mirror=True))


def test_views_are_of_all_frames(run, films):
  results, _ = evaluate([run], 'test', views=rescaled(mirror=True))
  p = sum(run.task.predict(run.variables, dict(video=v))['probabilities']
          for v in (films['video'], films['video'][:, :, :, ::-1]))
  assert results['accuracy'] == pytest.approx((p.argmax(-1) == films['label']).mean())


def test_a_flow_without_its_mean_is_what_the_network_sees(run):
  task = dataclasses.replace(run.task, sees='flow')
  flow = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 2)).astype(np.float32)
  seen = task.seen(dict(flow=flow))
  np.testing.assert_allclose(seen.mean((2, 3)), 0, atol=1e-6)
  np.testing.assert_allclose(task.seen(dict(flow=flow + np.float32([3, -2]))), seen, atol=1e-5)


def test_a_run_begins_with_a_network_of_images(run, tmp_path):
  """From its export: repeated over three frames; of flow, with the mean of its colours."""
  network = CNN(8, (4,), hidden=8)
  trained = jax.jit(network.init)(jax.random.key(3), jnp.zeros((1, 16, 16, 3)))
  exported = tiny.config(task=dict(name='classify', model=dict(name='cnn', widths=(4,))))
  (tmp_path / 'config.json').write_text(exported.to_json())
  (tmp_path / 'data.json').write_text('{}')
  save_file(exports.flat(trained), tmp_path / 'model.safetensors')
  config = tiny.clips(init_from=str(tmp_path))
  job = build.assemble(config)
  state, said = resume(tmp_path / 'new', config, job.init(), job.task)
  kernel = np.asarray(trained['params']['conv0']['kernel'])
  np.testing.assert_allclose(state.params['backbone']['conv0']['kernel'],
                             np.concatenate([kernel / 3] * 3, 2), atol=1e-6)
  assert 'widened to clips: 1: params/backbone/conv0/kernel' in said
  flow = dataclasses.replace(run.task, sees='flow')
  np.testing.assert_allclose(flow.widened(kernel, 4), kernel.mean(2, keepdims=True).repeat(4, 2))
  of_two_fields = kernel[:, :, :2]                # a network of flow already
  assert flow.widened(of_two_fields, 4).shape == (3, 3, 4, 4)
  np.testing.assert_array_equal(flow.widened(of_two_fields, 4)[:, :, :2], of_two_fields / 2)


def test_a_film_is_asked_by_its_name(run, films, tmp_path):
  frames = [Image.fromarray(x) for x in films['video'][3]]
  path = tmp_path / 'film.apng'
  frames[0].save(path, save_all=True, append_images=frames[1:], duration=40)
  np.testing.assert_array_equal(run.fit(path)[0], films['video'][3])


def test_flow_that_is_not_given_is_found(run, films):
  task = dataclasses.replace(run.task, sees='flow', flow='lucas_kanade')
  clips = films['video'][:2]
  seen = jax.jit(task.seen)(dict(video=clips))
  find = jax.jit(optical_flow.lucas_kanade)
  for b, t in ((0, 0), (1, 2)):
    flow = find(clips[b, t], clips[b, t + 1])
    np.testing.assert_allclose(seen[b, t], flow - flow.mean((0, 1)), atol=1e-4)


def test_an_exported_program_takes_clips(run, films):
  program = jax.export.deserialize(bytearray(exports.stablehlo(run, ('cpu',))))
  weights = exports.flat(run.variables)
  found = program.call({k: jnp.asarray(v) for k, v in weights.items()}, films['video'][:3])
  np.testing.assert_allclose(found['logits'], run.predict(films['video'][:3])['logits'], atol=1e-4)
  text = exports.readme(run, ('cpu',))
  assert 'np.zeros((2, 4, 16, 16, 3), np.uint8)          # yours: (n, frames, height' in text


@pytest.mark.parametrize('changes, said', [
    (dict(frames=5), 'frames: expected 0 to 4'), (dict(windows=2), '2 windows of 4 frames'),
    (dict(sees='audio'), 'config.task.sees'), (dict(flow='tvl1'), 'did you mean "tv_l1"'),
    (dict(sees='flow'), 'config.task.flow: these clips have none')])
def test_options_that_do_not_fit_are_named(run, changes, said):
  config = tiny.clips(task=dict(name='clips', model=run.config.task.model.to_dict()) | changes)
  with pytest.raises(ConfigError, match=said):
    build_task(config, run.facts)
  with pytest.raises(ConfigError, match='clips needs a source of clips'):
    build_task(tiny.clips(), Facts(run.facts.info, dict(image=run.facts.image), 1))
