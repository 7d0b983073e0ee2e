"""Checkpoints as training scripts leave them: what is in them is found, and nothing is run."""

import argparse
import collections
import os
import pathlib
import pickle
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file
from test_weights import flat_shapes, torch_names

from visionlab.config import ConfigError
from visionlab.models.resnet import CifarResNet
from visionlab.runs.load import load
from visionlab.weights.arrays import read_arrays
from visionlab.weights.files import read_weights
from visionlab.weights.torch_file import Opaque, read_torch

try:
  import torch
except ImportError:
  torch = None
needs_torch = pytest.mark.skipif(torch is None, reason='torch, which writes them, is not installed')
HEADER = b''.join(pickle.dumps(x, 2) for x in (0x1950a86a20f9469cfc6c, 1001, {}))
TRAPS = (                     # protocol 0, for its opcodes can be read
  b"cbuiltins\neval\n(S'open(\"trapped\", \"w\")'\ntR.",
  b"(S'touch trapped'\nios\nsystem\n.", b"cposix\nsystem\n(S'touch trapped'\ntR.",
  b"cbuiltins\ngetattr\n(cos\nsystem\nS'__call__'\ntR(S'touch trapped'\ntR.")


@pytest.fixture(scope='module')
def network():
  """(a ResNet-20 for CIFAR under torch's names, the same under ours)."""
  model = CifarResNet(classes=3)
  rng, foreign, ours = np.random.default_rng(0), {}, {}
  for path, leaf in flat_shapes(model, (32, 32, 3)).items():
    ours[path] = rng.uniform(.01, .05, leaf.shape).astype(np.float32)
    axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[leaf.ndim]
    name = torch_names(path).replace('fc.', 'linear.')
    foreign[name] = np.ascontiguousarray(ours[path].transpose(axes))
  foreign['bn1.num_batches_tracked'] = np.array(3, np.int64)
  return foreign, ours


def tensors(arrays):
  return {name: torch.tensor(array) for name, array in arrays.items()}


def assert_found(path, ours):
  weights = read_weights(path)
  assert weights.model == dict(name='cifar_resnet', depth=20, shortcut='A')
  assert set(weights.arrays) == set(ours)
  for name, array in ours.items():
    np.testing.assert_array_equal(weights.arrays[name], array)
  return weights


class Config(collections.OrderedDict):
  """As omegaconf's or Lightning's: a class that is not there where the file is read."""


def strange_things():
  return dict(
    args=argparse.Namespace(lr=.1, data=pathlib.PosixPath('/data')), best=np.float64(71.),
    classes=np.array(['a', 'b']), history=collections.defaultdict(list), names={'a'},
    device=torch.device('cpu'), dtype=torch.float32, size=torch.Size([3]), config=Config(a=1),
    rng=torch.get_rng_state(), quantised=torch.quantize_per_tensor(torch.ones(3), .1, 0,
                                                                    torch.qint8),
    sparse=torch.eye(2).to_sparse(), schedule=len, scaler=collections.Counter('ab'))


@needs_torch
@pytest.mark.filterwarnings('ignore:.*deprecated')
@pytest.mark.parametrize('new', [True, False])
def test_what_else_a_training_script_saves_does_not_matter(tmp_path, network, new):
  foreign, ours = network
  torch.save({**strange_things(), 'state_dict': tensors(foreign)}, tmp_path / 'checkpoint.pth.tar',
             _use_new_zipfile_serialization=new)
  assert_found(tmp_path / 'checkpoint.pth.tar', ours)
  tree = read_torch(tmp_path / 'checkpoint.pth.tar')
  assert isinstance(tree['args'], Opaque) and tree['args'].name == 'argparse.Namespace'
  assert tree['args'].state['lr'] == .1


@needs_torch
def test_a_tensor_that_is_needed_and_not_known_is_named(tmp_path, network):
  weights = tensors(network[0])
  weights['layer1.0.conv1.weight'] = weights['layer1.0.conv1.weight'].to_sparse()
  torch.save(weights, tmp_path / 'w.pth')
  with pytest.raises(ConfigError, match='w.pth: these weights are not complete(.|\n)*block0/conv1'):
    load(tmp_path / 'w.pth')


@needs_torch
@pytest.mark.filterwarnings('ignore:.*deprecated')
@pytest.mark.parametrize('whole', [False, True])
def test_whole_modules_and_torchscript(tmp_path, whole):
  module = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
  if whole:
    torch.save(module, tmp_path / 'm.pt')
  else:
    torch.jit.save(torch.jit.script(module), tmp_path / 'm.pt')
  arrays = read_arrays(tmp_path / 'm.pt')
  assert set(arrays) == set(module.state_dict())
  for name, value in module.state_dict().items():
    np.testing.assert_array_equal(arrays[name], value.numpy())


