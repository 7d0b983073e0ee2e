"""The detectors before Faster R-CNN: crops, given proposals, spatial pyramids, SVMs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import config as tiny_config

import visionlab
from configs import scenes_rcnn
from experiments.rcnn import region_svm
from visionlab.build import build_task
from visionlab.config import ConfigError
from visionlab.data.pipeline import eval_batches, open_sources
from visionlab.exports import save
from visionlab.facts import Facts
from visionlab.models.cnn import CNN
from visionlab.models.detector import Detector
from visionlab.models.low_rank import truncated
from visionlab.models.region_cnn import RegionCNN
from visionlab.train import train

SEARCH = dict(name='selective_search', mode='single', most=20)
CNN_8 = dict(name='cnn', widths=(4, 8))
MODELS = dict(
    fast=dict(name='detector', backbone=CNN_8, levels=('pool1',), pyramid=0, proposals=False,
              pooling='pool', hidden=(8,)),
    spp=dict(name='detector', backbone=CNN_8, levels=('pool1',), pyramid=0, proposals=False,
             pooling='spp', pool_size=4, grids=(2, 1), hidden=(8,)),
    rcnn=dict(name='region_cnn', backbone=CNN_8, side=16, context=2, hidden=(8,), dropout=0.))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path_factory.getbasetemp()))


def detection(model, proposals='given', data=(), **task):
  data = dict(name='scenes', size=48, examples=8, objects=(1, 2)) | dict(data)
  if proposals == 'given':
    pytest.importorskip('skimage', reason='Selective Search needs scikit-image')
    data['proposals'] = SEARCH
  source = open_sources(data, 'train')
  box = dict(sample=8, score_threshold=0., most=5) | task.pop('box', {})
  task = build_task(tiny_config(task=dict(name='detect', proposals=proposals, model=model, box=box,
                                     **task)), Facts.of(source))
  batch = dict(source[np.arange(4)], valid=np.ones(4, bool))
  return task, batch


def test_a_region_is_seen_as_if_it_were_the_image():
  """R-CNN's logits of a region are those of its crop, alone and in company."""
  model = RegionCNN(3, CNN(1, widths=(4, 8)), side=16, context=0, hidden=(8,), dropout=0.)
  x = jax.random.normal(jax.random.key(0), (1, 40, 40, 3))
  variables = jax.jit(model.init)(jax.random.key(1), x)
  boxes = jnp.array([[[8., 4, 24, 20], [0, 0, 40, 40], [3, 30, 19, 40]]])
  logits, _ = model.apply(variables, model.pool([x], boxes, 16), method='box_head')
  alone = model.apply(variables, x[:, 4:20, 8:24])['logits']
  np.testing.assert_allclose(logits[0, :1], alone[0], atol=1e-5)


def test_the_whole_image_is_a_spatial_pyramids_map():
  """torch's adaptive pooling of the map, grid after grid, goes into fc6."""
  torch = pytest.importorskip('torch')
  model = Detector(2, CNN(1, widths=(4, 8)), levels=('pool1',), pyramid=0, proposals=False,
                   pooling='spp', pool_size=5, grids=(3, 1), hidden=(6,))
  x = jax.random.normal(jax.random.key(0), (1, 40, 52, 3))
  variables = jax.jit(model.init)(jax.random.key(1), x)
  maps = model.apply(variables, x, method='maps')
  pooled = model.apply(variables, maps, jnp.array([[[0., 0, 52, 40]]]), 5, method='pool')
  there = torch.tensor(np.asarray(maps[0][0])).permute(2, 0, 1)
  grids = [torch.nn.functional.adaptive_max_pool2d(there, n).flatten(1).T for n in (5, 3, 1)]
  np.testing.assert_allclose(pooled[0, 0], torch.cat(grids), atol=1e-6)


@pytest.mark.parametrize('kind', MODELS)
def test_given_proposals_are_what_is_looked_at(kind):
  task, batch = detection(MODELS[kind])
  assert task.terms == ('class', 'box')
  variables = jax.jit(task.init)(jax.random.key(0), batch)
  assert not {'rpn'} & set(variables['params'])
  said = jax.jit(task.predict)(variables, batch)
  np.testing.assert_array_equal(said['proposals']['boxes'], batch['proposals']['boxes'])
  # Proposals that are not valid give nothing, whatever they hold.
  other = jax.tree.map(np.copy, batch['proposals'])
  other['boxes'][~other['valid']] = [3, 3, 30, 30]
  again = jax.jit(task.predict)(variables, batch | dict(proposals=other))
  for name in ('boxes', 'scores', 'classes'):
    np.testing.assert_allclose(again[name], said[name], atol=1e-5)


