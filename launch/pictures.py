"""Pictures of a sweep: the metric against each hyperparameter, parallel coordinates, curves."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from launch.trials import Group, Trial
from visionlab.figures.charts import new_axes, rendered
from visionlab.storage.workdir import save_figures

WIDE = 36                        # characters beside each other below a panel
LINE = .05                       # of a panel's height, a label beside an axis
SIDE_BY_SIDE = 8                 # values on an axis that has no scale
CURVES = 8                       # settings whose curves are told apart by colour, the best ones


def save(folder: Path, trials: Sequence[Trial], groups: Sequence[Group], metric: str):
  """Writes them to figures/."""
  made = dict(hyperparameters=hyperparameters(groups, metric),
              parallel=parallel_coordinates(trials, metric), curves=curves(groups, metric))
  save_figures(folder, {k: v for k, v in made.items() if v is not None})


def varied(settings: Sequence[dict]) -> list[str]:
  """The keys that take more than one value."""
  keys = dict.fromkeys(k for s in settings for k in s)
  return [k for k in keys if len({str(s.get(k)) for s in settings}) > 1]


def hyperparameters(groups: Sequence[Group], metric: str):
  """The metric against each hyperparameter: every run, and means ± their sd over seeds."""
  groups = [g for g in groups if g.values]
  keys = varied([g.setting for g in groups])
  if not keys:
    return None
  columns = min(3, len(keys))
  rows = -(-len(keys) // columns)
  figure, axes = new_axes(rows, columns, (4.4 * columns, 3.3 * rows))
  for axis in axes.flat[len(keys):]:
    axis.axis('off')
  for axis, key in zip(axes.flat, keys, strict=False):
    places, ticks, log = scale([g.setting.get(key) for g in groups])
    for place, group in zip(places, groups, strict=True):
      axis.plot([place] * len(group.values), group.values, '.', color='grey', alpha=.5)
    order = np.argsort(places, kind='stable')
    mean, sd = (np.array([getattr(groups[i], name) for i in order]) for name in ('mean', 'sd'))
    axis.errorbar(np.array(places)[order], mean, np.nan_to_num(sd), marker='o', markersize=4,
                  linewidth=1.2 if len(keys) == 1 else 0, elinewidth=1.2, color='C0')
    axis.set(xlabel=key, ylabel=metric.lstrip('-'), xscale='log' if log else 'linear')
    tick_tried(axis, places, ticks)
    axis.grid(alpha=.3)
  return rendered(figure)


def tick_tried(axis, places: Sequence[float], names: Sequence[str] | None):
  """Ticks at the values tried; where they are too close, at so many that no label meets the next.

  places, names: see `scale`.
  """
  if names:
    turned = sum(map(len, names)) > WIDE
    axis.set_xticks(range(len(names)), names, rotation=25 if turned else 0,
                    ha='right' if turned else 'center')
    return
  tried = sorted(set(places))
  heights, _ = unit(tried) if len(tried) > 1 else (np.zeros(1), None)
  labels = [f'{value:.3g}' for value in tried]
  kept = apart(heights, [len(label) / WIDE for label in labels])
  axis.set_xticks([tried[i] for i in kept], [labels[i] for i in kept])
  axis.minorticks_off()


def apart(heights: Sequence[float], sizes: Sequence[float]) -> list[int]:
  """Which of the labels at increasing `heights` are shown, the ends first, so that none meets the
  next; sizes: of each label, in units of the axis.

  >>> apart([0, .1, .5, .55, 1], [.2] * 5)
  [0, 2, 4]
  """
  order = [0, len(heights) - 1, *range(1, len(heights) - 1)]
  kept: list[int] = []
  for i in dict.fromkeys(order):
    if all(abs(heights[i] - heights[j]) >= (sizes[i] + sizes[j]) / 2 for j in kept):
      kept.append(i)
  return sorted(kept)


def parallel_coordinates(trials: Sequence[Trial], metric: str):
  """A line for each run through its settings to its metric."""
  trials = [t for t in trials if not math.isnan(t.value(metric))]
  keys = varied([t.setting for t in trials])
  if not keys or len(trials) < 2:
    return None
  columns = [unit([t.setting.get(k) for t in trials]) for k in keys]
  values = np.array([t.value(metric) for t in trials])
  columns.append(unit(list(values)))
  heights = np.array([places for places, _ in columns]).T
  figure, axes = new_axes(1, 1, (max(5., 1.9 * len(columns)), 4))
  axis = axes[0, 0]
  best_first = np.argsort(-values if not metric.startswith('-') else values)
  from matplotlib import colormaps  # noqa: PLC0415
  for rank, i in reversed(list(enumerate(best_first))):
    share = 1 - rank / max(1, len(trials) - 1)
    axis.plot(range(len(columns)), heights[i], color=colormaps['viridis'](share),
              alpha=.35 + .6 * share, linewidth=1 + share)
  for x, (_, ticks) in enumerate(columns):
    axis.axvline(x, color='black', linewidth=.8)
    for height, label in ticks:
      axis.text(x + .02, height, label, fontsize=8, va='center',
                bbox=dict(facecolor='white', alpha=.7, linewidth=0, pad=.5))
  names = [*keys, metric.lstrip('-')]
  axis.set_xticks(range(len(columns)), names,
                  **dict(rotation=15, ha='right') if max(map(len, names)) > WIDE // 2 else {})
  axis.set(yticks=[], xlim=(-.1, len(columns) - .65), ylim=(-.05, 1.05))
  for side in axis.spines.values():
    side.set_visible(False)
  return rendered(figure)


def curves(groups: Sequence[Group], metric: str):
  """The metric over training: the mean of each setting ± the standard deviation over seeds."""
  name = metric.lstrip('-')
  figure, axes = new_axes(1, 1, (7, 4.2))
  axis = axes[0, 0]
  for rank, group in reversed(list(enumerate(groups))):
    series = [{line['step']: float(line[name]) for line in t.lines if name in line}
              for t in group.trials if t.status != 'diverged']
    steps = sorted(set.intersection(*map(set, series))) if series else []
    if not steps:
      continue
    values = np.array([[own[s] for s in steps] for own in series])
    mean = values.mean(0)
    style = dict(color=f'C{rank}', label=label(group.setting)) if rank < CURVES else dict(
        color='lightgrey', linewidth=.8)
    axis.plot(steps, mean, marker='o', markersize=3, **style)
    if len(values) > 1:
      sd = values.std(0, ddof=1)
      axis.fill_between(steps, mean - sd, mean + sd, color=style['color'], alpha=.18,
                        linewidth=0)
  axis.set(xlabel='step', ylabel=name)
  axis.grid(alpha=.3)
  handles, labels = axis.get_legend_handles_labels()
  if handles:
    axis.legend(handles[::-1], labels[::-1], fontsize=8, title='best first')
  return rendered(figure)


def label(setting) -> str:
  return ', '.join(f'{k.removeprefix("hp.")} {v}' for k, v in setting.items()) or 'base'


def is_number(value) -> bool:
  return isinstance(value, int | float) and not isinstance(value, bool)


def scale(values: Sequence) -> tuple[list[float], list[str] | None, bool]:
  """Places of values on an axis, tick labels where they are no numbers, whether it is log.

  A log axis has no zero: values such as 0, 1e-4 and 1e-2 are put side by side, as names are.
  """
  if not all(map(is_number, values)):
    names = list(dict.fromkeys(map(str, values)))
    return [names.index(str(v)) for v in values], names, False
  tried = sorted(set(values))
  if tried[0] == 0 and 2 < len(tried) <= SIDE_BY_SIDE and tried[-1] / tried[1] >= 8:
    return [tried.index(value) for value in values], [f'{value:.3g}' for value in tried], False
  log = min(values) > 0 and max(values) / min(values) >= 8
  return list(map(float, values)), None, log


def unit(values: Sequence) -> tuple[np.ndarray, list[tuple[float, str]]]:
  """Values at heights from 0 to 1, and labelled heights."""
  places, names, log = scale(values)
  heights = np.log(places) if log else np.array(places, float)
  low, high = heights.min(), heights.max()
  heights = (heights - low) / (high - low or 1)
  labels = names and [names[int(p)] for p in places] or [f'{p:.4g}' for p in places]
  ticks = sorted((height, text) for text, height in
                 dict(zip(labels, heights.tolist(), strict=True)).items())
  size = LINE if len(ticks) <= 8 else 3 * LINE           # of many, a few say enough
  kept = apart([height for height, _ in ticks], [size] * len(ticks))
  return heights, [ticks[i] for i in kept]
