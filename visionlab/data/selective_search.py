"""Selective Search: boxes that may hold an object, found without learning.

Uijlings et al. 2013, "Selective search for object recognition" (IJCV 104). An image is segmented
(Felzenszwalb and Huttenlocher 2004, by scikit-image), and the two neighbouring regions most alike
are merged until one is left; every region there ever was gives its bounding box. Several colour
spaces, scales and notions of likeness make several such hierarchies. On the host, in NumPy.
"""

import heapq
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy

from visionlab.config import ConfigError, check_choice


class Strategies(NamedTuple):
  """The hierarchies that are built: every combination of these (section 3.2).

  Attributes:
    spaces: of colour.
    scales: k of the first segmentation, which is also the least size of its regions in pixels.
    cues: what likeness is the sum of: c(olour), t(exture), s(ize) and f(ill).
  """
  spaces: tuple[str, ...]
  scales: tuple[float, ...]
  cues: tuple[str, ...]


# The paper's "Single Strategy", "Fast" and "Quality".
MODES = dict(single=Strategies(('hsv',), (100,), ('ctsf',)),
             fast=Strategies(('hsv', 'lab'), (50, 100), ('ctsf', 'tsf')),
             quality=Strategies(('hsv', 'lab', 'rgi', 'hue', 'grey'), (50, 100, 150, 300),
                                ('ctsf', 'tsf', 'f', 's')))
BINS = dict(colour=25, texture=10)
DIRECTIONS = 8
SMOOTHING = .8                  # sigma of the segmentation


@dataclass(frozen=True)
class SelectiveSearch:
  """A function from images (h w 3) uint8 to boxes (n 4) float32 in pixels, without duplicates.

  Boxes come by their place in their hierarchy, the whole image first, times a random number, so
  that no hierarchy and no size comes before the others (section 3.3).

  Attributes:
    mode: 'single' (1 hierarchy), 'fast' (8) or 'quality' (80); see `MODES`.
    most: boxes at most.
    least_side: of a box, in pixels; smaller ones are left out.
    scale: a factor to the k of the segmentation: the paper's suit photographs of 500 pixels.
    seed: of the random numbers.

  Raises:
    ConfigError: an unknown mode; when it is called, scikit-image is not installed.

  >>> image = np.zeros((40, 40, 3), np.uint8)
  >>> image[10:25, 5:30] = 200, 30, 30
  >>> [5.0, 10.0, 30.0, 25.0] in SelectiveSearch('single')(image).tolist()
  True
  """
  mode: str = 'fast'
  most: int = 2000
  least_side: float = 0.
  scale: float = 1.
  seed: int = 0

  def __post_init__(self):
    check_choice(self.mode, tuple(MODES), 'selective_search: mode')

  def __call__(self, image: np.ndarray) -> np.ndarray:
    rng = np.random.Generator(np.random.PCG64(self.seed))
    boxes, priority = [], []
    for found in hierarchies(image, MODES[self.mode], self.scale):
      boxes.append(found)
      priority.append(rng.random(len(found)) * np.arange(len(found), 0, -1))
    boxes = np.concatenate(boxes)[np.argsort(np.concatenate(priority), kind='stable')]
    _, first = np.unique(boxes, axis=0, return_index=True)
    boxes = boxes[np.sort(first)]
    large = ((boxes[:, 2:] - boxes[:, :2]) >= self.least_side).all(1)
    return boxes[large][:self.most].astype(np.float32)


def hierarchies(image: np.ndarray, strategies: Strategies, scale: float = 1.):
  """The boxes (n 4) of each hierarchy, as `hierarchy` orders them."""
  for space in strategies.spaces:
    pixels = in_colour_space(image, space)
    for k in strategies.scales:
      regions = describe(pixels, segments(pixels, k * scale))
      for cues in strategies.cues:
        yield hierarchy(regions, cues)


def in_colour_space(image: np.ndarray, space: str) -> np.ndarray:
  """(h w 3) uint8 -> (h w c) float64 in [0, 1]: hsv, lab, rgi (two chromaticities and intensity),
  hue or grey (intensity)."""
  color = _skimage('color')
  rgb = image / 255
  if space == 'hsv':
    return color.rgb2hsv(rgb)
  if space == 'lab':
    return (color.rgb2lab(rgb) + [0, 128, 128]) / [100, 255, 255]
  if space == 'hue':
    return color.rgb2hsv(rgb)[..., :1]
  total = rgb.sum(-1, keepdims=True)
  if space == 'grey':
    return total / 3
  return np.concatenate([rgb[..., :2] / np.maximum(total, 1e-6), total / 3], -1)


def segments(pixels: np.ndarray, k: float) -> np.ndarray:
  """The first regions, labels (h w) from 0 on without gaps."""
  felzenszwalb = _skimage('segmentation').felzenszwalb
  return felzenszwalb(pixels, scale=k, sigma=SMOOTHING, min_size=max(int(k), 1), channel_axis=-1)


