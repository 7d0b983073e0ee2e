"""Names what is in image files: python -m visionlab.predict --workdir=runs/digits a.png b.jpg

Prints a table and writes a picture of the images with what was said of them.
"""

from pathlib import Path

import numpy as np
from absl import flags

from visionlab import commandline
from visionlab.config import ConfigError
from visionlab.data.images import open_image
from visionlab.figures import charts
from visionlab.run import Run, load


def read(run: Run, paths: list[str]) -> tuple[list[np.ndarray], list[str], list[str]]:
  """(images, the files they are from, a line for each file that is no readable image)."""
  images, good, bad = [], [], []
  for path in paths:
    try:
      with open_image(Path(path)) as image:
        images.append(run.pixels([image])[0] if run.dense else run.canvas(image))
      good.append(path)
    except Exception as e:              # noqa: BLE001 - decoders raise almost anything
      bad.append(f'{path}: not a readable image ({e})')
  return images, good, bad


def table(run: Run, paths: list[str], said: dict[str, np.ndarray], top: int) -> list[str]:
  """A line for each image: its file, and the likeliest classes or the numbers predicted."""
  wide = max(map(len, paths))
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


def main(argv):
  options = flags.FLAGS
  if len(argv) < 2:
    raise ConfigError('name at least one image file')
  run = load(options.workdir)
  images, paths, bad = read(run, argv[1:])
  for line in bad:
    print(f'skipped {line}')
  if not paths:
    raise ConfigError('none of the files is a readable image')
  said = run.predict(images if run.dense else np.stack(images))
  lines = table(run, paths, said, options.top)
  print('\n'.join(lines))
  captions = [f'{Path(p).name}\n{line[max(map(len, paths)):].strip().split("  ")[0]}'
              for p, line in zip(paths, lines, strict=True)]
  title = str(run.workdir)
  picture = (run.task.picture(images, said, captions, title) if hasattr(run.task, 'picture')
             else charts.image_grid(np.stack(images), captions, None, title))
  charts.save(picture, options.output)
  print(f'picture: {options.output}')


if __name__ == '__main__':
  flags.DEFINE_string('workdir', None, 'The run.', required=True)
  flags.DEFINE_string('output', 'predictions.png', 'Where the picture goes.')
  flags.DEFINE_integer('top', 3, 'How many classes to name for each image.', lower_bound=1)
  commandline.run(main, words='images')
