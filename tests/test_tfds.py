"""Datasets of TensorFlow Datasets, read without TensorFlow."""

import io
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data import open_split
from visionlab.data.images.crop import RandomCrop
from visionlab.data.images.decode import Canvas
from visionlab.data.source import Info
from visionlab.data.sources.tfds import Tfds, tfds

lib = pytest.importorskip('tensorflow_datasets')


class Blobs(lib.core.GeneratorBasedBuilder):
  """Image i is 20 high, 10 + i wide, and of colour (20 i, 0, 0).

  Its mask is 1 in the upper half, 3 in the lower, and 2 in the first column.
  """

  VERSION = lib.core.Version('1.0.0')

  def _info(self):
    return lib.core.DatasetInfo(builder=self, features=lib.features.FeaturesDict({
        'image': lib.features.Image(shape=(None, None, 3)),
        'thumb': lib.features.Image(shape=(4, 6, 1)),
        'mask': lib.features.Image(shape=(None, None, 1)),
        'label': lib.features.ClassLabel(names=['a', 'b', 'c']),
        'score': lib.features.Scalar(np.float32)}))

  def _split_generators(self, manager):
    return {'train': self._generate_examples(7), 'test': self._generate_examples(3)}

  def _generate_examples(self, count):
    for i in range(count):
      files = [io.BytesIO(), io.BytesIO(), io.BytesIO()]
      Image.new('RGB', (10 + i, 20), (20 * i, 0, 0)).save(files[0], 'png')
      Image.new('L', (6, 4), i).save(files[1], 'png')
      mask = np.repeat(np.array([1, 3], np.uint8), 10)[:, None].repeat(10 + i, 1)
      mask[:, 0] = 2
      Image.fromarray(mask).save(files[2], 'png')
      for file in files:
        file.seek(0)
      yield i, {'image': files[0], 'thumb': files[1], 'mask': files[2], 'label': i % 3,
                'score': i / 2}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  folder = str(tmp_path_factory.mktemp('tfds'))
  Blobs(data_dir=folder, file_format='array_record').download_and_prepare()
  return folder


def everything(source):
  return source[np.arange(len(source))]


def test_images_are_put_on_a_canvas(root):
  source = tfds('train', root=root, dataset='blobs', size=(5, 8))
  assert len(source) == 7 and source.info.classes == ('a', 'b', 'c')
  batch = everything(source)
  assert batch['image'].shape == (7, 5, 8, 3) and batch['image'].dtype == np.uint8
  assert batch['label'].dtype == np.int32
  number = batch['image'][:, 0, 0, 0] // 20
  assert sorted(number) == list(range(7))  # tfds shuffles when it prepares
  np.testing.assert_array_equal(batch['label'], number % 3)
  assert np.ptp(batch['image'], axis=(1, 2)).max() == 0


def test_images_of_one_size_are_left_alone(root):
  source = tfds('train', root=root, dataset='blobs', image_key='thumb', label_key='score')
  batch = everything(source)
  assert batch['image'].shape == (7, 4, 6, 1) and source.info.classes == ()
  assert batch['target'].dtype == np.float32 and 'label' not in batch
  np.testing.assert_allclose(batch['target'], batch['image'][:, 0, 0, 0] / 2)
  coloured = tfds('train', root=root, dataset='blobs', image_key='thumb', channels=3)
  np.testing.assert_array_equal(everything(coloured)['image'],
                                np.repeat(batch['image'], 3, axis=-1))
  assert set(everything(tfds('test', root=root, dataset='blobs', size=4, label_key=''))) == {
      'image'}


def test_masks_lie_on_their_images_canvas(root):
  options = dict(root=root, dataset='blobs', mask_key='mask', mask_offset=-1, label_key='',
                 mask_classes=('upper', 'left', 'lower'))
  source = tfds('train', size=(6, 8), resize='pad', **options)
  assert source.info == Info(map_classes=('upper', 'left', 'lower'))
  batch = everything(source)
  assert set(batch) == {'image', 'label_map'}
  assert batch['label_map'].shape == (7, 6, 8) and batch['label_map'].dtype == np.int32
  for image, label_map in zip(batch['image'], batch['label_map'], strict=True):
    inside = label_map != 255
    assert not image[~inside].any() and inside.all(0).sum() in (3, 4, 5)
    first = inside.argmax(1)[0]
    assert set(label_map[:3, first + 1:][inside[:3, first + 1:]]) == {0}
    assert set(label_map[3:, first + 1:][inside[3:, first + 1:]]) == {2}
  crop = RandomCrop((4, 4), scale=(.1, .2))
  cut = source.crops(np.arange(7), crop, crop.draws(0, 0, 7))
  assert cut['label_map'].shape == (7, 4, 4) and set(np.unique(cut['label_map'])) <= {0, 1, 2}
  whole = tfds('train', size=(20, 17), resize='stretch', **{**options, 'mask_ignore': 3,
               'mask_classes': ('upper', 'left')})
  assert set(np.unique(everything(whole)['label_map'][:, 10:])) == {1, 255}


def test_any_order_slices_and_pickling(root):
  def opened(name):
    return tfds(name, root=root, dataset='blobs', size=4)
  whole = everything(opened('train'))['label']
  order = np.array([3, 0, 3, -1])
  for source in (opened('train'), pickle.loads(pickle.dumps(opened('train')))):
    np.testing.assert_array_equal(source[order]['label'], whole[order])
  assert len(open_split(opened, 'train[:3]+test')) == 6
  assert everything(open_split(opened, 'train[:3]+test'))['image'].shape == (6, 4, 4, 3)


