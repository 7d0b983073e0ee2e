"""Sources, splits and their slices, and the readers of original files."""

import gzip
import io
import os
import pickle
import struct
import tarfile

import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.data import SOURCES, open_split
from visionlab.data.source import Arrays, Concat, Info, Subset, concat, subset
from visionlab.data.sources.arrays import arrays
from visionlab.data.sources.cifar import CIFAR10, cifar10, cifar100
from visionlab.data.sources.digits import digits
from visionlab.data.sources.mnist import fashion_mnist, mnist

RNG = np.random.default_rng(0)


class Squares:
  """A source that is not Arrays: example i is i * i, and multiples of 10 are broken."""

  info = Info(('a', 'b'))

  def __init__(self, size, broken=False):
    self.size, self.broken = size, broken

  def __len__(self):
    return self.size

  def __getitem__(self, indices):
    indices = np.asarray(indices)
    result = {'label': (indices ** 2).astype(np.int32)}
    return {**result, 'valid': indices % 10 != 0} if self.broken else result


def every_label(source):
  return source[np.arange(len(source))]['label']


def test_table_names_existing_functions():
  import importlib
  for target in SOURCES.values():
    module, name = target.split(':')
    assert callable(getattr(importlib.import_module(module), name))


# --- slices ---


@pytest.mark.parametrize('size', [1, 7, 99, 1000, 1797])
@pytest.mark.parametrize('bound', ['10%', '33%', '90%', '-20%', '5', '-3'])
def test_two_sides_of_a_bound_are_a_partition(size, bound):
  source = Arrays({'label': np.arange(size)})
  sides = []
  for split in (f'train[:{bound}]', f'train[{bound}:]'):
    try:
      sides.append(every_label(open_split(lambda name: source, split)))
    except ConfigError as error:  # a side of a tiny set may be empty, and then says so
      assert 'none of the' in str(error)
      sides.append(np.array([], int))
  np.testing.assert_array_equal(np.sort(np.concatenate(sides)), np.arange(size))


@pytest.mark.parametrize('split, size', [
    ('train', 1000), ('train[:90%]', 900), ('train[10%:20%]', 100), ('train[:17]', 17),
    ('train[-10%:]', 100), ('train[250:-250]', 500), ('train[:5000]', 1000),
    ('train+test', 2000), ('train[:1%]+test[99%:]', 20), (' train + test ', 2000)])
def test_slice_sizes(split, size):
  assert len(open_split(lambda name: Squares(1000), split)) == size


def test_slices_of_a_sorted_set_are_representative():
  source = Arrays({'label': np.repeat(np.arange(10), 500)})
  counts = np.bincount(every_label(open_split(lambda name: source, 'train[:20%]')), minlength=10)
  # Hypergeometric: mean 100, standard deviation 8.5; the order of the set would give 500 and 0.
  assert counts.sum() == 1000 and np.all(abs(counts - 100) < 35)


def test_slices_nest_and_stay_the_same():
  def opened(split):
    return every_label(open_split(lambda name: Squares(50), split))
  np.testing.assert_array_equal(opened('train[:40]')[:10], opened('train[:10]'))
  np.testing.assert_array_equal(opened('train[10:20]'), opened('train[:20]')[10:])
  # PCG64 and permutation are frozen streams: a checkpoint's split must not move under it.
  order = np.random.Generator(np.random.PCG64(0)).permutation(50)
  np.testing.assert_array_equal(opened('train[:5]'), order[:5] ** 2)


@pytest.mark.parametrize('split', ['train[90%', 'train[:x]', 'train[::2]', 'train[5]', '', 'a++b',
                                   'train[:9.5%]', '[:10]'])
def test_bad_syntax_names_an_example(split):
  with pytest.raises(ConfigError, match=r'train\[:90%\]'):
    open_split(Squares, split)


def test_empty_and_excessive_slices_are_errors():
  with pytest.raises(ConfigError, match='none of the 10'):
    open_split(lambda name: Squares(10), 'train[5:5]')
  with pytest.raises(ConfigError, match='per cents'):
    open_split(lambda name: Squares(10), 'train[:110%]')