PREFIXES = ('', 'module.', '_orig_mod.', 'model.', 'net.', 'backbone.', 'encoder.',
            '_orig_mod.module.', 'module._orig_mod.', 'model.net.module.', 'anything.at.all.')


@pytest.mark.parametrize('prefix', PREFIXES)
def test_any_prefix_in_any_format(tmp_path, network, prefix):
  foreign, ours = network
  named = {prefix + name: array for name, array in foreign.items()}
  save_file(named, tmp_path / 'w.safetensors')
  np.savez(tmp_path / 'w.npz', **named, epoch=3, names=np.array([{}], object))
  for name in ('w.safetensors', 'w.npz'):
    assert_found(tmp_path / name, ours)
  if torch is not None:
    torch.save({'state_dict': tensors(named), 'epoch': 3}, tmp_path / 'w.ckpt')
    assert_found(tmp_path / 'w.ckpt', ours)


@needs_torch
@pytest.mark.parametrize('wrapper', [
  'state_dict', 'model', 'model_state_dict', 'model_ema', 'ema', 'net', 'network', 'params',
  'weights', 'state_dict_ema', 'ema_state_dict', 'module', 'teacher', 'generator', 'mine'])
def test_any_wrapper(tmp_path, network, wrapper):
  optimizer = {'state': {0: {'exp_avg': torch.zeros(3)}}, 'param_groups': [{'lr': .1}]}
  torch.save({'optimizer': optimizer, wrapper: tensors(network[0])}, tmp_path / 'w.pth')
  weights = assert_found(tmp_path / 'w.pth', network[1])
  assert weights.skipped == ['optimizer.state.0.exp_avg'] and not weights.remarks


@needs_torch
@pytest.mark.parametrize('averaged', ['model_ema', 'state_dict_ema', 'ema', 'teacher', 'swa_model'])
def test_the_average_is_taken_and_said(tmp_path, network, averaged):
  foreign, ours = network
  live = tensors({name: array * 0 for name, array in foreign.items()})
  ema = {f'module.{name}': value for name, value in tensors(foreign).items()}
  torch.save({'model': live, averaged: {**ema, 'n_averaged': torch.tensor(7)}}, tmp_path / 'w.pth')
  remark, = assert_found(tmp_path / 'w.pth', ours).remarks
  assert remark == (f'{averaged}.module is taken (averaged over training); there are also model')
  # An average without BatchNorm's statistics is no network.
  bare = {name: value for name, value in ema.items() if 'running' not in name}
  torch.save({averaged: bare, 'model': tensors(foreign)}, tmp_path / 'w.pth')
  remark, = assert_found(tmp_path / 'w.pth', ours).remarks
  assert remark == f'model is taken; there are also {averaged}.module'


def test_a_head_beside_its_backbone(tmp_path, network):
  foreign, ours = network
  named = {('head.' if name.startswith('linear.') else 'backbone.') + name: array
           for name, array in foreign.items()}
  save_file(named, tmp_path / 'mm.safetensors')
  assert_found(tmp_path / 'mm.safetensors', ours)


@pytest.mark.parametrize('trap', TRAPS)
def test_a_pickle_runs_no_code_of_its_own(tmp_path, monkeypatch, trap):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'old.pth').write_bytes(HEADER + trap + pickle.dumps([], 2))
  with zipfile.ZipFile('new.pth', 'w') as archive:
    archive.writestr('archive/data.pkl', trap)
  for name in ('old.pth', 'new.pth'):
    with pytest.raises(ConfigError, match=f'{name}: .*holds no state dict'):
      read_weights(name)
  assert not os.path.exists('trapped')


def test_a_pickle_changes_nothing_outside_itself(tmp_path):
  body = (b'ctorch._utils\n_rebuild_tensor_v2\n}S"__defaults__"\nS"poison"\nsb.',
          b'ccollections\nOrderedDict\n}S"poison"\nI1\nsb.', b'ctorch\nSize\n}S"poison"\nI1\nsb.')
  from visionlab.weights import torch_file  # noqa: PLC0415
  for i, trap in enumerate(body):
    (tmp_path / f'{i}.pth').write_bytes(HEADER + trap + pickle.dumps([], 2))
    read_torch(tmp_path / f'{i}.pth')
  assert torch_file._tensor.__defaults__ is None  # noqa: SLF001
  assert not hasattr(collections.OrderedDict, 'poison') and not hasattr(tuple, 'poison')


