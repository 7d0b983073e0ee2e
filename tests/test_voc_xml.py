"""VOC's xml, lists and folders as others write and lay them out."""

import codecs

import numpy as np
import pytest
from annotated import xml
from pictured import everything, picture, write
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.sources.voc import voc, voc_objects

BOX = (0, 0, 30, 20)


@pytest.fixture
def year(tmp_path):
  for name in ('a', 'b'):
    picture(tmp_path / 'JPEGImages' / f'{name}.png', [BOX])
    xml(tmp_path / 'Annotations' / f'{name}.xml', [('dog', 0, (1, 1, 30, 20))])
  write(tmp_path / 'ImageSets' / 'Main' / 'train.txt', 'a\nb\n')
  return tmp_path


def edited(root, old, new):
  path = root / 'Annotations' / 'a.xml'
  text = path.read_text()
  assert old in text
  path.write_text(text.replace(old, new))


def opened(root, **options):
  defaults = dict(root=str(root), size=(40, 60), classes=('cat', 'dog'))
  return voc_objects('train', **defaults | options)


def files(source):
  return [name.decode() for name in source.annotations.files.tolist()]


@pytest.mark.parametrize('width', [
    '60.0', '-1', 'null', '0', '', ' ', 'wide', '60.5', 'nan', '1e999'])
@pytest.mark.parametrize('check', [True, False])
def test_an_image_of_no_known_size_has_its_own(year, warned, width, check):
  edited(year, '<width>60', f'<width>{width}')
  batch = everything(opened(year, check=check))
  assert batch['original'].tolist() == [[40, 60]] * 2 and batch['valid'].all()
  np.testing.assert_array_equal(batch['objects']['boxes'], [[BOX], [BOX]])
  assert not warned


@pytest.mark.parametrize('text, crowd', [
    ('0', False), ('1', True), (' 1 ', True), ('', False), ('true', True), ('False', False),
    ('Unspecified', False), ('1.0', True), ('yes', True)])
def test_difficult(year, text, crowd):
  edited(year, '<difficult>0', f'<difficult>{text}')
  assert everything(opened(year))['objects']['crowd'][:, 0].tolist() == [crowd, False]


@pytest.mark.parametrize('text', ['2', '-1', 'x', 'nan'])
def test_what_is_not_difficult_nor_easy_is_named(year, warned, text):
  edited(year, '<difficult>0', f'<difficult>{text}')
  assert everything(opened(year))['objects']['valid'].sum() == 1
  assert '1 objects whose difficult is no flag' in warned[0] and 'a.xml: object 1' in warned[0]


@pytest.mark.parametrize('declared, encoding, mark', [
    ('gbk', 'gbk', b''), ('GB2312', 'gb2312', b''), ('big5', 'big5', b''),
    ('shift_jis', 'shift_jis', b''),
    ('utf-8', 'utf-8', b''), ('UTF-8', 'utf-8', codecs.BOM_UTF8), ('utf-16', 'utf-8', b''),
    ('utf-16', 'utf-16-le', codecs.BOM_UTF16_LE), ('utf-16', 'utf-16-be', codecs.BOM_UTF16_BE)])
def test_xml_of_any_declared_encoding(year, declared, encoding, mark):
  path = year / 'Annotations' / 'a.xml'
  text = path.read_text().replace('dog', '犬')
  path.write_bytes(mark + f'\n<?xml version="1.0" encoding="{declared}"?>\n{text}'.encode(encoding))
  kinds = everything(opened(year, classes=('cat', 'dog', '犬')))['objects']['classes']
  assert kinds[:, 0].tolist() == [2, 1]


@pytest.mark.parametrize('declared', ['cp1252', 'latin-1', 'iso-8859-1'])
def test_xml_of_one_byte_a_letter(year, declared):
  path = year / 'Annotations' / 'a.xml'
  head = f"<?xml version='1.0' encoding='{declared}'?>"
  path.write_bytes((head + path.read_text().replace('dog', 'Füße')).encode(declared))
  assert everything(opened(year, classes=('Füße', 'dog')))['objects']['classes'][0, 0] == 0


@pytest.mark.parametrize('content, words', [
    ('Füße'.encode('cp1252'), 'line 1 is not UTF-8'), (b'', 'a.xml is no sound xml: no ele'),
    (b'<annotation><object></annotation>', 'a.xml is no sound xml: mismatched tag'),
    (b'<?xml version="1.0" encoding="gkb"?><annotation/>', 'declares the encoding "gkb"'),
    (b'<?xml version="1.0" encoding="gbk"?><annotation>\xff</annotation>', 'is not in gbk'),
    (b'<annotations><image/></annotations>', 'holds <annotations>; expected <annotation>'),
    (b'\0\0', 'a.xml is no text')])