def test_a_split_named_twice_is_opened_once():
  names = []
  opened = open_split(lambda name: names.append(name) or Squares(10), 'train[:2]+train[-2:]+test')
  assert names == ['train', 'test'] and len(opened) == 14


# --- the sources others are made of ---


def test_arrays_stay_arrays_and_others_stay_lazy():
  whole = Arrays({'label': np.arange(10)}, Info(('x',)))
  assert isinstance(subset(whole, np.array([3, 1])), Arrays)
  assert isinstance(concat([whole, whole]), Arrays)
  assert concat([whole, whole]).info == whole.info
  assert isinstance(open_split(lambda name: whole, 'train[:50%]+test'), Arrays)
  lazy = subset(Squares(10), np.array([3, 1]))
  assert isinstance(lazy, Subset) and every_label(lazy).tolist() == [9, 1]


def test_concat_reads_across_its_parts_in_any_order():
  joined = concat([Squares(3), Squares(20, broken=True), Squares(2)])
  assert isinstance(joined, Concat) and len(joined) == 25
  expected = np.concatenate([np.arange(3), np.arange(20), np.arange(2)]) ** 2
  order = RNG.permutation(25)
  batch = joined[order]
  np.testing.assert_array_equal(batch['label'], expected[order])
  np.testing.assert_array_equal(batch['valid'], ~np.isin(order, (3, 13)))
  assert joined[np.array([-1, -2, -3])]['label'].tolist() == [1, 0, 361]
  assert joined[np.array([24, 24, 0])]['label'].tolist() == [1, 1, 0]
  assert joined[np.array([], int)]['label'].shape == (0,)
  with pytest.raises(IndexError):
    joined[np.array([25])]


def test_sources_survive_pickling():
  for source in (Arrays({'label': np.arange(9)}), Subset(Squares(20), np.arange(5)),
                 concat([Squares(4), Squares(5)])):
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(every_label(copy), every_label(source))
    assert copy.info == source.info


def test_ill_made_sources_are_errors():
  with pytest.raises(ConfigError, match='one length'):
    Arrays({'image': np.zeros((3, 8, 8, 1)), 'label': np.zeros(4)})
  with pytest.raises(ConfigError):
    Arrays({})
  with pytest.raises(ConfigError, match='same classes'):
    concat([Arrays({'label': np.zeros(1)}, Info(('a',))), Arrays({'label': np.zeros(1)})])
  with pytest.raises(ConfigError, match='same entries'):
    concat([Arrays({'image': np.zeros((1, 8, 8, 1))}), Arrays({'image': np.zeros((1, 9, 9, 1))})])


# --- digits ---


def test_digits_are_sklearns():
  datasets = pytest.importorskip('sklearn.datasets')
  theirs = datasets.load_digits()
  ours = open_split(digits, 'train+test')
  assert len(ours) == 1797 and ours.info.classes == tuple('0123456789')
  assert ours.arrays['image'].dtype == np.uint8 and ours.arrays['label'].dtype == np.int32

  def rows(images, labels):
    return sorted(tuple(image.ravel().tolist()) + (int(label),)
                  for image, label in zip(images, labels, strict=True))
  sixteenths = np.rint(ours.arrays['image'] / 255 * 16).astype(int)
  assert rows(sixteenths, ours.arrays['label']) == rows(theirs.images.astype(int), theirs.target)
  assert ours.arrays['image'].max() == 255


@pytest.mark.parametrize('fraction', [.2, .5])
def test_digits_split_is_stratified(fraction):
  pytest.importorskip('sklearn')
  train, test = (np.bincount(digits(split, test_fraction=fraction).arrays['label'])
                 for split in ('train', 'test'))
  assert train.sum() + test.sum() == 1797
  assert np.all(abs(test - fraction * (train + test)) <= 1)


