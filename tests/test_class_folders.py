"""Folders of classes among which other things lie, and tables in place of folders."""

import os

import numpy as np
import pytest
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.images.decode import SUFFIXES
from visionlab.data.sources.folder import folder

SPELT = {'.jpe': 'JPEG', '.jfif': 'JPEG', '.jif': 'JPEG', '.mpo': 'JPEG', '.JPEG': 'JPEG',
         '.avif': 'AVIF', '.apng': 'PNG', '.PNG': 'PNG', '.dib': 'DIB', '.pnm': 'PPM',
         '.j2k': 'JPEG2000', '.jpx': 'JPEG2000', '.tga': 'TGA', '.pcx': 'PCX', '.sgi': 'SGI',
         '.TIF': 'TIFF', '.ico': 'ICO', '.qoi': 'QOI'}


@pytest.fixture
def pets(tmp_path):
  images(tmp_path, 'cat/1.png', 'dog/1.png', 'dog/2.png')
  return tmp_path


def images(root, *names):
  for i, name in enumerate(names):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (4, 4), (40 * i + 40, 0, 0)).save(root / name, format='PNG')


def seen(root, split='train', **options):
  """(file, class) of every example."""
  source = folder(split, root=str(root), size=4, **options)
  labels = source[np.arange(len(source))]['label']
  return [(os.fsdecode(file), source.info.classes[label])
          for file, label in zip(source.files.tolist(), labels, strict=True)]


PETS = [('cat/1.png', 'cat'), ('dog/1.png', 'dog'), ('dog/2.png', 'dog')]


# --- what lies among class folders ---


@pytest.mark.parametrize('strays', [
    ('__MACOSX/cat/._1.png',), ('__MACOSX/._cat',), ('.ipynb_checkpoints/x.png',),
    ('@eaDir/cat/1.png',), ('cat/Thumbs.db', 'Desktop.ini', 'cat/.DS_Store'),
    ('cat/@eaDir/1.png',), ('readme.txt', 'cat/notes.md')])
def test_what_systems_write_changes_nothing(pets, warned, strays):
  images(pets, *strays)
  assert seen(pets) == PETS and not warned


@pytest.mark.parametrize('strays, named', [
    (('runs/exp1/figures/1.png',), 'runs'), (('runs/exp1/config.json',), 'runs'),
    (('runs/exp1/1.png', 'runs/exp1/metrics.csv'), 'runs'), (('docs/readme.txt',), 'docs')])
def test_a_folder_of_runs_changes_no_layout(pets, warned, strays, named):
  images(pets, *strays)
  assert seen(pets) == PETS
  assert f'left out are the folders {named}, which hold no images' in warned[0]


def test_an_empty_folder_is_no_class(pets, warned):
  (pets / 'old').mkdir()
  assert seen(pets) == PETS and 'the folders old' in warned[0]


def test_images_one_folder_too_deep(pets):
  images(pets, 'wolf/grey/1.png')
  with pytest.raises(ConfigError, match='wolf holds no images, but wolf/grey does; .*move them up'):
    seen(pets)


def test_strays_beside_splits(tmp_path, warned):
  images(tmp_path, 'train/cat/1.png', 'val/cat/1.png', 'val/emu/1.png', 'samples/1.png',
         'runs/exp1/1.png', '__MACOSX/train/cat/1.png')
  assert seen(tmp_path) == [('train/cat/1.png', 'cat')]
  assert folder('val', root=str(tmp_path)).info.classes == ('cat', 'emu')
  assert 'beside the splits train, val, left out are the folders runs, samples' in warned[0]
  with pytest.raises(ConfigError, match='no split "runss"; there are train, val'):
    seen(tmp_path, 'runss')


def test_splits_of_any_name_have_classes_in_common(tmp_path, warned):
  images(tmp_path, 'amazon/mug/1.png', 'dslr/mug/1.png', 'pictures/1.png')
  assert seen(tmp_path, 'dslr') == [('dslr/mug/1.png', 'mug')]
  assert 'left out are the folders pictures' in warned[0]