def test_pictures_from_elsewhere_get_proposals_of_their_own():
  task, batch = detection(MODELS['fast'])
  variables = jax.jit(task.init)(jax.random.key(0), batch)
  expected = jax.device_get(jax.jit(task.predict)(variables, batch))
  said = task.predict_images(variables, list(batch['image']), (48, 48))
  for i in range(4):
    valid = expected['valid'][i]
    np.testing.assert_allclose(said['boxes'][i], expected['boxes'][i][valid], atol=1e-3)
  with pytest.raises(ConfigError, match='looks at proposals'):
    task.predict(variables, dict(image=batch['image']))


def test_localisation_learns_the_largest_object_and_says_one_box():
  model = MODELS['fast'] | dict(pooling='align')
  box = dict(low=0., high=0., sample=1, positive_share=1., add_objects=False, most=1)
  task, batch = detection(model, 'image', box=box)
  variables = jax.jit(task.init)(jax.random.key(0), batch)

  losses = jax.jit(lambda batch: task.loss(variables, batch, jax.random.key(0), {}, train=True)[0])

  def values(batch):
    terms = losses(batch)
    assert all(float(term.count) == 4 for term in terms.values())      # one for each image
    return {name: float(term.sum) for name, term in terms.items()}
  before = values(batch)
  objects = jax.tree.map(np.copy, batch['objects'])
  sides = objects['boxes'][..., 2:] - objects['boxes'][..., :2]
  largest = np.where(objects['valid'], sides.prod(-1), 0).argmax(1)
  alone = dict(objects, valid=np.arange(objects['valid'].shape[1]) == largest[:, None])
  assert values(batch | dict(objects=alone)) == pytest.approx(before)
  said = jax.jit(task.predict)(variables, batch)
  assert said['boxes'].shape == (4, 1, 4)


def test_windows_learn_classes_alone():
  model = dict(name='sliding_window', shapes=((24, 24), (24, 16)), patch=16, widths=(4,), hidden=8)
  task, batch = detection(model, 'windows')
  variables = jax.jit(task.init)(jax.random.key(0), batch)
  terms = jax.jit(lambda v: task.loss(v, batch, jax.random.key(0), {}, train=True)[0])(variables)
  assert set(terms) == {'class'} and 0 < float(terms['class'].count) <= 4 * 8
  said = jax.jit(task.predict)(variables, batch)
  windows = task.model.windows((48, 48))
  for box in np.asarray(said['boxes'][0][said['valid'][0]]):
    assert np.abs(windows - box).max(1).min() < 1e-4


def test_layers_of_full_rank_say_the_same_and_of_low_rank_have_fewer_weights():
  model = Detector(2, CNN(1, widths=(4, 8)), levels=('pool1',), pyramid=0, proposals=False,
                   pooling='pool', pool_size=3, hidden=(10, 8))
  x = jax.random.normal(jax.random.key(0), (1, 24, 24, 3))
  variables = jax.jit(model.init)(jax.random.key(1), x)
  whole = model.apply(variables, x)['logits']
  same, factored = truncated(model, variables, (10, 8))
  np.testing.assert_allclose(same.apply(factored, x)['logits'], whole, atol=1e-5)
  small, fewer = truncated(model, variables, (2, 2))
  shapes = jax.tree.map(lambda a: a.shape, fewer['params']['box'])
  assert shapes['fc6_low'] == {'kernel': (72, 2)} and shapes['fc6']['kernel'] == (2, 10)
  assert small.apply(fewer, x)['logits'].shape == whole.shape
  for ranks in ((2,), (2, 9)):
    with pytest.raises(ConfigError, match='ranks'):
      truncated(model, variables, ranks)


