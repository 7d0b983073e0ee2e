"""What small kernels make of a photograph, and what there is to do at its rim."""

import jax.numpy as jnp
import numpy as np

from visionlab.data.images.photographs import cut_out
from visionlab.figures import drawing
from visionlab.ops import filters
from visionlab.ops.filters import filter_image

# name -> kernel, how it is written, and what is added: edges have both signs, and zero is grey.
KERNELS = {
    'identity': (filters.IDENTITY, '', 0.),
    'blur: the mean of 3 x 3': (filters.box(3), '1/9 each', 0.),
    'blur: the mean of 9 x 9': (filters.box(9), '1/81 each', 0.),
    'blur: Gaussian': (filters.gaussian(2.), 'standard deviation 2', 0.),
    'sharpen': (filters.SHARPEN, '', 0.),
    'vertical edges': (filters.VERTICAL_EDGES / 4, '/ 4', .5),
    'horizontal edges': (filters.HORIZONTAL_EDGES / 4, '/ 4', .5),
    'all edges': (filters.ALL_EDGES / 4, '/ 4', .5)}
PADDINGS = {'zero': 'black outside: the rim darkens', 'edge': 'the outermost pixels for ever',
            'reflect': 'mirrored', 'valid': 'nothing outside: 30 pixels fewer'}
WIDE = 31                       # of the mean that shows what lies outside


def photograph(width: int = 264) -> np.ndarray:
  """A palace in China, (h width 3) uint8."""
  (palace, _) = cut_out([(0, 640)], width / 640)
  return palace


def filtered(image: np.ndarray) -> dict[str, np.ndarray]:
  """name -> what each kernel makes of an image (h w 3) uint8: (h w 3), to be drawn in [0, 1]."""
  return {name: np.asarray(filter_image(jnp.asarray(image), kernel, 'edge')) + added
          for name, (kernel, _, added) in KERNELS.items()}


def padded(image: np.ndarray) -> dict[str, np.ndarray]:
  """padding -> the mean over a wide square of an image (h w 3) uint8."""
  return {padding: np.asarray(filter_image(jnp.asarray(image), filters.box(WIDE), padding))
          for padding in PADDINGS}


def picture() -> np.ndarray:
  """All of them in rows of four, each over its kernel."""
  image = photograph()
  tiles = [_tile(shown, name, _written(*KERNELS[name][:2]))
           for name, shown in filtered(image).items()]
  rims = [_tile(shown, f'the mean of {WIDE} x {WIDE}, padding: {name}', PADDINGS[name])
          for name, shown in padded(image).items()]
  return drawing.below([drawing.beside(row, gap=10) for row in (tiles[:4], tiles[4:], rims)],
                       gap=10)


def _tile(shown, title, text):
  return drawing.captioned(drawing.captioned(drawing.as_picture(shown), title, above=True), text,
                           colour='dimgrey')


def _written(kernel, text):
  """A kernel as its rows, unless there are words for it."""
  if text not in ('', '/ 4'):
    return text
  scale = 4 if text else 1
  rows = [', '.join(f'{v * scale:.0f}'.replace('-', '−') for v in row) for row in kernel]
  return ' | '.join(rows) + f' {text}'
