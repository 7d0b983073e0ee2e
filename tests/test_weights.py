"""Weights that other libraries wrote: read, renamed, fitted, and used with their preprocessing."""

import os
import re
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn
from PIL import Image
from safetensors.numpy import load_file, save_file
from tiny import config

import visionlab
from visionlab.config import ConfigError
from visionlab.models.resnet import CifarResNet, ResNet
from visionlab.models.vgg import VGG
from visionlab.ops.image import standardise
from visionlab.runs.load import load
from visionlab.train import train
from visionlab.weights.arrays import read_arrays
from visionlab.weights.families import FAMILIES, recognise
from visionlab.weights.files import Weights, flat, nested, read_weights
from visionlab.weights.fit import fit
from visionlab.weights.translate import translate


def shapes(model, image=(64, 64, 3)):
  x = jax.ShapeDtypeStruct((1, *image), jnp.float32)
  return jax.eval_shape(model.init, jax.random.key(0), x)


def torch_names(path):
  """Our path of a ResNet's array -> torchvision's, written down independently of the tables."""
  collection, *layers, leaf = path.split('/')
  leaf = {'kernel': 'weight', 'scale': 'weight', 'bias': 'bias', 'mean': 'running_mean',
          'var': 'running_var'}[leaf]
  if layers[0].startswith('stage'):
    stage, block, layer = layers
    layer = {'shortcut': 'downsample.0', 'shortcut_norm': 'downsample.1'}.get(
        layer, layer.replace('norm', 'bn'))
    return f'layer{stage[-1]}.{block[5:]}.{layer}.{leaf}'
  return {'stem': 'conv1', 'stem_norm': 'bn1', 'head': 'fc'}[layers[0]] + f'.{leaf}'


def resnet_state(depth=18, classes=1000, seed=0):
  """A torchvision state dict with random numbers, and the same numbers as our variables."""
  rng = np.random.default_rng(seed)
  foreign, ours = {}, {}
  for path, leaf in flat_shapes(ResNet(classes=classes, depth=depth)).items():
    value = rng.uniform(.01, .05, leaf.shape).astype(np.float32)
    ours[path] = value
    axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[value.ndim]
    foreign[torch_names(path)] = np.ascontiguousarray(value.transpose(axes))
  foreign['bn1.num_batches_tracked'] = np.array(3, np.int64)
  return foreign, nested(ours)


def flat_shapes(model, image=(64, 64, 3)):
  return dict(zip(visionlab_paths(shapes(model, image)), jax.tree.leaves(shapes(model, image)),
                  strict=True))


def visionlab_paths(tree):
  return ['/'.join(k.key for k in path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)]


def assert_same(a, b):
  assert jax.tree.structure(a) == jax.tree.structure(b)
  jax.tree.map(np.testing.assert_array_equal, a, b)


def test_torchvision_resnet_by_name(tmp_path):
  foreign, ours = resnet_state()
  save_file(foreign, tmp_path / 'resnet18.safetensors')
  weights = read_weights(tmp_path / 'resnet18.safetensors')
  assert weights.model == dict(name='resnet', depth=18) and not weights.skipped
  variables, report = fit(weights, shapes(ResNet(classes=1000, depth=18)))
  assert_same(variables, ours)
  assert len(report.loaded) == 102 and not (report.missing or report.skipped or report.fresh)


def test_torch_save_in_both_formats_without_torch(tmp_path):
  torch = pytest.importorskip('torch')
  foreign, ours = resnet_state()
  state = {'epoch': 3, 'state_dict': {f'module.{k}': torch.tensor(v) for k, v in foreign.items()}}
  for new in (True, False):
    torch.save(state, tmp_path / 'w.pth', _use_new_zipfile_serialization=new)
    variables, _ = fit(read_weights(tmp_path / 'w.pth'), shapes(ResNet(classes=1000, depth=18)))
    assert_same(variables, ours)
    view = torch.arange(24.).reshape(2, 3, 4).transpose(0, 2)[1:]
    torch.save({'view': view, 'half': view.to(torch.bfloat16)}, tmp_path / 'v.pt',
               _use_new_zipfile_serialization=new)
    read = read_arrays(tmp_path / 'v.pt')
    np.testing.assert_array_equal(read['view'], view.numpy())
    np.testing.assert_array_equal(read['half'].astype(np.float32), view.numpy())


@pytest.mark.parametrize('name, content, message', [
  ('a.pth', b'PK\3\4nonsense', 'cannot be read as a file of torch.save'),
  ('a.pth', b'', 'cannot be read as a file of torch.save'),
  ('a.npz', b'nonsense', r'a.npz: cannot be read as .npz'),
  ('a.safetensors', b'\0' * 20, r'a.safetensors: cannot be read as .safetensors'),
  ('a.h5', b'', r'not a format of weights known here'),
])
def test_damaged_files_are_named(tmp_path, name, content, message):
  (tmp_path / name).write_bytes(content)
  with pytest.raises(ConfigError, match=message):
    read_weights(tmp_path / name)


