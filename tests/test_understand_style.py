"""Neural style."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from understood import Smooth, photos, subject_of

from visionlab.config import ConfigError
from visionlab.models.vgg_features import VGGFeatures
from visionlab.ops.colour import luma
from visionlab.understand import Subject
from visionlab.understand.ascend import score
from visionlab.understand.objectives import read
from visionlab.understand.style import style_objective, style_transfer
from visionlab.weights.vgg_features import vgg_features

AT = dict(content_at=('second',), style_at=('first', 'second'))


@pytest.fixture(scope='module')
def subject():
  return subject_of(Smooth())


@pytest.fixture(scope='module')
def pictures():
  return photos(1, (16, 20, 3))[0], photos(1, (14, 12, 3), 1)[0] ** 3


def test_the_style_comes_nearer(subject, pictures):
  content, style = pictures
  made, curve = style_transfer(subject, content, [style], content_weight=1e-6, steps=15, **AT)
  assert made.shape == (1, 16, 20, 3) and curve[-1] > .2 * curve[0]
  assert abs(made.mean() - style.mean()) < abs(content.mean() - style.mean())


def test_no_style_gives_back_the_content(subject, pictures):
  content, style = pictures
  made, _ = style_transfer(subject, content, [style, style], weights=(0., 0.), content_weight=1.,
                           start='noise', content_at=('first',), style_at=('first',), steps=60)
  assert np.abs(made[0] - content).mean() < .02


def test_kept_colours_differ_in_lightness_alone(subject, pictures):
  content, style = pictures
  content = .3 + .4 * content                        # so that nothing is cut off
  made, _ = style_transfer(subject, content, [style], keep_colour=True, steps=3, **AT)
  change = made[0] - content
  assert np.abs(change).max() > 1e-3
  inside = ((made[0] > 0) & (made[0] < 1)).all(-1)
  np.testing.assert_allclose(change[inside], np.broadcast_to(change[..., :1], change.shape)[inside],
                             atol=1e-5)
  assert luma(jnp.asarray(made[0])).shape == (16, 20, 1)


def test_by_tiles_it_is_the_same(subject):
  content, style = photos(1, (20, 28, 3))[0], photos(1, (24, 20, 3), 1)[0]
  x = jnp.asarray(photos(1, (20, 28, 3), 2))
  values = []
  for tile, overlap in ((None, None), (12, 8)):
    wanted = style_objective(subject, content, [style], tile=tile, content_weight=.1, **AT)

    @jax.jit
    def value(x, wanted=wanted, tile=tile, overlap=overlap):
      return score(subject, wanted, x, x, None, tile, overlap)[0]
    values.append(jax.value_and_grad(value)(x))
  (a, da), (b, db) = values
  np.testing.assert_allclose(a, b, rtol=1e-4)
  np.testing.assert_allclose(da, db, atol=1e-3 * float(jnp.abs(da).max()))


def small_vgg(folder):
  """A file as published, of random weights, to conv2_1."""
  rng = np.random.default_rng(0)
  widths = dict(rgb_to_bgr=(1, 3, 3), conv1_1=(3, 3, 64), conv1_2=(3, 64, 64),
                conv2_1=(3, 64, 128))
  arrays = {}
  for name, (k, i, o) in widths.items():
    arrays[f'{name}/kernel'] = (rng.normal(size=(k, k, i, o)) / np.sqrt(k * k * i)).astype('f2')
    arrays[f'{name}/bias'] = rng.normal(size=o).astype('f4') / 10
  np.savez(folder / 'vgg.npz', **arrays)
  return folder / 'vgg.npz', arrays


def test_a_step_of_gatys_is_that_of_torch(tmp_path):
  """Loss and gradient with the same weights: reflection, 1x1 first, paper's equations 1 to 7."""
  torch = pytest.importorskip('torch')
  from torch.nn import functional as f
  path, arrays = small_vgg(tmp_path)
  content, style, start = photos(1, (36, 32, 3))[0], photos(1, (36, 32, 3), 1)[0], photos(
      1, (36, 32, 3), 2)
  tensors = {k: torch.tensor(v.astype('f4')) for k, v in arrays.items()}

  def features(x):
    maps = {}
    for name in ('rgb_to_bgr', 'conv1_1', 'conv1_2', 'conv2_1'):
      if name == 'conv2_1':
        x = f.max_pool2d(x, 2)
      if name != 'rgb_to_bgr':
        x = f.pad(x, (1, 1, 1, 1), 'reflect')
      x = f.conv2d(x, tensors[f'{name}/kernel'].permute(3, 2, 0, 1), tensors[f'{name}/bias'])
      x = maps[name] = x if name == 'rgb_to_bgr' else f.relu(x)
    return maps

  def as_torch(image):
    return torch.tensor(image).permute(2, 0, 1)[None]

  def gram(x):
    flat = x[0].flatten(1)
    return flat @ flat.T
  x = as_torch(start[0]).requires_grad_(True)
  here, of_content, of_style = features(x), features(as_torch(content)), features(as_torch(style))
  loss = .3 * .5 * ((here['conv2_1'] - of_content['conv2_1']) ** 2).sum()
  for name in ('conv1_1', 'conv2_1'):
    n, m = here[name].shape[1], here[name][0, 0].numel()
    loss = loss + 2 / 2 * ((gram(here[name]) - gram(of_style[name])) ** 2).sum() / (
        4 * n ** 2 * m ** 2)
  loss.backward()
  subject = Subject.of(vgg_features(path), (36, 32, 3))
  wanted = style_objective(subject, content, [style], weights=[2.], content_weight=.3,
                           content_at=['conv2_1'], style_at=['conv1_1', 'conv2_1'])

  @jax.jit
  def value(x):
    return -score(subject, wanted, x, x)[0]
  with jax.default_matmul_precision('highest'):
    ours, slopes = jax.value_and_grad(value)(jnp.asarray(start))
  np.testing.assert_allclose(ours, loss.item(), rtol=1e-4)
  expected = x.grad[0].permute(1, 2, 0).numpy()
  np.testing.assert_allclose(slopes[0], expected, atol=1e-3 * np.abs(expected).max())


