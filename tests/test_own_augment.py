"""Augmentations of one's own, named in config.augment by 'module:function'."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.augmentation.augment import make_augment
from visionlab.config import ConfigError
from visionlab.flags.overrides import override

IMAGES = np.random.default_rng(0).random((4, 6, 5, 3), dtype=np.float32)


def darker(image, factor: float = .5):
  return factor * image


def sometimes(key, image):
  return jnp.where(jax.random.uniform(key) < .5, 0., image)


def transposed(example, *unused, **neither):
  return {**example, 'image': example['image'].swapaxes(0, 1),
          'label_map': example['label_map'].T}


def augmented(options, key=0, **more):
  return make_augment(options)(jax.random.key(key), dict(image=IMAGES, **more))


def test_pixels_are_changed_and_the_rest_passes():
  out = augmented(dict(dim='test_own_augment:darker'), label=np.arange(4))
  np.testing.assert_allclose(out['image'], IMAGES / 2)
  assert out['label'].tolist() == [0, 1, 2, 3]
  out = augmented(dict(dim=dict(name='test_own_augment:darker', factor=.25)))
  np.testing.assert_allclose(out['image'], IMAGES / 4)


def test_each_image_draws_of_its_own_and_each_word_too():
  def kept(word, **others):
    out = np.asarray(augmented({word: 'test_own_augment:sometimes', **others}, key=1)['image'])
    return out.reshape(4, -1).any(1).tolist()
  assert {True, False} == set(kept('a') + kept('b'))
  assert kept('a') != kept('b')
  assert kept('a', noise=dict(std=.5)) == kept('a')
  both = np.asarray(kept('a', b='test_own_augment:sometimes'))
  np.testing.assert_array_equal(both, np.asarray(kept('a')) & kept('b'))


def test_a_whole_example_moves_with_its_map():
  maps = np.arange(120, dtype=np.int32).reshape(4, 6, 5)
  out = augmented(dict(turn='test_own_augment:transposed'), label_map=maps)
  np.testing.assert_array_equal(out['image'], IMAGES.swapaxes(1, 2))
  np.testing.assert_array_equal(out['label_map'], maps.swapaxes(1, 2))


def test_they_come_before_mixing_and_after_the_rest():
  out = augmented(dict(mixup=dict(alpha=1.), dim=dict(name='test_own_augment:darker', factor=0.)))
  assert not np.asarray(out['image']).any() and 'mix_weight' in out
  out = augmented(dict(noise=dict(std=9.), dim=dict(name='test_own_augment:darker', factor=0.)))
  assert not np.asarray(out['image']).any()


def one_number(image):
  return image.mean()


def whole_numbers(image):
  return (255 * image).astype(jnp.uint8)


def forgets(example):
  return {'image': example['image']}


def nothing(image):
  pass


def takes_neither(x):
  return x


def raises(image):
  return image.transpose(5, 0)


@pytest.mark.parametrize('options, said', [
    (dict(dim='test_own_augment:drker'), r'dim.name: cannot load .*did you mean "darker"'),
    (dict(dim=dict(name='test_own_augment:darker', factr=1.)), r'dim.factr: no such .*"factor"'),
    (dict(dim=dict(name='test_own_augment:darker', factor='x')), r'dim.factor: expected float'),
    (dict(mine='test_own_augment:takes_neither'),
     r'mine: test_own_augment:takes_neither\(x\) must take either `image`'),
    (dict(mine='test_own_augment:raises'),
     r'mine: test_own_augment:raises: .*test_own_augment.py, line \d+: '),
    (dict(mine='test_own_augment:nothing'), r'mine: .*:nothing must give back .* gave None'),
    (dict(mine='test_own_augment:one_number'),
     r'mine: .* of the form it is given, float32 \(6, 5, 3\), and gave float32 \(\)'),
    (dict(mine='test_own_augment:whole_numbers'), r'mine: .* gave uint8 \(6, 5, 3\)'),
    (dict(mine='test_own_augment:forgets'), r'mine: .*label_map.*, and gave {image: float32'),
    (dict(cutout='test_own_augment:darker'), r'cutout')])
def test_mistakes_name_the_key_and_the_part(options, said):
  with pytest.raises(ConfigError, match=f'^config.augment.{said}'):
    augmented(options, label_map=np.zeros((4, 6, 5), np.int32))


def test_the_command_line_sets_their_options():
  config = override(dict(augment=dict(flip=True)), {
      'augment.dim.name': 'test_own_augment:darker', 'augment.dim.factor': '.25'})
  assert config.augment.to_dict() == dict(
      flip=True, dim=dict(name='test_own_augment:darker', factor=.25))
  with pytest.raises(ConfigError, match=r'config.augment.dim has no .factr. .*"factor"'):
    override(config, {'augment.dim.factr': '1'})
