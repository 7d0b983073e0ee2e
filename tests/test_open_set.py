"""Sources for verification: people who are held out, and lists of pairs as LFW has them."""

import numpy as np
import pytest
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.pipeline import open_sources
from visionlab.data.sources.face_pairs import face_pairs
from visionlab.data.sources.open_set import open_set
from visionlab.data.sources.partners import next_of_same, partners


def test_nobody_is_on_both_sides():
  train, test = (open_set(split, of=dict(name='digits'), held_out=.3) for split in
                 ('train', 'test'))
  people = [set(np.unique(part.arrays['label']).tolist()) for part in (train, test)]
  assert not people[0] & people[1] and len(people[1]) == 3 and len(people[0] | people[1]) == 10
  assert len(train) + len(test) == len(open_sources(dict(name='digits'), 'train'))
  other = open_set('test', of=dict(name='digits'), held_out=.3, seed=1)
  assert set(np.unique(other.arrays['label']).tolist()) != people[1]
  with pytest.raises(ConfigError, match='one label an image'):
    open_set('train', of=dict(name='scenes', size=16))
  with pytest.raises(ConfigError, match='held_out must lie'):
    open_set('train', of=dict(name='digits'), held_out=1.)
  with pytest.raises(ConfigError, match='no split "val"'):
    open_set('val', of=dict(name='digits'))


def test_everybody_has_a_partner(caplog):
  assert [x.tolist() if i == 0 else x for i, x in enumerate(next_of_same(
      np.array([3, 1, 3, 3, 2, 1])))] == [[2, 5, 3, 0, 4, 1], 1]
  source = partners('train', of=dict(name='digits'))
  labels = source.arrays['label']
  partner, alone = next_of_same(labels)
  assert (labels[partner] == labels).all() and (partner != np.arange(len(labels))).all()
  assert alone == 0 and np.array_equal(source.arrays['other'], source.arrays['image'][partner])
  assert sorted(partner) == list(range(len(labels)))
  with pytest.raises(ConfigError, match='one label an image'):
    partners('train', of=dict(name='scenes', size=16))


def test_people_with_one_picture(caplog, tmp_path):
  folder = dict(name='folder', size=8, channels=1)
  lonely = tmp_path / 'people'
  for name, count in (('Ann', 1), ('Bo', 2)):
    (lonely / name).mkdir(parents=True)
    for i in range(count):
      Image.new('L', (9, 9), 30 * i).save(lonely / name / f'{i}.png')
  source = partners('train', of=folder, root=str(lonely))
  assert '1 of 2 people have one photograph' in caplog.text
  found = source[np.array([0, 1])]
  assert found['image'].shape == found['other'].shape == (2, 8, 8, 1)
  assert found['other'][:, 4, 4, 0].tolist() == [0, 30]
  (lonely / 'Bo' / '1.png').unlink()
  with pytest.raises(ConfigError, match='people with two photographs, and all 2 have one'):
    partners('train', of=folder, root=str(lonely))


@pytest.fixture(scope='module')
def people(tmp_path_factory):
  """Three people with three photographs each, of one grey level each."""
  top = tmp_path_factory.mktemp('lfw')
  for p, name in enumerate(('Ann_Lee', 'Bo', 'Cy Day')):
    (top / name).mkdir()
    for i in range(1, 4):
      suffix = 'png' if name == 'Bo' else 'jpg'
      Image.new('L', (20, 24), 40 * p + 10 * i).save(top / name / f'{name}_{i:04}.{suffix}',
                                                     quality=100)
  return top


def pairs(top, text, **options):
  (top / 'list.txt').write_text(text)
  return face_pairs('test', root=str(top), pairs='list.txt', size=8, channels=1, **options).arrays


def test_a_list_of_folds(people):
  found = pairs(people, '2\t1\nAnn_Lee\t1\t2\nAnn_Lee\t1\tBo\t3\nCy Day\t2\t3\nBo\t1\tCy Day\t1\n')
  assert found['same'].tolist() == [True, False, True, False]
  assert found['fold'].tolist() == [0, 0, 1, 1]
  levels = [found[k][:, 4, 4, 0].tolist() for k in ('image', 'other')]
  np.testing.assert_allclose(levels, [[10, 10, 100, 50], [20, 70, 110, 90]], atol=1)
  assert found['image'].shape == (4, 8, 8, 1)


def test_a_plain_list(people):
  found = pairs(people, 'Ann_Lee 1 3\n\nBo 2 Ann_Lee 2\n')
  assert found['same'].tolist() == [True, False] and 'fold' not in found
  one = pairs(people, '1\nAnn_Lee 1 3\nBo 2 Ann_Lee 2\n')            # LFW's development lists
  assert one['same'].tolist() == [True, False] and 'fold' not in one


@pytest.mark.parametrize('text, message', [
  ('Ann_Lee 1\n', 'line 1: expected "person 1 2"'), ('', 'lists no pairs'),
  ('Ann_Lee 1 2\nAnn_Le 1 2\n', r'line 2: there is no folder .*did you mean "Ann_Lee"'),
  ('Ann_Lee 1 9\n', r'line 1: there is no photograph .*Ann_Lee_0009\.'),
  ('3 1\nAnn_Lee 1 2\n', '3 folds of 1 pairs of one person and 1 of two, 6 in all, and there are '),
])
def test_lists_that_are_none(people, text, message):
  with pytest.raises(ConfigError, match=message):
    pairs(people, text)


def test_what_is_missing(people, tmp_path):
  with pytest.raises(ConfigError, match='nothing.txt does not exist'):
    face_pairs('test', root=str(people), pairs='nothing.txt')
  (tmp_path / 'A').mkdir()
  (tmp_path / 'A' / 'A_0001.jpg').write_bytes(b'no image')
  (tmp_path / 'pairs.txt').write_text('A 1 1\n')
  with pytest.raises(ConfigError, match=r'A_0001\.jpg cannot be read'):
    face_pairs('test', root=str(tmp_path))


@pytest.mark.parametrize('form', ['{a} {b} {same}', '{same}\t{a}\t{b}', '{a},{b},{same}'])
def test_pairs_of_files(people, form):
  files = [('Ann_Lee/Ann_Lee_0001.jpg', 'Ann_Lee/Ann_Lee_0002.jpg', 1),
           ('Bo\\Bo_0001.png', 'Ann_Lee/Ann_Lee_0003.jpg', 0)]
  head = 'first,second,same\n' if ',' in form else ''
  found = pairs(people, head + '\n'.join(form.format(a=a, b=b, same=s) for a, b, s in files))
  by_number = pairs(people, 'Ann_Lee 1 2\nBo 1 Ann_Lee 3\n')
  for name, value in by_number.items():
    np.testing.assert_array_equal(found[name], value)
  with pytest.raises(ConfigError, match='line 1: there is no photograph .*nobody.png'):
    pairs(people, 'nobody.png nobody.png 1')
  with pytest.raises(ConfigError, match='line 1: expected two files and 1 or 0, got'):
    pairs(people, form.format(a='a.png', b='b.png', same='yes'))


def test_lfws_words_may_have_commas_between(people):
  found = pairs(people, 'name,imagenum1,imagenum2,\nAnn_Lee,1,2,\nBo,1,Ann_Lee,3\n')
  assert found['same'].tolist() == [True, False] and 'fold' not in found
