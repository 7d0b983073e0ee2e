"""Looks into a network: python -m visionlab.understand grad_cam --workdir=runs/digits a.png b.jpg

The first word is the method, whose options --help then lists too. Images are files, folders or
patterns; without any, the first of a split of the run's data (--split, --count), or of other data:
--data=NAME with its options --root and --data.KEY=VALUE. Writes one picture, of long work one every
few seconds, and with --save the arrays behind it. `page` writes several methods into one file of
HTML, `layers` lists what --at can name.
"""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from visionlab import commandline
from visionlab.config import ConfigError, nearest
from visionlab.data.images.decode import Canvas
from visionlab.data.images.fitted import upright
from visionlab.data.source import Source
from visionlab.figures import charts
from visionlab.figures.films import write_film
from visionlab.options.kinds import typed
from visionlab.paths import output_file
from visionlab.predict import check_output, find, read
from visionlab.runs.load import load
from visionlab.runs.other_data import data_flags, given_data, open_data
from visionlab.runs.run import Run
from visionlab.storage.workdir import write_atomically
from visionlab.training.console import Console
from visionlab.training.progress import Progress
from visionlab.understand.commands import METHODS, WITHOUT_NETWORK, options_of, seen
from visionlab.understand.look import Look, Seen
from visionlab.understand.subject import Subject

Opened = Callable[[], tuple[Source, str]]
LAYERS = 'layers'                   # the one word that is no method
ANY = Canvas((224, 224))            # whose channels, and not whose size, images take


def method_of(words: list[str]) -> str:
  """The method that was typed: the first word that is no flag; '' if there is none.

  Raises:
    ConfigError: it is none.
  """
  word = next((w for w in words if not w.startswith('-')), '')
  if word not in (*METHODS, LAYERS, ''):
    raise ConfigError(f'no method {word!r}{nearest(word, METHODS)}; there are: '
                      f'{", ".join((*METHODS, LAYERS))}')
  return word


def option_flags(method: Callable):
  """A flag for each option of the method: what is typed is read as its annotation says. One that is
  on or off may stand alone: --controls, --norelu."""
  for name, (hint, default) in options_of(method).items():
    said = '' if default in (None, '') else f' Default: {default}.'
    define = flags.DEFINE_bool if hint is bool else flags.DEFINE_string
    define(name, None, f'Of {method.__name__}.{said}')


def typed_options(method: Callable) -> dict[str, Any]:
  """What was typed of a method's options."""
  given = {name: (flags.FLAGS[name].value, *kind) for name, kind in options_of(method).items()}
  return {name: typed(value, hint, default) if isinstance(value, str) else value
          for name, (value, hint, default) in given.items() if value is not None}


def images_of(run: Run, names: list[str], opened: Opened,
              count: int) -> tuple[np.ndarray, list[str]]:
  """Images (n h w c) of the run's size, and what each is called."""
  if names:
    images, good, bad = read(run, find(names))
    for line in bad:
      print(f'skipped {line}')
    if not good:
      raise ConfigError('none of the files is a readable image')
    return run.fit(images), [Path(path).name for path in good]
  source, split = opened()
  rows = source[np.arange(min(count, len(source)))]
  return run.fit(rows['image']), [f'{split} {i}' for i in range(len(rows['image']))]


def whole_images(run: Run | None, names: list[str], opened: Opened, count: int) -> list[np.ndarray]:
  """The same images, (h w c) each, at the size that files have."""
  if not (names or run):
    raise ConfigError('name some images: there is no run whose data could be looked at')
  if not names:
    return list(images_of(run, names, opened, count)[0])
  pixels = run.pixels if run else partial(upright, canvas=ANY)
  return [pixels(name)[0] for name in find(names)]


def source_of(run: Run, split: str, root: str = '',
              data: Mapping | None = None) -> tuple[Source, str]:
  """A split of the run's data, or of the others that are named; and the split's name."""
  if not data and run.facts.examples and 'name' not in run.config.data:
    raise ConfigError('name some images: this run has several sources')
  return open_data(run, split, root=root, data=data, as_known=False)


