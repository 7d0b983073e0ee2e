"""Subtitles as people have them: what is odd is answered, and said."""

import logging

import pytest

from visionlab.config import ConfigError
from visionlab.data.text.subtitles import Cue, by_shot, read_subtitles

PLAIN = '1\n00:00:01,000 --> 00:00:02,500\nHello.\n\n2\n01:00:03,000 --> 01:00:04,000\nYou\ntwo.\n'
CUES = [Cue(1., 2.5, 'Hello.'), Cue(3603., 3604., 'You two.')]


def read(folder, text, name='film.srt', encoding='utf-8'):
  path = folder / name
  path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
  return read_subtitles(path)


@pytest.mark.parametrize('text', [
    PLAIN, PLAIN.replace('\n', '\r\n'), PLAIN.replace(',', '.'), '\n\n' + PLAIN,
    PLAIN.replace('1\n00', '00').replace('2\n01', '01'),           # no numbers
    PLAIN.replace('2\n01', '7\n01'), PLAIN.replace('\n\n2\n', '\n2\n'),
    PLAIN.replace('You\ntwo', 'You\n\ntwo'), PLAIN.rstrip('\n'),
    PLAIN.replace('1\n00:00', '1\n00:00').replace(' --> ', '-->'),
    PLAIN.replace('Hello.', '<i>Hello.</i>').replace('two', '{\\an8}<font color="red">two</font>'),
    PLAIN.replace('2,500', '2,500 X1:40 X2:600 Y1:20 Y2:50'),
    PLAIN.replace('1,000', '1,0').replace('2,500', '2,5')],
    ids=['srt', 'crlf', 'points', 'blank', 'unnumbered', 'misnumbered', 'joined', 'parted', 'end',
         'tight', 'tags', 'places', 'digits'])
def test_one_film_in_many_spellings(tmp_path, text, caplog):
  with caplog.at_level(logging.WARNING):
    assert read(tmp_path, text) == CUES
  assert not caplog.records


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16', 'utf-32'])
def test_byte_order_marks(tmp_path, encoding):
  assert read(tmp_path, PLAIN.replace('Hello', 'Où'), encoding=encoding)[0].text == 'Où.'


def test_another_encoding_is_named_with_its_line(tmp_path):
  with pytest.raises(ConfigError, match=r'film.srt: line 3 is not UTF-8 .*iconv -f cp1252'):
    read(tmp_path, PLAIN.replace('Hello', 'Où'), encoding='cp1252')


def test_webvtt(tmp_path, caplog):
  text = ('WEBVTT - a film\nKind: captions\n\nNOTE written\nby hand --> no cue\n\nSTYLE\n::cue {}\n'
          '\nfirst\n00:01.000 --> 00:02.500 align:start line:0%\n<v Ann>Tom &amp; <00:01.500><c>I'
          '</c></v>\n\n00:00:03.000 --> 00:00:04.000\n3 < 5 > 2\n')
  with caplog.at_level(logging.WARNING):
    assert read(tmp_path, text, 'film.vtt') == [Cue(1, 2.5, 'Tom & I'), Cue(3, 4, '3 < 5 > 2')]
  assert not caplog.records


@pytest.mark.parametrize('cue, kept, said', [
    ('00:00:05,000 --> 00:00:04,000\nBack', Cue(4, 5, 'Back'), 'ends before it begins; line 8'),
    ('-00:00:02,000 --> 00:00:01,000\nEarly', Cue(0, 1, 'Early'), 'begins before the film; line 8'),
    ('00:00:00,500 --> 00:00:00,900\nLate', Cue(.5, .9, 'Late'), 'out of its order; line 8'),
    ('00:00:05,000 --> 00:00:06,000\n<i> </i>', None, 'cue without text; line 8'),
    ('00:xx:05,000 --> 00:00:06,000', None, 'is no time; line 8')])
def test_what_is_odd_is_said(tmp_path, cue, kept, said, caplog):
  text = PLAIN.replace('2\n01', f'\n\n9\n{cue}\n\n2\n01')
  with caplog.at_level(logging.WARNING):
    found = read(tmp_path, text)
  assert any(said in record.getMessage() for record in caplog.records), caplog.text
  if kept:
    assert kept in found and len(found) == 3
  assert all('line 8' in record.getMessage() for record in caplog.records)


def test_overlapping_cues_are_all_there(tmp_path):
  found = read(tmp_path, PLAIN.replace('01:00:03,000 --> 01:00:04,000',
                                       '00:00:01,000 --> 00:00:04,000'))
  assert found == [Cue(1, 2.5, 'Hello.'), Cue(1, 4, 'You two.')]


@pytest.mark.parametrize('text', ['', 'no times\nat all', 'WEBVTT\n\nNOTE empty',
                                  '1\n00:00:01,000 --> 00:00:02,000\n\n'])
def test_a_file_without_cues(tmp_path, text):
  with pytest.raises(ConfigError, match='film.srt: no subtitles; expected cues such as'):
    read(tmp_path, text)


def test_cues_are_of_the_shot_that_they_are_longest_in():
  cues = [Cue(0, 4, 'a'), Cue(4, 7, 'b'), Cue(5, 7, 'c'), Cue(90, 91, 'd'), Cue(2, 2, 'e')]
  assert by_shot(cues, [1., 5., 10.]) == ['a e', 'b c', 'd']
