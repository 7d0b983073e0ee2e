"""Reloaded runs: what is asked of them, and what is saved with them."""

import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image
from tiny import config

import visionlab
from visionlab.config import ConfigError
from visionlab.evaluate import evaluate
from visionlab.exports import save
from visionlab.runs.load import load
from visionlab.train import train


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / 'digits'
  train(config(steps=1, evals={}), folder)
  return folder


def test_one_image_gives_one_row_in_every_form(workdir, tmp_path):
  run = load(workdir)
  image = np.random.default_rng(0).integers(0, 256, (8, 8)).astype(np.uint8)
  Image.fromarray(image).save(tmp_path / 'a.png')
  expected = run.predict(image[None, ..., None])['logits']
  forms = [image, image[..., None], image / 255, Image.fromarray(image), tmp_path / 'a.png',
           str(tmp_path / 'a.png'), jax.numpy.asarray(image)]
  for form in [*forms, *([form] for form in forms), image[None]]:
    np.testing.assert_array_equal(run.predict(form)['logits'], expected)
  assert run.predict(np.stack([image] * 3))['prediction'].shape == (3,)


def test_the_image_that_is_none_is_named(workdir, tmp_path):
  run, image = load(workdir), np.zeros((8, 8), np.uint8)
  (tmp_path / 'bad.png').write_text('nonsense')
  for bad, said in ((None, 'image 2: '), (tmp_path / 'bad.png', 'image 2, .*bad.png: '),
                    (tmp_path / 'absent.png', 'image 2, .*absent.png: no such file')):
    with pytest.raises(ConfigError, match=said):
      run.predict([image, image, bad, image])


def test_floats_of_a_run_on_floats_are_not_rounded(tmp_path):
  rng = np.random.default_rng(0)
  images = rng.random((8, 6, 6, 3)).astype(np.float32)
  np.savez(tmp_path / 'd.npz', x_train=images, y_train=np.arange(8) % 2)
  train(config(steps=1, evals={}, batch=4, augment={}, data=dict(
      name='arrays', path=str(tmp_path / 'd.npz'))), tmp_path / 'run')
  run = load(tmp_path / 'run')
  exact = run.task.predict(run.variables, {'image': images})['logits']
  for form in (images, list(images)):
    np.testing.assert_allclose(run.predict(form)['logits'], exact, rtol=1e-5, atol=1e-6)
  rounded = run.predict(np.round(255 * images).astype(np.uint8))['logits']
  assert 1e-6 < np.abs(rounded - exact).max() < .1


@pytest.mark.parametrize('data', [
    dict(name='partly_labelled', of=dict(name='folder', size=8, resize='pad'), per_class=1),
    dict(target=dict(name='folder', size=8, resize='stretch'),
         source=dict(name='folder', size=8, resize='pad'))])
def test_nested_data_say_how_images_are_placed(workdir, data):
  """A bright picture twice as wide as high, padded, has black above and below."""
  run = load(workdir)
  changed = config(data=data)
  facts = run.facts
  if 'name' not in data:
    facts = type(facts)(facts.info, dict(source=facts.example, target=facts.example), 1)
  run = type(run)(run.workdir, changed, run.task, run.variables, run.hp, 1, facts)
  placed = run.fit(np.full((20, 40), 255, np.uint8))[0, ..., 0]
  assert placed[:2].max() == 0 == placed[6:].max() and placed[2:6].min() == 255


def test_a_run_in_one_line(workdir):
  text = repr(load(workdir))
  assert len(text) < 200 + len(str(workdir)) and '\n' not in text
  assert all(part in text for part in ('classify', 'step 1', '10 classes', '8x8x1'))


@pytest.mark.parametrize('name, content, said', [
    ('config.json', '{', 'config.json is no JSON'), ('config.json', '[]', 'is no config of a run'),
    ('config.json', '{"task": {}}', 'is no config of a run: it has no "data"'),
    ('config.json', None, 'config.json cannot be read'),
    ('data.json', None, r'there is no data\.json'),
    ('data.json', '{"classes": ["a"', 'data.json is no JSON'), ('data.json', 'null', 'the facts'),
    ('data.json', '{"classes": ["a"]}', "KeyError 'example'"),
    ('data.json', '{"example": {"image": "uint8 a"}, "examples": 1}', 'the facts'),
    ('data.json', '{"example": 5, "examples": 1}', 'the facts')])
def test_damaged_files_of_a_run_are_named(workdir, tmp_path, name, content, said):
  folder = tmp_path / 'run'
  shutil.copytree(workdir, folder)
  (folder / name).unlink()
  if content is not None:
    (folder / name).write_text(content)
  with pytest.raises(ConfigError, match=said):
    load(folder)


def test_an_export_is_measured_as_the_run_is(tmp_path):
  """Huber's loss reads a hyperparameter, which here is not its default."""
  task = dict(name='regress', target='label', distance='huber', model=dict(name='tiny:TinyNet'))
  train(config(steps=2, evals={}, task=task, hp=dict(lr=.01, momentum=0., huber_delta=.25)),
        tmp_path / 'run')
  run = load(tmp_path / 'run')
  exported = load(visionlab.export(tmp_path / 'run', tmp_path / 'out'))
  assert exported.step == run.step == 2
  assert {k: float(v) for k, v in exported.hp.items()} == {k: float(v) for k, v in run.hp.items()}
  assert all(isinstance(x, jax.Array) for x in jax.tree.leaves(exported.variables))
  ours, theirs = (evaluate([r], 'test[:64]')[0] for r in (run, exported))
  assert ours['huber'] == theirs['huber'] > 0
  again = load(save(exported, tmp_path / 'again'))          # an export of an export
  assert again.step == 2 and float(again.hp['huber_delta']) == .25


def test_an_export_from_before_has_the_hyperparameters_of_its_config(workdir, tmp_path):
  from safetensors.numpy import load_file, save_file
  folder = save(load(workdir), tmp_path)
  save_file(load_file(folder / 'model.safetensors'), folder / 'model.safetensors')
  hp = json.loads((folder / 'config.json').read_text())['hp']
  assert float(load(folder).hp['lr']) == pytest.approx(hp['lr'])


def test_a_folder_of_runs_says_which_there_are(tmp_path):
  for name in ('lr=0.1,seed=0', 'lr=0.2,seed=0'):
    (tmp_path / 'sweep' / name).mkdir(parents=True)
    (tmp_path / 'sweep' / name / 'config.json').write_text('{}')
  with pytest.raises(ConfigError, match='holds 2 runs: name one, such as .*sweep/lr=0.1,seed=0'):
    load(tmp_path / 'sweep')
