"""Pictures of attributions: images, and what several methods say of them, side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from visionlab.figures.drawing import as_picture, below, beside, captioned
from visionlab.understand.measures import by_place

SIDE = 160                     # pixels of the shorter side, to which small images are enlarged
LINE = 16                      # pixels that another line of a heading takes
STRONGEST = 99.5               # per cent of a map's values that are below full strength
COLOURS = 'inferno'            # of positive values; of negative ones with red and blue exchanged


def heatmaps(images: np.ndarray, maps: Mapping[str, np.ndarray], *, captions: Sequence[str] = (),
             title: str = '', masks: np.ndarray | None = None, zoom: int = 0) -> np.ndarray:
  """A row for each image, itself first, then under the map of each method, whose name is above.

  Args:
    images: (b h w c), uint8 or in [0, 1].
    maps: by name, (b h w), or (b h w c) of whose channels the largest in size is shown. A map is as
      strong as its largest values; negative ones are blue.
    captions: of each image, such as what is explained.
    title: above all.
    masks: (b h w) bool, where the truth is known: its outline is drawn.
    zoom: how many pixels each is wide; 0: enough for a side of `SIDE`.

  Returns:
    (h' w' 3) uint8.
  """
  images = np.asarray(images)
  zoom = zoom or max(1, round(SIDE / min(images.shape[1:3])))
  maps = {name: by_place(one) for name, one in maps.items()}
  rows = []
  for i, image in enumerate(images):
    pictures = [as_picture(image, zoom), *(overlaid(image, one[i], zoom) for one in maps.values())]
    if masks is not None:
      pictures = [outlined(picture, masks[i], zoom) for picture in pictures]
    if not i:
      pictures = headed(pictures, ['image', *maps])
    row = beside(pictures)
    rows.append(captioned(row, captions[i]) if i < len(captions) else row)
  sheet = below(rows)
  return np.pad(captioned(sheet, title, above=True) if title else sheet,
                ((6, 6), (6, 6), (0, 0)), constant_values=255)


def headed(pictures: Sequence[np.ndarray], names: Sequence[str]) -> list[np.ndarray]:
  """Pictures under their names, which take as many lines as the longest needs."""
  pairs = list(zip(pictures, names, strict=True))
  most = max(len(captioned(picture, name)) - len(picture) for picture, name in pairs)
  lines = (most - len(captioned(pictures[0], '')) + len(pictures[0])) // LINE + 1
  return [captioned(picture, name, lines=lines, above=True) for picture, name in pairs]


def overlaid(image: np.ndarray, values: np.ndarray, zoom: int = 1) -> np.ndarray:
  """A map (h w) over its image (h w c), grey and dark where it says nothing."""
  from matplotlib import colormaps  # noqa: PLC0415
  grey = as_picture(image).astype(np.float32).mean(-1, keepdims=True) / 255
  strong = strength(values)
  colour = colormaps[COLOURS](abs(strong))[..., :3]
  colour = np.where((strong < 0)[..., None], colour[..., ::-1], colour)
  weight = .25 + .75 * abs(strong)[..., None] ** .5
  mixed = (1 - weight) * .7 * grey + weight * colour
  picture = np.round(255 * np.clip(mixed, 0, 1)).astype(np.uint8)
  return _enlarged(picture, zoom)


def strength(values: np.ndarray) -> np.ndarray:
  """A map in [-1, 1], its strongest values at the ends; 0 stays 0."""
  strongest = np.percentile(abs(values), STRONGEST) or abs(values).max()
  return np.clip(values / strongest, -1, 1) if strongest else np.zeros(values.shape)


def outlined(picture: np.ndarray, mask: np.ndarray, zoom: int = 1) -> np.ndarray:
  """The picture with the edge of a mask (h w), just outside of it."""
  from scipy.ndimage import binary_dilation  # noqa: PLC0415
  large = np.asarray(mask, bool).repeat(zoom, 0).repeat(zoom, 1)
  picture = picture.copy()
  picture[binary_dilation(large, iterations=max(1, zoom // 2)) & ~large] = (90, 255, 140)
  return picture


def _enlarged(picture, zoom):
  """By whole pixels where these are few, so that they are seen."""
  height, width = picture.shape[:2]
  return np.asarray(Image.fromarray(picture).resize((width * zoom, height * zoom),
                                                    Image.Resampling.NEAREST))
