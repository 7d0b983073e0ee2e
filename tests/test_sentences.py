"""Running text: its sentences beside their neighbours, from files and from docstrings."""

import gzip
import pickle

import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.data import open_split
from visionlab.data.sources import docstrings as docs
from visionlab.data.sources.text import text
from visionlab.data.text.sentence_rows import Sentences, alone, commonest
from visionlab.data.text.sentences import paragraphs, sentences
from visionlab.data.text.vocabulary import END, PAD, START, Vocabulary, build

BOOK = [f'line {word} .' for word in 'abcdefghijklmnopqrst']


def said(source, i):
  """What is before, itself, and after, '' where there is none."""
  row = source[np.array([i])]['sentence']
  words = Vocabulary(source.info.words, source.info.punctuation)
  return [words.decode(tokens) for tokens in row['tokens'][0]]


@pytest.mark.parametrize('paragraph, parts', [
    ('One. Two! Three? Four… Five', ['One.', 'Two!', 'Three?', 'Four…', 'Five']),
    ('See Fig. 3, e.g. the left, by J. R. Doe et al. There it is.',
     ['See Fig. 3, e.g. the left, by J. R. Doe et al. There it is.']),
    ('It costs 3.50 euros. "Why?" he said. (No.)  \n Yes...',
     ['It costs 3.50 euros.', '"Why?" he said.', '(No.)', 'Yes...']),
    ('Был дом. Стоял сад. и', ['Был дом.', 'Стоял сад. и']), (' \n ', []),
    ('He ran. “Stop!” she cried. He did... so. "— Oui." — Non.',
     ['He ran.', '“Stop!” she cried.', 'He did... so.', '"— Oui."', '— Non.']),
    ('Mr. and Mrs. Dursley of No. 4 said no. They were proud. 12 men left.',
     ['Mr. and Mrs. Dursley of No. 4 said no.', 'They were proud.', '12 men left.']),
    ('J. K. Rowling and (J.R.R. Tolkien) wrote. So did I. A function of x. It is I. Newton\'s.',
     ['J. K. Rowling and (J.R.R. Tolkien) wrote.', 'So did I.', 'A function of x.', 'It is I.',
      'Newton\'s.']),
    ('What?! Well. * * *', ['What?!', 'Well.', '* * *']), ('no marks at all', ['no marks at all'])])
def test_a_paragraph_is_cut_where_sentences_end(paragraph, parts):
  assert sentences(paragraph) == parts


def test_paragraphs_are_parted_by_empty_lines():
  assert paragraphs('\n\na\nb\n\t\n\nc\n \nd\n') == ['a\nb', 'c', 'd']


def test_neighbours_are_those_of_the_same_document():
  words = build(['a b c d e'], 1)
  source = Sentences([['a', 'b', 'c'], ['d'], [], ['e', 'a']], words, 4)
  assert [said(source, i) for i in range(6)] == [
      ['', 'a', 'b'], ['a', 'b', 'c'], ['b', 'c', ''], ['', 'd', ''], ['', 'e', 'a'],
      ['e', 'a', '']]
  batch = source[np.array([4, 1])]['sentence']
  assert batch['place'].tolist() == [[-1, 4, 5], [0, 1, 2]]
  np.testing.assert_array_equal(batch['valid'], batch['tokens'] != PAD)
  assert not batch['valid'][0, 0].any() and batch['tokens'].dtype == np.int32
  again = pickle.loads(pickle.dumps(source))[np.array([4, 1])]['sentence']
  np.testing.assert_array_equal(again['tokens'], batch['tokens'])


def test_slices_keep_the_neighbours_of_the_whole():
  words = build(BOOK, 1)
  part = open_split(lambda _: Sentences([BOOK], words, 6), 'train[:50%]')
  rows = part[np.arange(len(part))]['sentence']
  inside = rows['place'][:, 2] >= 0
  assert len(part) == 10 and inside.sum() >= 9
  np.testing.assert_array_equal(rows['place'][inside, 2], rows['place'][inside, 1] + 1)


def test_sentences_of_ones_own_have_no_neighbours():
  words = commonest(['a b c', 'a b', 'a'], 1, 2, True)
  assert words.words[4:] == ('a', 'b')
  rows = alone(['A b.', 'b'], words, 5)
  assert rows['tokens'][:, 1].tolist() == [[START, 4, 5, 3, END], [START, 5, END, PAD, PAD]]
  assert not rows['valid'][:, ::2].any() and rows['place'].tolist() == [[-1, 0, -1], [-1, 1, -1]]


