"""Models: parameter counts of their papers, the shared contract, what initialisation promises."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.models import MODELS
from visionlab.models.layers import (
  global_mean,
  he_fan_in,
  he_fan_out,
  lecun_normal,
  noise,
  small_normal,
)
from visionlab.models.resnet import CifarResNet, pad_shortcut
from visionlab.ops.pool import max_pool

SMALL = {  # every model, small enough to run: its fields beside `classes`, the image
  'mlp': (dict(hidden=(8, 6)), (5, 4, 2)),
  'cnn': (dict(widths=(4, 3), hidden=8, dropout=.5), (8, 9, 1)),
  'alexnet': (dict(hidden=16), (63, 66, 3)),
  'zfnet': (dict(hidden=16), (23, 30, 3)),
  'vgg': (dict(depth=11, hidden=16, norm=True), (32, 35, 3)),
  'googlenet': (dict(), (15, 18, 3)),
  'cifar_resnet': (dict(depth=20), (8, 8, 3)),
  'resnet': (dict(depth=18), (32, 32, 3)),
  'vit': (dict(patch=4, width=8, depth=2, heads=2, dropout=.5), (8, 12, 3)),
  'hog_mlp': (dict(cell=4, hidden=(8, 8)), (32, 33, 1)),
  'tcdcn': (dict(widths=(4, 4, 4, 4), hidden=8), (32, 33, 1)),
  'deepface': (dict(widths=(4, 4, 4, 4, 4), kernels=(3, 3, 2, 2, 2), hidden=16, deviation=.1),
               (19, 20, 1)),
}
# Each has a test of its own.
OTHERS = {'unet', 'fcn', 'segnet', 'patch_classifier', 'detector', 'dann', 'dann_cnn',
          'region_cnn', 'sliding_window', 'captioner', 'recurrent', 'two_column', 'multitask',
          'autoencoder', 'gan', 'fusion', 'frame_lstm', 'pilotnet',
          'pilot_lstm', 'context_cnn', 'skip_thoughts', 'quick_thoughts', 'visual_semantic'}
COUNTS = [
  ('mlp', {}, 10, (28, 28, 1), 407_050),
  ('cnn', {}, 10, (28, 28, 1), 3_241_354),
  ('alexnet', {}, 1000, (224, 224, 3), 61_100_840),
  ('alexnet', dict(towers=2), 1000, (224, 224, 3), 60_965_224),
  ('zfnet', {}, 1000, (224, 224, 3), 62_357_608),
  ('vgg', dict(depth=11), 1000, (32, 32, 3), 132_863_336),
  ('vgg', dict(depth=13), 1000, (32, 32, 3), 133_047_848),
  ('vgg', dict(depth=16), 1000, (224, 224, 3), 138_357_544),
  ('vgg', dict(depth=19), 1000, (32, 32, 3), 143_667_240),
  ('vgg', dict(depth=11, norm=True), 1000, (32, 32, 3), 132_868_840),
  ('vgg', dict(depth=13, norm=True), 1000, (32, 32, 3), 133_053_736),
  ('vgg', dict(depth=16, norm=True), 1000, (32, 32, 3), 138_365_992),
  ('vgg', dict(depth=19, norm=True), 1000, (32, 32, 3), 143_678_248),
  ('googlenet', {}, 1000, (64, 64, 3), 13_004_888),
  ('googlenet', dict(aux=False), 1000, (64, 64, 3), 6_624_904),
  ('googlenet', dict(norm='local'), 1000, (64, 64, 3), 13_378_280),
  ('googlenet', dict(norm='local', aux=False), 1000, (64, 64, 3), 6_998_552),
  ('cifar_resnet', dict(depth=20), 10, (32, 32, 3), 269_722),
  ('cifar_resnet', dict(depth=20, shortcut='none'), 10, (32, 32, 3), 269_722),
  ('cifar_resnet', dict(depth=20, shortcut='B'), 10, (32, 32, 3), 269_722 + 2560 + 64 + 128),
  ('cifar_resnet', dict(depth=32), 10, (32, 32, 3), 464_154),
  ('cifar_resnet', dict(depth=44), 10, (32, 32, 3), 658_586),
  ('cifar_resnet', dict(depth=56), 10, (32, 32, 3), 853_018),
  ('cifar_resnet', dict(depth=110), 10, (32, 32, 3), 1_727_962),
  ('resnet', dict(depth=18), 1000, (64, 64, 3), 11_689_512),
  ('resnet', dict(depth=34), 1000, (64, 64, 3), 21_797_672),
  ('resnet', dict(depth=50), 1000, (64, 64, 3), 25_557_032),
  ('resnet', dict(depth=101), 1000, (64, 64, 3), 44_549_160),
  ('resnet', dict(depth=152), 1000, (64, 64, 3), 60_192_808),
  ('vit', {}, 1000, (224, 224, 3), 22_050_664),
  ('vit', dict(width=768, heads=12), 1000, (224, 224, 3), 86_567_656),
  ('vit', dict(width=1024, depth=24, heads=16), 1000, (224, 224, 3), 304_326_632),
  # Layer by layer, each place of L4 to L6 with kernels and biases of its own.
  ('hog_mlp', {}, 5, (40, 48, 3), 729 * 4 // 3 * 128 + 128 + 5 * 129),
  ('tcdcn', {}, 5, (40, 40, 1), 16 * 26 + 48 * 145 + 64 * 433 + 64 * 257 + 100 * 257 + 505),
  ('deepface', {}, 4030, (152, 152, 3),
   32 * 364 + 16 * 2593 + 55 ** 2 * 16 * 1297 + 25 ** 2 * 16 * 785 + 21 ** 2 * 16 * 401
   + 4096 * (21 ** 2 * 16 + 1) + 4030 * 4097),
]


def build(name, **fields):
  module, cls = MODELS[name].split(':')
  return getattr(importlib.import_module(module), cls)(**fields)


def shapes(model, image):
  x = jax.ShapeDtypeStruct((1, *image), jnp.float32)
  return jax.eval_shape(model.init, jax.random.key(0), x)


def variables_of(model, image):
  """Variables for tests that are not about initialisation, without compiling it."""
  rng = np.random.default_rng(0)

  def draw(path, leaf):
    if path[-1].key == 'kernel':
      spread = (2 / np.prod(leaf.shape[:-1])) ** .5
      return jnp.asarray(spread * rng.standard_normal(leaf.shape), leaf.dtype)
    return jnp.asarray(rng.uniform(.5, 1.5, leaf.shape), leaf.dtype)

  return jax.tree.map_with_path(draw, shapes(model, image))


def test_every_classifier_is_tried_here():
  assert set(SMALL) == set(MODELS) - OTHERS


@pytest.mark.parametrize('name, fields, classes, image, count', COUNTS)
def test_parameter_counts(name, fields, classes, image, count):
  params = shapes(build(name, classes=classes, **fields), image)['params']
  assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count


@pytest.mark.parametrize('depth, millions',
                         [(20, .27), (32, .46), (44, .66), (56, .85), (110, 1.7)])
def test_counts_round_to_the_papers_table(depth, millions):
  """He et al. 2015, table 6."""
  params = shapes(CifarResNet(classes=10, depth=depth), (32, 32, 3))['params']
  count = sum(leaf.size for leaf in jax.tree.leaves(params))
  assert round(count / 1e6, 1 if depth == 110 else 2) == millions


@pytest.mark.parametrize('name', SMALL)
@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_contract(name, dtype):
  fields, image = SMALL[name]
  model = build(name, classes=7, dtype=dtype, **fields)
  x = jnp.asarray(np.random.default_rng(0).standard_normal((4, *image)), jnp.float32)
  variables = variables_of(model, image)
  assert {leaf.dtype for leaf in jax.tree.leaves(shapes(model, image))} == {jnp.dtype(jnp.float32)}

  @jax.jit
  def run(variables, x):
    outputs, updates = model.apply(variables, x, train=True, mutable=['batch_stats'],
                                   rngs={'dropout': jax.random.key(1)})
    return outputs, updates, model.apply(variables, x)

  if name == 'googlenet' or dtype == jnp.bfloat16 and name in ('vgg', 'resnet'):  # slow to compile
    assert {y.dtype for y in jax.tree.leaves(jax.eval_shape(run, variables, x))} == {
      jnp.dtype(jnp.float32)}
    return
  trained, updates, logits = run(variables, x)
  for y in (*jax.tree.leaves(trained), logits):
    assert y.shape == (4, 7) and y.dtype == jnp.float32 and jnp.isfinite(y).all()
  assert set(updates) == set(variables) - {'params'}
  if isinstance(trained, dict):
    assert set(trained) == {'logits', *model.auxiliary}
    trained = trained['logits']
  differs = name not in ('mlp', 'tcdcn', 'hog_mlp')  # dropout, batch statistics
  assert bool(jnp.any(trained != logits)) == differs
  # Without `train`, examples don't see each other.
  _, _, among_others = run(variables, x.at[1:].set(3 * x[:0:-1]))
  tolerance = (1e-5 if dtype == jnp.float32 else 3e-2) * np.abs(logits).max()
  np.testing.assert_allclose(logits[:1], among_others[:1], rtol=0, atol=tolerance)
  if (name, dtype) != ('tcdcn', jnp.bfloat16):    # |tanh| answers noise too alike for 8 bits
    assert np.abs(logits[1:] - among_others[1:]).max() > tolerance


def test_names_of_parameters():
  """Checkpoints and the regular expressions of configs are written against these."""
  bottleneck = shapes(build('resnet', classes=3, depth=50), (64, 64, 3))
  paths = {'/'.join(p.key for p in path)
           for path, _ in jax.tree_util.tree_leaves_with_path(bottleneck)}
  assert {'params/stem/kernel', 'params/stem_norm/scale', 'params/stage1/block0/conv1/kernel',
          'params/stage4/block2/norm3/bias', 'params/stage2/block0/shortcut/kernel',
          'params/stage2/block0/shortcut_norm/scale', 'params/head/kernel', 'params/head/bias',
          'batch_stats/stage3/block5/norm2/mean'} <= paths
  cifar = shapes(CifarResNet(classes=3), (32, 32, 3))['params']
  assert set(cifar) == {'stem', 'stem_norm', 'stage1', 'stage2', 'stage3', 'head'}
  assert set(cifar['stage2']['block0']) == {'conv1', 'norm1', 'conv2', 'norm2'}
  cnn = shapes(build('cnn', classes=3), (8, 8, 1))['params']
  assert set(cnn) == {'conv0', 'conv1', 'dense', 'head'}
  vgg = shapes(build('vgg', classes=3, depth=11, norm=True), (32, 32, 3))['params']
  stages = ('1_1', '2_1', '3_1', '3_2', '4_1', '4_2', '5_1', '5_2')
  assert set(vgg) == {f'{kind}{i}' for kind in ('conv', 'norm') for i in stages} | {
    'fc6', 'fc7', 'head'}
  google = shapes(build('googlenet', classes=3), (32, 32, 3))['params']
  assert set(google['inception3a']) == {'branch1', 'branch2_reduce', 'branch2', 'branch3_reduce',
                                        'branch3', 'branch4'}
  assert set(google['inception3a']['branch1']) == set(google['conv1']) == {'conv', 'norm'}
  assert set(google['aux2']) == {'conv', 'fc', 'head'}


def test_blocks_start_as_their_shortcut():
  """With every last scale at zero, the input of a stage's identity block leaves unchanged."""
  model = CifarResNet(classes=10)
  variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
  scales = [block['norm2']['scale'] for stage in ('stage1', 'stage2', 'stage3')
            for block in variables['params'][stage].values()]
  assert len(scales) == 9 and not any(s.any() for s in scales)
  x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 8, 8, 3)), jnp.float32)
  _, captured = jax.jit(lambda v, x: model.apply(
    v, x, capture_intermediates=lambda m, _: m.name in ('stem_norm', 'stage1', 'stage3')))(
      variables, x)
  captured = captured['intermediates']
  stem = np.maximum(captured['stem_norm']['__call__'][0], 0)
  np.testing.assert_array_equal(captured['stage1']['__call__'][0], stem)
  # Option A twice: every fourth pixel, 8 + 16 channels of zeros on either side.
  last = np.zeros((2, 2, 2, 64), np.float32)
  last[..., 24:40] = stem[:, ::4, ::4]
  np.testing.assert_array_equal(captured['stage3']['__call__'][0], last)


