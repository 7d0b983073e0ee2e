"""Names what is in image files: python -m visionlab.predict --workdir=runs/digits a.png b.jpg

A folder stands for the images in it and in its folders. Prints a table, and draws the first images
with what was said of them: into the run's figures/, or where --output says. --csv and --json write
all scores.

A run of clips takes films (.mp4, .avi, .gif, folders of frames and so on) and says what is in each
stretch of them: of as many frames as the network sees, or of --window seconds.
"""

import io
import os
from collections.abc import Callable, Iterator, Sequence
from glob import glob
from pathlib import Path

import jax
import numpy as np
from absl import flags
from PIL import Image

from visionlab import commandline
from visionlab.config import ConfigError, nearest
from visionlab.data.films.film import read_film
from visionlab.data.images.decode import SUFFIXES
from visionlab.figures import charts, timeline
from visionlab.figures.drawing import below
from visionlab.paths import output_file
from visionlab.runs import records, watch
from visionlab.runs.load import load
from visionlab.runs.run import Run
from visionlab.training.console import Console
from visionlab.training.progress import Progress

SHOWN = 24                  # images in the picture
FILMS_SHOWN = 4             # or films
AT_ONCE = 1024              # images in memory, of the run's size
WHOLE_AT_ONCE = 16          # or of their own


def find(names: Sequence[str], output: str = '') -> list[str]:
  """The files that are named: by themselves, by a folder they are in, or by a pattern (*.png, or
  **/*.png for those in folders too).

  output: a file that is no input, though it may lie beside them from the time before.

  Raises:
    ConfigError: a folder without images, or a pattern that no file matches.
  """
  found = []
  for name in names:
    path = Path(name).expanduser()
    if not path.is_dir() and (path.exists() or not any(c in name for c in '*?[')):
      found.append(name)
      continue
    files = [file for file in (_images(path) if path.is_dir() else _matching(path))
             if not output or file.resolve() != Path(output).resolve()]
    if not files:
      raise ConfigError(f'{name} holds no images ({", ".join(SUFFIXES)})' if path.is_dir() else
                        f'{name}: no file matches')
    found.extend(map(str, sorted(files)))
  return found


def _matching(pattern: Path) -> list[Path]:
  return [file for file in map(Path, glob(str(pattern), recursive=True)) if file.is_file()]


def _images(folder: Path) -> list[Path]:
  """The images in a folder and in its folders, hidden ones left out."""
  return [file for file in folder.rglob('*')
          if file.suffix.lower() in SUFFIXES and file.is_file()
          and not any(part[0] == '.' for part in file.relative_to(folder).parts)]


def read(run: Run, paths: Sequence[str], seen: Callable[[], None] = lambda: None
         ) -> tuple[list[np.ndarray], list[str], list[str]]:
  """(images, the files they are from, a line for each file that cannot be read as one). seen: is
  called after each."""
  images, good, bad = [], [], []
  for path in paths:
    try:
      images.append((run.pixels if run.dense else run.fit)(path)[0])
      good.append(path)
    except ConfigError as e:
      bad.append(str(e).removeprefix('image 0, '))
    seen()
  return images, good, bad


def answers(run: Run, paths: Sequence[str], batch: int = 0,
            seen: Callable[[], None] = lambda: None) -> Iterator[tuple]:
  """(images, their files, what `predict` says of them, lines of what cannot be read), some of the
  files at a time: there may be more than the memory holds. batch: as `Run.predict` takes it; seen:
  see `read`."""
  n = WHOLE_AT_ONCE if run.dense else max(AT_ONCE, batch)
  for start in range(0, len(paths), n):
    images, good, bad = read(run, paths[start:start + n], seen)
    said = run.predict(images if run.dense else np.stack(images), batch=batch) if images else None
    yield images, good, said, bad