def output_of(method: str, given: str) -> str:
  """Where what is seen goes.

  Raises:
    ConfigError: a file of no such form, or that cannot be written.
  """
  if method != 'page':
    path = str(Path(given or f'{method}.png').expanduser())
    check_output(path)
    return path
  path = output_file(given or 'page.html', '--output')
  if path.suffix.lower() not in ('.html', '.htm'):
    raise ConfigError(f'--output={given}: a page is a file of HTML; write e.g. page.html')
  return str(path)


def listing(subject: Subject) -> str:
  """The layers and their shapes, a line for each."""
  layers = subject.layers()
  wide = max(map(len, layers))
  return '\n'.join(f'{name:<{wide}}  {" x ".join(map(str, shape[1:]))}'
                   for name, shape in layers.items())


def written(output: str, arrays: Path | None) -> Callable[[Seen], None]:
  """A function that writes what is seen."""
  def write(seen: Seen):
    if seen.page:
      write_atomically(Path(output), seen.page)
    elif seen.frames:
      write_film(output, seen.frames)
    else:
      charts.save(seen.picture, output)
    if arrays:
      np.savez_compressed(arrays, **seen.arrays)
  return write


def progress_of(console: Console) -> Callable[[int, int], None]:
  """(done, of) -> a line with what is left; each new total begins anew."""
  lines = {}

  def progress(done: int, of: int):
    if of not in lines or done < lines[of].done:
      lines.clear()
      lines[of] = Progress(of, console, what='steps')
    lines[of].add(done - lines[of].done)
  return progress


def main(argv):
  options, name = flags.FLAGS, method_of(argv[1:])
  if not name:
    raise ConfigError(f'name a method first: {", ".join((*METHODS, LAYERS))}')
  words = argv[1:]
  words.remove(name)
  output = output_of(name, options.output)
  write = written(output, output_file(options.save, '--save'))
  run = looked_into(name)
  subject, console = run and Subject.of(run), Console()
  if name == LAYERS:
    print(listing(subject))
    return
  opened = partial(source_of, run, options.split, options.root, given_data())
  given, shown = (words, opened, options.count), []

  def show(seen: Seen):
    shown.append(True)
    write(seen)
  look = Look(subject, run, lambda: images_of(run, *given), lambda: whole_images(run, *given),
              options['class'].value, lambda: opened()[0], show, progress_of(console),
              output.lower().endswith('.gif'))
  try:
    last = seen(name, look, typed_options(METHODS[name]))
  except KeyboardInterrupt:
    if not shown:
      raise
    console.say(f'stopped; {output} shows what there was until then')
    return
  write(last)
  if last.text:
    console.say(last.text)
  console.close()
  print(f'{"page" if last.page else "picture"}: {output}')


def looked_into(method: str) -> Run | None:
  """The run that is looked into; None for a method that needs none, or has weights of its own."""
  if flags.FLAGS.workdir:
    return load(flags.FLAGS.workdir, step=commandline.chosen_step(), member=flags.FLAGS.member)
  own = 'vgg' in flags.FLAGS and flags.FLAGS.vgg
  if not own and method not in WITHOUT_NETWORK:
    raise ConfigError(f'{method}: --workdir must name a run, or weights')
  return None


def define_flags(method: str):
  flags.DEFINE_string('workdir', None, 'The run, or weights that `visionlab.load` takes.')
  flags.DEFINE_string('output', '', 'Where the picture goes; default: METHOD.png here.')
  flags.DEFINE_string('save', '', 'Write the arrays to this file, an .npz.')
  flags.DEFINE_string('class', None, 'What is explained: a class by name or number; default: the '
                      'one that the network finds likeliest in each image.')
  flags.DEFINE_string('split', '', 'Of the data, where no images are named; default: test, or '
                      'what else is kept for measuring.')
  flags.DEFINE_string('root', '', 'Instead of the root of the run\'s own data.')
  data_flags(sys.argv[1:])
  flags.DEFINE_integer('count', 6, 'How many of them.', lower_bound=1)
  flags.DEFINE_string('member', None, 'Of a sweep, whose folder --workdir then is: the name of a '
                      'setting or its number.')
  commandline.step_flag()
  if method in METHODS:
    option_flags(METHODS[method])


if __name__ == '__main__':
  try:
    define_flags(method_of(sys.argv[1:]))
  except ConfigError as error:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(2)
  commandline.run(main, words='images')
