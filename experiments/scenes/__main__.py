"""Draws scenes of every kind with all of their ground truth.

python -m experiments.scenes
"""

from pathlib import Path

import jax
import numpy as np
from PIL import Image

from visionlab.data.scenes.figures import JOINTS, LIMBS
from visionlab.data.scenes.scenes import Scenes, scenes
from visionlab.figures import drawing

ZOOM = 3
SIDES = [side if (side := name.split()[0]) in ('right', 'left') else 'middle' for name in JOINTS]


def columns(source: Scenes, indices: np.ndarray, limbs=(), sides=()) -> np.ndarray:
  """A column for each scene: image, objects, label map, caption."""
  batch, drawn = source[indices], []
  for i, caption in enumerate(source.captions(indices)):
    one = jax.tree.map(lambda x: x[i], batch)        # noqa: B023
    drawn.append(drawing.captioned(drawing.below([
        drawing.as_picture(one['image'], ZOOM),
        drawing.annotated(one['image'], one['objects'], source.info.classes, zoom=ZOOM,
                              limbs=limbs, sides=sides),
        drawing.draw_label_map(one['label_map'], source.info.map_classes, zoom=ZOOM)]),
        caption, lines=3))
  return drawing.beside(drawn)


def clip(source: Scenes, index: int, limbs=(), sides=()) -> np.ndarray:
  """The frames of one clip in a row, above the same with their objects."""
  one = jax.tree.map(lambda x: x[0], source[np.array([index])])
  frames = [jax.tree.map(lambda x: x[t], one) for t in range(len(one['image']))]   # noqa: B023
  return drawing.below([
      drawing.beside([drawing.as_picture(f['image'], 2) for f in frames]),
      drawing.beside([drawing.annotated(f['image'], f['objects'], source.info.classes,
                                                zoom=2, limbs=limbs, sides=sides)
                          for f in frames])])


def sheet() -> np.ndarray:
  figures = dict(kind='figures', objects=(1, 3))
  digits, people = scenes('train'), scenes('train', size=96, **figures)
  wide = columns(digits, np.arange(8))
  elsewhere = [drawing.as_picture(x, 2) for split in ('validation', 'test')
               for x in scenes(split)[np.arange(6)]['image']]
  titled = {
      "scenes('train')": drawing.below(
          [wide, drawing.legend(digits.info.map_classes, wide.shape[1])]),
      "scenes('train', kind='figures', size=96, objects=(1, 3))":
          columns(people, np.arange(5), LIMBS, SIDES),
      "scenes('train', frames=12, objects=(2, 4))":
          clip(scenes('train', frames=12, objects=(2, 4)), 8),
      "scenes('train', kind='figures', frames=12, objects=(1, 3))":
          clip(scenes('train', frames=12, **figures), 2, LIMBS, SIDES),
      "six of scenes('validation') and of scenes('test')": drawing.beside(elsewhere)}
  return drawing.below([drawing.captioned(picture, title, above=True)
                            for title, picture in titled.items()], gap=14)


def main():
  path = Path(__file__).parent / 'sheet.png'
  Image.fromarray(sheet()).convert('P', palette=Image.Palette.ADAPTIVE).save(path, optimize=True)
  print(path)


if __name__ == '__main__':
  main()