def test_an_image_beside_the_class_folders_of_a_split(tmp_path, warned):
  images(tmp_path, 'train/cat/1.png', 'train/dog/1.png', 'train/sample.png')
  assert seen(tmp_path) == [('train/cat/1.png', 'cat'), ('train/dog/1.png', 'dog')]
  assert 'train: left out are 1 images that are in no class folder' in warned[0]


def test_a_class_may_be_called_like_a_split(tmp_path):
  images(tmp_path, 'bus/1.png', 'train/1.png')
  assert seen(tmp_path) == [('bus/1.png', 'bus'), ('train/1.png', 'train')]


def test_splits_without_classes(tmp_path):
  images(tmp_path, 'train/1.png', 'test/2.png')
  with pytest.raises(ConfigError, match='test and train hold images and no class .*labels'):
    seen(tmp_path)


# --- names of files ---


@pytest.mark.parametrize('suffix', SPELT)
def test_what_pillow_reads_is_read(tmp_path, suffix):
  (tmp_path / 'a').mkdir()
  Image.new('RGB', (16, 16), (255, 0, 0)).save(tmp_path / 'a' / f'1{suffix}', format=SPELT[suffix])
  source = folder('train', root=str(tmp_path), size=4)
  assert abs(source[np.array([0])]['image'].astype(int) - (255, 0, 0)).max() <= 3


def test_suffixes_are_those_that_pillow_reads():
  Image.init()
  reads = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
  without_pixels = {'.bufr', '.grib', '.h5', '.hdf', '.mpg', '.mpeg', '.iim', '.gbr', '.im'}
  drawn = {'.eps', '.ps', '.emf', '.wmf'}                  # by another program, or on Windows alone
  assert reads - set(SUFFIXES) <= without_pixels | drawn
  later = {'.avif', '.avifs', '.qoi', '.pfm'}                    # than the oldest Pillow we take
  assert set(SUFFIXES) - reads - later == {'.heic', '.heif', '.hif', '.jif', '.mpo'}


def test_files_of_another_kind_are_named(pets, warned):
  (pets / 'dog' / '3.cr2').write_bytes(b'x')
  assert seen(pets) == PETS and 'not read as images: 1 of .cr2' in warned[0]
  images(pets, 'emu/1.svg', 'emu/2.SVG', 'emu/labels.txt')
  with pytest.raises(ConfigError, match='emu holds no file .* as an image, but 2 of .svg; convert'):
    seen(pets)


def test_names_of_any_kind(tmp_path):
  names = ['my dog/a b.png', 'my dog/ü.ö.PNG', '猫/1.2.3.png', "it's, 007/#1 %20.png"]
  images(tmp_path, *names)
  (tmp_path / 'my dog' / 'x.jpg').mkdir()                       # a folder called like an image
  os.symlink(tmp_path / '猫', tmp_path / 'linked')
  os.symlink(tmp_path, tmp_path / 'my dog' / 'loop')
  expected = [(name, name.split('/')[0]) for name in [*names, 'linked/1.2.3.png']]
  assert sorted(seen(tmp_path)) == sorted(expected)


def test_class_names_that_cannot_be_told_apart_or_written(tmp_path):
  images(tmp_path, 'caf\u00e9/1.png', 'cafe\u0301/1.png')
  with pytest.raises(ConfigError, match="two class folders are called .*'cafe.u0301'"):
    seen(tmp_path)
  os.rename(tmp_path / 'caf\u00e9', os.fsencode(tmp_path) + b'/caf\xe9')
  with pytest.raises(ConfigError, match=r"caf\\xe9' is not UTF-8"):
    seen(tmp_path)


# --- tables ---


FLAT = [('images/1.png', 'cat'), ('images/2.PNG', 'dog'), ('images/my photo.png', 'cat')]


@pytest.fixture
def flat(tmp_path):
  images(tmp_path, *(name for name, _ in FLAT))
  return tmp_path