def table(run: Run, paths: Sequence[str], said: dict[str, np.ndarray], top: int,
          wide: int = 0) -> list[str]:
  """A line for each image: its file, and the likeliest classes or the numbers predicted.

  wide: letters that names of files are given, if not those of the longest.
  """
  wide = wide or max(map(len, paths))
  if hasattr(run.task, 'describe'):
    return [f'{p:<{wide}}  {line}'
            for p, line in zip(paths, run.task.describe(said, top), strict=True)]
  if 'probabilities' not in said:
    return [f'{p:<{wide}}  ' + '  '.join(f'{v:10.4g}' for v in np.atleast_1d(row))
            for p, row in zip(paths, said['prediction'], strict=True)]
  longest = max(map(len, run.classes))
  lines = []
  for path, row in zip(paths, said['probabilities'], strict=True):
    best = np.argsort(-row)[:top]
    lines.append(f'{path:<{wide}}  ' + '  '.join(f'{run.classes[i]:<{longest}} {row[i]:7.2%}'
                                                 for i in best))
  return lines


def picture_of(run: Run, images: Sequence[np.ndarray], captions: Sequence[str], said, title: str):
  """The images with what was said of them."""
  if hasattr(run.task, 'picture'):
    return run.task.picture(images, said, captions, title)
  return charts.image_grid(np.stack(images), captions, None, title)


def check_output(path: str):
  """Raises ConfigError unless a picture can be written there: before anything is computed."""
  suffix, folder = Path(path).suffix.lower(), Path(path).parent
  try:
    form = Image.registered_extensions()[suffix]
    Image.new('RGB', (8, 8)).save(io.BytesIO(), form)
  except (KeyError, OSError, ValueError) as e:
    raise ConfigError(f'--output={path}: {suffix or "a name without an ending"} is no format of '
                      f'pictures{nearest(suffix, SUFFIXES)}; write e.g. predictions.png') from e
  if not folder.is_dir():
    raise ConfigError(f'--output={path}: there is no folder {folder}')
  if Path(path).is_dir() or not os.access(folder, os.W_OK):
    raise ConfigError(f'--output={path}: cannot be written')


def output_of(run: Run, wanted: str) -> str:
  """Where the picture goes: nothing is written into the current folder that nobody asked for."""
  figures = run.workdir / 'figures'
  inside = figures.is_dir() and os.access(figures, os.W_OK)
  return wanted or (str(figures / 'predictions.png') if inside else '')


def main(argv):
  options = flags.FLAGS
  if len(argv) < 2:
    raise ConfigError('name at least one image file, or a folder of them')
  output = str(Path(options.output).expanduser()) if options.output else ''
  if output:
    check_output(output)
  as_table, as_text = output_file(options.csv, '--csv'), output_file(options.json, '--json')
  run = load(options.workdir, step=commandline.chosen_step(), member=options.member)
  files = watch.find_films(argv[1:]) if run.facts.frames else find(argv[1:], output)
  output = output_of(run, output)
  console = Console()
  console.say(f'{run.workdir}: {run.which}')
  if run.facts.frames:
    return of_films(run, files, console, output, as_table, as_text)
  if options.window:
    raise ConfigError('--window is for runs of clips, and this one is of images')
  progress = Progress(len(files), console)
  wide, count, shown, captions, said = max(map(len, files)), 0, [], [], []
  kept = []
  for images, paths, answer, bad in answers(run, files, options.batch, progress.add):
    for line in bad:
      console.say(f'skipped {line}')
    if not paths:
      continue
    lines = table(run, paths, answer, options.top, wide)
    console.say('\n'.join(lines))
    count += len(paths)
    few = min(len(paths), SHOWN - len(shown))
    shown += images[:few]
    captions += [f'{Path(p).name}\n{line[wide:].strip().split("  ")[0]}'
                 for p, line in zip(paths[:few], lines[:few], strict=True)]
    said.append(first(answer, few))
    if as_table or as_text:
      kept += records.records_of(run, paths, answer)
  progress.close()
  if not count:
    raise ConfigError('none of the files is a readable image')
  write(kept, as_table, as_text)
  some = f', the first {len(shown)} of {count:,} images' if count > len(shown) else ''
  draw(lambda: picture_of(run, shown, captions, joined(said), f'{run.workdir}{some}'), output, some)


