"""Weights of networks that are named like one known here: taken where they are it, else refused."""

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file
from test_torch_files import network  # noqa: F401 - a fixture
from test_weights import flat_shapes, torch_names

from visionlab.config import ConfigError
from visionlab.models.resnet import CifarResNet, ResNet
from visionlab.models.vgg import VGG
from visionlab.runs.load import load
from visionlab.weights import files
from visionlab.weights.arrays import Stored
from visionlab.weights.families import recognise
from visionlab.weights.files import Weights, nested, read_weights
from visionlab.weights.fit import fit
from visionlab.weights.state_dict import find_network


def torch_shapes(**fields):
  """Names and shapes of a ResNet, as torchvision has them."""
  shapes = {}
  for path, leaf in flat_shapes(ResNet(classes=1000, **fields)).items():
    axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[leaf.ndim]
    shapes[torch_names(path)] = tuple(leaf.shape[axis] for axis in axes)
  return shapes


@pytest.fixture
def read(monkeypatch, tmp_path):
  """Reads weights of these names and shapes, whose numbers take no room."""
  def read(shapes):
    zeros = {name: Stored(shape, lambda shape=shape: np.broadcast_to(np.float32(0), shape))
             for name, shape in shapes.items()}
    monkeypatch.setattr(files, 'open_arrays', lambda _: zeros)
    return read_weights(tmp_path / 'w.pth')
  return read


@pytest.fixture(scope='module')
def resnet50():
  return torch_shapes(depth=50)


def test_se_resnet50_is_no_resnet50(read, resnet50):
  assert read(resnet50).model == dict(name='resnet', depth=50)
  squeezed = {f'layer1.{i}.se.fc{j}.weight': shape for i in range(3)
              for j, shape in ((1, (16, 256, 1, 1)), (2, (256, 16, 1, 1)))}
  with pytest.raises(ConfigError, match=r'w.pth: this is no plain torchvision/timm ResNet, .*'
                     r' for 6 of its arrays: layer1.0.se.fc1.weight \(16, 256, 1, 1\)'):
    read({**resnet50, **squeezed})


@pytest.mark.parametrize('name, shape', [
  ('layer1.0.se.conv.weight', (1, 1, 3)), ('layer2.0.ca.fc.0.weight', (2, 16, 1, 1)),
  ('layer1.0.gamma', ()), ('attention.query.weight', (64, 64)), ('bn0.weight', (3,)),
  ('layer3.0.conv3.weight', (64, 64, 3, 3)), ('layer1.0.aa.filt', (16, 1, 3, 3))])
def test_arrays_that_a_plain_network_lacks(tmp_path, network, name, shape):  # noqa: F811
  save_file({**network[0], name: np.ones(shape, np.float32)}, tmp_path / 'w.safetensors')
  with pytest.raises(ConfigError, match=f'(?s)({name}|stage3/block0/conv3)'):
    load(tmp_path / 'w.safetensors')


@pytest.mark.parametrize('name', ['layer1.0.total_ops', 'queue', 'projector.0.weight',
                                  'n_averaged'])
def test_arrays_that_make_no_difference(tmp_path, network, name):  # noqa: F811
  save_file({**network[0], name: np.ones((3, 3), np.float32)}, tmp_path / 'w.safetensors')
  assert set(read_weights(tmp_path / 'w.safetensors').arrays) == set(network[1])


def test_networks_that_differ_in_a_shape_say_which(resnet50):
  def said(shapes):
    with pytest.raises(ConfigError, match='like one known here, but is another') as error:
      find_network({f'module.{name}': shape for name, shape in shapes.items()})
    return str(error.value)
  small = {**torch_shapes(depth=18), 'conv1.weight': (64, 3, 3, 3), 'linear.weight': (10, 512)}
  assert 'ResNet: conv1.weight is (64, 3, 3, 3), not (64, c, 7, 7)' in said(small)
  assert 'CIFAR: conv1.weight is (64, 3, 3, 3), not (16, c, 3, 3)' in said(small)
  deep = {name.replace('conv1.weight', 'conv1.0.weight') if name.startswith('conv1') else name:
          shape for name, shape in resnet50.items()}
  assert 'there is no conv1.weight' in said(deep)
  narrow = {**resnet50, 'layer3.0.conv2.weight': (250, 250, 3, 3)}
  assert 'layer3.0.conv2.weight is (250, 250, 3, 3), not (256, 256, 3, 3)' in said(narrow)
  fewer = {name: shape for name, shape in resnet50.items() if not name.startswith('layer3.5')}
  assert 'its stages have 3, 4, 5, 3 blocks (bottlenecks)' in said(fewer)


@pytest.mark.parametrize('channels', [1, 4])
@pytest.mark.parametrize('model, first, wanted', [
  ('resnet', {}, None), ('vgg', {'features.0.weight': (64, 3, 3, 3)}, 8),
  ('alexnet', {'features.0.weight': (64, 3, 11, 11)}, None)])