def test_errors(root, monkeypatch):
  def fails(match, split='train', **options):
    with pytest.raises(ConfigError, match=match):
      tfds(split, **{'root': root, 'dataset': 'blobs', 'size': 4, **options})
  fails('no split "tests"; there are train, test.*"test"', split='tests')
  fails('dataset must name one', dataset='')
  fails('blos not found.*did you mean "blobs"', dataset='blos')
  fails('9.9.9', dataset='blobs:9.9.9')
  fails('no feature "imag" for image_key; it has .*"image"', image_key='imag')
  fails('no feature "labels".*"label"', label_key='labels')
  fails('no feature "mas" for mask_key.*"mask"', mask_key='mas')
  fails('mask_classes must name', mask_key='mask')
  fails('no mask', mask_key='image', mask_classes=('a',))
  fails('no scalar', label_key='thumb')
  fails(r'must be \(h w c\)', image_key='score')
  fails('set size, e.g. size=224', size=None)
  fails('not prepared as array_record.*tfds build blobs --data_dir=/nowhere', root='/nowhere')
  monkeypatch.setitem(sys.modules, 'tensorflow_datasets', None)
  fails(r"pip install 'visionlab\[tfds\]'")


@pytest.mark.parametrize('name, shape, classes', [
    ('mnist', (28, 28, 1), 10), ('cifar100', (32, 32, 3), 100), ('svhn_cropped', (32, 32, 3), 10)])
def test_stock_datasets(name, shape, classes):
  with lib.testing.mock_data(num_examples=5):
    source = tfds('train', dataset=name)
    records = source.data.data_source
    records.__getitems__ = lambda keys: [records[key] for key in keys]  # the mock's own fails
    batch = everything(source)
  assert batch['image'].shape == (5, *shape) and batch['image'].dtype == np.uint8
  assert len(source.info.classes) == classes and batch['label'].max() < classes


def test_wrong_masks_are_named(root):
  def fails(match, **options):
    source = tfds('train', **{'root': root, 'dataset': 'blobs', 'size': 20, 'mask_key': 'mask',
                              'mask_classes': tuple('abcd'), **options})
    with pytest.raises(ConfigError, match=match):
      source[np.array([0])]
  fails('mask of example 0: .* value 3; expected 0 to 2 for 3', mask_classes=tuple('abc'))
  fails(r'mask of example 0 is \d+x20 pixels; expected 6x4', image_key='thumb')


def test_masks_of_pets():
  with lib.testing.mock_data(num_examples=3):
    source = tfds('train', dataset='oxford_iiit_pet', size=16, mask_key='segmentation_mask',
                  mask_offset=-1, mask_classes=('pet', 'background', 'outline'))
    # The mock's own images are never encoded, and its masks hold any values.
    trimap = np.repeat([1, 2, 3], 8).astype(np.uint8)[:, None, None].repeat(24, 1)
    example = {'image': np.zeros((24, 24, 3), np.uint8), 'segmentation_mask': trimap, 'label': 7}
    source.data.data_source.__getitems__ = lambda keys: [example for _ in keys]
    batch = everything(source)
  assert source.info.map_classes == ('pet', 'background', 'outline')
  assert len(source.info.classes) == 37 and batch['label'].tolist() == [7, 7, 7]
  np.testing.assert_array_equal(batch['label_map'][2], np.array([0, 1, 2]).repeat(
      [5, 6, 5])[:, None].repeat(16, 1))


def test_tensorflow_is_never_imported(root, tmp_path):
  """An importable TensorFlow that ends the program shows that nothing asks for it."""
  (tmp_path / 'tensorflow').mkdir()
  (tmp_path / 'tensorflow' / '__init__.py').write_text('import os\nos._exit(77)\n')
  here = Path(__file__).resolve().parents[1]
  run = [sys.executable, '-c']
  environment = {**os.environ, 'PYTHONPATH': f'{tmp_path}{os.pathsep}{here}'}
  trap = subprocess.run([*run, 'import tensorflow'], env=environment)
  assert trap.returncode == 77
  # Without the code that made it, the dataset is read from its files alone.
  script = f'''
import sys
import numpy as np
from visionlab.data.sources.tfds import tfds
assert 'tensorflow_datasets' not in sys.modules
source = tfds('train', root={root!r}, dataset='blobs', size=4)
print(source[np.arange(7)]['image'].shape)
assert 'tensorflow' not in sys.modules
'''
  done = subprocess.run([*run, script], env=environment, capture_output=True, text=True)
  assert done.stdout == '(7, 4, 4, 3)\n', done.stderr


class Examples(list):
  """What a tfds data source is to `Tfds`."""

  def __getitems__(self, indices):
    return [self[i] for i in indices]


def test_sixteen_bits_in_colour():
  """Values of 257 v are the 8-bit v, whatever the channel."""
  pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5
  source = Tfds(Examples([{'image': pixels.astype(np.uint16) * 257}]), Info(), 'image', '', '',
                Canvas(4), 3)
  np.testing.assert_array_equal(source[np.array([0])]['image'][0], pixels)


def test_images_that_cannot_be_decoded_are_named():
  source = Tfds(Examples([{'image': b''}]), Info(), 'image', '', '', Canvas(4), 3)
  with pytest.raises(ConfigError, match='image of example 0 cannot be decoded: the file is empty'):
    source[np.array([0])]