@pytest.fixture
def book(tmp_path):
  (tmp_path / 'book.txt').write_text('\n'.join(BOOK), encoding='utf8')
  return tmp_path / 'book.txt'


def test_a_book_is_cut_into_three_parts_without_neighbours_across(book):
  parts = {split: text(split, root=str(book), least_count=1, length=6)
           for split in ('train', 'validation', 'test')}
  assert [len(part) for part in parts.values()] == [16, 2, 2]
  assert sum((part.texts for part in parts.values()), []) == BOOK
  assert said(parts['validation'], 0) == ['', 'line <unknown> .', 'line <unknown> .']
  assert said(parts['train'], 15)[2] == '' and parts['test'].info == parts['train'].info


def test_folders_files_by_split_and_packed_ones_are_read(tmp_path):
  (tmp_path / 'train').mkdir()
  (tmp_path / 'train' / 'b.TXT').write_text('three\r\n\r\n  four  \r\n', encoding='utf-16')
  (tmp_path / 'train' / 'a.txt.gz').write_bytes(gzip.compress(b'one\n\n\ntwo\n'))
  (tmp_path / 'train' / '.hidden.txt').write_text('five')
  (tmp_path / 'train' / 'notes.md').write_text('six')
  (tmp_path / 'dev.txt').write_bytes('n\xe4chste'.encode('latin-1'))
  assert text('train', root=str(tmp_path), files='{split}', least_count=1).texts == [
      'one', 'two', 'three', 'four']
  options = dict(root=str(tmp_path), files='{split}.txt', vocabulary='dev', least_count=1)
  assert text('dev', **options, encoding='latin-1').texts == ['nächste']
  with pytest.raises(ConfigError, match=r'line 1 is not UTF-8.*the option encoding'):
    text('dev', **options)
  with pytest.raises(ConfigError, match='has no split "test"; there are dev'):
    text('test', **options, encoding='latin-1')


def test_paragraphs_are_cut_into_sentences(tmp_path):
  novel = 'It was a dark\nnight. Rain fell.\n\n* * *\n\nThen it stopped.'
  (tmp_path / 'novel.txt').write_text(novel)
  source = text('train', root=str(tmp_path), form='paragraphs', held_out=0., least_count=1)
  assert source.texts == ['It was a dark night.', 'Rain fell.', '* * *', 'Then it stopped.']


def test_lines_without_words_are_left_out_and_long_ones_cut(tmp_path, warned):
  (tmp_path / 'a.txt').write_text('one two\n...\nthree ' + 'x ' * 1000 + '\nfour')
  options = dict(root=str(tmp_path / 'a.txt'), held_out=0., least_count=1, length=5)
  source = text('train', punctuation=False, **options)
  assert said(source, 1) == ['one two', 'three x x x', 'four']
  assert 'lines without words' in warned[0] and '1 of 3 sentences are cut' in warned[1]
  with pytest.raises(ConfigError, match='needs 1003 tokens, but the length is 5'):
    text('train', too_long='stop', **options)


@pytest.mark.parametrize('options, words', [
    (dict(root=''), 'root must name a file of text'),
    (dict(files='none.txt'), 'there is no file or folder .*none.txt'),
    (dict(files='empty'), r'holds no text \(.txt'),
    (dict(files='blank.txt'), 'no sentences in the split "train" of 1 files'),
    (dict(files='torn.txt.gz'), 'torn.txt.gz is no whole .gz file'),
    (dict(files='bytes.txt'), 'is no text: it holds bytes of zero'),
    (dict(form='line'), "'line' is not one of"), (dict(too_long='skip'), "'skip' is not one of"),
    (dict(held_out=.5), 'held_out must be below .5'),
    (dict(encoding='utf-7000'), 'text: encoding: there is none called'),
    (dict(files='book.txt', split='tset'), 'has no split "tset"')])