def test_digits_errors(monkeypatch):
  with pytest.raises(ConfigError, match='train, test.*did you mean "test"'):
    digits('tests')
  with pytest.raises(ConfigError, match='test_fraction'):
    digits('train', test_fraction=1.)
  monkeypatch.setattr('visionlab.data.sources.digits.find_spec', lambda name: None)
  with pytest.raises(ConfigError, match='pip install scikit-learn'):
    digits('train')


# --- arrays ---

X, Y = RNG.integers(0, 256, (6, 4, 5, 3), np.uint8), np.array([0, 1, 2, 2, 1, 0])


@pytest.mark.parametrize('image, label', [
    ('x_train', 'y_train'), ('train_x', 'train_y'), ('train_image', 'train_label'),
    ('train_images', 'train_labels'), ('train/image', 'train/label'), ('image', 'label'),
    ('X', 'y'), ('images', 'targets'), ('X_train', 'Y_train')])
def test_usual_spellings(tmp_path, image, label):
  np.savez(tmp_path / 'a.npz', **{image: X, label: Y})
  source = arrays('train', root=str(tmp_path), path='a.npz')
  assert set(source.arrays) == {'image', 'label'}
  np.testing.assert_array_equal(source.arrays['image'], X)
  np.testing.assert_array_equal(source.arrays['label'], Y)
  assert source.arrays['label'].dtype == np.int32
  assert source.info.classes == ('0', '1', '2')


def test_arrays_shapes_and_types(tmp_path):
  path = str(tmp_path / 'a.npz')
  np.savez_compressed(
      path, x_train=X[..., 0], y_train=Y[:, None], weight_train=np.ones(6), mean=np.zeros(3),
      x_val=X.astype(np.int64), y_val=Y + 1, x_more=X / 255, y_more=np.linspace(0, 1, 6))
  train, val, more = (arrays(split, path=path) for split in ('train', 'val', 'more'))
  assert train.arrays['image'].shape == (6, 4, 5, 1) and train.arrays['label'].shape == (6,)
  assert set(train.arrays) == {'image', 'label', 'weight'}
  assert val.arrays['image'].dtype == np.uint8
  assert train.info.classes == val.info.classes == ('0', '1', '2', '3')
  assert more.arrays['image'].dtype == more.arrays['target'].dtype == np.float32
  assert 'label' not in more.arrays
  assert arrays('val', path=path, classes=tuple('wxyz')).info.classes == tuple('wxyz')


@pytest.mark.parametrize('form', [np.array, lambda x: np.array(x)[:, None],
                                  lambda x: np.char.encode(np.array(x), 'utf-8')])
def test_labels_that_are_names(tmp_path, form):
  path = str(tmp_path / 'a.npz')
  np.savez(path, x_train=X, y_train=form(['dog', 'cat', 'dog', 'émeu', 'cat', 'cat']),
           x_test=X[:2], y_test=form(['zebra', 'dog']))
  train, test = (arrays(split, path=path) for split in ('train', 'test'))
  assert train.info.classes == test.info.classes == ('cat', 'dog', 'zebra', 'émeu')
  assert train.arrays['label'].tolist() == [1, 0, 1, 3, 0, 0]
  assert test.arrays['label'].tolist() == [2, 1] and test.arrays['label'].dtype == np.int32
  own = arrays('test', path=path, classes=('zebra', 'émeu', 'dog', 'cat'))
  assert own.arrays['label'].tolist() == [0, 2] and own.info.classes[0] == 'zebra'


def test_names_of_labels_that_no_class_has(tmp_path):
  path = str(tmp_path / 'a.npz')
  np.savez(path, image=X, label=np.array(['cat', 'dgo'] * 3))
  with pytest.raises(ConfigError, match=r"a.npz: the label 'dgo' is none of the 2 classes, cat, "
                                        r'dog \(did you mean "dog"\?\)'):
    arrays('train', path=path, classes=('cat', 'dog'))
  np.savez(path, x_train=X, y_train=np.array(['cat'] * 6), x_test=X, y_test=Y)
  with pytest.raises(ConfigError, match='labels of train are names, of test numbers'):
    arrays('train', path=path)


