"""The figure: a week with an incident of each kind, what is usual, and what made the network say
so."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from visionlab.alerts import APART
from visionlab.data.behaviour.encode import GROUPS
from visionlab.data.behaviour.habits import DAYS
from visionlab.data.behaviour.populations import POPULATIONS, Timeline
from visionlab.figures import charts
from visionlab.runs.run import Run


def draw_weeks(path: Path, run: Run, split, lines: Sequence[Timeline], population: str) -> None:
  """Of each kind the first of the test split, in the channel that speaks most for the answer."""
  drawn = POPULATIONS[population]
  kinds = split.arrays['incident']
  numbers = [drawn.kinds.index(kind) for kind in drawn.incidents]
  chosen = [np.flatnonzero(kinds == number)[0] for number in numbers if (kinds == number).any()]
  images = split.arrays['image'][chosen]
  said = run.predict(images)['probabilities'][:, 1]
  why = run.explain(images, 'gradient_times_input', 'unusual')
  why = why.reshape(*why.shape[:3], len(GROUPS), len(drawn.channels)).sum(3)
  figure, axes = charts.new_axes(len(chosen), 3, (11, 1.9 * len(chosen)))
  for row, i, p, reasons in zip(np.reshape(axes, (-1, 3)), chosen, said, why, strict=True):
    line, week = divmod(i, len(lines[0].weeks))
    counts, usual = (drawn.levels(x) for x in (lines[line].weeks[week],
                                               lines[line].history.mean(0)))
    speaks = np.where(np.abs(counts - usual) > APART, reasons, 0)
    which = np.maximum(speaks, 0).sum((0, 1)).argmax()
    counts, usual = counts[..., which], usual[..., which]
    title = f'{drawn.kinds[kinds[i]]}: {drawn.channels[which]}, said to be unusual: {p:.2f}'
    most = max(counts.max(), usual.max())
    shown(row[0], counts, title, 'viridis', 0, most)
    shown(row[1], usual, f'the {len(lines[line].history)} weeks before, on average', 'viridis', 0,
          most)
    least = np.abs(reasons[..., which]).max()
    shown(row[2], reasons[..., which], 'what speaks for it (red)', 'bwr', -least, least)
  charts.save(charts.rendered(figure), path)


def shown(axis, values: np.ndarray, title: str, colours: str, low: float, high: float) -> None:
  """A week (7, 24) as a heat map."""
  axis.imshow(values, cmap=colours, vmin=low, vmax=high, aspect='auto')
  axis.set_title(title, fontsize=8)
  axis.set_yticks(range(7), DAYS, fontsize=6)
  axis.set_xticks(range(0, 24, 4), [f'{h}:00' for h in range(0, 24, 4)], fontsize=6)