def test_what_is_wrong_with_text_is_said(tmp_path, options, words):
  (tmp_path / 'empty').mkdir()
  (tmp_path / 'book.txt').write_text('\n'.join(BOOK))
  (tmp_path / 'blank.txt').write_text('\n \n')
  (tmp_path / 'bytes.txt').write_bytes(b'a\0b')
  (tmp_path / 'torn.txt.gz').write_bytes(gzip.compress(b'one\n' * 99)[:-9])
  options = dict(root=str(tmp_path), files='book.txt') | options
  with pytest.raises(ConfigError, match=words):
    text(options.pop('split', 'train'), **options)


DOCSTRING = '''Draws samples from a distribution.

    The array ``x`` is sorted by :func:`~a.sort` first [1]_. It is
    *not* copied.

    Parameters
    ----------
    x : array_like
        The input of the function is here.

    Args:
      y: This is left out as well.

    .. math:: x = y

    >>> draw(3)
    This is no sentence.

    with f(x) = y**2 and g(y) = 3, h = 4.
    '''


@pytest.fixture
def package(tmp_path, monkeypatch):
  """A package of 40 files with the same docstring, one of their own, and one of a single sentence.
  """
  (tmp_path / 'mine' / 'tests').mkdir(parents=True)
  for i in range(40):
    name = 'abcdefghij'[i % 10] * (1 + i // 10)
    own = f'    """This is file {name} of it.\n\n    It is not the last one."""'
    (tmp_path / 'mine' / f'f{i}.py').write_text(
        f'"""{DOCSTRING}"""\n\n\ndef f():\n{own}\n\n\ndef g():\n  """Has one sentence only."""\n')
  (tmp_path / 'mine' / 'tests' / 'a.py').write_text(f'"""{DOCSTRING}"""')
  (tmp_path / 'mine' / 'broken.py').write_bytes(b'"""\xff"""')
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  monkeypatch.setattr(docs.sysconfig, 'get_paths', lambda: dict(
      stdlib=str(tmp_path), purelib=str(tmp_path), platlib=str(tmp_path)))
  docs.of_package.cache_clear()
  yield tmp_path
  docs.of_package.cache_clear()


def test_the_prose_of_a_docstring_is_its_whole_sentences():
  assert docs.prose(DOCSTRING) == ['Draws samples from a distribution.',
                                   'The array x is sorted by a.sort first.', 'It is not copied.']


def test_files_are_in_one_split_and_repeated_docstrings_in_one_file(package):
  parts = {split: docs.docstrings(split, packages=('mine',), least_count=1)
           for split in ('train', 'validation', 'test')}
  found = [set(part.texts) for part in parts.values()]
  assert all(len(own) > 1 for own in found) and parts['train'].info == parts['test'].info
  every = sum((part.texts for part in parts.values()), [])
  assert sum(one.startswith('Draws') for one in every) == 1
  assert sum(one.startswith('This is file') for one in every) == 40 and len(every) == 83
  assert len(docs.docstrings('train', packages=('mine',), least_count=1, examples=5)) in (4, 5)
  with pytest.raises(ConfigError, match="'yours' is not installed"):
    docs.docstrings('train', packages=('yours',))
  with pytest.raises(ConfigError, match='packages: names none'):
    docs.docstrings('train', packages=())
  with pytest.raises(ConfigError, match='has no split "val"; there are train, validation, test'):
    docs.docstrings('val', packages=('mine',))


def test_what_was_read_of_a_package_is_kept_until_its_files_change(package, monkeypatch, warned):
  def read(again=True):
    docs.of_package.cache_clear()
    with monkeypatch.context() as patch:
      if not again:
        patch.setattr(docs, 'prose', None)                   # which reading needs
      return docs.of_package('mine')
  first = read()
  folder = package / 'cache' / 'visionlab' / 'docstrings'
  kept, = folder.iterdir()
  assert read(again=False) == first and len(first) == 41
  kept.write_text(kept.read_text()[:-9])                     # torn
  assert read() == first and read(again=False) == first
  (package / 'mine' / 'f0.py').write_text('')
  assert len(read()) == 40 and len(list(folder.iterdir())) == 2 and not warned
  monkeypatch.setenv('XDG_CACHE_HOME', str(package / 'mine' / 'f0.py'))
  assert len(read()) == 40 and 'not kept for later runs' in warned[0]


def test_installed_packages_have_prose():
  test = docs.docstrings('test', packages=('optax',), words=50)
  assert len(test) > 20 and len(test.info.words) == 54
  assert any('learning rate' in one for one in test.texts)