def test_unknown_networks_and_places(tmp_path):
  np.savez(tmp_path / 'x.npz', **{'blocks.0.attn.qkv.weight': np.zeros((3, 3), np.float32)})
  with pytest.raises(ConfigError, match=r'blocks.0.attn.qkv.weight.*known are: torchvision/timm'):
    read_weights(tmp_path / 'x.npz')
  with pytest.raises(ConfigError, match='no such weights'):
    read_weights(tmp_path / 'absent.npz')
  with pytest.raises(ConfigError, match='neither a run .* nor weights'):
    read_weights(tmp_path)


def test_every_depth_of_resnet_and_vgg_is_recognised():
  for depth in (18, 34, 50, 101, 152):
    foreign = {torch_names(p): tuple(np.roll(s.shape, 2)[[1, 0, 2, 3]]) if s.ndim == 4
               else s.shape for p, s in flat_shapes(ResNet(classes=3, depth=depth)).items()}
    family, fields = recognise(foreign)
    assert fields == dict(depth=depth) and family.model == 'resnet'
  other = {**foreign, 'layer1.0.conv2.weight': (128, 128, 3, 3)}    # after 64 channels
  assert recognise(other) is None
  tables = {f.model: f for f in FAMILIES}
  for depth, layers in ((11, 8), (13, 10), (16, 13), (19, 16)):
    for norm in (False, True):
      names = {ours for _, ours, *_ in tables['vgg'].table(dict(depth=depth, norm=norm))}
      params = shapes(VGG(classes=3, depth=depth, norm=norm))['params']
      assert set(params) == names and sum('conv' in n for n in names) == layers


def test_fully_connected_layers_keep_their_meaning():
  """torch flattens (c h w), we (h w c): the layer must say the same of the same map."""
  rng = np.random.default_rng(0)
  torch_kernel = rng.standard_normal((5, 512 * 7 * 7)).astype(np.float32)
  feature_map = rng.standard_normal((7, 7, 512)).astype(np.float32)
  table = next(f for f in FAMILIES if f.model == 'vgg').table(dict(depth=16, norm=False))
  ours = translate({'classifier.0.weight': torch_kernel}, table).arrays['params/fc6/kernel']
  np.testing.assert_allclose(feature_map.reshape(-1) @ ours,
                             torch_kernel @ feature_map.transpose(2, 0, 1).reshape(-1), rtol=1e-3)
  as_convolution = torch_kernel.reshape(5, 512, 7, 7)          # timm's pre_logits.fc1
  timm = translate({'pre_logits.fc1.weight': as_convolution}, table).arrays['params/fc6/kernel']
  np.testing.assert_array_equal(timm.reshape(-1, 5), ours)


def weights_of(arrays, **fields):
  return Weights('w', arrays, [], fields, {}, {})


def test_a_head_of_another_size_is_initialised_anew():
  _, ours = resnet_state(classes=7)
  have = jax.jit(ResNet(classes=3, depth=18).init)(jax.random.key(1), jnp.zeros((1, 64, 64, 3)))
  variables, report = fit(weights_of(flat(ours)), have)
  assert report.fresh == ['params/head/bias', 'params/head/kernel']
  assert_same(variables['params']['head'], have['params']['head'])
  assert_same(variables['params']['stage1'], ours['params']['stage1'])
  assert 'head (another size): initialised anew: 2' in str(report)


def test_a_wrong_model_is_refused_with_the_shapes():
  _, ours = resnet_state()
  with pytest.raises(ConfigError, match=r'w is of another model \(unnamed\)\n  batch_stats/stage2'):
    fit(weights_of(flat(ours)), shapes(ResNet(classes=1000, depth=50)))
  with pytest.raises(ConfigError, match='w holds nothing for this model'):
    fit(weights_of({'params/other/kernel': np.zeros(3, np.float32)}),
        shapes(ResNet(classes=1000, depth=18)))


