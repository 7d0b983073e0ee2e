"""Sources of captions: files of every form, their mistakes, and scenes with captions."""

import csv
import json
import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data import open_split
from visionlab.data.images.crop import RandomCrop
from visionlab.data.pipeline import eval_batches
from visionlab.data.scenes.scenes import scenes
from visionlab.data.source import Arrays
from visionlab.data.sources.caption_files import read_table
from visionlab.data.sources.captions import captions
from visionlab.data.text.caption_rows import caption_rows, texts
from visionlab.data.text.vocabulary import END, PAD, SPECIAL, START, UNKNOWN, Vocabulary

SAID = {'a.png': ['A red dog.', 'a dog'], 'b.png': ['A blue cat, and a dog!'],
        'c.png': ['a zebra', 'A cat', 'the café']}
SPLITS = {'a.png': 'train', 'b.png': 'train', 'c.png': 'test'}
COLOURS = {'a.png': (255, 0, 0), 'b.png': (0, 0, 255), 'c.png': (0, 255, 0)}


@pytest.fixture
def root(tmp_path):
  """The same captions in every form, beside three pictures of one colour each."""
  for file, colour in COLOURS.items():
    Image.new('RGB', (6, 4), colour).save(tmp_path / file)
  pairs = [(file, text) for file, own in SAID.items() for text in own]
  with (tmp_path / 'captions.csv').open('w', newline='', encoding='utf8') as file:
    csv.writer(file).writerows([('file', 'caption', 'split'),
                                *((name, text, SPLITS[name]) for name, text in pairs)])
  (tmp_path / 'tokens.txt').write_text(''.join(f'{name}#{i}\t{text}\n' for i, (name, text)
                                               in enumerate(pairs)), encoding='utf8')
  for split in ('train', 'test'):
    files = [name for name in SAID if SPLITS[name] == split]
    (tmp_path / f'{split}Images.txt').write_text('\n'.join(files))
    coco = dict(images=[dict(id=ord(name[0]), file_name=name) for name in files],
                annotations=[dict(image_id=ord(name[0]), caption=text) for name, text in pairs
                             if name in files][::-1])
    (tmp_path / f'captions_{split}.json').write_text(json.dumps(coco))
  (tmp_path / 'dataset.json').write_text(json.dumps(dict(images=[
      dict(filename=name, split=SPLITS[name], sentences=[dict(raw=text) for text in own])
      for name, own in SAID.items()])))
  return tmp_path


FORMS = dict(csv={}, tokens=dict(captions='tokens.txt', splits='{split}Images.txt'),
             coco=dict(captions='captions_{split}.json'), karpathy=dict(captions='dataset.json'))


def opened(root, split='train', form='csv', **options):
  return captions(split, root=str(root), **{
      **FORMS[form], 'size': 4, 'least_count': 1, 'length': 8, **options})


@pytest.mark.parametrize('form', FORMS)
def test_every_form_says_the_same(root, form):
  for split in ('train', 'test'):
    source = opened(root, split, form)
    files = [name for name in SAID if SPLITS[name] == split]
    assert len(source) == len(files)
    batch = source[np.arange(len(source))]
    for i, name in enumerate(files):
      assert (batch['image'][i] == COLOURS[name]).all()
      order = slice(None, None, -1 if form == 'coco' else 1)
      assert texts(batch['caption']['text'][i]) == SAID[name][order]
    assert set(source.info.words[4:]) == {'a', 'red', 'dog', 'blue', 'cat', 'and'}   # of training
    assert 'label' not in batch and batch['valid'].all()
  test = opened(root, 'test', form)
  words = np.array(test.info.words)
  rows = test[np.array([0])]['caption']['tokens'][0, :, :4]
  said = [' '.join(words[row]) for row in rows]
  assert sorted(said) == sorted(['<start> a <unknown> <end>', '<start> a cat <end>',
                                 '<start> <unknown> <unknown> <end>'])


def test_rows():
  vocabulary = Vocabulary((*SPECIAL, 'a', 'dog'))
  rows = caption_rows([['a dog'], ['dog é dog', 'a', 'a a']], vocabulary, 5, most=2)
  assert rows['tokens'].tolist() == [[[START, 4, 5, END, PAD], [PAD] * 5],
                                     [[START, 5, UNKNOWN, 5, END], [START, 4, END, PAD, PAD]]]
  np.testing.assert_array_equal(rows['valid'], rows['tokens'] != PAD)
  assert [texts(row) for row in rows['text']] == [['a dog'], ['dog é dog', 'a']]
  assert rows['text'].shape == (2, 2, 32)
  assert caption_rows([['a']], vocabulary, 5, width=9)['text'].shape == (1, 1, 9)


