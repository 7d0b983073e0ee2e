"""How images are prepared is what the weights were trained with, unless the config insists."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file
from test_torch_files import network  # noqa: F401 - a fixture
from tiny import config

from configs.cifar10_resnet import get_config
from visionlab import config as configs
from visionlab.config import ConfigError
from visionlab.ops.image import Standardise
from visionlab.runs.load import load
from visionlab.weights.families import IMAGENET
from visionlab.weights.files import read_weights
from visionlab.weights.fit import adopt_options

OURS = (.4914, .4822, .4465)


@pytest.fixture
def published(tmp_path, network):  # noqa: F811
  save_file(network[0], tmp_path / 'w.safetensors')
  return str(tmp_path / 'w.safetensors')


def cifar(init_from, **task):
  """The config for training on CIFAR from scratch, with weights to start from."""
  asked = get_config('20')
  asked.init_from = init_from
  asked = configs.from_json(asked.to_json())
  for key, value in task.items():
    if key in asked.task:
      del asked.task[key]
    if value != 'left out':
      asked.task[key] = value
  return asked


WORDS = ('left out', None, (None,), 'weights', ('weights',), OURS, ())


@pytest.mark.parametrize('word', WORDS)
def test_published_weights_are_used_as_they_were_trained(tmp_path, published, word, caplog):
  task = adopt_options(cifar(published, mean=word), tmp_path / 'run').task
  assert (task.mean, task.std) == (IMAGENET['mean'], IMAGENET['std'])
  assert ('config.task.mean is (0.485' in caplog.text) == (word in (OURS, ()))
  assert 'config.task.std is (0.229' in caplog.text and 'write ("own", ...)' in caplog.text


def test_a_config_may_insist(tmp_path, published):
  asked = cifar(published, mean=('own', *OURS))
  adopted = adopt_options(asked, tmp_path / 'run')
  assert (adopted.task.mean, adopted.task.std) == (OURS, (.247, .2435, .2616))
  # The same command goes on with the same numbers.
  (tmp_path / 'run').mkdir()
  (tmp_path / 'run' / 'config.json').write_text(configs.to_json(adopted))
  assert configs.difference(adopted, adopt_options(asked, tmp_path / 'run')) == []


def test_a_run_goes_on_as_it_began_without_its_weights(tmp_path, published):
  adopted = adopt_options(cifar(published), tmp_path / 'run')
  (tmp_path / 'run').mkdir()
  (tmp_path / 'run' / 'config.json').write_text(configs.to_json(adopted))
  (tmp_path / 'w.safetensors').unlink()
  assert configs.difference(adopted, adopt_options(cifar(published), tmp_path / 'run')) == []


@pytest.mark.parametrize('task, message', [
  (dict(mean='weights'), 'config.task.mean: "weights" needs config.init_from'),
  (dict(std=('weights',)), 'config.task.std: "weights" needs config.init_from'),
  (dict(mean='own'), 'config.task.mean: after "own" come the numbers'),
  (dict(std=('own,.5',)), "config.task.std: 'own,.5' is no word for it"),
  (dict(mean=('own',)), 'config.task.mean: after "own" come the numbers')])
def test_words_that_stand_for_nothing(tmp_path, task, message):
  with pytest.raises(ConfigError, match=message):
    adopt_options(cifar('', **task), tmp_path)


def test_without_weights_none_is_the_default_and_own_the_numbers(tmp_path):
  assert 'mean' not in adopt_options(cifar('', mean=None), tmp_path).task
  assert adopt_options(cifar('', mean=('own', .5)), tmp_path).task.mean == (.5,)
  asked = config()
  assert adopt_options(asked, tmp_path) is asked


def test_a_run_that_centred_nothing_says_so(tmp_path, published, network):  # noqa: F811
  """What our own runs do not say is the default, and no less what they were trained with."""
  saved = configs.from_json(cifar('', mean='left out', std='left out').to_json())
  (tmp_path / 'run').mkdir()
  (tmp_path / 'run' / 'config.json').write_text(configs.to_json(saved))
  (tmp_path / 'run' / 'data.json').write_text('{}')
  save_file(network[1], tmp_path / 'run' / 'model.safetensors')
  assert read_weights(tmp_path / 'run').task == dict(mean=(), std=(), channel_order='RGB')
  task = adopt_options(cifar(str(tmp_path / 'run')), tmp_path / 'new').task
  assert task.mean == () == task.std and 'channel_order' not in task


@pytest.mark.parametrize('change', [
  lambda text: '', lambda text: text[:50], lambda text: '[]', lambda text: '{"task": 3}',
  lambda text: '{"task": {"name": "classify", "model": 3}}', lambda text: '{"task": {}}',
  lambda text: text.replace('"init_from"', '"\\ud800"'), lambda text: 'null'])
def test_a_damaged_config_is_named(tmp_path, network, change):  # noqa: F811
  text = change(configs.to_json(cifar('')))
  (tmp_path / 'config.json').write_text(text)
  (tmp_path / 'data.json').write_text('{}')
  save_file(network[1], tmp_path / 'model.safetensors')
  try:
    json.loads(text)['task']['model']['depth']
  except (ValueError, KeyError, TypeError):
    with pytest.raises(ConfigError, match='config.json'):
      read_weights(tmp_path)
  else:
    assert read_weights(tmp_path).model['name'] == 'cifar_resnet'


@pytest.mark.parametrize('order', ['RGB', 'BGR'])
def test_a_network_for_colour_sees_a_grey_image_in_colour(order):
  prepare = Standardise(IMAGENET['mean'], IMAGENET['std'], order)
  grey = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 1)).astype(np.uint8)
  np.testing.assert_array_equal(prepare(grey), prepare(np.repeat(grey, 3, -1)))
  for options in (dict(mean=(.5, .5, .5)), dict(mean=(.5, .5), std=(1., 1.))):
    with pytest.raises(ConfigError, match='numbers, but the images have 1 channel'):
      Standardise(**options)(grey)


def test_classes_of_cifar_have_names(tmp_path, network):  # noqa: F811
  foreign = {**network[0], 'linear.weight': network[0]['linear.weight'][[0] * 10],
             'linear.bias': network[0]['linear.bias'][[0] * 10]}
  save_file(foreign, tmp_path / 'ten.safetensors')
  assert load(tmp_path / 'ten.safetensors').classes == (
    'airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck')