@pytest.mark.parametrize('content, options', [
    ('file,label\n1.png,cat\n2.PNG,dog\nmy photo.png,cat\n', {}),
    ('Image Name;Class\n1.png;cat\n2.png;dog\nmy photo.png;cat\n', {}),      # .png is .PNG there
    ('id\tbreed\n1\tcat\n2\tdog\nmy photo\tcat\n', dict(label='Breed')),
    ('1.png,cat\n2.PNG,dog\nmy photo.png,cat\n', {}),
    ('\ufeffimage_id,label,set\r\n1.png,cat,train\r\n2.PNG,dog,train\r\nmy photo.png,cat,\r\n', {}),
])
def test_a_table_of_labels(flat, content, options):
  (flat / 'labels.csv').write_text(content, newline='')
  assert seen(flat, labels='labels.csv', images='images', **options) == FLAT


def test_splits_in_a_table_and_by_table(flat):
  (flat / 'labels.csv').write_text('file,label,split\nimages/1.png,10,train\nimages/2.PNG,9,val\n')
  assert seen(flat, 'val', labels='labels.csv') == [('images/2.PNG', '9')]
  assert folder('train', root=str(flat), labels='labels.csv').info.classes == ('9', '10')
  with pytest.raises(ConfigError, match='labels.csv has no split "test"; there are train, val'):
    seen(flat, 'test', labels='labels.csv')
  (flat / 'labels.csv').unlink()
  (flat / 'train.csv').write_text('file,label\n1.png,dog\n')
  (flat / 'val.csv').write_text('file,label\n2.PNG,emu\n')
  (flat / 'test.csv').write_text('file\nmy photo.png\n')               # a competition's
  options = dict(labels='{split}.csv', images='images')
  assert seen(flat, 'val', **options) == [('images/2.PNG', 'emu')]
  assert folder('train', root=str(flat), **options).info.classes == ('dog', 'emu')
  with pytest.raises(ConfigError, match='no split "vall"; .*did you mean "val"'):
    seen(flat, 'vall', **options)


def test_tables_elsewhere(flat, tmp_path_factory):
  other = tmp_path_factory.mktemp('[odd] *name')
  for split, label in dict(train='cat', val='dog').items():
    (other / f'{split}.csv').write_text(f'file,label\nimages/1.png,{label}\n')
  assert seen(flat, 'val', labels=f'{other}/{{split}}.csv') == [('images/1.png', 'dog')]
  source = folder('train', root=str(flat), labels=f'{other}/{{split}}.csv')
  assert source.info.classes == ('cat', 'dog')


@pytest.mark.parametrize('content, message', [
    ('file,label\n1.png,cat, big\n', 'labels.csv, line 2: 3 fields, but 2 columns'),
    ('file,label\n1.png,\n', 'labels.csv, line 2: the label is missing'),
    ('file,label\n,cat\n', 'labels.csv, line 2: the file is missing'),
    ('file,label\n', 'labels.csv names no files'),
    ('file,label\n1.png,cat\n1.png,dog\n', "line 3: 1.png is 'dog' here, and 'cat' before"),
    ('id,breed\n1,cat\n', 'has no column "label".*option label names the column'),
    ('file,label\n9.png,cat\n', '9.png cannot be read as an image: .*No such file'),
    ('file,label\n1.png,"cat\n', 'labels.csv, line 2: a quote that does not end'),
    ('', 'has no column "file"'),
])
def test_mistakes_in_a_table(flat, content, message):
  (flat / 'labels.csv').write_text(content)
  with pytest.raises(ConfigError, match=message):
    seen(flat, labels='labels.csv', images='images')


def test_options_of_tables(flat):
  (flat / 'labels.csv').write_bytes('file,label\n1.png,café\n'.encode('cp1252'))
  with pytest.raises(ConfigError, match='labels.csv: line 2 is not UTF-8'):
    seen(flat, labels='labels.csv')
  with pytest.raises(ConfigError, match='there is no file .*label.csv'):
    seen(flat, labels='label.csv')
  with pytest.raises(ConfigError, match='labels must name one'):
    seen(flat, images='images')
