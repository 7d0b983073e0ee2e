"""MovieQA's annotations: which lines of a plot tell which frames."""

import json
import logging

import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.data.text.plot_alignments import Aligned, lines_of_shots, read_plot_alignments

ONE = dict(qid='train:0', imdb_key='tt01', question='Who?', plot_alignment=[3, 4],
           video_clips=['tt01.sf-000010.ef-000039.video.mp4', 'tt01.sf-000100.ef-000150.video.mp4'])
OTHERS = [dict(ONE, plot_alignment=[]), dict(ONE, video_clips=[]), dict(ONE, imdb_key='tt02')]


def written(folder, what):
  path = folder / 'qa.json'
  path.write_text(json.dumps(what))
  return path


def test_what_annotations_say_of_a_film(tmp_path):
  path = written(tmp_path, [ONE, *OTHERS])
  expected = [Aligned(10, 39, (3, 4)), Aligned(100, 150, (3, 4))]
  assert read_plot_alignments(path, 'tt01') == expected
  shots = lines_of_shots(expected, np.array([0., 1, 2, 3, 4, 7]), rate=20.)
  assert shots == [{3, 4}, {3, 4}, set(), set(), {3, 4}, {3, 4}]


def test_clips_without_frames_are_named(tmp_path, caplog):
  path = written(tmp_path, [dict(ONE, video_clips=['a.mp4', *ONE['video_clips'][:1],
                                                   'tt.sf-9.ef-3.video.mp4'])])
  with caplog.at_level(logging.WARNING):
    assert len(read_plot_alignments(path)) == 1
  assert '2 clips are left out' in caplog.text and 'a.mp4' in caplog.text


@pytest.mark.parametrize('what, film, said', [
    (dict(a=1), '', 'expected a list of questions'), ([1], '', 'question 0 has no "imdb_key"'),
    ([{k: v for k, v in ONE.items() if k != 'video_clips'}], '', 'has no "video_clips"'),
    ([dict(ONE, plot_alignment=['3'])], '', 'question 0: expected lists'),
    ([ONE, *OTHERS], '', 'expected one film; there are: tt01, tt02'),
    ([ONE], 'tt10', r"no film 'tt10' \(did you mean \"tt01\"\?\)"), ([], '', 'there are: none')])
def test_annotations_that_are_none(tmp_path, what, film, said):
  with pytest.raises(ConfigError, match=said):
    read_plot_alignments(written(tmp_path, what), film)
