"""Captioners from config to reloaded run: training, prediction, resuming, other vocabularies."""

import csv

import jax
import numpy as np
import pytest
from PIL import Image

import visionlab
from configs import coco_captioner, flickr8k_captioner
from experiments import study
from visionlab import predict
from visionlab.build import build_optimizer, build_task
from visionlab.config import ConfigError
from visionlab.data.pipeline import open_sources
from visionlab.evaluate import evaluate
from visionlab.facts import Facts
from visionlab.options.durations import parse_steps
from visionlab.train import train

COLOURS = dict(red=(220, 30, 30), green=(30, 200, 60), blue=(40, 60, 220))


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
  """Squares of one colour, each with what colour it is, once at the left and once at the right."""
  root = tmp_path_factory.mktemp('pictures')
  rng, lines = np.random.default_rng(0), [('file', 'caption', 'split')]
  for i in range(24):
    name, (dx, side) = list(COLOURS)[i % 3], [(0, 'left'), (8, 'right')][i // 3 % 2]
    image = rng.integers(90, 120, (16, 16, 3), np.uint8)
    image[4:12, dx:dx + 8] = COLOURS[name]
    Image.fromarray(image).save(root / f'{i}.png')
    lines.append((f'{i}.png', f'A {name} square, {side}.', 'train' if i < 18 else 'test'))
  with (root / 'captions.csv').open('w', newline='') as file:
    csv.writer(file).writerows(lines)
  return root


def config_of(root, **changes):
  return study.changed(flickr8k_captioner.get_config('smoke'), **{
      **dict(steps='300', batch=18, hp__lr=.01, task__model__pool='flatten', task__mean=(.5,) * 3,
             task__std=(.25,) * 3, parallel__devices=1,
             data=dict(name='captions', root=str(root), size=16, least_count=1, length=8),
             evals=dict(test=dict(split='test', every='100%', batch=6))), **changes})


@pytest.fixture(scope='module')
def workdir(pictures, tmp_path_factory):
  path = tmp_path_factory.mktemp('runs') / 'squares'
  train(config_of(pictures), path)
  return path


def test_a_run_says_what_it_sees(workdir, pictures, tmp_path):
  run = visionlab.load(workdir)
  assert run.metrics[-1]['test/exact_match'] == 1
  assert {'red', 'square', 'left'} < set(run.facts.info.words)
  images, paths, bad = predict.read(run, [str(pictures / f'{i}.png') for i in (0, 4)] + ['none'])
  assert len(bad) == 1
  said = run.predict(np.stack(images))
  lines = predict.table(run, paths, said, top=1)
  assert [line.split('  ')[1].split(' (')[0] for line in lines] == ['a red square left',
                                                                    'a green square right']
  picture = run.task.picture(images, said, ['0.png\nx', '4.png\nx'], 'squares')
  assert picture.shape[1] > 2 * 224
  results, pictures = evaluate([run], 'test', figures=True)
  assert results['exact_match'] == 1 and 'samples' in pictures


def test_another_vocabulary_is_refused(workdir, pictures, tmp_path):
  other = tmp_path / 'other'
  other.mkdir()
  for path in pictures.iterdir():
    text = path.read_bytes()
    (other / path.name).write_bytes(text.replace(b'square', b'box') if path.suffix == '.csv'
                                    else text)
  said = r'vocabulary of 11 words is not that of the data, which has 11: word 5 is .square. there'
  for changes in (dict(resume=str(workdir)), dict(init_from=str(workdir))):
    with pytest.raises(ConfigError, match=said):
      train(config_of(other, **changes), tmp_path / 'new')
  with pytest.raises(ConfigError, match=said):
    evaluate([visionlab.load(workdir)], 'test', root=str(other))
  assert not (tmp_path / 'new').exists()
  (pictures / 'captions.csv').rename(tmp_path / 'kept.csv')
  (other / 'captions.csv').rename(pictures / 'captions.csv')
  with pytest.raises(ConfigError, match=said):                # same config, but the file changed
    train(config_of(pictures), workdir)
  (tmp_path / 'kept.csv').rename(pictures / 'captions.csv')


def test_the_backbone_is_frozen_first_and_its_last_stages_tuned_later(pictures):
  config = flickr8k_captioner.get_config()
  source = open_sources(config_of(pictures).data, 'train')
  task = build_task(config, Facts.of(source))
  params = jax.eval_shape(task.init, jax.random.key(0), source[np.arange(1)])['params']
  optimizer = build_optimizer(config, 100, lambda duration, key: parse_steps(
      duration, key, batch=1, examples=1, total=100))
  assert [int(optimizer.phase(step)) for step in (0, 59, 60)] == [0, 0, 1]
  state = jax.eval_shape(optimizer.init, params)       # raises if a group matches no parameter
  first, later = (set(state[start][0].mu) for start in ('0', '60'))
  assert {'table', 'layer0/input_kernel', 'image/kernel', 'head/kernel'} < first
  assert not any(path.startswith('backbone') for path in first)
  assert {path.split('/')[1][:6] for path in later} == {'stage3', 'stage4'}


def test_configs_of_photographs():
  for file, variants in ((flickr8k_captioner, ('', 'attention', 'text')),
                         (coco_captioner, ('', 'attention'))):
    for variant in variants:
      config = file.get_config(variant)
      assert ('attention' in config.task.model) == (variant == 'attention')
      assert ('backbone' in config.task.model) == (variant != 'text')
    with pytest.raises(ConfigError, match='smok'):
      file.get_config('smok')


def test_a_language_model_needs_no_images(pictures, tmp_path):
  config = config_of(pictures, steps='60', data__images=None,
                     task__model=dict(name='captioner', width=16, embedding=16))
  train(config, tmp_path / 'text')
  perplexity = [line['test/perplexity'] for line in visionlab.load(tmp_path / 'text').metrics
                if 'test/perplexity' in line]
  # Of 5 tokens, a colour of three and a side of two cannot be known.
  assert perplexity[-1] == pytest.approx(6 ** (1 / 5), rel=.1) and perplexity[0] > 8