def test_numbers_that_are_text_sort_by_value(tmp_path):
  np.savez(tmp_path / 'a.npz', image=X, label=np.array(['10', '9', '10', '2', '9', '2']))
  source = arrays('train', root=str(tmp_path), path='a.npz')
  assert source.info.classes == ('2', '9', '10')
  assert source.arrays['label'].tolist() == [2, 1, 2, 0, 1, 0]
  named = arrays('train', root=str(tmp_path), path='a.npz', classes=tuple('abcdefghijk'))
  assert named.arrays['label'].tolist() == [10, 9, 10, 2, 9, 2]          # their numbers


def test_label_maps(tmp_path):
  path = str(tmp_path / 'a.npz')
  maps = RNG.integers(0, 4, (6, 4, 5), np.uint8)
  np.savez(path, x_train=X, y_train=maps)
  source = arrays('train', path=path, ignore=3)
  assert source.info == Info(map_classes=('0', '1', '2'))
  np.testing.assert_array_equal(source.arrays['label_map'], np.where(maps == 3, 255, maps))
  assert len(arrays('train', path=path).info.map_classes) == 4
  named = arrays('train', path=path, ignore=3, classes=tuple('xyz'))
  assert named.info == Info(map_classes=tuple('xyz'))
  with pytest.raises(ConfigError, match='labels go up to 3, .* for 3 classes only'):
    arrays('train', path=path, classes=tuple('xyz'))


