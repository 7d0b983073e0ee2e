"""Tar shards as webdataset writes them, read at random."""

import gzip
import io
import json
import pickle
import tarfile

import numpy as np
import pytest
from absl import logging
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.balance import class_counts
from visionlab.data.pipeline import open_sources
from visionlab.data.source import UnknownSplit
from visionlab.data.sources.tar_shards import Shard, braces, shard_files, splits_there
from visionlab.data.sources.webdataset import webdataset

NAMES = ('cat', 'dog')


def png(shade):
  file = io.BytesIO()
  Image.new('RGB', (6, 4), (shade,) * 3).save(file, 'PNG')
  return file.getvalue()


def shard(path, samples, form=tarfile.GNU_FORMAT):
  """A tar file of samples (key, {suffix: bytes})."""
  path.parent.mkdir(parents=True, exist_ok=True)
  with tarfile.open(path, 'w', format=form) as tar:
    for key, members in samples:
      for kind, content in members.items():
        info = tarfile.TarInfo(f'{key}.{kind}')
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))


def sample(i, **more):
  said = json.dumps(dict(label=NAMES[i % 2], age=i / 2)).encode()
  return f'{i:04}', dict(png=png(10 * i), cls=str(i % 3).encode(), json=said) | more


@pytest.fixture
def root(tmp_path):
  """Seven images in three shards, and three in one."""
  for n, keys in enumerate(((1, 2, 3), (4, 5, 6), (7,))):
    shard(tmp_path / f'train-{n:03}.tar', map(sample, keys))
  shard(tmp_path / 'test-000.tar', map(sample, (8, 9, 10)))
  return tmp_path


@pytest.fixture
def warned(monkeypatch):
  said = []
  monkeypatch.setattr(logging, 'warning', lambda text, *args: said.append(text % args))
  return said


def opened(root, split='train', **options):
  return webdataset(split, root=str(root), size=4, **options)


def seen(source):
  """(shade, class) of each example."""
  batch = source[np.arange(len(source))]
  return [(int(image[0, 0, 0]), source.info.classes[label])
          for image, label in zip(batch['image'], batch['label'], strict=True)]


CLS = [(10 * i, str(i % 3)) for i in range(1, 8)]
JSON = [(10 * i, NAMES[i % 2]) for i in range(1, 8)]


def test_samples_in_the_order_of_shards(root):
  source = opened(root)
  assert seen(source) == CLS and class_counts(source) == (2, 3, 2)
  assert source.files[3] == b'train-001.tar/0004.png'
  assert seen(opened(root, 'test')) == [(80, '2'), (90, '0'), (100, '1')]


def test_any_order_and_other_processes(root):
  source = opened(root)
  again = pickle.loads(pickle.dumps(source))
  order = np.array([6, 0, 3, 0])
  assert again[order]['image'][:, 0, 0, 0].tolist() == [70, 10, 40, 10]
  np.testing.assert_array_equal(again[order]['label'], source[order]['label'])
  (root / 'train-001.tar').unlink()                       # images are read when they are asked for
  assert source[np.array([3, 0])]['valid'].tolist() == [False, True]


def test_a_config_names_it_and_slices_it(root):
  data = dict(name='webdataset', root=str(root), size=4)
  parts = [seen(open_sources(data, split)) for split in ('train[:50%]', 'train[50%:]')]
  assert sorted(parts[0] + parts[1]) == CLS and len(parts[0]) == 4


