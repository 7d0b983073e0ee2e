"""What scenes are made of, split so that no two splits share any: glyphs and photographs."""

from functools import lru_cache

import numpy as np
from PIL import Image

from visionlab.data.images.photographs import cut_out
from visionlab.data.sources.digits import digits
from visionlab.data.sources.mnist import mnist

SPLITS = ('train', 'validation', 'test')
GLYPHS = ('digits', 'mnist')
INK = .42                       # grey level, of 1, at which a glyph's outline is drawn
PATCH = (80, 128)               # pixels of a photograph that a scene shows, at least and at most
# Columns of the photographs, 640 wide. Six pixels between them keep resampling filters apart.
BANDS = dict(train=(0, 372), validation=(378, 506), test=(512, 640))
SHARES = dict(train=(0, .7), validation=(.7, .85), test=(.85, 1))
_ENLARGED = 4                   # 8x8 pixels are too coarse for bilinear interpolation
_MARGIN = 2                     # pixels of paper around a glyph, which keep its outline closed


def photographs(split: str, size: int) -> np.ndarray:
  """A split's band of the two photographs that scikit-learn ships, (2 h w 3) uint8.

  They are resized such that patches of `PATCH` pixels become about `size`: bilinear sampling then
  neither blurs nor aliases much.

  Raises ConfigError if scikit-learn is not installed.
  """
  return np.stack(cut_out([BANDS[split]], _zoom(size)))


def _zoom(size: int) -> float:
  return size * 2 / sum(PATCH)


def backgrounds(split: str, size: int) -> dict[str, np.ndarray]:
  """`photographs` in one form for all splits, so that one program draws them all: `photo`
  (2 h w 3), as wide as the widest band, and `photo_width` () float32, of what is the split's own.
  """
  photo = photographs(split, size)
  widest = round(max(right - left for left, right in BANDS.values()) * _zoom(size))
  free = widest - photo.shape[2]
  return dict(photo=np.pad(photo, ((0, 0), (0, 0), (0, free), (0, 0))),
              photo_width=np.float32(photo.shape[2]))


@lru_cache(maxsize=4)
def glyphs(split: str, name: str, root: str) -> dict[str, np.ndarray]:
  """A split's handwritten digits as tiles, bright on black.

  scikit-learn's 1,797 are split by class 70:15:15; of MNIST, training takes the first 50,000
  training digits and validation the other 10,000.

  Returns:
    `count` () float32, how many there are; `glyph` (g s s) uint8 and `label` (g,) int32, of
    scikit-learn's the same g in every split, zeros behind its own, so that one program draws them
    all; in pixels of a tile, `height` (g,) of the ink and its `reach` (g,) from the tile's centre,
    both float32; and `detail` (), how many such pixels one of the original writing became.

  Raises:
    ConfigError: MNIST's files are not in `root`.
  """
  if name == 'digits':
    whole = [digits(part) for part in ('train', 'test')]
    image, label = (np.concatenate([part.arrays[key] for part in whole])
                    for key in ('image', 'label'))
    chosen = _stratified(label, *SHARES[split])
    tiles, detail = _enlarge(image[chosen, ..., 0]), _ENLARGED
  else:
    whole = mnist('test' if split == 'test' else 'train', root=root)
    image, label = whole.arrays['image'], whole.arrays['label']
    cut = len(label) * 5 // 6
    chosen = {'train': slice(cut), 'validation': slice(cut, None), 'test': slice(None)}[split]
    margin = ((0, 0), (_MARGIN, _MARGIN), (_MARGIN, _MARGIN))
    tiles, detail = np.pad(image[chosen, ..., 0], margin), 1
  ink = tiles > INK * 255
  rows = ink.any(2)
  height = tiles.shape[1] - rows.argmax(1) - rows[:, ::-1].argmax(1)
  offset = abs(np.arange(tiles.shape[1]) + .5 - tiles.shape[1] / 2) + .5
  distance = np.hypot(offset[:, None], offset)
  found = dict(glyph=tiles, label=label[chosen], height=height.astype(np.float32),
               reach=(ink * distance).max((1, 2)).astype(np.float32))
  if name == 'digits':
    free = len(_stratified(label, *SHARES['train'])) - len(tiles)
    found = {k: np.pad(x, ((0, free), *[(0, 0)] * (x.ndim - 1))) for k, x in found.items()}
  return found | dict(count=np.float32(len(tiles)), detail=np.float32(detail))


def _stratified(label: np.ndarray, low: float, high: float) -> np.ndarray:
  """The indices of a share [low, high) of each class, in a fixed pseudo-random order."""
  generator = np.random.Generator(np.random.PCG64(1))
  chosen = []
  for k in range(10):
    members = generator.permutation(np.flatnonzero(label == k))
    chosen.append(members[round(low * len(members)):round(high * len(members))])
  return np.sort(np.concatenate(chosen))


def _enlarge(images: np.ndarray) -> np.ndarray:
  """Glyphs (g 8 8) with paper around them, enlarged by cubic interpolation, uint8."""
  padded = np.pad(images, ((0, 0), (_MARGIN, _MARGIN), (_MARGIN, _MARGIN))).astype(np.float32)
  n = padded.shape[1]
  # Resizing is linear and separable: Pillow's own matrix does all glyphs at once.
  matrix = np.asarray(Image.fromarray(np.eye(n, dtype=np.float32)).resize(
      (n * _ENLARGED, n), Image.Resampling.BICUBIC))
  large = np.einsum('iy,gij,jx->gyx', matrix, padded, matrix, optimize=True)
  return np.clip(np.round(large), 0, 255).astype(np.uint8)
