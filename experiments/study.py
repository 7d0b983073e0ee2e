"""What the studies share: configs with changes, runs that are made once, a table and a figure."""

import argparse
import contextlib
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from visionlab import commandline
from visionlab.storage.workdir import check_config, outcome
from visionlab.sweeps.together import train_together
from visionlab.train import train
from visionlab.training.log import read_metrics
from visionlab.weights.fit import adopt_options

LAST = 'figures/learning_curves.png'      # what `train` writes last, and only once it is through


def parser(name: str, doc: str, *, seeds: int) -> argparse.ArgumentParser:
  """The options that every study has."""
  made = argparse.ArgumentParser(prog=f'python -m experiments.{name}',
                                 description=doc.splitlines()[0])
  made.add_argument('--seeds', type=int, default=seeds, help='runs of each kind; %(default)s')
  made.add_argument('--quick', action='store_true',
                    help='the whole path in seconds, on embedded data, for no result')
  made.add_argument('--folder', type=Path, help='keeps the runs, and goes on from those that are '
                    'there; default: a temporary folder')
  made.add_argument('--figure', type=Path, help='where the figure goes; default: beside the '
                    'README, with --quick nowhere')
  return made


def add_parts(made: argparse.ArgumentParser, parts: Mapping[str, Callable],
              default: Sequence[str]) -> None:
  """The parts of a study that are to be made, `given.parts`, by the names of their functions."""
  def known(name):
    if name not in parts:
      raise argparse.ArgumentTypeError(f'no part {name!r}; there are: {", ".join(parts)}')
    return name
  said = 'all' if len(default) == len(parts) else ' '.join(default)
  made.add_argument('parts', nargs='*', type=known, default=list(default),
                    help=f'any of {", ".join(parts)}; default: {said}')


def parse(made: argparse.ArgumentParser, argv: Sequence[str] | None, beside: str):
  """The options given; `beside` is the study's own file. Wrong ones end the program."""
  given = made.parse_args(argv)
  if given.seeds < 1:
    made.error(f'--seeds must be at least 1, not {given.seeds}')
  if not (given.figure or given.quick):
    given.figure = Path(beside).with_name(f'{Path(beside).parent.name}.png')
  return given


def start(main: Callable) -> None:
  """Runs a study as a command: programs compiled once for all runs, errors in one line."""
  logging.getLogger('absl').setLevel(logging.ERROR)
  commandline.cache_compilations()
  commandline.guarded(lambda argv: main(argv[1:]))(sys.argv)


def changed(config: ConfigDict, **changes) -> ConfigDict:
  """A copy of `config` that saves only at its end, with some keys set anew.

  Args:
    changes: by key, with '__' for the dot; a dict takes the place of the one that was there.

  >>> from visionlab.config import experiment
  >>> config = experiment(steps=9, batch=2, data={}, task={}, optim={}, hp=dict(lr=.1))
  >>> changed(config, hp__lr=.2, split='test').hp.lr
  0.2
  """
  config = ConfigDict(config.to_dict(), convert_dict=True)
  once = dict(every='100%', minutes=10., keep=1, best='', patience='0')
  for key, value in {'checkpoint': once, 'log__tensorboard': False, **changes}.items():
    *path, last = key.split('__')
    place = config
    for part in path:
      place = place[part]
    if last in place:
      del place[last]
    place[last] = value
  return config


def steps_of(given: argparse.Namespace) -> dict[str, int]:
  """What of `changed` the option --steps asks for; without it nothing, and the config's hold."""
  return dict(steps=given.steps) if given.steps else {}


@contextlib.contextmanager
def kept_in(folder: Path | None) -> Iterator[Path]:
  """The folder of the runs; without one, a folder that is gone afterwards."""
  if folder:
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
  else:
    with tempfile.TemporaryDirectory() as temporary:
      yield Path(temporary)


def run(configs: Mapping[str, ConfigDict], folder: Path) -> dict[str, Path]:
  """Trains each config in folder/<name>, one after the other; returns these workdirs by name.

  A run that is complete is left as it is, and one that was cut off goes on. What training prints
  goes to folder/log.txt.

  Raises:
    ConfigError: as from `train`; also where a workdir holds the run of another config.
    SystemExit: training was interrupted.
  """
  for number, (name, config) in enumerate(configs.items(), 1):
    workdir = folder / name
    if not complete(workdir, config):
      begun = time.perf_counter()
      with (folder / 'log.txt').open('a') as log, contextlib.redirect_stdout(log):
        train(config, workdir)
      if not complete(workdir, config):
        raise SystemExit(f'interrupted in {name}; the same command with --folder={folder} goes on')
      print(f'{number}/{len(configs)}  {name}  {time.perf_counter() - begun:.1f} s',
            file=sys.stderr, flush=True)
  return {name: folder / name for name in configs}


def run_together(configs: Mapping[str, ConfigDict], folder: Path) -> list[Path]:
  """`run` of configs that differ in hp and seeds alone, in one program; returns their workdirs. One
  that diverges leaves the others alone. What training prints goes to folder/log.txt.

  Raises:
    ConfigError, SystemExit: as from `run`.
  """
  workdirs = [folder / name for name in configs]
  for workdir, config in zip(workdirs, configs.values(), strict=True):
    check_config(workdir, adopt_options(config, workdir))
  if not all(map(outcome, workdirs)):
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / 'log.txt').open('a') as log, contextlib.redirect_stdout(log):
      train_together(configs, folder)
  if not all(map(outcome, workdirs)):
    raise SystemExit(f'interrupted in {folder.name}; the same command goes on')
  return workdirs