def test_captions_alone(root):
  source = opened(root, images=None, form='tokens')
  batch = pickle.loads(pickle.dumps(source))[np.array([1, 0])]
  assert batch['image'].shape == (2, 1, 1, 1) and not batch['image'].any()
  assert texts(batch['caption']['text'][0]) == SAID['b.png']


def test_pipelines_serve_them(root):
  whole = open_split(lambda split: opened(root, split, most=2), 'train+test')
  assert len(whole) == 3
  (batch,) = eval_batches(whole, 4, workers=0)
  assert batch['valid'].tolist() == [True, True, True, False]
  assert texts(batch['caption']['text'][2]) == SAID['c.png'][:2]
  source = opened(root, 'test')
  crop = RandomCrop(size=2)
  cut = source.crops(np.array([0]), crop, crop.draws(0, 0, 1))
  assert cut['image'].shape == (1, 2, 2, 3) and texts(cut['caption']['text'][0]) == SAID['c.png']
  assert not hasattr(opened(root, images=None), 'crops')


def test_damaged_images_are_left_out(root, caplog):
  (root / 'b.png').write_bytes(b'no picture')
  assert len(opened(root)) == 1 and '1 images that cannot be used' in caplog.text
  with pytest.raises(ConfigError, match=r'b.png cannot be used.*on_broken="skip"'):
    opened(root, on_broken='stop')
  batch = opened(root, check=False)[np.arange(2)]
  assert batch['valid'].tolist() == [True, False]
  assert not any(v[1].any() for v in batch['caption'].values())
  (root / 'b.png').unlink()
  assert len(opened(root)) == 1 and '1 images that are missing' in caplog.text


def rewrite(root, *lines, name='captions.csv', encoding='utf8'):
  (root / name).write_bytes('\n'.join(lines).encode(encoding))


def test_images_and_captions_without_words(root, caplog):
  rewrite(root, 'file,caption', 'a.png,A dog', 'b.png,', 'c.png, ...', 'c.png,A cat')
  source = opened(root)
  assert len(source) == 2
  assert '2 captions without words, 1 images without captions' in caplog.text
  with pytest.raises(ConfigError, match=r"csv, line 3: the caption '' of b.png has no words"):
    opened(root, on_broken='stop')
  (root / 'trainImages.txt').write_text('a.png\nd.png\n')
  assert len(opened(root, form='tokens')) == 1
  with pytest.raises(ConfigError, match=r'tokens.txt: d.png has no caption'):
    opened(root, form='tokens', on_broken='stop')


def test_long_captions(root, caplog):
  batch = opened(root, length=4)[np.array([1])]
  assert '2 of 3 captions are cut, they need more than length=4 tokens' in caplog.text
  assert END not in batch['caption']['tokens'][0]
  assert texts(batch['caption']['text'][0]) == SAID['b.png']       # what metrics go by stays whole
  with pytest.raises(ConfigError, match=r"'A red dog.', needs 5 tokens, .* is 4"):
    opened(root, length=4, too_long='stop')
  with pytest.raises(ConfigError, match='at least 3, not 2'):
    opened(root, length=2)


def test_encodings(root):
  lines = ('file,caption', 'a.png,a café')
  for encoding in ('utf-8', 'latin-1', 'utf-16', 'utf-8-sig'):
    rewrite(root, *lines, encoding=encoding)
    given = {} if 'utf-8' in encoding else dict(encoding=encoding)
    assert 'café' in opened(root, **given).info.words
  rewrite(root, *lines, encoding='latin-1')
  with pytest.raises(ConfigError, match=r'captions.csv: line 2 is not UTF-8.*encoding.*latin-1'):
    opened(root)
  with pytest.raises(ConfigError, match=r"none called 'latin1x' \(did you mean .latin-1.\?\)"):
    opened(root, encoding='latin1x')