def test_the_number_of_parameters():
  x = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
  shapes = jax.eval_shape(VGGFeatures().init, jax.random.key(0), x)
  assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 12_944_972
  with pytest.raises(ConfigError, match='did you mean "conv5_2"'):
    VGGFeatures(last='conv5-2')


def test_another_file_is_no_vgg(tmp_path):
  path, arrays = small_vgg(tmp_path)
  assert vgg_features(path)[0].last == 'conv2_1'
  np.savez(tmp_path / 'more.npz', **arrays, fc6=np.zeros(3))
  with pytest.raises(ConfigError, match='expected layers rgb_to_bgr'):
    vgg_features(tmp_path / 'more.npz')
  arrays['conv1_2/kernel'] = arrays['conv1_2/kernel'][..., :32]
  np.savez(tmp_path / 'short.npz', **arrays)
  with pytest.raises(ConfigError, match=r'conv1_2/kernel is \(3, 3, 64, 32\)'):
    vgg_features(tmp_path / 'short.npz')


def test_the_published_features_have_a_mean_of_1(shared_data):
  """As they say of themselves, on a photograph; and the first layer's rule, by hand."""
  datasets = pytest.importorskip('sklearn.datasets')
  photo = datasets.load_sample_image('china.jpg')[100:324, 200:424][None]
  path = shared_data / 'weights' / 'vgg19_normalised_to_conv5_1_f16.npz'
  vgg = Subject.of(vgg_features(path), photo.shape[1:])
  layers = ('conv1_1', 'conv2_1', 'conv3_1', 'conv4_2', 'conv5_1')
  maps = read(vgg, photo, ['rgb_to_bgr', *layers])
  assert all(.5 < maps[at].mean() < 2 for at in layers)
  np.testing.assert_allclose(maps['rgb_to_bgr'], photo[..., ::-1] - [103.939, 116.779, 123.68],
                             atol=.01)


def test_what_is_wrong_is_said(subject, pictures):
  content, style = pictures
  with pytest.raises(ConfigError, match='1 styles and 2 weights'):
    style_transfer(subject, content, [style], weights=[1, 2], **AT)
  with pytest.raises(ConfigError, match='start must be content or noise'):
    style_transfer(subject, content, [style], start='nose', **AT)
  with pytest.raises(ConfigError, match='conv4_2'):
    style_transfer(subject, content, [style])
