"""What a terminal shows: a passing line in one row, whatever its width; lines that stay, stay."""

import os
import re
import shutil
import subprocess
import sys
import time

import pytest

from visionlab.training import console as module
from visionlab.training.console import Console, cut, folded


def shown(written: str, columns: int) -> list[str]:
  """The rows of a terminal of that width after what was written: its carriage returns, line feeds,
  ups and erasures to the end."""
  rows, row, column = [''], 0, 0
  for piece in re.findall(r'\x1b\[\d*[AJ]|.|\n', written):
    if piece.endswith('A') and len(piece) > 1:
      row -= int(piece[2:-1])
    elif piece.endswith('J') and len(piece) > 1:
      rows[row:] = [rows[row][:column]]
    elif piece == '\r':
      column = 0
    else:
      if piece == '\n' or column == columns:
        row, column = row + 1, 0
        rows += [''] * (row == len(rows))
      if piece != '\n':
        rows[row] = rows[row][:column].ljust(column) + piece + rows[row][column + 1:]
        column += 1
  return rows


@pytest.mark.parametrize('columns', [20, 60, 80, 160])
def test_one_row_passes_and_lines_stay(columns, monkeypatch, capsys):
  monkeypatch.setattr(module, 'width', lambda stream: columns)
  console = Console(terminal=True)
  console.say('table')
  for step in range(50):
    console.passing(f'step {step}/50  ' + 'loss 0.123  ' * 12)
  console.say('x' * 30)
  console.passing('step 50/50  ' * 20)
  console.close()
  whole = cut('step 50/50  ' * 20, columns)
  long = ['x' * 30] if columns > 30 else ['x' * 20, 'x' * 10]
  assert shown(capsys.readouterr().out, columns) == ['table', *long, whole, '']


def test_a_line_that_a_narrower_window_has_broken_is_taken_away_whole(monkeypatch, capsys):
  console = Console(terminal=True)
  monkeypatch.setattr(module, 'width', lambda stream: 100)
  console.say('stays')
  console.passing('a' * 90)
  monkeypatch.setattr(module, 'width', lambda stream: 40)    # the terminal breaks it in three rows
  console.passing('b' * 10)
  assert shown(capsys.readouterr().out, 40) == ['stays', 'b' * 10]


@pytest.mark.parametrize('columns', [20, 60, 80, 160])
def test_lines_that_stay_are_broken_between_their_words(columns):
  words = [f'name_{i} 0.{i:02d}' for i in range(12)]
  rows = folded('  '.join(words) + '\nshort', columns).split('\n')
  assert all(len(row) < columns for row in rows) and rows.pop() == 'short'
  assert [word for row in rows for word in row.strip().split('  ')] == words
  assert folded('x' * 200 + '  end', columns) == 'x' * 200 + '\n    end'
  assert folded('x' * 200, columns) == 'x' * 200                    # nowhere to break it


def test_elsewhere_only_lines_that_stay_are_written(capsys):
  console = Console(terminal=False)
  console.passing('step 1')
  console.say('step 2')
  console.close()
  assert capsys.readouterr().out == 'step 2\n'


def test_long_work_is_named_with_its_time_and_short_work_passes(monkeypatch, capsys):
  console = Console(terminal=True)
  monkeypatch.setattr(module, 'width', lambda stream: 80)
  with console.doing('reading'):
    pass
  monkeypatch.setattr(module, 'WAIT', 0)
  with console.doing('compiling'):
    time.sleep(.01)
  rows = shown(capsys.readouterr().out, 80)
  assert len(rows) == 2 and re.fullmatch(r'compiling: 0\.\d s', rows[0]) and rows[1] == ''


def test_work_that_fails_leaves_no_passing_line(monkeypatch, capsys):
  monkeypatch.setattr(module, 'width', lambda stream: 80)
  with pytest.raises(KeyError), Console(terminal=True).doing('reading'):
    raise KeyError
  assert shown(capsys.readouterr().out, 80) == ['']


@pytest.mark.skipif(not shutil.which('tmux'), reason='no tmux here')
@pytest.mark.parametrize('columns', [60, 80, 160])
def test_in_a_real_terminal_a_run_leaves_a_row_for_each_line(tmp_path, columns):
  program = ('import time\nfrom visionlab.training.console import Console\nc = Console()\n'
             'for i in range(30):\n'
             '  c.passing(f"step {i} " + "loss 0.1 " * 30)\n'
             '  if i % 10 == 9: c.say(f"step {i} of 30")\n'
             '  time.sleep(.01)\n'
             'c.say("end")\n')
  (tmp_path / 'program.py').write_text(program)
  tmux = ['tmux', '-L', f'visionlab{os.getpid()}{columns}']
  try:
    subprocess.run([*tmux, 'new-session', '-d', '-x', str(columns), '-y', '30',
                    f'{sys.executable} {tmp_path}/program.py; sleep 60'], check=True,
                   env={**os.environ, 'TERM': 'screen'}, cwd=os.getcwd())
    for _ in range(200):
      seen = subprocess.run([*tmux, 'capture-pane', '-p'], capture_output=True, text=True,
                            check=True).stdout.split('\n')
      if 'end' in seen:
        break
      time.sleep(.1)
  finally:
    subprocess.run([*tmux, 'kill-server'], check=False)
  assert [row for row in seen if row] == ['step 9 of 30', 'step 19 of 30', 'step 29 of 30', 'end']