@pytest.mark.parametrize('options, message', [
    (dict(split='trian'), r'no split "trian"; there are test, train \(did you mean "train"\?\)'),
    (dict(split='val', form='coco'), 'no split "val"; there are test, train'),
    (dict(split='val', form='tokens'), 'no split "val"; there are test, train'),
    (dict(captions='caption.csv'), r'there is no file .*caption.csv'),
    (dict(captions='{split}.json'), 'no split "train"; .*did you mean "captions_train"'),
    (dict(captions='{split}.tsv'), r'there is no file .*train.tsv'),
    (dict(vocabulary='dev'), 'no split "dev"'),
    (dict(least_count=0), 'least_count 1 or more'),
    (dict(least_count=9), 'no word occurs 9 times; the commonest occurs 4 times'),
    (dict(most=-1), 'most must be 0 or more'),
    (dict(resize='corp'), 'did you mean "crop"'),
    (dict(on_broken='skp'), 'did you mean "skip"'),
    (dict(images='pictures'), 'all 2 images are left out'),
])
def test_wrong_options(root, options, message):
  with pytest.raises(ConfigError, match=message):
    opened(root, **options)


@pytest.mark.parametrize('name, content, message', [
    ('x.csv', 'picture,caption\na.png,a dog', 'has no column "file"'),
    ('x.csv', 'file,cption\na.png,a dog', r'"caption" \(did you mean "cption"\?\)'),
    ('x.csv', 'file,caption\n,a dog', 'line 2: names no file'),
    ('x.csv', '', 'has no column "file"'),
    ('x.csv', 'file,caption', 'holds no captions'),
    ('x.csv', 'file,caption\na.png,A dog, running\n', r'x.csv, line 2: 3 fields, but 2 columns'),
    ('x.csv', 'file,caption\nb.png,A cat\na.png\n', r'x.csv, line 3: 1 field, but 2 columns'),
    ('x.csv', 'file,caption\na.png,"A dog\nb.png,A cat\n', 'line 2: a quote that does not end'),
    ('x.csv', 'file,caption\na.png,"A dog\nb.png,A cat"\n', 'line 2: .* swallows other rows'),
    ('x.csv', 'file,caption\na.png,"A dog\nb.png,"A cat"\n', 'line 2: more behind the quote'),
    ('x.csv', 'file,caption,caption\na.png,a,b', '2 columns may be the caption: caption, caption'),
    ('x.csv', 'image,path,text\na.png,a,b', '2 columns may be the file: image, path'),
    ('x.csv', 'file,caption,split\na,A,train\na,B,test', 'line 3: a is in the split "test" here'),
    ('x.tsv', 'file\tcaption\na.png\ta\tb\n', r"x.tsv, line 2: 3 fields.*'\\t' in it"),
    ('x.txt', 'a.png#0 a dog', r'line 1: expected "<file>#<number><tab><caption>", not .a.png#0 a'),
    ('x.txt', 'a.png#0\ta dog\nb.png\ta dog', 'line 2: expected'),
    ('x.json', '{', r'x.json is no JSON: .* in line 1, column 2'),
    ('x.json', '[' * 100_000, 'is no JSON that can be read'),
    ('x.json', '{"file": "a"}\n{"file": "b"}', 'line 2, column 1; .* is called .jsonl'),
    ('x.json', '[]', 'holds no captions'),
    ('x.json', '7', 'has no list "images"'),
    ('x.json', '{"images": []}', 'has no list "images"'),
    ('x.json', '{"images": [{"id": 1}]}', r'images\[0\] has no "file_name"; expected'),
    ('x.json', '{"images": [3]}', r'images\[0\]: expected an object, not 3'),
    ('x.json', '{"images": [{"id": 1, "file_name": "a"}]}', 'has no "annotations"'),
    ('x.json', '{"images": [{"id": [], "file_name": "a"}]}', r'images\[0\].id must be a number'),
    ('x.json', '{"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}]}',
     r'images\[1\]: the id 1 is that of a, too'),
    ('x.json', '{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 2, '
               '"caption": ""}]}', r'annotations\[0\]: there is no image with the id 2'),
    ('x.json', '{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 1, '
               '"caption": 7}]}', r'annotations\[0\]: the caption must be text, not 7'),
    ('x.json', '{"images": [{"filename": "a", "split": "train", "sentences": {}}]}',
     r'images\[0\]: sentences must be a list, not {}'),
    ('x.json', '[{"file": "a", "caption": "b"}, {"file": "\\ud800", "caption": "b"}]',
     r'\[1\]: the file holds what is no character'),
    ('x.jsonl', '{"file": "a", "caption": "b"}\n\n{"file": "a"', r'x.jsonl, line 3 is no JSON'),
    ('x.jsonl', '{"file": "a", "captoin": "b"}', r'1 has no "caption" .did you mean "captoin"'),
    ('x.jsonl', '{"file": "a", "caption": {"en": "b"}}', 'line 1: the caption must be text'),
])
def test_files_of_another_form(tmp_path, name, content, message):
  (tmp_path / name).write_text(content)
  with pytest.raises(ConfigError, match=message):
    read_table(tmp_path / name)