def of_films(run: Run, films: Sequence[str], console: Console, output: str,
             as_table: Path | None, as_text: Path | None):
  """The same of films: a line for each stretch of them, and of the first films a picture."""
  options, wide = flags.FLAGS, max(map(len, films)) + len('12345.67 s') + 1
  progress, kept, parts = Progress(len(films), console, what='films'), [], {}
  for _, stretches, answer, bad in watch.answers(run, films, options.window, options.batch,
                                                 progress.add):
    for line in bad:
      console.say(f'skipped {line}')
    if not stretches:
      continue
    names = list(map(str, stretches))
    console.say('\n'.join(table(run, names, answer, options.top, wide)))
    parts.setdefault(stretches[0].file, []).append((stretches, answer['probabilities']))
    if as_table or as_text:
      kept += watch.timed(records.records_of(run, names, answer), stretches)
  progress.close()
  if not parts:
    raise ConfigError('none of the files is a readable film')
  write(kept, as_table, as_text)
  some = f', the first {FILMS_SHOWN} of {len(parts)} films' if len(parts) > FILMS_SHOWN else ''
  draw(lambda: below([film_picture(run, film, parts[film]) for film in list(parts)[:FILMS_SHOWN]]),
       output, some)


def draw(picture: Callable[[], np.ndarray], output: str, some: str):
  """Writes the picture of all, or of some, if it is wanted, and says so."""
  if not output:
    print('no picture: --output=predictions.png draws one')
    return
  charts.save(picture(), output)
  print(f'picture: {output}{some}')


def film_picture(run: Run, film: str, said: Sequence[tuple]) -> np.ndarray:
  """Frames of a film, and below them what was said of its stretches."""
  stretches = [s for some, _ in said for s in some]
  when = (np.arange(timeline.SHOWN) + .5) / timeline.SHOWN * stretches[-1].end
  middles = np.array([(s.begin + s.end) / 2 for s in stretches])
  return timeline.timeline(read_film(Path(film), when, run.canvas), when, middles,
                           np.concatenate([p for _, p in said]), run.classes, Path(film).name)


def write(kept: Sequence[dict], as_table: Path | None, as_text: Path | None):
  """Writes records to the files that are wanted."""
  if as_table:
    as_table.write_text(records.as_csv(kept), encoding='utf-8')
  if as_text:
    as_text.write_text(records.as_json(kept), encoding='utf-8')


def first(said, n: int):
  """What is said of the first n images: a tree of arrays, or of lists."""
  return jax.tree.map(lambda x: x[:n], said, is_leaf=lambda x: isinstance(x, list))


def joined(parts: Sequence):
  """What is said of some images after others."""
  def join(*x):
    return sum(x, []) if isinstance(x[0], list) else np.concatenate(x)
  return jax.tree.map(join, *parts, is_leaf=lambda x: isinstance(x, list))


if __name__ == '__main__':
  flags.DEFINE_string('workdir', None, 'The run.', required=True)
  flags.DEFINE_string('output', '', 'Where the picture goes; default: the run\'s figures.')
  flags.DEFINE_string('csv', '', 'Write a row for each image, with all scores, to this file.')
  flags.DEFINE_string('json', '', 'Write all that is said, boxes and masks too, to this file.')
  flags.DEFINE_string('member', None, 'Of a sweep, whose folder --workdir then is: the name of a '
                      'setting or its number.')
  flags.DEFINE_float('window', 0., 'Of films: the seconds that a clip shows; default: as many '
                     'frames of the film as the network sees.', lower_bound=0.)
  commandline.step_flag()
  flags.DEFINE_integer('batch', 0, 'Images at a time; default: the run\'s.', lower_bound=0)
  flags.DEFINE_integer('top', 3, 'How many classes to name for each image.', lower_bound=1)
  commandline.run(main, words='images')