def test_a_backbone_takes_the_classifiers_weights_and_dense_becomes_convolution():
  rng = np.random.default_rng(0)
  arrays = {'params/conv1/kernel': rng.random((3, 3, 2, 4), np.float32),
            'params/fc6/kernel': rng.random((7 * 7 * 4, 5), np.float32)}
  want = {'params': {'backbone': {'conv1': {'kernel': jax.ShapeDtypeStruct((3, 3, 2, 4), 'f4')}},
                     'fc6': {'kernel': jax.ShapeDtypeStruct((7, 7, 4, 5), 'f4')},
                     'score': {'kernel': jax.ShapeDtypeStruct((5, 2), 'f4')}}}
  variables, report = fit(weights_of(arrays), want)
  np.testing.assert_array_equal(variables['params']['backbone']['conv1']['kernel'],
                                arrays['params/conv1/kernel'])
  x = rng.random((7, 7, 4), np.float32)
  np.testing.assert_allclose(np.tensordot(x, variables['params']['fc6']['kernel'], 3),
                             x.reshape(-1) @ arrays['params/fc6/kernel'], rtol=1e-5)
  assert report.reshaped == ['params/fc6/kernel'] and report.missing == ['params/score/kernel']


def test_biases_before_batchnorm_are_folded_into_its_mean():
  model = CifarResNet(classes=3)
  x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 8, 8, 3)), jnp.float32)
  variables = jax.tree.map(lambda a: np.asarray(a) + .1, jax.jit(model.init)(jax.random.key(0), x))
  bias = np.linspace(-1, 1, 16).astype(np.float32)
  folded, report = fit(weights_of({**flat(variables), 'params/stem/bias': bias}), shapes(
      model, (8, 8, 3)))
  assert report.folded == ['params/stem/bias']
  stats = variables['batch_stats']['stem_norm']
  # The bias by hand: after the convolution, before the statistics are taken off.
  np.testing.assert_allclose(folded['batch_stats']['stem_norm']['mean'], stats['mean'] - bias)


def test_keras_resnet50_on_photographs(shared_data):
  path = shared_data / 'weights' / 'resnet50_imagenet_keras_f16.npz'
  if not path.is_file():
    pytest.skip(f'no weights at {path}')
  with np.load(path) as archive:
    assert sum(archive[k].size for k in archive.files) == 25_636_712
  run = load(path)
  assert run.config.task.channel_order == 'BGR' and run.config.task.model.stride_in == '1x1'
  assert sum(a.size for a in jax.tree.leaves(run.variables['params'])) == 25_557_032
  folder = Path(sklearn.__file__).parent / 'datasets' / 'images'
  said = run.predict([Image.open(folder / 'china.jpg'), Image.open(folder / 'flower.jpg')])
  top = [[run.classes[i] for i in row.argsort()[::-1][:5]] for row in said['probabilities']]
  assert top[0][:2] == ['palace', 'monastery'] and 'daisy' in top[1]


def test_published_cifar_weights_are_found_by_their_names(shared_data):
  path = shared_data / 'weights' / 'resnet56-4bfd9763.th'
  if not path.is_file():
    pytest.skip(f'no weights at {path}')
  run = load(path)
  assert run.config.task.model.to_dict() == dict(name='cifar_resnet', depth=56, shortcut='A')
  assert run.canvas.shape == (32, 32, 3) and len(run.classes) == 10


def pretend_hub(monkeypatch, folder):
  module = types.SimpleNamespace(snapshot_download=lambda name, allow_patterns: str(folder))
  monkeypatch.setitem(sys.modules, 'huggingface_hub', module)


def test_the_hub_gives_weights_with_their_preprocessing(tmp_path, monkeypatch):
  foreign, ours = resnet_state(classes=5)
  save_file(foreign, tmp_path / 'model.safetensors')
  (tmp_path / 'config.json').write_text(
      '{"architecture": "resnet18", "pretrained_cfg": {"mean": [0.5, 0.4, 0.3], "std": [1, 1, 1],'
      ' "input_size": [3, 160, 160], "crop_pct": 0.95}}')
  pretend_hub(monkeypatch, tmp_path)
  run = load('hf://owner/resnet18')
  assert run.config.task.mean == (.5, .4, .3) and run.canvas.shape == (160, 160, 3)
  assert run.canvas.crop_fraction == .95
  assert_same(run.variables, ours)


def test_without_the_hub_the_error_names_its_extra(monkeypatch):
  monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
  with pytest.raises(ConfigError, match=r'visionlab\[hub\]'):
    load('hf://owner/name')


def test_training_adopts_depth_and_preprocessing_and_keeps_them(tmp_path, shared_data):
  path = shared_data / 'weights' / 'resnet20-12fca82f.th'
  if not path.is_file():
    pytest.skip(f'no weights at {path}')
  (tmp_path / 'w.th').write_bytes(path.read_bytes())
  options = dict(
      data=dict(name='digits', size=32, channels=3), steps=2, evals={}, augment={}, batch=8,
      task=dict(name='classify', model=dict(name='cifar_resnet')), hp=dict(lr=0.),
      init_from=str(tmp_path / 'w.th'))
  state = train(config(**options), tmp_path / 'run')
  published = read_arrays(path)
  np.testing.assert_array_equal(
      state.params['stem']['kernel'],
      published['state_dict.module.conv1.weight'].transpose(2, 3, 1, 0))
  run = visionlab.load(tmp_path / 'run')
  assert run.config.task.mean == (.485, .456, .406)
  assert run.config.task.model.to_dict() == dict(name='cifar_resnet', depth=20, shortcut='A')
  (tmp_path / 'w.th').unlink()                 # begun, a run needs the weights no more
  assert int(train(config(**options), tmp_path / 'run').step) == 2