def run_parts(parts: Mapping[str, Callable],
              given: argparse.Namespace) -> dict[str, Sequence[Mapping[str, object]]]:
  """Makes given.parts, one after the other, and prints the table of the rows of each under what its
  function says of itself; returns the rows. parts: (given, folder) -> rows, by name; the folder is
  given.folder or, without one, one that is gone afterwards."""
  found = {}
  with kept_in(given.folder) as folder:
    for name in given.parts:
      found[name] = parts[name](given, folder)
      print(f'{parts[name].__doc__}\n\n{table(found[name])}\n', flush=True)
  return found


def complete(workdir: Path, config: ConfigDict) -> bool:
  """Whether `config` was trained in `workdir` to its end."""
  if not (workdir / LAST).exists():
    return False
  check_config(workdir, adopt_options(config, workdir))
  return True


def by_kind(workdirs: Mapping[str, Path]) -> dict[str, list[Path]]:
  """The runs of each kind, over its seeds, of workdirs named 'kind/seed'.

  >>> by_kind({'a/0': Path('x'), 'b/0': Path('y'), 'a/1': Path('z')})['a']
  [PosixPath('x'), PosixPath('z')]
  """
  kinds: dict[str, list[Path]] = {}
  for name, path in workdirs.items():
    kinds.setdefault(name.partition('/')[0], []).append(path)
  return kinds


def curve(workdir: Path, metric: str) -> tuple[list[int], list[float]]:
  """The steps at which a metric of metrics.jsonl was written, and its values."""
  lines = [line for line in read_metrics(workdir) if metric in line]
  return [line['step'] for line in lines], [float(line[metric]) for line in lines]


def last(workdir: Path, metric: str) -> float:
  return curve(workdir, metric)[1][-1]


def spread(values: Sequence[float], digits: int = 2, scale: float = 100.) -> str:
  """Mean ± standard deviation (n - 1), by default in per cent; of a single value only that.

  >>> spread([.97, .99], 1), spread([.98], 1)
  ('98.0 ± 1.4', '98.0')
  """
  values = scale * np.asarray(values, np.float64)
  mean = f'{values.mean():.{digits}f}'
  return f'{mean} ± {values.std(ddof=1):.{digits}f}' if len(values) > 1 else mean


def table(rows: Sequence[Mapping[str, object]]) -> str:
  """Rows with the same keys as a Markdown table.

  >>> print(table([{'n': 2, 'error': '8.75'}]))
  | n | error |
  |---|-------|
  | 2 | 8.75  |
  """
  lines = [list(rows[0]), *([str(v) for v in row.values()] for row in rows)]
  wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
  lines = ['| ' + ' | '.join(v.ljust(w) for v, w in zip(line, wide)) + ' |' for line in lines]
  rule = '|' + '|'.join('-' * (w + 2) for w in wide) + '|'
  return '\n'.join([lines[0], rule, *lines[1:]])


class Panel(NamedTuple):
  """A part of a figure. `curves`: label -> (x (n,), y (n,) or (runs n)[, options of plot]); of
  several runs the mean is drawn, in a band of one standard deviation to each side."""
  title: str
  x: str
  y: str
  curves: Mapping[str, tuple]
  x_log: bool = False


def draw(path: Path, panels: Sequence[Panel]) -> None:
  """Writes the panels, side by side, as a PNG of few colours (some tens of kB)."""
  # Not pyplot: it keeps global state, and asks for a display.
  from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
  from matplotlib.figure import Figure  # noqa: PLC0415
  from matplotlib.ticker import MaxNLocator  # noqa: PLC0415
  figure = Figure(figsize=(5 * len(panels), 3.8), dpi=100, layout='constrained')
  canvas = FigureCanvasAgg(figure)
  for axis, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
    for label, (x, values, *options) in panel.curves.items():
      values = np.atleast_2d(np.asarray(values, np.float64))
      mean = values.mean(0)
      style = {'marker': 'o', 'markersize': 4, **(options[0] if options else {})}
      drawn, = axis.plot(x, mean, label=label, **style)
      if len(values) > 1:
        sd = values.std(0, ddof=1)
        axis.fill_between(x, mean - sd, mean + sd, alpha=.18, color=drawn.get_color(), linewidth=0)
    axis.set(title=panel.title, xlabel=panel.x, ylabel=panel.y)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if panel.x_log:
      ticks = sorted({v for x, *_ in panel.curves.values() for v in x})
      axis.set_xscale('log')
      axis.set_xticks(ticks, [str(v) for v in ticks])
      axis.set_xticks([], minor=True)
    axis.grid(alpha=.3)
    axis.legend(fontsize=8)
  canvas.draw()
  picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
  path.parent.mkdir(parents=True, exist_ok=True)
  picture.quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)


def picture(source: Path, path: Path, most: int = 60_000) -> None:
  """Writes a PNG as one of few colours, and as much smaller as it takes to stay under `most` bytes.
  """
  with Image.open(source) as drawn:
    drawn = drawn.convert('RGB')
  for _ in range(8):
    drawn.quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)
    if path.stat().st_size <= most:
      break
    drawn = drawn.resize((drawn.width * 4 // 5, drawn.height * 4 // 5), Image.Resampling.LANCZOS)


def report(rows: Sequence[Mapping[str, object]], path: Path | None, panels: Sequence[Panel]):
  """Prints the table and writes the figure, if it has a place; returns the rows."""
  print(table(rows))
  if path:
    draw(path, panels)
    print(path)
  return rows
