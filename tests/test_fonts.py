"""Names of classes and files in any script: every one is drawn, or spelt, and nothing warns."""

import matplotlib
import numpy as np
import pytest
from PIL import Image

from visionlab.figures import captions, charts, detection, drawing, fonts

CHINESE, CIRCLED = '猫', 'ⓝⓞⓟ'          # CIRCLED: in a font that Matplotlib ships, not in DejaVu's
NAMES = (CHINESE, '狗', 'a$b$c', '$\\frac$', 'tab\there', 'x\x07', '\udcff', CIRCLED)
PIXELS = np.zeros((2, 8, 8, 3), np.uint8)


def only_shipped(monkeypatch, *names):
  """As if these of the fonts that Matplotlib ships were all that is installed."""
  folder = f'{matplotlib.get_data_path()}/fonts/ttf'
  monkeypatch.setattr(fonts, '_installed', lambda: tuple(f'{folder}/{n}' for n in names))


@pytest.fixture
def nothing_installed(monkeypatch):
  only_shipped(monkeypatch)


def test_what_no_font_has_is_spelt(nothing_installed):
  assert fonts.spelt(CHINESE + ' é\n') == '\\u732b é\n'
  assert fonts.spelt('\U0001f9ff\udcff') == '\\U0001f9ff\\udcff'
  assert fonts.spelt('a\tb\x07') == 'a b\\x07'
  assert fonts.readable(NAMES[:2]) == ['\\u732b', '\\u72d7']


def test_other_fonts_are_used_as_far_as_they_go(monkeypatch):
  only_shipped(monkeypatch, 'STIXGeneral.ttf', 'LastResortHE-Regular.ttf', 'cmex10.ttf')
  found = fonts.others('abc' + CIRCLED)
  assert [file.rpartition('/')[2] for file in found] == ['STIXGeneral.ttf']
  assert fonts.spelt(CIRCLED, found) == CIRCLED != fonts.spelt(CIRCLED)
  font, text = fonts.pil_font(CIRCLED, 12)
  assert text == CIRCLED and font.getname()[0] == 'STIXGeneral'


def test_a_font_of_boxes_is_no_font():
  assert not any('LastResort' in file for file in fonts._installed())


PICTURES = dict(
    grid=lambda names: charts.image_grid(PIXELS, [f'{n}.png' for n in names[:2]], None, names[0]),
    bars=lambda names: charts.bars(np.linspace(0, 1, len(names)), names, names[0]),
    confusion=lambda names: charts.confusion_matrix(np.eye(len(names)), names),
    maps=lambda names: charts.label_maps(PIXELS, PIXELS[..., 0], PIXELS[..., 0], names, names[:2],
                                         names[0]),
    curves=lambda names: charts.curves([{'step': i, f'{n}/loss': 10. ** i} for n in names
                                        for i in range(3)]),
    recall=lambda names: detection.precision_recall_curves(
        [detection.Curve(*np.array([[0, 1.], [1., .5], [.9, .8]]), 3)] * len(names), names,
        names[0]),
    boxes=lambda names: drawing.draw_boxes(PIXELS[0].repeat(9, 0).repeat(9, 1), np.array(
        [[8 * i, 20, 8 * i + 6, 60] for i in range(len(names))]), charts.palette(names), names),
    legend=lambda names: drawing.legend(names, 200),
    caption=lambda names: captions.sheet([captions.Card(PIXELS[0], [(n, -1.) for n in names])],
                                         names[0]))


@pytest.mark.parametrize('kind', PICTURES)
def test_every_picture_takes_every_name(kind, nothing_installed, tmp_path):
  """Warnings are errors here. Two names that no font has do not look the same."""
  picture = PICTURES[kind](NAMES)
  assert picture.ndim == 3 and picture.std() > 0
  cats, dogs = (PICTURES[kind]((name, 'b', 'c')) for name in NAMES[:2])
  assert cats.shape != dogs.shape or (cats != dogs).any()


def test_a_dollar_is_a_dollar(nothing_installed):
  white = PIXELS + np.uint8(255)
  plain, money = (charts.image_grid(white, [text, ''], None, '') for text in ('a b', 'a $b$'))
  ink = lambda picture: (picture < 200).sum()
  assert ink(money) > 1.3 * ink(plain)               # a formula would show no dollars


def test_the_second_line_of_a_caption_is_seen():
  images = [np.zeros((20, 20, 3), np.uint8)] * 2
  maps = [np.zeros((20, 20), np.uint8)] * 2
  heights = [charts.overlays(images, maps, ('a', 'b'), [text] * 2, 'T').shape[0]
             for text in ('x', 'x\ny')]
  assert heights[1] - heights[0] == pytest.approx(2 * 14, abs=2)


def test_long_words_are_broken():
  picture = np.zeros((4, 100, 3), np.uint8)
  long = drawing.captioned(picture, 'm' * 60)
  assert long.shape[0] > drawing.captioned(picture, 'm').shape[0] + 5 * 16
  assert Image.fromarray(long).size[0] == 100


def test_a_word_that_smaller_letters_keep_whole_is_not_broken():
  """Two words, two lines: 'backpropagation' is 98 pixels wide in letters of 12."""
  picture = np.zeros((4, 96, 3), np.uint8)
  assert drawing.captioned(picture, 'guided backpropagation').shape == (4 + 4 + 2 * 16, 96, 3)