SAID_TWICE = [('a.png', 'A red dog.'), ('a.png', 'a "big", old dog')]


@pytest.mark.parametrize('name, content', [
    ('x.csv', 'image,caption\na.png,A red dog.\na.png,"a ""big"", old dog"\n'),
    ('x.csv', 'File; Caption\n a.png ;A red dog.\na.png; "a ""big"", old dog"\n'),
    ('x.csv', 'a.png,A red dog.\na.png,"a ""big"", old dog"\n'),                # no line of names
    ('x.csv', '\ufeff"id","file_name","text",,\r\n1,a.png,A red dog.,,\r\n'
              '2,a.png,"a ""big"", old dog"\r\n,,,,\r\n'),                   # a spreadsheet's
    ('captions.txt', 'image,caption\na.png,A red dog.\na.png,"a ""big"", old dog"\n'),
    ('results.csv', 'image_name| comment_number| comment\na.png| 0| A red dog.\n'
                    'a.png| 1| a "big", old dog\n'),
    ('x.tsv', 'file\tcaption\na.png\tA red dog.\na.png\ta "big", old dog\n'),
    ('x.tsv', 'file\tcaption\na.png\tA red dog.\na.png\t"a ""big"", old dog"\n'),
    ('x.token', 'a.png#0\tA red dog.\na.png#1\ta "big", old dog\n'),
    ('x.jsonl', '{"image": "a.png", "caption": "A red dog."}\n\n'
                '{"image": "a.png", "caption": "a \\"big\\", old dog"}\n'),
    ('x.jsonl', '{"file_name": "a.png", "text": ["A red dog.", "a \\"big\\", old dog"]}'),
    ('x.json', '[{"image": "a.png", "caption": ["A red dog.", "a \\"big\\", old dog"]}]'),
])
def test_tables_that_others_write(tmp_path, name, content):
  (tmp_path / name).write_text(content, encoding='utf8', newline='')
  table = read_table(tmp_path / name)
  assert [(line.file, line.text) for line in table.lines] == SAID_TWICE
  assert table.splits == {'a.png': ''}


@pytest.mark.parametrize('name, content', [
    ('x.csv', 'file,caption\na.png,a dog\nb.png,NaN\nb.png,None\n'),
    ('x.jsonl', '{"file": "a.png", "caption": "a dog"}\n{"file": "b.png", "caption": [null, NaN]}'),
    ('x.json', '{"images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}], '
               '"annotations": [{"image_id": 1, "caption": "a dog"}, '
               '{"image_id": 2, "caption": null}, {"image_id": 2, "caption": ""}]}'),
])
def test_null_is_no_word(root, name, content, caplog):
  (root / name).write_text(content)
  source = opened(root, captions=name)
  assert len(source) == 1 and set(source.info.words[4:]) == {'a', 'dog'}
  assert '2 captions without words, 1 images without captions' in caplog.text


def test_long_captions_in_a_table(tmp_path):
  (tmp_path / 'x.csv').write_text('file,caption\na.png,"' + 'word, ' * 40_000 + '"\n')
  (line,) = read_table(tmp_path / 'x.csv').lines
  assert line.text.count('word') == 40_000


def test_lists_have_a_name_a_line(root):
  Image.new('RGB', (6, 4)).save(root / 'my photo.png')
  rewrite(root, 'my photo.png#0\ta dog', 'a.png#0\ta cat\u2028and a dog\x85', name='tokens.txt')
  rewrite(root, 'my photo.png', 'a', name='trainImages.txt')        # one without its suffix
  source = opened(root, form='tokens')
  assert source.images.files.tolist() == [b'my photo.png', b'a.png']
  assert texts(source.rows['text'][1]) == ['a cat\u2028and a dog']
  rewrite(root, ' ', name='trainImages.txt')
  with pytest.raises(ConfigError, match='trainImages.txt names no images'):
    opened(root, form='tokens')