def test_first_layers_for_other_images(resnet50, model, first, wanted, channels):
  shapes = resnet50 if model == 'resnet' else first
  if wanted:                                       # the other seven convolutions of VGG-11
    shapes = shapes | {f'features.{i}.weight': (64, 64, 3, 3) for i in range(3, 3 + 7)}
  name = 'conv1.weight' if model == 'resnet' else 'features.0.weight'
  out, _, *size = shapes[name]
  family, _ = recognise({**shapes, name: (out, channels, *size)})
  assert family.model == model


def test_a_network_for_grey_images_is_used_on_them(tmp_path, network):  # noqa: F811
  foreign, ours = network
  grey = {**foreign, 'conv1.weight': foreign['conv1.weight'].sum(1, keepdims=True)}
  save_file(grey, tmp_path / 'grey.safetensors')
  weights = read_weights(tmp_path / 'grey.safetensors')
  assert weights.data['channels'] == 1 and not weights.task
  assert 'what mean and std it was trained with is not known' in weights.remarks[0]
  run = load(tmp_path / 'grey.safetensors')
  assert run.canvas.shape == (32, 32, 1)
  images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1)).astype(np.uint8)
  save_file(foreign, tmp_path / 'colour.safetensors')
  colour = load(tmp_path / 'colour.safetensors')
  model = colour.task.model.apply(colour.variables, np.repeat(images / np.float32(255), 3, -1))
  np.testing.assert_allclose(run.predict(images)['logits'], model, rtol=1e-3, atol=1e-3)


def weights_of(path_to_array, **model):
  return Weights('w', path_to_array, [], model, {}, {})


def random(model, image=(32, 32, 3)):
  return {path: np.ones(leaf.shape, np.float32) for path, leaf in
          flat_shapes(model, image).items()}


def shapes_of(model, image=(32, 32, 3)):
  return jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, *image), np.float32))


def test_a_deeper_network_is_not_cut_off():
  """All that ResNet-20 needs is in ResNet-32, and would fit."""
  with pytest.raises(ConfigError, match='(?s)another model.*block3/norm1/mean: there, absent'):
    fit(weights_of(random(CifarResNet(classes=3, depth=32))), shapes_of(CifarResNet(classes=3)))
  _, report = fit(weights_of(random(CifarResNet(classes=3))),
                  shapes_of(CifarResNet(classes=3, depth=32)))      # a deeper one may begin so
  assert 'params/stage1/block3/conv1/kernel' in report.missing


def test_more_convolutions_are_not_cut_off():
  """VGG-19 holds VGG-16, whose third, fourth and fifth stage are shorter."""
  def arrays(depth, make):
    shapes = flat_shapes(VGG(classes=3, depth=depth, hidden=8), (32, 32, 3))
    return {path: make(leaf) for path, leaf in shapes.items()}
  there = arrays(19, lambda leaf: np.broadcast_to(np.float32(0), leaf.shape))
  with pytest.raises(ConfigError, match='(?s)params/conv3_4/bias: there, absent here.*conv5_4'):
    fit(weights_of(there), nested(arrays(16, lambda leaf: leaf)))


def test_another_kind_of_normalisation_is_not_batchnorm():
  arrays = {path: array for path, array in random(CifarResNet(classes=3)).items()
            if path.startswith('params')}
  with pytest.raises(ConfigError, match='block0/norm1/mean: here, absent there .another kind of'):
    fit(weights_of(arrays), shapes_of(CifarResNet(classes=3)))


def test_channels_that_differ_are_named():
  with pytest.raises(ConfigError, match=r'stem/kernel: \(3, 3, 3, 16\) there, \(3, 3, 1, 16\) here'
                     '; it was trained on images of 3 channels, and these have 1: config.data.ch'):
    fit(weights_of(random(CifarResNet(classes=3))),
        shapes_of(CifarResNet(classes=3), (32, 32, 1)))


@pytest.mark.parametrize('text, message', [
  ('{"pretrained_cfg": null}', ''), ('[]', ''), ('{"pretrained_cfg": {"mean": null}}', ''),
  ('{"pretrained_cfg": 3}', 'expected a dict'), ('{"pretrained_cfg": {"mean": 3}}', 'mean'),
  ('{"pretrained_cfg": {"std": ["a"]}}', 'std'), ('{"pretrained_cfg": {"input_size": []}}', 'size'),
  ('{"pretrained_cfg": {"input_size": [3, "x", 2.5]}}', 'size'),
  ('{"pretrained_cfg": {"crop_pct": 3}}', 'crop_pct'), ('{', 'is no JSON'),
  ('{"architecture": "resnetblur50"}', 'blurs maps'),
  ('{"architecture": "resnetaa50"}', 'blurs maps')])
def test_what_is_noted_beside_weights(tmp_path, network, text, message):  # noqa: F811
  save_file(network[0], tmp_path / 'model.safetensors')
  (tmp_path / 'config.json').write_text(text)
  if not message:
    assert read_weights(tmp_path).task['mean'] == (.485, .456, .406)
    return
  with pytest.raises(ConfigError, match=f'config.json.*{message}'):
    read_weights(tmp_path)