@needs_torch
def test_a_file_that_holds_itself_or_much_too_much_is_read_to_an_end(tmp_path, network):
  foreign, ours = network
  itself = {'state_dict': tensors(foreign)}
  itself['trainer'] = {'checkpoint': itself}
  torch.save(itself, tmp_path / 'w.pth')
  assert_found(tmp_path / 'w.pth', ours)
  nest = {}
  for _ in range(40):                              # 2 ** 40 places, all of them this one dict
    nest = {'a': nest, 'b': nest}
  torch.save(nest, tmp_path / 'w.pth')
  with pytest.raises(ConfigError, match='w.pth: holds no state dict: more than 100,000 d'):
    read_weights(tmp_path / 'w.pth')


def damaged(content, rng):
  """One of the ways in which a file may come to harm."""
  kind, at = rng.integers(4), int(rng.integers(min(len(content), 4000)))
  if kind == 0:
    return content[:at]
  if kind == 1:
    return content[:at] + content[at + int(rng.integers(1, 9)):]
  if kind == 2:
    return content[:at] + rng.bytes(int(rng.integers(1, 9))) + content[at:]
  mutated = bytearray(content)
  for place in rng.integers(0, min(len(content), 4000), 3):
    mutated[place] = rng.integers(256)
  return bytes(mutated)


def small(path):
  """A file of each format that is a few kilobytes long."""
  arrays = {f'layer{i}.weight': np.arange(6, dtype=np.float32).reshape(2, 3) for i in range(12)}
  if path.suffix == '.npz':
    np.savez(path, **arrays)
  elif path.suffix == '.safetensors':
    save_file(arrays, path)
  else:
    if torch is None:
      pytest.skip('torch, which writes them, is not installed')
    torch.save({'model': tensors(arrays), 'args': argparse.Namespace(lr=.1)}, path,
               _use_new_zipfile_serialization=path.suffix == '.pth')


@pytest.mark.parametrize('name', ['w.pth', 'w.th', 'w.npz', 'w.safetensors'])
def test_damaged_files_are_mistakes_of_the_user(tmp_path, name):
  small(tmp_path / name)
  content, rng = (tmp_path / name).read_bytes(), np.random.default_rng(0)
  refused = 0
  for _ in range(150):
    (tmp_path / name).write_bytes(damaged(content, rng))
    try:
      read_arrays(tmp_path / name)
    except ConfigError as e:
      assert str(tmp_path / name) in str(e)
      refused += 1
  assert refused > 50


@pytest.mark.parametrize('content, message', [
  (b'version https://git-lfs.github.com/spec/v1\n', 'pointer of Git LFS'),
  (b'<!doctype html>', 'page of the web'), (b'\x89HDF\r\n\x1a\n', 'HDF5'),
  (b'\x1f\x8b\x08', 'compressed by gzip')])
def test_what_lies_about_under_a_name_of_weights(tmp_path, content, message):
  (tmp_path / 'w.pth').write_bytes(content)
  with pytest.raises(ConfigError, match=message):
    read_weights(tmp_path / 'w.pth')


@needs_torch
def test_the_content_decides_and_not_the_suffix(tmp_path, network):
  for name in ('w.PTH', 'w.pkl', 'w.model'):
    torch.save(tensors(network[0]), tmp_path / name)
    assert_found(tmp_path / name, network[1])
  np.savez(tmp_path / 'w.npz', **network[0])
  (tmp_path / 'w.npz').rename(tmp_path / 'w.pth')
  assert_found(tmp_path / 'w.pth', network[1])


@needs_torch
@pytest.mark.parametrize('kind', ['float8_e4m3fn', 'float8_e5m2'])
def test_eight_bits_are_refused_by_name(tmp_path, network, kind):
  from safetensors.torch import save_file as save_tensors  # noqa: PLC0415
  weights = tensors(network[0])
  weights['linear.weight'] = weights['linear.weight'].to(getattr(torch, kind))
  save_tensors(weights, tmp_path / 'w.safetensors')
  with pytest.raises(ConfigError, match=r'w.safetensors: .*linear.weight: .*F8.*float16'):
    read_weights(tmp_path / 'w.safetensors')


@pytest.mark.parametrize('change, message', [
  (lambda array: array.astype(np.int8), 'linear.weight holds int8: a quantised network'),
  (lambda array: array * np.nan, 'linear.weight holds numbers that are not finite')])
def test_numbers_that_are_no_weights(tmp_path, network, change, message):
  foreign = network[0]
  np.savez(tmp_path / 'w.npz', **{**foreign, 'linear.weight': change(foreign['linear.weight'])})
  with pytest.raises(ConfigError, match=f'w.npz: {message}'):
    read_weights(tmp_path / 'w.npz')