def test_initial_spread_follows_the_papers():
  key = jax.random.key(0)
  for init, shape, spread in ((he_fan_out, (7, 7, 3, 64), (2 / (7 * 7 * 64)) ** .5),
                              (he_fan_out, (3, 3, 64, 256), (2 / (3 * 3 * 256)) ** .5),
                              (he_fan_in, (3, 3, 64, 256), (2 / (3 * 3 * 64)) ** .5),
                              (lecun_normal, (3136, 50), 3136 ** -.5),
                              (small_normal, (512, 100), .01)):
    np.testing.assert_allclose(jnp.std(init(key, shape)), spread, rtol=.03)
  params = jax.jit(CifarResNet(classes=10).init)(key, jnp.zeros((1, 8, 8, 3)))['params']
  np.testing.assert_allclose(
    jnp.std(params['stage3']['block1']['conv2']['kernel']), (2 / (9 * 64)) ** .5, rtol=.03)
  np.testing.assert_allclose(jnp.std(params['head']['kernel']), .01, rtol=.1)


def test_noise_is_standard_normal_and_independent():
  stats = pytest.importorskip('scipy.stats')
  keys = [jax.random.fold_in(jax.random.key(i), j) for i in range(3) for j in range(4)]
  keys += [jax.random.key(i) for i in range(4)]  # as raw as keys get: words (0, 0) to (0, 3)
  draws = np.stack([noise(key, (200, 251)).ravel() for key in keys]).astype(np.float64)
  assert all(stats.kstest(draw, 'norm').pvalue > 1e-4 for draw in draws)
  n = draws.shape[1]
  correlation = np.corrcoef(draws) - np.eye(len(draws))
  assert abs(correlation).max() < 5 / n ** .5
  for lag in (1, 2, 251, 4096):
    for draw in draws:
      assert abs(np.mean(draw[lag:] * draw[:-lag])) < 5 / n ** .5
  assert len({draw.tobytes() for draw in draws}) == len(keys)