def test_broken_xml_is_named(year, warned, content, words):
  (year / 'Annotations' / 'a.xml').write_bytes(content)
  with pytest.raises(ConfigError, match=words):
    opened(year, on_broken='stop')
  assert files(opened(year)) == ['JPEGImages/b.png']
  assert '1 images without annotations' in warned[0]


def test_objects_inside_a_list_of_them(year):
  edited(year, '<object>', '<objects><object>')
  edited(year, '</object>', '</object></objects>')
  assert everything(opened(year))['objects']['valid'].all()


@pytest.mark.parametrize('name', ['my photo', 'leaf (1)', 'IMG 0001', 'leaf 1', 'a.b', 'a.png'])
def test_names_in_lists_may_hold_spaces(year, name):
  picture(year / 'JPEGImages' / f'{name}.PNG')
  xml(year / 'Annotations' / f'{name}.xml', [])
  for line in (name, f'{name}.png', f'  {name}\t'):
    write(year / 'ImageSets' / 'Main' / 'train.txt', f'{line}\r\nb\n')
    assert files(opened(year)) == [f'JPEGImages/{name}.PNG', 'JPEGImages/b.png']
  write(year / 'ImageSets' / 'Main' / 'dog_train.txt', f'b -1\n{name}  1\na  0\n')
  source = voc_objects('dog_train', root=str(year))
  assert files(source) == [f'JPEGImages/{name}.PNG', 'JPEGImages/a.png']


def test_lists_in_utf_16_and_lists_that_name_what_is_not_there(year, warned):
  (year / 'ImageSets' / 'Main' / 'train.txt').write_text('a\nno such\n', encoding='utf-16')
  assert files(opened(year)) == ['JPEGImages/a.png']
  assert 'Annotations/no such.xml cannot be read' in warned[0]


def test_segmentation_of_names_with_spaces_in_capitals(year):
  picture(year / 'JPEGImages' / 'my photo.JPG')
  (year / 'SegmentationClass').mkdir()
  Image.new('L', (60, 40), 1).save(year / 'SegmentationClass' / 'my photo.PNG')
  write(year / 'ImageSets' / 'Segmentation' / 'train.txt', 'my photo\n')
  batch = everything(voc('train', root=str(year), size=8))
  assert (batch['label_map'] == 1).all()


@pytest.mark.parametrize('options, images, annotations', [
    (dict(images='images', annotations='annots'), 'images', 'annots'),
    (dict(images='', annotations=''), '', ''), ({}, 'JPEGImages', 'Annotations')])
def test_xml_without_lists(tmp_path, warned, options, images, annotations):
  for name in ('a b', 'c'):
    picture(tmp_path / images / f'{name}.JPG', [BOX])
    xml(tmp_path / annotations / f'{name}.xml', [('dog', 0, (1, 1, 30, 20))])
  source = opened(tmp_path, **options)
  assert files(source) == [f'{images}/{name}.JPG'.lstrip('/') for name in ('a b', 'c')]
  np.testing.assert_array_equal(everything(source)['objects']['boxes'], [[BOX], [BOX]])
  assert not warned
  with pytest.raises(ConfigError, match='no split "test"; there are train'):
    voc_objects('test', root=str(tmp_path), **options)
  picture(tmp_path / images / 'd.png')
  assert len(opened(tmp_path, **options)) == 2 and '1 images without annotations' in warned[0]


def test_xml_beside_images_in_a_folder_for_each_split(tmp_path):
  for split in ('train', 'valid'):
    picture(tmp_path / split / f'{split}.png', [BOX])
    xml(tmp_path / split / f'{split}.xml', [('dog', 0, (1, 1, 30, 20))])
  options = dict(root=str(tmp_path), images='{split}', annotations='{split}')
  assert files(voc_objects('valid', **options)) == ['valid/valid.png']
  with pytest.raises(ConfigError, match='test cannot be listed: No such file.*images and annotat'):
    voc_objects('test', **options)
  with pytest.raises(ConfigError, match='holds no .xml; {split} in the options stands .*train'):
    opened(tmp_path, images='', annotations='')
  with pytest.raises(ConfigError, match='no folder ImageSets, nor JPEGImages and .*; the options'):
    opened(tmp_path)


@pytest.mark.parametrize('classes, words', [
    ('dog', r"classes is the text 'dog'; expected names, \('dog',\)"),
    (('cat,dog',), r"expected names, \('cat', 'dog'\)"), (('dog', 'dog'), '"dog" is number 0'),
    (('dog', ''), "number 1 is ''"), ((), 'classes must name'), (('dog', 3), 'number 1 is 3')])
def test_classes(year, classes, words):
  with pytest.raises(ConfigError, match=words):
    opened(year, classes=classes)
