"""What filters do to a photograph, and how three features find an X wherever it lies.

python -m experiments.filters [--folder=<where the pictures go>]
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from experiments import study
from experiments.filters import cross_figures, crosses, gallery


def save(picture: np.ndarray, path: Path, colours: int) -> None:
  """Writes a picture (h w 3) uint8 as a PNG of so many colours."""
  Image.fromarray(picture).quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)
  print(path)


def main(argv=None):
  options = argparse.ArgumentParser(prog='python -m experiments.filters',
                                    description=__doc__.splitlines()[0])
  options.add_argument('--folder', type=Path, default=Path(__file__).parent,
                       help='where the pictures go; default: beside the README')
  folder = options.parse_args(argv).folder
  rows = crosses.rows()
  print(study.table(rows))
  save(gallery.picture(), folder / 'gallery.png', 256)
  save(cross_figures.picture(), folder / 'crosses.png', 64)
  return rows


if __name__ == '__main__':
  study.start(main)
