"""What is read of a run's metrics.jsonl, sound and damaged."""

import pytest

from visionlab.training.log import read_metrics

FIRST, NEXT, LAST = '{"step": 0, "test/loss": 2.5}', '{"step": 5}', '{"step": 10, "t": "nan"}'


@pytest.mark.parametrize('damage', ['{"step": 3, "train/lo', '{"step": 3, "train/lo{"step": 3}',
                                    '[1, 2]', '{"loss": 1}', '{"step": "3"}', '\x00\x00', '\xff'])
def test_a_damaged_line_is_left_out_and_named_once(tmp_path, warned, damage):
  path = tmp_path / 'metrics.jsonl'
  path.write_bytes('\n'.join([FIRST, damage, NEXT, LAST, '']).encode('latin-1'))
  for _ in range(2):
    assert [line['step'] for line in read_metrics(tmp_path)] == [0, 5, 10]
  assert warned == [f'{path}, line 2 is damaged and left out']


def test_a_last_line_that_was_cut_off_is_no_damage(tmp_path, warned):
  (tmp_path / 'metrics.jsonl').write_text(f'{FIRST}\n\n{NEXT[:-3]}')
  assert [line['step'] for line in read_metrics(tmp_path)] == [0]
  assert not warned and read_metrics(tmp_path / 'none') == []