def regions(n=600, d=12, seed=0):
  """Features in which objects of two classes and the background are apart, and boxes shifted along
  one feature."""
  rng = np.random.default_rng(seed)
  kind = rng.integers(0, 3, n)
  features = rng.normal(size=(n, d)) * .3
  features[np.arange(n), kind] += 3
  shift = rng.uniform(-2, 2, n)
  features[:, -1] = shift
  boxes = np.tile([10., 10, 30, 30], (n, 1)).astype(np.float32)
  overlap = np.zeros((n, 2))
  objects = kind < 2
  overlap[objects, kind[objects]] = 1
  targets = np.zeros((n, 2, 4), np.float32)
  targets[objects, kind[objects]] = (boxes + np.stack([shift, 0 * shift] * 2, 1))[objects]
  return kind, shift, region_svm.Regions(features, boxes, overlap, targets, objects)


def test_svms_part_classes_and_ridges_find_the_shift():
  kind, shift, some = regions()
  for k in range(2):
    weights = region_svm.svm(some, k)
    margin = some.features @ weights[:-1] + weights[-1]
    assert ((margin > 0) == (kind == k)).mean() > .99
  rows = region_svm.ridge(some._replace(features=100 * some.features), 0, (10., 10., 5., 5.))
  said = 100 * some.features[kind == 0] @ rows[:, :-1].T + rows[:, -1]
  np.testing.assert_allclose(said[:, 0], 10 * shift[kind == 0] / 20, atol=.05)
  np.testing.assert_allclose(said[:, 1:], 0, atol=.02)


def test_a_class_without_objects_is_never_found():
  kind, _, some = regions()
  none = some._replace(exact=some.exact & (kind != 1))
  weights = region_svm.svm(none, 1)
  assert not weights[:-1].any() and jax.nn.sigmoid(weights[-1]) == 0
  assert not region_svm.ridge(some._replace(overlap=0 * some.overlap), 1, (1.,) * 4).any()


def test_a_run_with_svms_is_written_and_read(tmp_path):
  pytest.importorskip('skimage', reason='Selective Search needs scikit-image')
  config = scenes_rcnn.get_config('smoke')
  config.parallel.devices, config.data.examples, config.evals = 1, 48, {}
  train(config, tmp_path / 'run')
  run = visionlab.load(tmp_path / 'run')
  source = open_sources(run.config.data.to_dict(), 'train')
  every = region_svm.regions_of(run, eval_batches(source, 16, 0))
  objects = source[np.arange(len(source))]['objects']
  assert every.exact.sum() == objects['valid'].sum()
  assert (every.overlap[every.exact].max(1) == 1).all()
  refitted = region_svm.refit(run, every)
  again = visionlab.load(save(refitted, tmp_path / 'svm'))
  assert again.task.box.scores == 'sigmoid'
  batch = dict(source[np.arange(4)], valid=np.ones(4, bool))
  for ours, theirs in zip(jax.tree.leaves(refitted.task.predict(refitted.variables, batch)),
                          jax.tree.leaves(again.task.predict(again.variables, batch)), strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
  # The head's margins are those of the SVMs on the features.
  ours = every.features @ np.asarray(refitted.variables['params']['box']['logits']['kernel'])
  scale = region_svm.NORM / np.linalg.norm(every.features, axis=1).mean()
  one = region_svm.svm(every._replace(features=every.features * scale), 3)
  np.testing.assert_allclose(ours[:, 4], every.features @ one[:-1] * scale, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('task, message', [
    (dict(proposals='givn'), 'config.task.proposals.*did you mean "given"'),
    (dict(proposals='windows'), 'needs "sliding_window", not Detector'),
    (dict(proposals='rpn'), 'needs "detector" with its proposals'),
    (dict(), 'this source gives none; set config.data.proposals'),
    (dict(proposals='image', box=dict(scores='svm')), 'config.task.box.scores')])
def test_wrong_compositions(task, message):
  facts = Facts.of(open_sources(dict(name='scenes', size=48, examples=8), 'train'))
  options = dict(name='detect', proposals='given', model=MODELS['fast']) | task
  with pytest.raises(ConfigError, match=message):
    build_task(tiny_config(task=options), facts)


@pytest.mark.parametrize('changes', [dict(pyramid=8), dict(hidden=()), dict(masks=True)])
def test_a_spatial_pyramid_needs_one_level_and_layers(changes):
  options = dict(levels=('pool1',), pyramid=0, pooling='spp', hidden=(8,), proposals=False)
  with pytest.raises(ConfigError, match='"spp" pools from one level'):
    Detector(2, CNN(1, widths=(4, 8)), **options | changes)