def test_arrays_errors(tmp_path):
  path = str(tmp_path / 'a.npz')

  def fails(match, split='train', **content):
    np.savez(path, **content)
    with pytest.raises(ConfigError, match=match):
      arrays(split, path=path)
  fails('foo, spam; expected x_train', foo=X, spam=Y)
  fails('no split "tests"; there are train, test.*did you mean "test"', 'tests', x_train=X,
        x_test=X)
  fails('0..255', image=X.astype(int) * 300)
  fails('0..255', image=X / 2)
  fails(r'\(n h w c\)', image=Y)
  fails('labels start at 0', image=X, label=Y - 1)
  fails('one length', image=X, label=Y[:3])
  fails('both the label', image=X, label=Y, y=Y)
  fails('plain arrays', image=X, label=np.array([{}] * 6, object))
  with pytest.raises(ConfigError, match='2 classes only'):
    np.savez(path, image=X, label=Y)
    arrays('train', path=path, classes=('a', 'b'))
  with pytest.raises(ConfigError, match='is none'):
    arrays('train', root=str(tmp_path), path='b.npz')
  content = (tmp_path / 'a.npz').read_bytes()
  array = io.BytesIO()
  np.save(array, X)
  for damaged in (b'', b'nonsense', array.getvalue(), content[:len(content) // 2]):
    (tmp_path / 'a.npz').write_bytes(damaged)
    with pytest.raises(ConfigError, match='a.npz is not a readable'):
      arrays('train', path=path)


def test_real_npz_files(shared_data):
  root = str(shared_data)
  train = arrays('train', root=root, path='mnist.npz')
  assert train.arrays['image'].shape == (60000, 28, 28, 1)
  # LeCun's training set by digit.
  assert np.bincount(train.arrays['label']).tolist() == [
      5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
  np.testing.assert_array_equal(mnist('train', root=root).arrays['image'],
                                train.arrays['image'])
  roads = arrays('val', root=root, path='camvid_144x192.npz', ignore=11)
  maps = roads.arrays['label_map']
  assert maps.shape == (101, 144, 192) and len(roads.info.map_classes) == 11
  assert np.isin(maps, (*range(11), 255)).all() and (maps == 255).sum() == 47356
  # Sky (0) is above road (3), and road, in front of the camera, below everything else.
  height = [np.argwhere(maps == c)[:, 1].mean() for c in range(11)]
  assert np.argmin(height) == 0 and np.argmax(height) == 3


# --- MNIST's idx files ---


def write_idx(path, values):
  content = struct.pack(f'>HBB{values.ndim}I', 0, 8, values.ndim, *values.shape)
  content += values.tobytes()
  path.write_bytes(gzip.compress(content) if path.suffix == '.gz' else content)


@pytest.mark.parametrize('pattern', ['{}-{}-idx{}-ubyte', '{}-{}.idx{}-ubyte',
                                     '{}-{}-idx{}-ubyte.gz'])
def test_idx_files(tmp_path, pattern):
  for prefix, part in (('train', slice(0, 4)), ('t10k', slice(4, 6))):
    write_idx(tmp_path / pattern.format(prefix, 'images', 3), X[part, ..., 0])
    write_idx(tmp_path / pattern.format(prefix, 'labels', 1), Y[part].astype(np.uint8))
  train, test = mnist('train', root=str(tmp_path)), fashion_mnist('test', root=str(tmp_path))
  np.testing.assert_array_equal(train.arrays['image'], X[:4, ..., :1])
  np.testing.assert_array_equal(test.arrays['label'], Y[4:])
  assert train.info.classes[7] == '7' and test.info.classes[7] == 'Sneaker'


def test_idx_errors(tmp_path):
  images, labels = (tmp_path / f'train-{kind}-ubyte' for kind in ('images-idx3', 'labels-idx1'))
  root = str(tmp_path)
  with pytest.raises(ConfigError, match='lacks train-images-idx3-ubyte'):
    mnist('train', root=root)
  write_idx(images, X[..., 0])
  write_idx(labels, Y[:5].astype(np.uint8))
  with pytest.raises(ConfigError, match='6 images but 5 labels'):
    mnist('train', root=root)
  write_idx(labels, Y.astype(np.uint8) + 20)
  with pytest.raises(ConfigError, match='10 classes only'):
    mnist('train', root=root)
  images.write_bytes(images.read_bytes()[:-1])
  with pytest.raises(ConfigError, match='promises 120 bytes'):
    mnist('train', root=root)
  write_idx(images, Y.astype(np.uint8))
  with pytest.raises(ConfigError, match='not an idx file of 3'):
    mnist('train', root=root)
  images.unlink()
  zipped = tmp_path / 'train-images-idx3-ubyte.gz'
  write_idx(zipped, X[..., 0])
  for damaged in (zipped.read_bytes()[:-20], b'no gzip'):
    zipped.write_bytes(damaged)
    with pytest.raises(ConfigError, match='cannot be read'):
      mnist('train', root=root)
  for root, match in (('', 'root must name'), (str(zipped), 'is a file'), ('/no', 'not exist')):
    with pytest.raises(ConfigError, match=match):
      mnist('train', root=root)


# --- CIFAR's original files ---

PLANES = RNG.integers(0, 256, (6, 3, 32, 32), np.uint8)
FINE, COARSE = np.array([9, 0, 3, 3, 7, 1], np.uint8), np.array([4, 1, 0, 2, 3, 5], np.uint8)
FINE_NAMES = [f'fine{i}' for i in range(100)]


def python2_pickle(entries):
  """The bytes that Python 2's cPickle wrote: byte strings throughout, and numpy.core by name."""
  def text(value):
    return b'U' + bytes([len(value)]) + value.encode()

  def number(value):
    return b'K' + bytes([value])

  result = b'\x80\x02}('
  for key, value in entries.items():
    result += text(key)
    if isinstance(value, np.ndarray):
      rows, columns = value.shape
      result += (b'cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n' + number(0) + b'\x85'
                 + text('b') + b'\x87R(' + number(1)
                 + b'J' + struct.pack('<i', rows) + b'J' + struct.pack('<i', columns) + b'\x86'
                 + b'cnumpy\ndtype\n' + text('u1') + number(0) + number(1) + b'\x87R('
                 + number(3) + text('|') + b'NNN' + b'J\xff\xff\xff\xff' * 2 + number(0) + b'tb'
                 + b'\x89T' + struct.pack('<i', value.size) + value.tobytes() + b'tb')
    else:
      items = [text(v) if isinstance(v, str) else number(int(v)) for v in value]
      result += b'](' + b''.join(items) + b'e'
  return result + b'u.'


def cifar_files(base, kind):
  """The six training and test files of CIFAR as {name: content}, one image per batch."""
  ten = base == 'cifar-10'
  stems = [f'data_batch_{i}' for i in range(1, 6)] + ['test_batch'] if ten else ['train', 'test']
  rows = [[i] for i in range(6)] if ten else [[0, 1, 2, 3, 4], [5]]
  files = {}
  for stem, row in zip(stems, rows, strict=True):
    if kind == 'binary':
      columns = [FINE[row, None]] if ten else [COARSE[row, None], FINE[row, None]]
      content = np.concatenate([*columns, PLANES[row].reshape(len(row), -1)], 1).tobytes()
      files[f'{stem}.bin'] = content
    else:
      fine, coarse = FINE[row].tolist(), COARSE[row].tolist()
      labels = {'labels': fine} if ten else {'fine_labels': fine, 'coarse_labels': coarse}
      files[stem] = python2_pickle({**labels, 'data': PLANES[row].reshape(len(row), -1),
                                    'filenames': ['a.png'] * len(row)})
  if not ten:
    names = {'fine_label_names': FINE_NAMES}
    files |= ({'fine_label_names.txt': '\n'.join(FINE_NAMES).encode()} if kind == 'binary'
              else {'meta': python2_pickle(names)})
  return files


FOLDERS = {('cifar-10', 'binary'): 'cifar-10-batches-bin',
           ('cifar-10', 'python'): 'cifar-10-batches-py',
           ('cifar-100', 'binary'): 'cifar-100-binary',
           ('cifar-100', 'python'): 'cifar-100-python'}


@pytest.mark.parametrize('place', ['files', 'folder', 'archive'])
@pytest.mark.parametrize('kind', ['binary', 'python'])
@pytest.mark.parametrize('base', ['cifar-10', 'cifar-100'])
def test_cifar_files(tmp_path, base, kind, place):
  inner = FOLDERS[base, kind]
  folder = tmp_path / inner if place == 'folder' else tmp_path
  folder.mkdir(exist_ok=True)
  if place == 'archive':
    with tarfile.open(tmp_path / f'{base}-{kind}.tar.gz', 'w:gz') as tar:
      for name, content in cifar_files(base, kind).items():
        member = tarfile.TarInfo(f'{inner}/{name}')
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
  else:
    for name, content in cifar_files(base, kind).items():
      (folder / name).write_bytes(content)
  read = cifar10 if base == 'cifar-10' else cifar100
  train, test = read('train', root=str(tmp_path)), read('test', root=str(tmp_path))
  np.testing.assert_array_equal(train.arrays['image'], np.moveaxis(PLANES, 1, 3)[:5])
  np.testing.assert_array_equal(test.arrays['image'], np.moveaxis(PLANES, 1, 3)[5:])
  np.testing.assert_array_equal(train.arrays['label'], FINE[:5])
  assert train.arrays['label'].dtype == np.int32
  if base == 'cifar-100':
    np.testing.assert_array_equal(test.arrays['coarse_label'], COARSE[5:])
  assert train.info.classes == (CIFAR10 if base == 'cifar-10' else tuple(FINE_NAMES))


def test_cifar_errors(tmp_path):
  root, bad = str(tmp_path), tmp_path / 'test_batch.bin'
  with pytest.raises(ConfigError, match='cifar-10-binary.tar.gz'):
    cifar10('test', root=root)
  bad.write_bytes(bytes(3073 * 2 - 1))
  with pytest.raises(ConfigError, match='test_batch.bin is damaged'):
    cifar10('test', root=root)
  bad.unlink()
  archive = tmp_path / 'cifar-10-binary.tar.gz'
  with tarfile.open(archive, 'w:gz') as tar:
    member = tarfile.TarInfo('cifar-10-batches-bin/test_batch.bin')
    member.size = 3073 * 50
    tar.addfile(member, io.BytesIO(RNG.bytes(member.size)))
  with pytest.raises(ConfigError, match='lacks data_batch_1.bin'):
    cifar10('train', root=root)
  archive.write_bytes(archive.read_bytes()[:5000])
  with pytest.raises(ConfigError, match='truncated'):
    cifar10('test', root=root)


def test_pickles_cannot_run_code(tmp_path):
  class Harmful:
    def __reduce__(self):
      return os.mkdir, (str(tmp_path / 'harm'),)
  for content in (pickle.dumps({'data': Harmful()}), python2_pickle({'data': PLANES[:, 0, 0]})[:40],
                  pickle.dumps([1]), b''):
    (tmp_path / 'test_batch').write_bytes(content)
    with pytest.raises(ConfigError, match='test_batch is not a pickled batch'):
      cifar10('test', root=str(tmp_path))
  assert not (tmp_path / 'harm').exists()
  (tmp_path / 'test_batch').write_bytes(python2_pickle({'labels': [1, 2]}))
  with pytest.raises(ConfigError, match="is not a pickled batch.*'data'"):
    cifar10('test', root=str(tmp_path))


@pytest.mark.parametrize('label, found', [(10, 'from 0 to 10; expected 0 to 9'), (255, 'to 255')])
def test_cifar_labels_that_no_class_has(tmp_path, label, found):
  (tmp_path / 'test_batch.bin').write_bytes(b''.join(bytes([v]) + bytes(3072) for v in (0, label)))
  with pytest.raises(ConfigError, match=f'test_batch.bin is damaged: label goes .*{found}'):
    cifar10('test', root=str(tmp_path))
  (tmp_path / 'test_batch.bin').unlink()
  for labels in ([0, label], [0, -1], [0, 1.5], ['a', 'b'], [0], 3):
    (tmp_path / 'test_batch').write_bytes(pickle.dumps(
        {'labels': labels, 'data': np.zeros((2, 3072), np.uint8)}, protocol=2))
    with pytest.raises(ConfigError, match='test_batch is damaged'):
      cifar10('test', root=str(tmp_path))


@pytest.mark.parametrize('names, message', [
    (b'caf\xe9\n' * 100, 'fine_label_names.txt: line 1 is not UTF-8'),
    (b'\xef\xbb\xbfcat\ndog\n', '2 names of classes; expected 100')])
def test_cifar_names_of_classes(tmp_path, names, message):
  (tmp_path / 'test.bin').write_bytes(bytes(2 + 3072))
  (tmp_path / 'fine_label_names.txt').write_bytes(names)
  with pytest.raises(ConfigError, match=message):
    cifar100('test', root=str(tmp_path))
  (tmp_path / 'fine_label_names.txt').write_text('\ufeff' + ' '.join(f'n{i}' for i in range(100)))
  assert cifar100('test', root=str(tmp_path)).info.classes[:2] == ('n0', 'n1')


@pytest.mark.parametrize('label, message', [
    (np.array([0, 2**32 + 1]), 'y_train: labels are numbers of classes, but the largest is 429496'),
    (np.array([0, 2_000_000]), 'labels go up to 2000000; expected the numbers 0, 1')])
def test_labels_that_are_no_numbers_of_classes(tmp_path, label, message):
  np.savez(tmp_path / 'a.npz', x_train=np.zeros((2, 4, 4), np.uint8), y_train=label)
  with pytest.raises(ConfigError, match=message):
    arrays('train', path=str(tmp_path / 'a.npz'))


def test_damaged_archives_end_in_an_error_for_the_user(tmp_path):
  np.savez_compressed(tmp_path / 'a.npz', image=np.zeros((3, 8, 8), np.uint8), label=np.arange(3))
  content = (tmp_path / 'a.npz').read_bytes()
  for at in range(0, len(content), 3):
    damaged = bytearray(content)
    damaged[at] ^= 0xff
    (tmp_path / 'a.npz').write_bytes(damaged)
    try:
      assert len(arrays('train', path=str(tmp_path / 'a.npz'))) == 3
    except ConfigError as error:
      assert 'a.npz' in str(error)          # other bytes, such as of dates, mean nothing here
