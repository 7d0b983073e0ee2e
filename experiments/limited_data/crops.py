"""Pictures of single objects, cut out of photographs by their boxes: blood cells of BCCD's smears
(github.com/Shenggan/BCCD_Dataset, MIT), and things of all kinds of COCO128 (the first 128 images of
COCO's training and validation sets each)."""

import tarfile
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from visionlab.config import ConfigError

Crop = tuple[Path, tuple[float, float, float, float]]           # photograph, box in its pixels
LEAST = 32                                # pixels of COCO's boxes, each way: what can be made out


def crop_objects(source: Path, out: Path, *, sizes: Sequence[int], test: int = 58, least: int = 5,
                 margin: float = .1, seed: int = 0) -> dict[str, dict[str, int]]:
  """Writes out/train<n>/<class>/*.png for each n of `sizes` and out/test/<class>/*.png.

  Training and test pictures are of photographs of their own: BCCD's lists 'trainval' and 'test',
  COCO's training and validation images. Smaller training sets are parts of the larger ones. Classes
  with too few pictures are left out.

  Args:
    source: the archive, or the folder it was unpacked in.
    sizes: training pictures of each class.
    test: test pictures of each class, at most; `least`: at least.
    margin: what is added to each side of a box, as a part of that side; the picture's edge cuts it.
    seed: of the choice.

  Returns:
    The pictures of each class, by split.

  Raises:
    ConfigError: `source` is neither, or has fewer than two classes with enough pictures.
  """
  partial = out.with_name(f'{out.name}.partial')       # so that `out` is there whole or not at all
  with tempfile.TemporaryDirectory() as unpacked:
    top = source
    if source.is_file():
      with tarfile.open(source) as archive:
        archive.extractall(unpacked, filter='data')
      top = Path(unpacked)
    found = _read(top)
    if found is None:
      raise ConfigError(f"{source} holds neither a folder Annotations, as BCCD's archive "
                        "(bccd.tar.gz) does, nor object_detection/config.yaml, as COCO128's "
                        '(coco128.tar.gz)')
    train, tested = (_shuffled(crops, seed) for crops in found)
    kept = [k for k in train if len(train[k]) >= max(sizes) and len(tested.get(k, ())) >= least]
    if len(kept) < 2:
      most = ', '.join(f'{k} {len(crops)}' for k, crops in sorted(
          train.items(), key=lambda item: -len(item[1]))[:5])
      raise ConfigError(f'{source}: fewer than two classes have {max(sizes)} training pictures and '
                        f'{least} test pictures; the most have {most} to train on')
    splits = {f'train{n}': {k: train[k][:n] for k in kept} for n in sizes}
    splits['test'] = {k: tested[k][:test] for k in kept}
    for split, classes in splits.items():
      for name, crops in classes.items():
        folder = partial / split / name
        folder.mkdir(parents=True, exist_ok=True)
        for i, (photograph, box) in enumerate(crops):
          with Image.open(photograph) as image:
            _cut(image.convert('RGB'), box, margin).save(folder / f'{i:03}_{photograph.stem}.png')
  partial.rename(out)
  return {split: {k: len(crops) for k, crops in classes.items()}
          for split, classes in splits.items()}


def _read(source):
  """(training, test) crops by class, of whichever set lies there; None of neither."""
  if top := next((path.parent for path in sorted(source.rglob('Annotations'))), None):
    return read_bccd(top, 'trainval'), read_bccd(top, 'test')
  if top := next((path.parent for path in sorted(source.rglob('object_detection/config.yaml'))),
                 None):
    return read_coco128(top, 'train2017'), read_coco128(top, 'val2017')
  return None


def read_bccd(top: Path, listed: str) -> dict[str, list[Crop]]:
  """class -> (photograph, (x1, y1, x2, y2) in pixels), of the photographs of a list."""
  crops: dict[str, list[Crop]] = {}
  for name in (top / 'ImageSets' / 'Main' / f'{listed}.txt').read_text().split():
    for item in ElementTree.parse(top / 'Annotations' / f'{name}.xml').iter('object'):
      box = tuple(float(item.find(f'bndbox/{k}').text) for k in ('xmin', 'ymin', 'xmax', 'ymax'))
      crops.setdefault(item.find('name').text, []).append(
          (top / 'JPEGImages' / f'{name}.jpg', box))
  return crops


def read_coco128(top: Path, folder: str) -> dict[str, list[Crop]]:
  """class -> (photograph, (x1, y1, x2, y2) in pixels), of boxes that are `LEAST` pixels wide and
  high. Labels without a photograph are left out."""
  names = yaml.safe_load((top / 'config.yaml').read_text())['names']
  crops: dict[str, list[Crop]] = {}
  for labels in sorted((top / 'labels' / folder).glob('*.txt')):
    photograph = top.parent / 'images' / folder / f'{labels.stem}.jpg'
    if not photograph.exists():
      continue
    with Image.open(photograph) as image:
      size = np.array(image.size)
    for line in labels.read_text().splitlines():
      kind, *box = line.split()
      centre, side = np.array(box, float).reshape(2, 2) * size
      if side.min() >= LEAST:
        crops.setdefault(names[int(kind)], []).append(
            (photograph, (*(centre - side / 2), *(centre + side / 2))))
  return crops


def _shuffled(crops: Mapping[str, list[Crop]], seed: int) -> dict[str, list[Crop]]:
  generator = np.random.Generator(np.random.PCG64(seed))
  return {name: [crops[name][i] for i in generator.permutation(len(crops[name]))]
          for name in sorted(crops)}


def _cut(image: Image.Image, box, margin: float) -> Image.Image:
  x1, y1, x2, y2 = box
  dx, dy = margin * (x2 - x1), margin * (y2 - y1)
  corners = max(0, x1 - dx), max(0, y1 - dy), min(image.width, x2 + dx), min(image.height, y2 + dy)
  return image.crop(tuple(round(v) for v in corners))