def test_a_run_starts_with_the_preprocessing_of_its_weights(tmp_path, caplog):
  train(config(steps=1, evals={}, task=dict(name='classify', mean=(.5,), std=(.5,),
                                            model=dict(name='tiny:TinyNet'))), tmp_path / 'a')
  options = dict(steps=1, evals={}, init_from=str(tmp_path / 'a'))
  train(config(**options), tmp_path / 'b')
  assert visionlab.load(tmp_path / 'b').config.task.mean == (.5,)
  for name, mean, kept in (('c', (.2,), (.5,)), ('d', ('own', .2), (.2,))):
    task = dict(name='classify', mean=mean, model=dict(name='tiny:TinyNet'))
    train(config(**options, task=task), tmp_path / name)
    assert visionlab.load(tmp_path / name).config.task.mean == kept
  assert 'config.task.mean is (0.5,), as the weights' in caplog.text


def test_blue_first():
  pixel = jnp.array([[10, 20, 30]], jnp.uint8)
  out = standardise(pixel, (30 / 255, 0., 0.), (1 / 255,) * 3, 'BGR')
  np.testing.assert_allclose(out, [[0, 20, 10]], atol=1e-4)
  with pytest.raises(ConfigError, match='config.task.channel_order'):
    train(config(task=dict(name='classify', channel_order='BRG', model=dict(name='mlp'))), 'x')


def test_an_export_says_what_the_run_says(tmp_path):
  train(config(steps=3, evals={}, optim=dict(name='sgd', ema=True)), tmp_path / 'run')
  folder = visionlab.export(tmp_path / 'run', tmp_path / 'out')
  images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)).astype(np.uint8)
  expected = visionlab.load(tmp_path / 'run').predict(images)
  again = visionlab.load(folder).predict(images)
  jax.tree.map(np.testing.assert_array_equal, again, expected)
  program = jax.export.deserialize(bytearray((folder / 'model.stablehlo').read_bytes()))
  weights = load_file(folder / 'model.safetensors')
  for n in (5, 2):                             # the batch is symbolic
    jax.tree.map(lambda a, b, n=n: np.testing.assert_allclose(a, b[:n], rtol=1e-5, atol=1e-6),
                 program.call(weights, images[:n]), expected)
  assert program.platforms == ('cpu', 'cuda', 'tpu')
  state = train(config(steps=1, evals={}, hp=dict(lr=0.), init_from=str(folder)), tmp_path / 'next')
  assert_same(state.params, visionlab.load(folder).variables['params'])
  with pytest.raises(ConfigError, match='is the workdir of a run'):
    visionlab.export(tmp_path / 'run', tmp_path / 'run')
  with pytest.raises(ConfigError, match='is an export'):
    visionlab.load(folder, step=3)


def test_an_export_is_for_others(tmp_path, monkeypatch):
  """Anyone may read its files, weights are in one of them alone, and its README's lines run."""
  model = dict(name='mlp', hidden=(300,))
  train(config(steps=1, evals={}, task=dict(name='classify', model=model)), tmp_path / 'run')
  mask = os.umask(0o022)
  folder = visionlab.export(tmp_path / 'run', tmp_path / 'out')
  os.umask(mask)
  assert {p.stat().st_mode & 0o777 for p in folder.iterdir()} == {0o644}
  sizes = {p.name: p.stat().st_size for p in folder.iterdir()}
  weights = sum(x.nbytes for x in load_file(folder / 'model.safetensors').values())
  assert sizes['model.safetensors'] > weights > 10 * sizes['model.stablehlo']
  text = (folder / 'README.md').read_text()
  assert 'classify by mlp, step 1.' in text and '0: 0, 1: 1,' in text
  assert '* `probabilities`: (n, 10) float32' in text and '* `prediction`: (n,) int32' in text
  without, with_us = re.findall(r'```python\n(.*?)```', text, re.S)
  assert 'visionlab' not in without
  monkeypatch.chdir(folder)
  Image.new('L', (20, 10)).save('photo.jpg')
  names = {}
  exec(without, names)
  assert names['answers']['probabilities'].shape == (2, 10)
  exec(with_us, names)
  np.testing.assert_allclose(names['run'].predict(names['images'])['logits'],
                             names['answers']['logits'], rtol=1e-4, atol=1e-5)
