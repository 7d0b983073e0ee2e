"""What the options of masks may say, and what is wrong with the others."""

import pytest

from visionlab.config import ConfigError
from visionlab.data.images.masks import read_labels


@pytest.mark.parametrize('options, words', [
    (dict(classes='cat'), r"classes is the text 'cat'; expected names, \('cat',\)"),
    (dict(classes=('road,car',)), r"expected names, \('road', 'car'\)"),
    (dict(classes=('car', 'car')), '"car" is number 0 and number 1'),
    (dict(classes=('car', ' ')), "number 1 is ' '"), (dict(), 'classes must name'),
    (dict(palette=dict(car=())), r'palette.car: expected \(r, g, b\), several such, or a grey'),
    (dict(palette=dict(car=None)), 'palette.car: expected'),
    (dict(palette=dict(car=((1, 2, 3), (1, 2)))), 'palette.car: expected')])
def test_labels_that_are_none_are_named(options, words):
  with pytest.raises(ConfigError, match=f'pairs.*{words}'):
    read_labels('pairs', **options)
