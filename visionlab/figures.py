"""Pictures of results, (h w 3) uint8 arrays drawn on the host."""

import io
import threading
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image


def preload():
  """Starts importing Matplotlib in the background: a second that a run then does not wait for."""
  threading.Thread(target=_axes, args=(1, 1, (1, 1)), daemon=True).start()


def image_grid(images: np.ndarray, captions: Sequence[str], right: np.ndarray | None,
               title: str) -> np.ndarray:
  """Images (n h w c), uint8 or in [0, 1], each under its caption; wrong ones in red."""
  n, h, w, c = images.shape
  columns = max(min(8, n), 1)
  rows = max(-(-n // columns), 1)
  # One mosaic in one pair of axes: Matplotlib takes ten times as long over an axes for each.
  gap, head = w / 12, h * .36
  figure, axis = _axes(1, 1, (1.5 * columns, (1.5 * (h + head) / (w + gap)) * rows + .4), None)
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
  return _rendered(figure)


def confusion_matrix(counts: np.ndarray, classes: Sequence[str]) -> np.ndarray:
  """Rows: true class, columns: predicted; coloured by the share of the row."""
  k = len(classes)
  figure, axes = _axes(1, 1, (max(4.5, min(.42 * k + 2, 16)),) * 2)
  axis = axes[0, 0]
  share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
  axis.imshow(share, cmap='Blues', vmin=0, vmax=1)
  axis.set(xlabel='predicted', ylabel='true', title='Confusion')
  if k <= 40:
    axis.set_xticks(range(k), classes, rotation=90 if max(map(len, classes)) > 2 else 0)
    axis.set_yticks(range(k), classes)
  if k <= 20:
    for i, j in zip(*np.nonzero(counts), strict=True):
      axis.text(j, i, int(counts[i, j]), ha='center', va='center', fontsize=7,
                color='white' if share[i, j] > .5 else 'black')
  return _rendered(figure)


def curves(lines: Sequence[Mapping]) -> np.ndarray:
  """Learning curves from the lines of metrics.jsonl: a panel for each metric, its splits in it."""
  series = {}
  for line in lines:
    for key, value in line.items():
      if '/' in key:
        split, metric = key.split('/', 1)
        series.setdefault(metric, {}).setdefault(split, []).append((line['step'], float(value)))
  hidden = ('examples_per_second', 'top1_error', 'top5_error')
  panels = [m for m in series if m not in hidden]
  # One loss term is the loss itself: drawing it twice says nothing.
  panels = [m for m in panels if m == 'loss' or series[m] != series.get('loss')]
  columns = min(3, max(len(panels), 1))
  rows = -(-max(len(panels), 1) // columns)
  figure, axes = _axes(rows, columns, (4 * columns, 2.8 * rows), None)
  figure.subplots_adjust(left=.2 / columns, right=1 - .04 / columns, top=1 - .1 / rows,
                         bottom=.16 / rows, wspace=.25, hspace=.45)
  for axis in axes.flat[len(panels):]:
    axis.axis('off')
  for axis, metric in zip(axes.flat, panels, strict=False):
    for split, points in series[metric].items():
      steps, values = np.array(points).T
      axis.plot(steps, values, marker='o' if split != 'train' else None, markersize=3, label=split)
    positive = [v for points in series[metric].values() for _, v in points if v > 0]
    if metric == 'loss' and positive:
      axis.set_yscale('log')
    axis.set(title=metric.replace('_', ' '), xlabel='step')
    axis.grid(alpha=.3)
    axis.legend(fontsize=8)
  return _rendered(figure)


def scatter(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
  """Predicted against true values (n d), with the line on which they are equal."""
  figure, axes = _axes(1, 1, (4.5, 4.5))
  axis = axes[0, 0]
  for i in range(true.shape[1]):
    axis.plot(true[:, i], predicted[:, i], '.', markersize=3, alpha=.6)
  ends = [true.min(), true.max()]
  axis.plot(ends, ends, color='black', linewidth=.8)
  axis.set(xlabel='true', ylabel='predicted')
  axis.grid(alpha=.3)
  return _rendered(figure)


def save(picture: np.ndarray, path) -> None:
  """Writes a PNG. Compressed lightly: this is done while a user waits."""
  Image.fromarray(picture).save(path, compress_level=1)


def _axes(rows: int, columns: int, size, layout: str | None = 'constrained'):
  # Not pyplot: it keeps global state, and asks for a display.
  from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
  from matplotlib.figure import Figure  # noqa: PLC0415
  figure = Figure(figsize=size, dpi=100, layout=layout)
  FigureCanvasAgg(figure)
  return figure, figure.subplots(rows, columns, squeeze=False)


def _rendered(figure) -> np.ndarray:
  buffer = io.BytesIO()
  figure.savefig(buffer, format='rgba')
  width, height = figure.canvas.get_width_height()
  return np.frombuffer(buffer.getvalue(), np.uint8).reshape(height, width, 4)[..., :3].copy()
