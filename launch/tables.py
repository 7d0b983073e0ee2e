"""A sweep's settings as tables: for a terminal, a spreadsheet, a README and a paper."""

import csv
import io
from collections import Counter
from collections.abc import Sequence

from launch.trials import Group, seconds

SPREAD = 'sd'        # over seeds, n - 1: how far one run lies from the next
LATEX = {**{sign: '\\' + sign for sign in '&%$#_{}'}, '±': r'$\pm$', '~': r'\textasciitilde{}',
         '^': r'\textasciicircum{}', '\\': r'\textbackslash{}'}


def rows_of(groups: Sequence[Group], metric: str) -> list[list[str]]:
  """A heading and a row for each setting, best first: its mean ± the standard deviation over seeds,
  how many they are, the median time of a run, and how many have not been trained to the end."""
  keys = list(dict.fromkeys(k for g in groups for k in g.setting))
  several = any(len(g.values) > 1 for g in groups)
  heading = [*(k.removeprefix('hp.') for k in keys), metric.lstrip('-'), 'seeds', 'minutes',
             'not done']
  if several:
    heading[len(keys)] += f' ± {SPREAD}'
  return [heading, *([*(str(g.setting.get(k, '')) for k in keys), shown(g), str(len(g.values)),
                      _minutes(g), _unfinished(g)] for g in groups)]


def shown(group: Group) -> str:
  """'0.97 ± 0.028', of one run '0.97', of none nothing."""
  if not group.values:
    return ''
  return f'{group.mean:.4g}' + (f' ± {group.sd:.2g}' if len(group.values) > 1 else '')


def best_setting(groups: Sequence[Group], metric: str) -> str:
  """'lr 0.2: val/accuracy 0.97 ± 0.028 (sd over 2 seeds); test/accuracy 0.95 ± 0.03': what it was
  chosen by, and the same of other splits, by which nothing was."""
  best = groups[0]
  named = ', '.join(f'{k.removeprefix("hp.")} {v}' for k, v in best.setting.items())
  seeds = f' (sd over {len(best.values)} seeds)' if len(best.values) > 1 else ''
  name = metric.lstrip('-')
  others = sorted({key for trial in best.trials for key in trial.last
                   if key != name and key.partition('/')[2] == name.partition('/')[2]})
  quoted = ''.join(f'; {key} {shown(best._replace(values=_values(best, key)))}' for key in others)
  return f'{named or "the only one"}: {name} {shown(best)}{seeds}{quoted}'


def _values(group: Group, metric: str) -> list[float]:
  return [trial.last[metric] for trial in group.trials
          if trial.status == 'done' and metric in trial.last]


def aligned(rows: Sequence[Sequence[str]], most: int = 40) -> str:
  """For a terminal: columns line up, and of many rows the first are shown."""
  shown_rows = rows[:most + 1]
  wide = [max(map(len, column)) for column in zip(*shown_rows, strict=True)]
  text = '\n'.join('  '.join(cell.ljust(w) for cell, w in zip(row, wide, strict=True)).rstrip()
                   for row in shown_rows)
  return text + (f'\n... and {len(rows) - 1 - most} more' if len(rows) > most + 1 else '')


def as_csv(rows: Sequence[Sequence]) -> str:
  text = io.StringIO()
  csv.writer(text, lineterminator='\n').writerows(rows)
  return text.getvalue()


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
  """A table as GitHub shows it.

  >>> print(as_markdown([['lr', 'test/accuracy'], ['0.1', '0.9']]))
  | lr | test/accuracy |
  |---|---|
  | 0.1 | 0.9 |
  """
  lines = ['| ' + ' | '.join(cell.replace('|', r'\|') for cell in row) + ' |' for row in rows]
  return '\n'.join([lines[0], '|' + '---|' * len(rows[0]), *lines[1:]])


def as_latex(rows: Sequence[Sequence[str]]) -> str:
  """A tabular with booktabs' rules."""
  lines = [' & '.join(map(_latex, row)) + r' \\' for row in rows]
  return '\n'.join([rf'\begin{{tabular}}{{{"l" * len(rows[0])}}}', r'\toprule', lines[0],
                    r'\midrule', *lines[1:], r'\bottomrule', r'\end{tabular}'])


def _latex(cell: str) -> str:
  mean, plus_minus, spread = cell.partition(' ± ')
  if plus_minus and mean.replace('.', '').isdigit():
    return rf'${mean} \pm {spread}$'
  return ''.join(LATEX.get(sign, sign) for sign in cell)


def _minutes(group: Group) -> str:
  times = sorted(s for s in map(seconds, group.trials) if s is not None)
  return f'{times[len(times) // 2] / 60:.1f}' if times else ''


def _unfinished(group: Group) -> str:
  ends = Counter(trial.status for trial in group.trials if trial.status != 'done')
  return ', '.join(f'{n} {status}' for status, n in ends.items())