def test_noise_of_swept_keys_is_that_of_each():
  keys = jax.random.split(jax.random.key(0), 3)
  together = jax.jit(jax.vmap(lambda key: noise(key, (5, 7))))(keys)
  alone = jnp.stack([noise(key, (5, 7)) for key in keys])
  np.testing.assert_allclose(together, alone, rtol=1e-6)     # erf_inv is compiled twice


def test_batch_statistics_are_an_average_that_keeps_nine_tenths():
  model = CifarResNet(classes=10)
  x = jnp.asarray(np.random.default_rng(0).standard_normal((4, 8, 8, 3)) + 2, jnp.float32)
  variables = variables_of(model, (8, 8, 3))
  _, updates = jax.jit(lambda v: model.apply(
    v, x, train=True, mutable=['batch_stats', 'intermediates'],
    capture_intermediates=lambda m, _: m.name == 'stem'))(variables)
  stem = np.asarray(updates['intermediates']['stem']['__call__'][0], np.float64)
  got = updates['batch_stats']['stem_norm']
  old = variables['batch_stats']['stem_norm']
  np.testing.assert_allclose(got['mean'], .9 * old['mean'] + .1 * stem.mean((0, 1, 2)), rtol=1e-4)
  np.testing.assert_allclose(got['var'], .9 * old['var'] + .1 * stem.var((0, 1, 2)), rtol=1e-4)