def test_suffixes_in_other_letters(root):
  """A table says a.png, and the file is a.PNG."""
  (root / 'a.png').rename(root / 'a.PNG')
  batch = opened(root)[np.arange(2)]
  assert (batch['image'][0] == COLOURS['a.png']).all() and batch['valid'].all()
  assert texts(batch['caption']['text'][0]) == SAID['a.png']
  (root / 'a.Png').write_bytes((root / 'b.png').read_bytes())        # then it is not clear which
  assert len(opened(root)) == 1


def test_a_folder_without_the_file_says_what_it_holds(root):
  (root / 'captions.csv').rename(root / 'captions.txt')
  with pytest.raises(ConfigError, match=r'no file .*captions.csv; .* holds captions.txt, .*json'):
    opened(root)


def mutated(content, rng):
  """A file with a few bytes changed, left out or put in, among those that mean something."""
  content = bytearray(content)
  for _ in range(rng.integers(1, 4)):
    at, kind = rng.integers(len(content) + 1), rng.integers(3)
    some = rng.choice([b'"', b',', b'\n', b'\t', b'\\', b'{', b']', b'null', b'1e999', b'\\ud800',
                       b'\xff', b'\0', b'#', b'true', b'-'])
    content[at:at + (0, 1, len(some))[kind]] = b'' if kind == 1 else bytes(some)
  return bytes(content)


@pytest.mark.parametrize('form', FORMS)
def test_damaged_files_end_in_an_error_for_the_user(root, form, monkeypatch):
  """Or in captions: in nothing else."""
  monkeypatch.setattr('absl.logging.warning', lambda *_: None)
  name = FORMS[form].get('captions', 'captions.csv').replace('{split}', 'train')
  content, rng, kinds = (root / name).read_bytes(), np.random.default_rng(3), set()
  for _ in range(60):
    (root / name).write_bytes(mutated(content, rng))
    try:
      source = opened(root, 'train', form)
      kinds.add(bool(texts(source[np.array([0])]['caption']['text'][0])))
    except ConfigError as error:
      kinds.add(name in str(error) or 'vocabulary' in str(error))
  assert kinds == {True}


def test_flickr8k(shared_data, tmp_path):
  archive = shared_data / 'flickr8k_text.tar.gz'
  if not archive.exists():
    pytest.skip('no flickr8k_text.tar.gz among the verification data')
  with tarfile.open(archive) as file:
    file.extractall(tmp_path, filter='data')
  top = next(tmp_path.rglob('Flickr8k.token.txt')).parent
  source = captions('dev', root=str(top), captions='Flickr8k.token.txt', images=None,
                    splits='Flickr_8k.{split}Images.txt')
  assert len(source) == 1000 and source.rows['tokens'].shape == (1000, 5, 22)
  assert source.rows['valid'][..., 0].all()
  assert {'dog', 'snowboarder'} < set(source.info.words)
  unknown = (source.rows['tokens'] == UNKNOWN).sum() / source.rows['valid'].sum()
  assert .01 < unknown < .04


def test_scenes_with_captions():
  options = dict(size=32, objects=(1, 3), examples=12, seed=5)
  source, plain = scenes('test', captions=2, **options), scenes('test', masks=False, **options)
  assert isinstance(source, Arrays) and len(source) == 12
  some = np.array([3, 8, 11])
  batch, drawn = source[some], plain[some]
  np.testing.assert_array_equal(batch['image'], drawn['image'])
  np.testing.assert_array_equal(batch['objects']['boxes'], drawn['objects']['boxes'])
  first, second = (plain.captions(some, variant) for variant in range(2))
  vocabulary = Vocabulary(source.info.words)
  for i in range(3):
    expected = list(dict.fromkeys([first[i], second[i]]))
    assert texts(batch['caption']['text'][i]) == expected
    rows = batch['caption']['tokens'][i]
    assert [vocabulary.decode(row).replace(' ,', ',') for row in rows if row.any()] == expected
  assert not (batch['caption']['tokens'] == UNKNOWN).any()
  assert source.info.words == scenes('train', captions=1, **options).info.words
  assert source.info.scale == pytest.approx((.25, .5))
  with pytest.raises(ConfigError, match='captions must be 0 or more'):
    scenes('test', captions=1, frames=2)
