"""Trains configs/digits_cnn.py with three seeds and draws the picture of the README.

python -m experiments.digits
"""

import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import visionlab
from configs.digits_cnn import get_config
from visionlab.train import train

FOLDER = Path(__file__).parent
ROW = 280                 # pixels, of a row of learning curves


def accuracy(seed: int, workdir: Path) -> float:
  """Test accuracy at the end; the seed changes initialisation, augmentation and order alike."""
  config = get_config()
  config.seed = config.data_seed = seed
  train(config, workdir)
  return next(line['test/accuracy'] for line in reversed(visionlab.load(workdir).metrics)
              if 'test/accuracy' in line)


def picture(figures: Path) -> Image.Image:
  """A run's figures on one sheet; of the learning curves loss and accuracy."""
  rows = [['test_samples', 'test_confusion'], ['learning_curves', 'test_most_confused']]
  rows = [[Image.open(figures / f'{name}.png') for name in names
           if (figures / f'{name}.png').exists()] for names in rows]        # no mistakes, no sheet
  rows[1][0] = rows[1][0].crop((0, 0, rows[1][0].width, ROW))
  width = max(sum(im.width for im in row) for row in rows)
  sheet = Image.new('RGB', (width, sum(max(im.height for im in row) for row in rows)), 'white')
  top = 0
  for row in rows:
    left = 0
    for im in row:
      sheet.paste(im, (left, top))
      left += im.width
    top += max(im.height for im in row)
  return sheet.resize((sheet.width * 2 // 3, sheet.height * 2 // 3), Image.Resampling.LANCZOS)


def main():
  found = {}
  with tempfile.TemporaryDirectory() as root:
    for seed in range(3):
      begun = time.perf_counter()
      found[seed] = accuracy(seed, Path(root) / str(seed)), time.perf_counter() - begun
    picture(Path(root) / '0' / 'figures').convert(
        'P', palette=Image.Palette.ADAPTIVE, colors=128).save(FOLDER / 'digits.png', optimize=True)
  print('seed  test accuracy  seconds')
  for seed, (value, seconds) in found.items():
    print(f'{seed:>4}  {value:13.4f}  {seconds:7.1f}')
  values = [value for value, _ in found.values()]
  print(f'mean  {np.mean(values):13.4f}  (standard deviation {np.std(values, ddof=1):.4f})')


if __name__ == '__main__':
  main()