class Regions(NamedTuple):
  """The n regions of a segmentation of an image of `area` pixels.

  Attributes:
    size: (n) pixels.
    boxes: (n 4).
    colour, texture: (n bins), histograms that sum to 1.
    pairs: (m 2), which are neighbours.
    area: of the image.
  """
  size: np.ndarray
  boxes: np.ndarray
  colour: np.ndarray
  texture: np.ndarray
  pairs: np.ndarray
  area: int


def describe(pixels: np.ndarray, labels: np.ndarray) -> Regions:
  """What likeness is judged by (section 3.2), of pixels (h w c) in [0, 1] and labels (h w)."""
  n = labels.max() + 1
  size = np.bincount(labels.ravel(), minlength=n)
  boxes = np.array([(x.start, y.start, x.stop, y.stop)
                    for y, x in scipy.ndimage.find_objects(labels + 1)], np.float64)
  return Regions(size, boxes, _histograms(pixels, labels, size, BINS['colour']),
                 _histograms(slopes(pixels), labels, size, BINS['texture']),
                 neighbours(labels), labels.size)


def slopes(pixels: np.ndarray) -> np.ndarray:
  """Gaussian derivatives (sigma 1) of pixels (h w c), rising ones, in 8 directions: (h w 8c), each
  scaled to [0, 1]."""
  y, x = (scipy.ndimage.gaussian_filter(pixels, 1., order=order, mode='nearest')
          for order in ((1, 0, 0), (0, 1, 0)))
  turns = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
  rising = np.concatenate([np.maximum(np.cos(t) * x + np.sin(t) * y, 0) for t in turns], -1)
  return rising / np.maximum(rising.max((0, 1)), 1e-12)


def _histograms(values, labels, size, bins):
  """Of values (h w c) in [0, 1] in each region, channel after channel: (n c*bins)."""
  n, c = len(size), values.shape[-1]
  place = np.minimum((values * bins).astype(np.int64), bins - 1) + np.arange(c) * bins
  place = place + labels[..., None] * (c * bins)
  counts = np.bincount(place.ravel(), minlength=n * c * bins).reshape(n, c * bins)
  return counts / (c * size[:, None])


def neighbours(labels: np.ndarray) -> np.ndarray:
  """Which regions of labels (h w) share an edge of a pixel: (m 2), the lower label first.

  >>> neighbours(np.array([[0, 0, 1], [2, 2, 1]])).tolist()
  [[0, 1], [0, 2], [1, 2]]
  """
  pairs = np.concatenate([np.stack([a.ravel(), b.ravel()], 1) for a, b in (
      (labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:]))])
  pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
  return np.unique(pairs, axis=0)


def hierarchy(regions: Regions, cues: str) -> np.ndarray:
  """The boxes (2n - 1, 4) of the first regions and of all that come of merging (algorithm 1), in
  the order in which they arise: the last is the whole image.

  cues: of which likeness is the sum, such as 'ctsf'.
  """
  n = len(regions.size)
  boxes, size, colour, texture = (np.concatenate([a, np.zeros((n - 1, *a.shape[1:]))]) for a in (
      regions.boxes, regions.size, regions.colour, regions.texture))
  near: list[set[int]] = [set() for _ in range(2 * n - 1)]
  for a, b in regions.pairs.tolist():
    near[a].add(b)
    near[b].add(a)

  def likeness(a, b):
    """Of region a to regions b (m), in [0, len(cues)]."""
    total = np.zeros(len(b))
    if 'c' in cues:
      total += np.minimum(colour[a], colour[b]).sum(1)
    if 't' in cues:
      total += np.minimum(texture[a], texture[b]).sum(1)
    both = size[a] + size[b]
    if 's' in cues:
      total += 1 - both / regions.area
    if 'f' in cues:
      sides = np.maximum(boxes[a, 2:], boxes[b, 2:]) - np.minimum(boxes[a, :2], boxes[b, :2])
      total += 1 - (sides.prod(1) - both) / regions.area
    return total

  queue = []

  def enqueue(a, others):
    others = sorted(others)
    for value, b in zip(likeness(a, np.array(others, int)).tolist(), others):
      heapq.heappush(queue, (-value, a, b))
  for a in range(n):
    enqueue(a, [b for b in near[a] if b > a])
  alive = np.ones(2 * n - 1, bool)
  made = n
  while queue:
    _, a, b = heapq.heappop(queue)
    if not (alive[a] and alive[b]):
      continue
    alive[[a, b]] = False
    boxes[made] = (*np.minimum(boxes[a, :2], boxes[b, :2]), *np.maximum(boxes[a, 2:], boxes[b, 2:]))
    size[made] = size[a] + size[b]
    share = size[a] / size[made]
    colour[made] = share * colour[a] + (1 - share) * colour[b]
    texture[made] = share * texture[a] + (1 - share) * texture[b]
    near[made] = {c for c in near[a] | near[b] if alive[c]}
    for c in near[made]:
      near[c].add(made)
    enqueue(made, near[made])
    made += 1
  return boxes[:made]


def _skimage(part: str):
  try:
    if part == 'color':
      from skimage import color as module
    else:
      from skimage import segmentation as module
  except ImportError:
    raise ConfigError('selective_search needs scikit-image: pip install "visionlab[proposals]"'
                      ) from None
  return module
