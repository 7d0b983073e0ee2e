"""Pictures of single blood cells, cut out of BCCD's by its boxes (github.com/Shenggan/BCCD_Dataset,
MIT): 364 photographs of smears with white cells, red cells and platelets."""

import tarfile
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from visionlab.config import ConfigError

Cell = tuple[str, tuple[float, float, float, float]]           # photograph, box


def crop_cells(source: Path, out: Path, *, sizes: Sequence[int], test: int = 58,
               margin: float = .1, seed: int = 0) -> dict[str, dict[str, int]]:
  """Writes out/train<n>/<class>/*.png for each n of `sizes` and out/test/<class>/*.png.

  The training cells are of BCCD's own list 'trainval', the test cells of its list 'test', so that
  no photograph is in both. Smaller training sets are parts of the larger ones.

  Args:
    source: BCCD's archive, or the folder it was unpacked in.
    sizes: training pictures of each class.
    test: test pictures of each class, at most.
    margin: what is added to each side of a box, as a part of that side; the picture's edge cuts it.
    seed: of the choice.

  Returns:
    The pictures of each class, by split.

  Raises:
    ConfigError: `source` is no BCCD, or has too few cells of a class.
  """
  partial = out.with_name(f'{out.name}.partial')       # so that `out` is there whole or not at all
  with tempfile.TemporaryDirectory() as unpacked:
    if source.is_file():
      with tarfile.open(source) as archive:
        archive.extractall(unpacked, filter='data')
      source = Path(unpacked)
    top = next((path.parent for path in sorted(source.rglob('Annotations'))), None)
    if top is None:
      raise ConfigError(f'{source} holds no folder Annotations; expected BCCD\'s archive '
                        '(bccd.tar.gz), or the folder it was unpacked in')
    train, tested = (_shuffled(read_cells(top, name), seed) for name in ('trainval', 'test'))
    for name, cells in train.items():
      if len(cells) < max(sizes):
        raise ConfigError(f'{top}: {len(cells)} cells of {name} in trainval, but {max(sizes)} '
                          'are asked for')
    splits = {f'train{n}': {k: cells[:n] for k, cells in train.items()} for n in sizes}
    splits['test'] = {k: cells[:test] for k, cells in tested.items()}
    for split, classes in splits.items():
      for name, cells in classes.items():
        folder = partial / split / name
        folder.mkdir(parents=True, exist_ok=True)
        for i, (photograph, box) in enumerate(cells):
          with Image.open(top / 'JPEGImages' / f'{photograph}.jpg') as image:
            _cut(image.convert('RGB'), box, margin).save(folder / f'{i:03}_{photograph}.png')
  partial.rename(out)
  return {split: {k: len(cells) for k, cells in classes.items()}
          for split, classes in splits.items()}


def read_cells(top: Path, listed: str) -> dict[str, list[Cell]]:
  """class -> (photograph, (x1, y1, x2, y2) in pixels), of the photographs of a list."""
  cells: dict[str, list[Cell]] = {}
  for photograph in (top / 'ImageSets' / 'Main' / f'{listed}.txt').read_text().split():
    for item in ElementTree.parse(top / 'Annotations' / f'{photograph}.xml').iter('object'):
      box = tuple(float(item.find(f'bndbox/{k}').text) for k in ('xmin', 'ymin', 'xmax', 'ymax'))
      cells.setdefault(item.find('name').text, []).append((photograph, box))
  return cells


def _shuffled(cells: Mapping[str, list[Cell]], seed: int) -> dict[str, list[Cell]]:
  generator = np.random.Generator(np.random.PCG64(seed))
  return {name: [cells[name][i] for i in generator.permutation(len(cells[name]))]
          for name in sorted(cells)}


def _cut(image: Image.Image, box, margin: float) -> Image.Image:
  x1, y1, x2, y2 = box
  dx, dy = margin * (x2 - x1), margin * (y2 - y1)
  corners = max(0, x1 - dx), max(0, y1 - dy), min(image.width, x2 + dx), min(image.height, y2 + dy)
  return image.crop(tuple(round(v) for v in corners))
