"""Pictures of results, (h w 3) uint8 arrays drawn on the host."""

import threading
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from visionlab.figures import fonts

CRIMSON = (220, 20, 60)
ROWS = 30                 # classes that a picture of bars shows


def preload():
  """Starts importing Matplotlib in the background: a second that a run then does not wait for."""
  threading.Thread(target=new_axes, args=(1, 1, (1, 1)), daemon=True).start()


def image_grid(images: np.ndarray, captions: Sequence[str], right: np.ndarray | None,
               title: str, columns: int = 8) -> np.ndarray:
  """Images (n h w c), uint8 or in [0, 1], each under its caption; wrong ones in red."""
  n, h, w, c = images.shape
  columns = max(min(columns, n), 1)
  rows = max(-(-n // columns), 1)
  # One mosaic in one pair of axes: Matplotlib takes ten times as long over an axes for each.
  gap, head = w / 12, h * .36
  figure, axis = new_axes(1, 1, (1.5 * columns, (1.5 * (h + head) / (w + gap)) * rows + .4), None)
  axis = axis[0, 0]
  axis.set_position((0, 0, 1, 1 - .4 / figure.get_figheight()))
  axis.set(xlim=(0, columns * (w + gap)), ylim=(rows * (h + head), 0), aspect='auto')
  axis.axis('off')
  figure.suptitle(title, y=1 - .1 / figure.get_figheight(), va='top')
  for i, image in enumerate(images):
    left, top = i % columns * (w + gap) + gap / 2, i // columns * (h + head) + head
    axis.imshow(image[..., 0] if c == 1 else image[..., :3], cmap='gray', vmin=0, aspect='auto',
                vmax=255 if image.dtype == np.uint8 else 1, extent=(left, left + w, top + h, top))
    axis.text(left + w / 2, top - head * .06, captions[i], ha='center', va='bottom', fontsize=8,
              color='black' if right is None or right[i] else 'crimson')
  return rendered(figure)


def label_maps(images: np.ndarray, true: np.ndarray, predicted: np.ndarray,
               classes: Sequence[str], captions: Sequence[str], title: str) -> np.ndarray:
  """Rows of image | true label map | predicted one | what is wrong, above a legend.

  Args:
    images: (n h w c), uint8 or in [0, 1].
    true: (n h w) int; what is no class, such as 255, is white and never wrong.
    predicted: (n h w) int.
    captions: of each row.
  """
  k, shown = len(classes), _rgb(images)
  colours = np.concatenate([palette(classes), [[255] * 3]]).astype(np.uint8)
  counted = true < k
  wrong = np.repeat(80 + shown.mean(-1, keepdims=True) / 2, 3, -1).astype(np.uint8)
  wrong[counted & (predicted != true)] = CRIMSON
  wrong[~counted] = 255
  rows = list(zip(shown, colours[np.where(counted, true, k)], colours[predicted], wrong,
                  strict=True))
  legend = _legend(classes, colours, [*true, *predicted])
  return _sheet(rows, ('image', 'true', 'predicted', 'wrong'), captions, legend, title)


def overlays(images: Sequence[np.ndarray], predicted: Sequence[np.ndarray], classes: Sequence[str],
             captions: Sequence[str], title: str) -> np.ndarray:
  """Rows of image | image under its predicted label map, above a legend.

  Args:
    images: uint8 (h w c) each, of any size.
    predicted: (h w) int each.
  """
  colours = palette(classes)
  rows = []
  for image, said in zip(images, predicted, strict=True):
    shown = _rgb(image)
    rows.append((shown, (.45 * shown + .55 * colours[said]).astype(np.uint8)))
  return _sheet(rows, ('image', 'predicted'), captions, _legend(classes, colours, predicted), title,
                wide=3.6)


def _sheet(rows, headings, captions, legend, title, wide: float = 2.2) -> np.ndarray:
  """Rows of pictures (h w 3), those of a row of one size, at most `wide` inches wide and high; a
  legend {name: rgb} below."""
  gap, head, top = .04, .1 + .14 * max((c.count('\n') + 1 for c in captions), default=1), .6
  across = max(1, int(len(headings) * wide / (.45 + .075 * max(map(len, legend), default=0))))
  sizes = [wide / max(row[0].shape[:2]) * np.array(row[0].shape[:2]) for row in rows]
  foot = .22 * -(-len(legend) // across) + .1
  size = (len(headings) * (wide + gap) + gap,
          top + sum(high + head for high, _ in sizes) + foot)
  figure, axis = new_axes(1, 1, size, None)
  axis = axis[0, 0]
  axis.set_position((0, 0, 1, 1))
  axis.set(xlim=(0, size[0]), ylim=(size[1], 0), aspect='auto')
  axis.axis('off')
  figure.suptitle(title, y=1 - .08 / size[1], va='top')
  lefts = [gap + i * (wide + gap) for i in range(len(headings))]
  for left, heading in zip(lefts, headings, strict=True):
    axis.text(left + wide / 2, top - .04, heading, ha='center', va='bottom', fontsize=9)
  for row, (high, broad), caption in zip(rows, sizes, captions, strict=True):
    for left, picture in zip(lefts, row, strict=True):
      axis.imshow(picture, aspect='auto', extent=(left, left + broad, top + high, top))
    axis.text(gap, top + high + .03, caption, va='top', fontsize=8)
    top += high + head
  for i, (name, colour) in enumerate(legend.items()):
    left, y = .1 + i % across * (size[0] - .1) / across, top + .08 + .22 * (i // across)
    axis.fill([left, left, left + .16, left + .16], [y, y + .14, y + .14, y],
              facecolor=np.array(colour) / 255, edgecolor='grey', linewidth=.5)
    axis.text(left + .21, y + .07, name, va='center', fontsize=8)
  return rendered(figure)


def _legend(classes, colours, maps):
  """Of all classes if they are few, else of those in the maps."""
  there = range(len(classes)) if len(classes) <= 24 else [
      i for i in sorted({i for one in maps for i in np.unique(one)}) if i < len(classes)]
  return {classes[i]: colours[i] for i in there}


def bars(values: np.ndarray, classes: Sequence[str], title: str) -> np.ndarray:
  """A bar from 0 to 1 for each class, the best on top; nan is said to be absent. Of more than ROWS
  classes that are there, the worst and the best halves of so many are shown."""
  order = np.argsort(np.where(np.isnan(values), -1, values), kind='stable')
  if len(order) > ROWS:
    there = order[np.isnan(values).sum():]
    order = np.concatenate([there[:ROWS // 2], there[-ROWS // 2:]]) if len(there) > ROWS else (
        order[-ROWS:])
    title = f'{title}: of {len(values)} classes the best and the worst'
  figure, axes = new_axes(1, 1, (6, max(2., .24 * len(order) + .8)))
  axis = axes[0, 0]
  colours = palette(classes)[order] / 255
  axis.barh(range(len(order)), np.nan_to_num(values[order]), color=colours, edgecolor='grey',
            linewidth=.5)
  axis.set_yticks(range(len(order)), fonts.readable([classes[i] for i in order]), fontsize=8)
  for place, value in enumerate(values[order]):
    axis.text(np.nan_to_num(value) + .01, place, 'absent' if np.isnan(value) else f'{value:.1%}',
              va='center', fontsize=8)
  axis.set(xlim=(0, 1.12), title=title)
  return rendered(figure)


def confusion_matrix(counts: np.ndarray, classes: Sequence[str], *,
                     shares: bool = False) -> np.ndarray:
  """Rows: true class, columns: predicted; coloured by the share of the row.

  shares: whether cells name that share in per cent, instead of the count.
  """
  k = len(classes)
  figure, axes = new_axes(1, 1, (max(4.5, min(.42 * k + 2, 16)),) * 2)
  axis = axes[0, 0]
  share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
  axis.imshow(share, cmap='Blues', vmin=0, vmax=1)
  axis.set(xlabel='predicted', ylabel='true', title='Confusion, %' if shares else 'Confusion')
  if k <= 40:
    names = fonts.readable(classes)
    axis.set_xticks(range(k), names, rotation=90 if max(map(len, names)) > 2 else 0)
    axis.set_yticks(range(k), names)
  if k <= 20:
    for i, j in zip(*np.nonzero(share >= .005 if shares else counts), strict=True):
      cell = f'{100 * share[i, j]:.0f}' if shares else int(counts[i, j])
      axis.text(j, i, cell, ha='center', va='center', fontsize=7,
                color='white' if share[i, j] > .5 else 'black')
  return rendered(figure)


def curves(lines: Sequence[Mapping], loss: str = 'loss') -> np.ndarray:
  """Learning curves from the lines of metrics.jsonl: a panel for each metric, its splits in it.

  loss: what the loss of training is called, where it is not the one of what is measured.
  """
  series = {}
  for line in lines:
    for key, value in line.items():
      if '/' in key:
        split, metric = key.split('/', 1)
        series.setdefault(metric, {}).setdefault(split, []).append((line['step'], float(value)))
  hidden = ('examples_per_second', 'data_wait_seconds', 'memory_bytes', 'top1_error', 'top5_error')
  panels = [m for m in series if m not in hidden]
  # One loss term is the loss itself: drawing it twice says nothing.
  panels = [m for m in panels if m == 'loss' or series[m] != series.get('loss')]
  columns = min(3, max(len(panels), 1))
  rows = -(-max(len(panels), 1) // columns)
  figure, axes = new_axes(rows, columns, (4 * columns, 2.8 * rows), None)
  figure.subplots_adjust(left=.2 / columns, right=1 - .04 / columns, top=1 - .1 / rows,
                         bottom=.16 / rows, wspace=.25, hspace=.45)
  for axis in axes.flat[len(panels):]:
    axis.axis('off')
  for axis, metric in zip(axes.flat, panels, strict=False):
    for split, points in series[metric].items():
      steps, values = np.array(points).T
      own = loss.removeprefix('loss') if (metric, split) == ('loss', 'train') else ''
      axis.plot(steps, values, marker='o' if split != 'train' else None, markersize=3,
                label=split + own)
    positive = [v for points in series[metric].values() for _, v in points if v > 0]
    if metric == 'loss' and positive:
      axis.set_yscale('log')
    axis.set(title=metric.replace('_', ' '), xlabel='step')
    axis.grid(alpha=.3)
    axis.legend(fontsize=8)
  return rendered(figure)


def scatter(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
  """Predicted against true values (n d), with the line on which they are equal."""
  figure, axes = new_axes(1, 1, (4.5, 4.5))
  axis = axes[0, 0]
  for i in range(true.shape[1]):
    axis.plot(true[:, i], predicted[:, i], '.', markersize=3, alpha=.6)
  ends = [true.min(), true.max()]
  axis.plot(ends, ends, color='black', linewidth=.8)
  axis.set(xlabel='true', ylabel='predicted')
  axis.grid(alpha=.3)
  return rendered(figure)


def palette(classes: Sequence[str]) -> np.ndarray:
  """A colour for each class, (k 3) uint8; a class called background is black."""
  from matplotlib import colormaps  # noqa: PLC0415
  from matplotlib.colors import hsv_to_rgb  # noqa: PLC0415
  strong, pale = np.split(np.array(colormaps['tab20'].colors).reshape(10, 2, 3), 2, 1)
  colours = np.concatenate([strong[:, 0], pale[:, 0]])
  more = np.arange(max(0, len(classes) - 20))
  # Hues a golden angle apart never come close to the ones just before.
  wheel = np.stack([more * .618 % 1, .5 + .5 * (more % 2), .95 - .3 * (more % 3) / 2], -1)
  colours = np.concatenate([colours, hsv_to_rgb(wheel)])[:len(classes)]
  colours = np.round(255 * colours).astype(np.uint8)
  colours[[name == 'background' for name in classes]] = 0
  return colours


def _rgb(images):
  """(... c) uint8, or floats in [0, 1], as (... 3) uint8."""
  if images.dtype != np.uint8:
    images = np.round(255 * np.clip(images, 0, 1)).astype(np.uint8)
  return np.repeat(images, 3, -1) if images.shape[-1] == 1 else images[..., :3]


def save(picture: np.ndarray, path) -> None:
  """Writes a PNG. Compressed lightly: this is done while a user waits."""
  Image.fromarray(picture).save(path, compress_level=1)


def new_axes(rows: int, columns: int, size, layout: str | None = 'constrained'):
  """A figure of `size` in inches, and its axes (rows columns)."""
  # Not pyplot: it keeps global state, and asks for a display.
  from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
  from matplotlib.figure import Figure  # noqa: PLC0415
  figure = Figure(figsize=size, dpi=100, layout=layout)
  FigureCanvasAgg(figure)
  return figure, figure.subplots(rows, columns, squeeze=False)


def rendered(figure) -> np.ndarray:
  """The picture of a figure, (h w 3) uint8."""
  fonts.dress(figure)
  figure.canvas.draw()       # once, where savefig draws twice to lay out
  return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
