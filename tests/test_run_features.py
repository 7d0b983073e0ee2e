"""What a run's network sees of images: vectors and named maps, against the layers after them."""

import sys
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image
from tiny import config

from visionlab.config import ConfigError
from visionlab.runs.load import load
from visionlab.train import train

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)).astype(np.uint8)


def trained(folder, **changes):
  train(config(**dict(dict(steps=1, evals={}, augment={}), **changes)), folder)
  return load(folder)


@pytest.fixture(scope='module')
def cnn(tmp_path_factory):
  return trained(tmp_path_factory.mktemp('runs') / 'cnn', task=dict(
      name='classify', model=dict(name='cnn', widths=(4, 6), hidden=10)))


def test_the_vector_is_what_the_last_layer_is_given(cnn):
  """The head's own arrays make the logits of it."""
  vectors, head = cnn.features(IMAGES), cnn.variables['params']['head']
  assert vectors.shape == (5, 10) and vectors.dtype == np.float32
  np.testing.assert_allclose(vectors @ head['kernel'] + head['bias'],
                             cnn.predict(IMAGES)['logits'], rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(cnn.features(IMAGES, batch=2), vectors, rtol=1e-5, atol=1e-6)
  large = Image.fromarray(IMAGES[0, ..., 0]).resize((16, 16), Image.NEAREST)
  assert cnn.features(large).shape == (1, 10)


def test_maps_by_name_one_several_or_all(cnn):
  maps = cnn.features(IMAGES, 'all')
  assert {k: v.shape for k, v in maps.items()} == dict(pool0=(5, 4, 4, 4), pool1=(5, 2, 2, 6))
  np.testing.assert_array_equal(cnn.features(IMAGES, 'pool0'), maps['pool0'])
  (name,) = some = cnn.features(IMAGES, ['pool1'])
  np.testing.assert_array_equal(some[name], maps['pool1'])
  own = cnn.task.model.apply(cnn.variables, cnn.task.preprocess(IMAGES), method='features')
  np.testing.assert_allclose(maps['pool1'], own['pool1'], rtol=1e-4, atol=1e-5)
  with pytest.raises(ConfigError, match=r'no feature map .pool2. \(did you mean "pool[01]"\?\); '
                                        'there are: pool0, pool1'):
    cnn.features(IMAGES, 'pool2')


def test_a_network_that_names_no_maps_has_its_layers(tmp_path):
  run = trained(tmp_path)                                               # tests' own TinyNet
  maps = run.features(IMAGES, 'all')
  assert list(maps) == ['conv', 'norm', 'Dropout_0', 'head']
  assert maps['conv'].shape == (5, 4, 4, 4)
  np.testing.assert_allclose(maps['head'], run.predict(IMAGES)['logits'], rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(run.features(IMAGES), maps['Dropout_0'], rtol=1e-5, atol=1e-6)
  kernel = run.variables['params']['conv']['kernel']
  x = np.asarray(run.task.preprocess(IMAGES))
  by_hand = jax.lax.conv_general_dilated(x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=(
      'NHWC', 'HWIO', 'NHWC'))
  bias = run.variables['params']['conv'].get('bias', 0.)
  np.testing.assert_allclose(maps['conv'], by_hand + bias, rtol=1e-4, atol=1e-5)


def test_of_a_network_on_a_backbone_it_is_the_mean_of_the_last_map(cnn):
  from visionlab.models.cnn import CNN
  from visionlab.models.fcn import FCN
  from visionlab.models.two_column import TwoColumn
  from visionlab.models.unet import UNet
  from visionlab.understand.features import features_of

  def seen(model, maps=(), method=None):
    x = np.float32(IMAGES) / 255
    options = {'method': method} if method else {}
    variables = jax.jit(lambda key: model.init(key, x, **options))(jax.random.key(0))
    task = SimpleNamespace(model=model, preprocess=lambda x: x / np.float32(255))
    return jax.jit(features_of(task, maps)[0])(variables, {'image': IMAGES})
  for model, method in (
      (FCN(3, CNN(1, widths=(4, 6)), stride=4), None),
      (TwoColumn(3, CNN(1, widths=(4, 6))),
       lambda m, x: [m.logits(m.maps(x, d)['pool1']) for d in ('source', 'target')])):
    last = seen(model, 'pool1', method)
    np.testing.assert_allclose(seen(model, (), method), last.mean((1, 2)), rtol=1e-5)
  assert seen(UNet(3, width=2, depth=1)).shape == (5, 2)        # not its 3 scores of classes


def test_a_table_of_metrics_has_a_row_for_each_step(tmp_path, monkeypatch):
  pandas = pytest.importorskip('pandas')
  (tmp_path / 'metrics.jsonl').write_text(
      '{"step": 0, "eval": "test", "time": 5.0, "test/loss": 2.5}\n'
      '{"step": 5, "time": 6.0, "train/loss": "nan"}\n'
      '{"step": 5, "eval": "test", "time": 7.0, "test/loss": 2.0}\n')
  from visionlab.training.frame import frame
  from visionlab.training.log import read_metrics
  table = frame(read_metrics(tmp_path))
  assert isinstance(table, pandas.DataFrame) and list(table.index) == [0, 5]
  assert table.index.name == 'step' and set(table) == {'time', 'test/loss', 'train/loss'}
  assert table['test/loss'].tolist() == [2.5, 2.] and table['train/loss'].isna().all()
  assert table.loc[5, 'time'] == 7.


def test_without_pandas_the_table_says_so(cnn, monkeypatch):
  monkeypatch.setitem(sys.modules, 'pandas', None)
  with pytest.raises(ConfigError, match='run.frame.. needs pandas: pip install pandas'):
    cnn.frame()