@pytest.mark.parametrize('form', [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_kinds_of_tar_and_long_names(tmp_path, form):
  key = 'a/' * 20 + 'é' * 30 + '_x'
  shard(tmp_path / 'train-0.tar', [(f'./{key}', sample(5)[1]), sample(6)], form)
  assert seen(opened(tmp_path)) == [(50, '2'), (60, '0')]
  assert opened(tmp_path).files[0].decode() == f'train-0.tar/{key}.png'


# --- what the members say ---


def test_labels_of_json_and_of_text(root):
  assert seen(opened(root, label_member='json')) == JSON
  assert seen(opened(root, label_member='json', label_key='label')) == JSON
  shard(root / 'words-0.tar', [('a', dict(jpg=png(10), txt='émeu\n'.encode())),
                               ('b', dict(jpg=png(20), txt=b'cat'))])
  assert seen(opened(root, 'words')) == [(10, 'émeu'), (20, 'cat')]


def test_numbers_of_json_are_predicted(root):
  batch = opened(root, 'test', target_keys=('age',))[np.arange(3)]
  assert batch['target'].tolist() == [[4], [4.5], [5]] and 'label' not in batch


def test_classes_are_those_of_all_splits_or_those_that_are_given(root):
  shard(root / 'val-0.tar', [('a', dict(png=png(5), cls=b'7'))])
  assert opened(root).info.classes == opened(root, 'val').info.classes == ('0', '1', '2', '7')
  given = opened(root, 'test', classes=('x', 'y', 'z'))
  assert given.info.classes == ('x', 'y', 'z') and given.labels.tolist() == [2, 0, 1]
  with pytest.raises(ConfigError, match="the label '7' is none of the 3 classes"):
    opened(root, 'val', classes=('x', 'y', 'z'))


def test_images_with_another_beside(tmp_path):
  shard(tmp_path / 'train-0.tar', [sample(5, **{'seg.png': png(200)})])
  assert seen(opened(tmp_path)) == [(50, '2')]
  assert seen(opened(tmp_path, image_member='seg.png')) == [(200, '2')]
  shard(tmp_path / 'train-0.tar', [sample(5, jpg=png(200))])
  with pytest.raises(ConfigError, match=r'2 members are images, .png, .jpg; image_member names'):
    opened(tmp_path)
  assert seen(opened(tmp_path, image_member='jpg')) == [(200, '2')]


def test_what_systems_put_there_is_left_out(tmp_path, warned):
  shard(tmp_path / 'train-0.tar', [('__meta__', dict(json=b'{}')), ('._0001', dict(png=b'x')),
                                   sample(1), ('', dict(hidden=b''))])
  assert seen(opened(tmp_path)) == [(10, '1')] and not warned


# --- patterns ---


@pytest.mark.parametrize('pattern, count', [
    ('train-{000..001}.tar', 6), ('train-*.tar', 7), ('{split}-00[12].tar', 4), ('*.tar', 10),
    ('{train-000,test-000}.tar', 6), ('train-{002,000}.tar', 4)])
def test_shards_by_a_pattern(root, pattern, count):
  assert len(opened(root, path=pattern)) == count


def test_order_of_a_pattern(root):
  assert [shade for shade, _ in seen(opened(root, path='train-{002,000}.tar'))] == [70, 10, 20, 30]


@pytest.mark.parametrize('pattern, named', [
    ('a', ['a']), ('{x}', ['{x}']), ('a{9..11}b', ['a9b', 'a10b', 'a11b']),
    ('{00..02}{,-x}', ['00', '00-x', '01', '01-x', '02', '02-x'])])
def test_braces(pattern, named):
  assert list(braces(pattern)) == named


def test_splits_that_there_are(root):
  assert splits_there(root, '{split}*.tar') == splits_there(root, '{split}-{000..002}.tar') == [
      'test', 'train']
  shard(root / 'deep/val/000.tar', [sample(1)])
  assert splits_there(root, 'deep/{split}/*.tar') == ['val']
  assert shard_files(root, 'deep/{split}/{000..000}.tar', 'val') == [root / 'deep/val/000.tar']


@pytest.mark.parametrize('split, path, said', [
    ('val', '{split}*.tar', 'no split "val"; there are test, train'),
    ('test', 'train-*.tar', 'no split "test"; there are train')])
def test_no_such_split(root, split, path, said):
  with pytest.raises(UnknownSplit, match=said):
    opened(root, split, path=path)


@pytest.mark.parametrize('path, said', [
    ('train-{000..003}.tar', r'no file .*train-003.tar, which .*names'),
    ('x.tar', 'no file .*x.tar; the option path names the shards; .* holds test-000.tar, train'),
    ('{split}/*.tar', 'no file')])
def test_no_such_files(root, path, said):
  with pytest.raises(ConfigError, match=said):
    opened(root, path=path)


# --- what is broken ---


@pytest.mark.parametrize('members, said', [
    (dict(cls=b'1'), r'0004: no member .jpg or the like is its image; it has .cls'),
    (dict(png=png(4)), r'0004: no member .cls says its label; it has .png'),
    (dict(png=png(4), cls=b'\xff'), '0004: .utf-8'),
])
def test_samples_that_lack_something_are_named(root, members, said, warned):
  shard(root / 'train-003.tar', [('0004', members), sample(9)])
  assert seen(opened(root)) == [*CLS, (90, '0')]
  assert '1 images that lack what is needed' in warned[0] and 'train-003.tar, ' in warned[0]
  with pytest.raises(ConfigError, match=f'train-003.tar, {said}'):
    opened(root, on_broken='stop')


@pytest.mark.parametrize('content, said', [
    (b'{', 'it is no JSON'), (b'[1]', r'it is no object but \[1\]'),
    (b'{"age": 1}', 'its json has no "label", only age; label_key')])
def test_json_that_says_nothing(root, content, said):
  shard(root / 'one-0.tar', [('a', dict(png=png(4), json=content))])
  with pytest.raises(ConfigError, match=f'all 1 images are left out; .*one-0.tar, a: {said}'):
    opened(root, 'one', classes=('x',))


def test_an_image_that_cannot_be_decoded(root, warned):
  shard(root / 'one-0.tar', [sample(1), sample(2, png=b'no image')])
  assert opened(root, 'one')[np.arange(2)]['valid'].tolist() == [True, False]
  assert 'one-0.tar/0002.png is left out, it cannot be decoded' in warned[0]
  with pytest.raises(ConfigError, match='one-0.tar/0002.png cannot be read as an image'):
    opened(root, 'one', on_broken='stop')[np.array([1])]


def test_a_shard_that_is_cut_off(root, warned):
  path = root / 'train-001.tar'
  content = path.read_bytes()
  whole = Shard.of(path)
  second = whole.samples[1].members
  # Within the bytes of a member; in front of a header; behind the last member.
  for end, left in ((second['png'].offset + 9, 1), (second['cls'].offset - 512, 1),
                    (whole.samples[2].members['json'].offset + 512, 3)):
    path.write_bytes(content[:end])
    assert len(opened(root)) == 4 + left
    assert 'train-001.tar: ' in warned[-1] and 'what follows is lost' in warned[-1]
    with pytest.raises(ConfigError, match='train-001.tar: '):
      opened(root, on_broken='stop')


def test_a_header_that_is_damaged(root, warned):
  path = root / 'train-001.tar'
  content = bytearray(path.read_bytes())
  at = Shard.of(path).samples[1].members['png'].offset - 512
  content[at + 150] ^= 1                                     # of its sum
  path.write_bytes(content)
  assert [shade for shade, _ in seen(opened(root))] == [10, 20, 30, 40, 70]
  assert f'the header at byte {at} is damaged; what follows is lost' in warned[0]


@pytest.mark.parametrize('content, said', [
    (b'', 'no tar file: it is empty'), (b'x' * 2000, 'no tar file'),
    (gzip.compress(b'x' * 2000, mtime=0),
     'it is compressed, and cannot be read at random; unpack it')])
def test_files_that_are_no_tar(root, content, said):
  (root / 'train-001.tar').write_bytes(content)
  with pytest.raises(ConfigError, match=f'train-001.tar is {said}|{said}'):
    opened(root)


def test_empty_shards(root):
  shard(root / 'none-0.tar', [])
  with pytest.raises(ConfigError, match='the shards of "none" are empty'):
    opened(root, 'none')


def test_damaged_shards_end_in_an_error_for_the_user(root, warned):
  path = root / 'one-0.tar'
  shard(path, [sample(1), sample(2)])
  content, rng = path.read_bytes(), np.random.default_rng(0)
  for at in rng.choice(3 * 1024, 60, replace=False):
    damaged = bytearray(content)
    damaged[at] ^= rng.integers(1, 256)
    path.write_bytes(damaged)
    try:
      source = opened(root, 'one')
      assert source[np.arange(len(source))]['image'].shape[1:] == (4, 4, 3)
    except ConfigError as error:
      assert 'one-0.tar' in str(error) or 'one' in str(error)
