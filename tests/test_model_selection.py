"""Choosing without labels of the target: entropy, and the way back."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import entropy

import visionlab
from configs import digits_dann
from experiments.dann import domain_figures, model_selection
from experiments.dann.model_selection import PSEUDO, mean_entropy, reverse_config, target_entropy
from experiments.study import changed
from visionlab import build
from visionlab.config import ConfigError
from visionlab.data.sources.digits import digits
from visionlab.data.sources.digits_m import digits_m
from visionlab.figures import charts
from visionlab.train import train
from visionlab.training.evaluation import Evaluations


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """A network after ten steps, from digits to digits on photographs."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(Evaluations, 'figures', lambda self, state: {})
    patch.setattr(charts, 'curves', lambda lines: np.zeros((1, 1, 3), np.uint8))
    path = tmp_path_factory.mktemp('runs') / 'there'
    config = changed(digits_dann.get_config('smoke'), steps=10, evals__source__every='100%',
                     evals__target__every='100%', parallel__devices=1)
    train(config, path)
    return visionlab.load(path)


def test_mean_entropy_against_scipy():
  p = np.random.default_rng(0).dirichlet(np.ones(5), 40)
  assert mean_entropy(p) == pytest.approx(entropy(p, axis=-1).mean())
  assert mean_entropy(np.full((3, 10), .1)) == pytest.approx(np.log(10))
  assert mean_entropy(np.eye(4)) == 0


def test_entropy_is_of_the_targets_images(run):
  target = run.config.data.target.to_dict()
  del target['name']
  images = digits_m('test', **target).arrays['image']
  expected = entropy(run.predict(images)['probabilities'].astype(np.float64), axis=-1).mean()
  assert target_entropy(run, 'test') == pytest.approx(expected, rel=1e-5)


def test_the_way_back_exchanges_the_domains(run, tmp_path):
  config = reverse_config(run, tmp_path)
  job = build.assemble(config)
  batch = job.batches.loader(0)
  plain = digits('train', size=16, channels=3).arrays
  with np.load(tmp_path / PSEUDO) as written:
    images, labels = written['train_image'], written['train_label']
  np.testing.assert_array_equal(labels, run.predict(images)['prediction'])
  assert len(images) == run.config.data.target.copies * len(plain['image'])
  assert job.facts.info.classes == run.classes
  # Each half of the batch: pictures on photographs with the run's answers; then plain digits.
  for image, label in zip(batch['source']['image'][:4], batch['source']['label'][:4], strict=True):
    (i,) = np.flatnonzero((images == image).all((1, 2, 3)))[:1]
    assert label == labels[i]
  for image in batch['target']['image'][:4]:
    assert (plain['image'] == image).all((1, 2, 3)).any()
  assert list(config.evals) == ['source'] and config.evals.source.data.name == 'digits'
  assert config.hp.to_dict() == run.config.hp.to_dict()
  assert config.task.to_dict() == run.config.task.to_dict()
  assert config.init_from == str(run.workdir)


def test_the_way_back_never_reads_labels_of_the_target(run, tmp_path, monkeypatch):
  right = reverse_config(run, tmp_path / 'right')
  source = model_selection.open_sources(run.config.data.target.to_dict(), 'train')
  source.arrays['label'][:] = 7
  monkeypatch.setattr(model_selection, 'open_sources', lambda *_: source)
  spoilt = reverse_config(run, tmp_path / 'spoilt')
  labels = [np.load(config.data.source.path)['train_label'] for config in (right, spoilt)]
  np.testing.assert_array_equal(*labels)


def test_mistakes(run, tmp_path):
  for changes, said in ((dict(task__name='classify'), 'for task adapt, not classify'),
                        (dict(evals={}), 'needs config.evals.source')):
    other = dataclasses.replace(run, config=changed(run.config, **changes))
    with pytest.raises(ConfigError, match=said):
      reverse_config(other, tmp_path)


def test_representations_are_what_the_label_stands_on(run):
  images = digits_m('test', size=16, zoom=.15).arrays['image'][:7]
  features = domain_figures.representations(run, images, batch=3)
  logits = run.task.model.apply(run.variables, features, method='label_logits')
  np.testing.assert_allclose(logits, run.predict(images)['logits'], rtol=1e-4, atol=1e-5)


def test_a_map_keeps_apart_what_is_apart():
  rng = np.random.default_rng(0)
  near, far = rng.normal(size=(20, 5)), rng.normal(size=(30, 5)) + 50
  maps = domain_figures.tsne([near.astype(np.float32), far.astype(np.float32)])
  assert [x.shape for x in maps] == [(20, 2), (30, 2)]
  gap = np.linalg.norm(maps[0].mean(0) - maps[1].mean(0))
  assert gap > max(np.linalg.norm(x - x.mean(0), axis=1).mean() for x in maps)
  picture = domain_figures.side_by_side({'Before': dict(source=maps[0], target=maps[1])})
  assert picture.dtype == np.uint8 and picture.shape[2] == 3
  red_over_blue = picture[..., 0].astype(int) - picture[..., 2]
  assert (red_over_blue > 60).sum() > 100 and (red_over_blue < -60).sum() > 100
