"""Text files of any editor are read, or the file, the line and the remedy are named."""

import codecs

import pytest

from visionlab.config import ConfigError
from visionlab.data.text.text_files import read_json, read_text

WORDS = 'Füße\n猫 dog\n'


@pytest.mark.parametrize('mark, encoding', [
    (b'', 'utf-8'), (codecs.BOM_UTF8, 'utf-8'), (codecs.BOM_UTF16_LE, 'utf-16-le'),
    (codecs.BOM_UTF16_BE, 'utf-16-be'), (codecs.BOM_UTF32_LE, 'utf-32-le')])
def test_text_is_read_and_its_mark_left_out(tmp_path, mark, encoding):
  (tmp_path / 'a.txt').write_bytes(mark + WORDS.replace('\n', '\r\n').encode(encoding))
  assert read_text(tmp_path / 'a.txt') == WORDS


@pytest.mark.parametrize('content, line', [
    ('a\nFüße'.encode('cp1252'), 'line 2 is not UTF-8 .byte 0xfc'),
    ('狗'.encode('gbk'), 'line 1 is not UTF-8'),
    ('dog'.encode('utf-16-le'), 'is no text'),
    (codecs.BOM_UTF16_LE + b'a', 'line 1 is not UTF-16')])
def test_other_encodings_are_not_guessed_at(tmp_path, content, line):
  (tmp_path / 'a.txt').write_bytes(content)
  with pytest.raises(ConfigError, match=f'a.txt.*{line}'):
    read_text(tmp_path / 'a.txt')


def test_json_that_is_cut_off_names_its_line(tmp_path):
  (tmp_path / 'a.json').write_text('{"a": 1,\n "b": [')
  with pytest.raises(ConfigError, match='a.json is no JSON: .* in line 2'):
    read_json(tmp_path / 'a.json')


def test_a_missing_file_is_named(tmp_path):
  with pytest.raises(ConfigError, match='a.txt cannot be read: No such file'):
    read_text(tmp_path / 'a.txt')
