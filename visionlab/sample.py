"""Draws images that a network makes: python -m visionlab.sample --workdir=runs/digits_vae

Writes a sheet of them into the run's figures, or where --output says. With an output that ends in
.gif it is a walk: pictures that turn into one another, on a way that ends where it began. With
--traverse each row is one image, of whose numbers one goes from -3 to 3: those that change it most.
"""

import os
from pathlib import Path

import numpy as np
from absl import flags

from visionlab import commandline
from visionlab.config import ConfigError
from visionlab.figures import charts
from visionlab.figures.drawing import as_picture
from visionlab.figures.films import write_film
from visionlab.predict import check_output
from visionlab.runs.codes import asked_for, traverse, walk
from visionlab.runs.load import load

SIDE = 160              # pixels, of a walk's pictures at least
VALUES = np.linspace(-3, 3, 9)
ROWS = 12               # of numbers whose values are shown


def save_walk(images: np.ndarray, path: str, seconds: float):
  """Writes images (n h w c) in [0, 1] as a GIF that goes on for ever."""
  zoom = max(1, -(-SIDE // min(images.shape[1:3])))
  write_film(path, [as_picture(image, zoom) for image in images], seconds / len(images))


def main(argv):
  options = flags.FLAGS
  run = load(options.workdir, step=commandline.chosen_step(), member=options.member)
  figures = run.workdir / 'figures'
  output = str(Path(options.output).expanduser()) if options.output else ''
  output = output or (str(figures / 'samples.png') if os.access(figures, os.W_OK) else '')
  if not output:
    raise ConfigError('--output: where is the picture to go? e.g. --output=samples.png')
  check_output(output)
  asked = options['class'].value
  if options.traverse:
    images = traverse(run.task, run.variables, VALUES, options.seed, asked)
    most = np.argsort(-images.std(1).mean((1, 2, 3)))[:ROWS]
    captions = [f'{i}: {value:g}' for i in most for value in VALUES]
    charts.save(charts.image_grid(np.concatenate(images[most]), captions, None, f'{run.workdir}',
                                  len(VALUES)), output)
  elif output.lower().endswith('.gif'):
    images = walk(run.task, run.variables, options.n, options.frames, options.seed, asked)
    save_walk(images, output, .05 * len(images))
  else:
    images = run.sample(options.n, options.seed, asked)
    captions = asked_for(run.task, len(images), asked)
    charts.save(charts.image_grid(images, captions, None, f'{run.workdir}'), output)
  print(f'picture: {output}')


if __name__ == '__main__':
  flags.DEFINE_string('workdir', None, 'The run.', required=True)
  flags.DEFINE_string('output', '', 'Where the picture goes; default: the run\'s figures.')
  flags.DEFINE_integer('n', 64, 'Images; of a walk the places it goes through.', lower_bound=1)
  flags.DEFINE_integer('frames', 12, 'Of a walk, pictures from one place to the next.',
                       lower_bound=1)
  flags.DEFINE_integer('seed', 0, 'Of the numbers that are drawn.')
  flags.DEFINE_bool('traverse', False, 'Show what each number of an image does.')
  flags.DEFINE_string('class', '', 'Of which class, where the network was trained to be asked; '
                      'default: of each in turn.')
  flags.DEFINE_string('member', None, 'Of a sweep, whose folder --workdir then is: the name of a '
                      'setting or its number.')
  commandline.step_flag()
  commandline.run(main)
