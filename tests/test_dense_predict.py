"""A run that answers for every pixel, used on images of any size."""

import numpy as np
import pytest
from PIL import Image

from visionlab import predict as command
from visionlab.config import experiment
from visionlab.evaluate import evaluate
from visionlab.runs.load import load
from visionlab.train import train


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
  folder = tmp_path_factory.mktemp('run')
  train(experiment(
      steps=1, batch=4, data=dict(name='scenes', size=32),
      task=dict(name='segment', model=dict(name='unet', width=4, depth=1)),
      optim=dict(name='sgd'), hp=dict(lr=.1), log=dict(tensorboard=False),
      parallel=dict(devices=1)), folder)
  return folder


def test_every_image_is_answered_at_its_own_size(workdir):
  run = load(workdir)
  assert run.classes[:2] == ('zero', 'one') and run.facts.info.map_classes[0] == 'background'
  rng = np.random.default_rng(0)
  sizes = [(32, 32), (50, 41), (20, 70)]
  images = [Image.fromarray(rng.integers(0, 256, (*size, 3)).astype(np.uint8)) for size in sizes]
  said = run.predict(images)
  assert [m.shape for m in said['prediction']] == sizes
  assert all(m.dtype == np.uint8 and m.max() <= 10 for m in said['prediction'])
  whole = run.predict(np.asarray(images[0])[None])             # an array of the run's size
  assert whole['prediction'].shape == (1, 32, 32)
  np.testing.assert_array_equal(whole['prediction'][0], said['prediction'][0])
  grey = run.predict([images[1].convert('L')])                 # a mode it was not trained on
  assert grey['prediction'][0].shape == (50, 41)


def test_files_are_read_whole_and_described(workdir, tmp_path):
  run = load(workdir)
  Image.new('RGB', (50, 40), 'red').save(tmp_path / 'a.png')
  (tmp_path / 'b.png').write_text('nonsense')
  images, paths, bad = command.read(run, [str(tmp_path / 'a.png'), str(tmp_path / 'b.png')])
  assert images[0].shape == (40, 50, 3) and len(bad) == 1
  assert 'b.png: cannot be read as an image' in bad[0]
  lines = command.table(run, paths, run.predict(images), 3)
  shares = [float(word) for word in lines[0].split() if word.replace('.', '').isdigit()]
  assert len(lines) == 1 and 'a.png' in lines[0] and 0 < sum(shares) <= 100.2


def test_evaluation_uses_every_device(workdir):
  run = load(workdir)
  results, pictures = evaluate([run], 'test[:20]', batch=16, figures=True)
  assert results['confusion'].sum() == 20 * 32 * 32 and 'samples' in pictures