def test_statistics_shared_over_devices_are_those_of_the_whole_batch():
  x = jnp.asarray(np.random.default_rng(0).standard_normal((4, 8, 8, 3)), jnp.float32)
  variables = variables_of(CifarResNet(classes=10), (8, 8, 3))

  def run(axis_name):
    model = CifarResNet(classes=10, axis_name=axis_name)
    return lambda v, x: model.apply(v, x, train=True, mutable=['batch_stats'])

  logits, updates = jax.jit(run(None))(variables, x)
  parts, shared = jax.pmap(run('data'), 'data', in_axes=(None, 0), out_axes=(0, None))(
    variables, x.reshape(2, 2, 8, 8, 3))
  np.testing.assert_allclose(parts.reshape(4, 10), logits, rtol=1e-4, atol=1e-5)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), shared, updates)


@pytest.mark.parametrize('name, fields, message', [
  ('resnet', dict(depth=51), r'model.depth of resnet: 51 is not one of 18, 34, 50, 101, 152'),
  ('resnet', dict(stride_in='2x2'), r"'2x2' is not one of '1x1', '3x3'"),
  ('cifar_resnet', dict(depth=18), r'18 is not one of 20, 32, 44, 56, 110'),
  ('cifar_resnet', dict(shortcut='C'), r"'C' is not one of 'A', 'B', 'none'"),
  ('alexnet', dict(towers=3), r'model.towers of alexnet: 3 is not one of 1, 2'),
  ('vgg', dict(depth=12), r'12 is not one of 11, 13, 16, 19'),
  ('googlenet', dict(norm='batches'), r'did you mean "batch"'),
])
def test_unknown_choices_name_the_known(name, fields, message):
  with pytest.raises(ConfigError, match=message):
    build(name, classes=10, **fields)


def test_pooling_layers():
  torch = pytest.importorskip('torch')
  x = np.random.default_rng(0).standard_normal((2, 7, 8, 3)).astype(np.float32)
  nchw = torch.tensor(x.transpose(0, 3, 1, 2))
  for window, stride, padding in ((2, 2, 0), (3, 2, 1), (3, 3, 1)):
    expected = torch.nn.functional.max_pool2d(nchw, window, stride, padding)
    np.testing.assert_array_equal(max_pool(jnp.asarray(x), window, stride, padding),
                                  expected.numpy().transpose(0, 2, 3, 1))
  np.testing.assert_allclose(global_mean(jnp.asarray(x)), nchw.mean((2, 3)), rtol=1e-5, atol=1e-6)
  assert global_mean(jnp.asarray(x, jnp.bfloat16)).dtype == jnp.float32


def test_option_a_pads_an_odd_number_of_channels_at_the_end():
  y = pad_shortcut(jnp.ones((1, 3, 3, 2)), 2, 5)
  assert y.shape == (1, 2, 2, 5)
  assert y[0, 1, 1].tolist() == [0, 1, 1, 0, 0]
