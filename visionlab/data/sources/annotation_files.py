"""What files say of a split's images and objects, and what is wrong with it."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from absl import logging

from visionlab.config import ConfigError, check_choice
from visionlab.data.images.decode import open_image, upright_size
from visionlab.data.images.files import ON_BROKEN, in_threads
from visionlab.data.sources.outlines import Outlines

COORDINATES = ('upright', 'stored')
ROUNDING = .5    # pixels; a box that sticks out by less was rounded, by whoever wrote it


@dataclass(frozen=True)
class Annotations:
  """What files say of n images and their m objects, in pixels of the upright images.

  Attributes:
    files: (n,) bytes, the images' names relative to a root.
    ids: (n,) int32.
    sizes: (n 2) int, height and width.
    owner: (m,) int, each object's image.
    row: (m,) int, its number in the files, by which it is described and its outline found.
    boxes: (m 4) float, (x1, y1, x2, y2).
    classes: (m,) int.
    crowd: (m,) bool.
    area: (m,) float, or None.
    keypoints: (m j 3) float, or None.
    frames: (m 4) float, the smallest boxes around the masks, or None.
  """
  files: np.ndarray
  ids: np.ndarray
  sizes: np.ndarray
  owner: np.ndarray
  row: np.ndarray
  boxes: np.ndarray
  classes: np.ndarray
  crowd: np.ndarray
  area: np.ndarray | None = None
  keypoints: np.ndarray | None = None
  frames: np.ndarray | None = None

  def of_images(self, keep: np.ndarray) -> 'Annotations':
    """Those of the images (n,) to keep."""
    number = np.cumsum(keep) - 1
    mine = self.of_objects(keep[self.owner])
    return replace(mine, files=self.files[keep], ids=self.ids[keep], sizes=self.sizes[keep],
                   owner=number[mine.owner])

  def of_objects(self, keep: np.ndarray) -> 'Annotations':
    """The same images with the objects to keep, (m,) bool or indices."""
    own = (field.name for field in fields(self) if field.name not in ('files', 'ids', 'sizes'))
    return replace(self, **{name: getattr(self, name)[keep] for name in own
                            if getattr(self, name) is not None})


@dataclass(frozen=True)
class Packed:
  """Images that are no files of their own, such as those in tar files or in a column.

  Attributes:
    read: the name of one -> its bytes.
    where: what messages call it, before its name.
  """
  read: Callable[[str], bytes]
  where: str


def place_of(root: Path | Packed, name: str) -> str:
  """What messages call an image."""
  return f'{root.where}{name}' if isinstance(root, Packed) else str(root / name)


def stored(root: Path | Packed, name: str) -> Path | bytes:
  """What `open_image` takes."""
  return root.read(name) if isinstance(root, Packed) else root / name


class Faults:
  """What is wrong with a split: counted, or with on_broken='stop' an error at once.

  Args:
    where: begins the messages.
    on_broken: 'skip' or 'stop'.

  Raises:
    ConfigError: `on_broken` is neither.
  """

  def __init__(self, where: str, on_broken: str):
    check_choice(on_broken, ON_BROKEN, f'{where.split()[0]}: on_broken')
    self.where, self.on_broken = where, on_broken
    self.counts: Counter[str] = Counter()
    self.examples: dict[str, str] = {}

  def add(self, reason: str, text: str, count: int = 1) -> None:
    """Counts under `reason`, 'images ...', 'objects ...' or 'boxes ...'; `text` tells of the first.
    """
    if self.on_broken == 'stop':
      raise ConfigError(f'{text} (on_broken="skip" leaves it out)')
    self.examples.setdefault(reason, text)
    self.counts[reason] += count

  def add_where(self, wrong: np.ndarray, reason: str, text: Callable[[int], str]) -> None:
    """`add` for all of (m,) that are wrong; text(i) tells of i."""
    if wrong.any():
      self.add(reason, text(int(np.flatnonzero(wrong)[0])), int(wrong.sum()))

  def check_left(self, what: str, left: int) -> None:
    """Raises a ConfigError if there are no `what` ('images' or 'objects') left, but were."""
    reasons = [reason for reason in self.counts if reason.startswith(what)]
    if reasons and not left:
      lost = sum(self.counts[reason] for reason in reasons)
      raise ConfigError(f'{self.where}: all {lost} {what} are left out; the first: '
                        f'{self.examples[reasons[0]]}')

  def report(self) -> None:
    """One line for all that was wrong."""
    if self.counts:
      counts = ', '.join(f'{count} {reason}' for reason, count in self.counts.items())
      logging.warning('%s: left out are %s; the first: %s', self.where, counts,
                      next(iter(self.examples.values())))


def image_sizes(root: Path | Packed, files: np.ndarray, faults: Faults,
                stated: np.ndarray | None = None, check: bool = True,
                coordinates: str = '') -> np.ndarray:
  """Height and width (n 2) of the images; zeros, and a fault, of those that have none.

  Args:
    files: (n,) bytes, relative to `root`.
    stated: (n 2) sizes that they should have, zeros where that is not known.
    check: whether to look at those whose size is stated.
    coordinates: 'stored' for the sizes before EXIF's orientation is applied, else after that; if it
      is an option of the source, messages tell of it.
  """
  stated = np.zeros((len(files), 2), np.int64) if stated is None else stated
  known = stated.all(-1)

  def look(i: int):
    try:
      with open_image(stored(root, os.fsdecode(files[i]))) as image:
        size = (image.size if coordinates == 'stored' else upright_size(image))[::-1]
      check_size(size, stated[i] if known[i] else size, coordinates)
    except FileNotFoundError:
      return 'images that are missing', 'there is no such file'
    except Exception as error:  # as in Objects
      return 'images that cannot be used', error
    return size

  wanted = np.flatnonzero(check | ~known).tolist()
  sizes = np.where(known[:, None] & (not check), stated, 0)
  for i, size in zip(wanted, in_threads(look, wanted), strict=True):
    if isinstance(size[0], str):
      place = place_of(root, os.fsdecode(files[i]))
      faults.add(size[0], f'{place} cannot be used: {size[1]}')
    else:
      sizes[i] = size
  return sizes


def check_size(found: tuple[int, int], stated: Sequence[int], coordinates: str = '') -> None:
  """Raises a ValueError unless an image's height and width are those stated; see `image_sizes`."""
  if tuple(found) != tuple(stated):
    (h, w), (height, width) = found, stated
    turned = ' (its EXIF orientation turns it)' if (w, h) == (height, width) else ''
    other = {'upright': 'stored', 'stored': 'upright'}.get(turned and coordinates)
    hint = f'; the option coordinates={other!r} says that theirs are {other}' if other else ''
    raise ValueError(f'it is {w}x{h} pixels{turned}; expected {width}x{height}, as its annotations '
                     f'have it{hint}')


def with_sound_boxes(annotations: Annotations, describe: Callable[[int], str], field: str,
                     faults: Faults) -> Annotations:
  """Those whose box has an area inside its image, with the boxes clipped to it.

  Args:
    describe: names the object of a `row` in messages, with its file.
    field: what holds the box there.
    faults: where the others, and boxes that are clipped by more than `ROUNDING`, are counted.
  """
  boxes, edges = annotations.boxes, _edges(annotations)
  inside = np.clip(np.nan_to_num(boxes), 0, edges)

  def wrong(places, reason, expected):
    def text(i):
      corners, (w, h) = [round(v, 2) for v in boxes[i].tolist()], edges[i, :2]
      return (f'{describe(annotations.row[i])}: {field} spans (x1, y1, x2, y2) = {corners} in an '
              f'image of {w}x{h} pixels; expected {expected}')
    faults.add_where(places, reason, text)
    return places
  lost = wrong(~(boxes[:, 2:] > boxes[:, :2]).all(-1), 'objects whose box has no area',
               'x1 < x2 and y1 < y2')
  lost |= wrong(~lost & ~((inside[:, 2:] > inside[:, :2]).all(-1) & np.isfinite(boxes).all(-1)),
                'objects whose box is outside the image', 'a box inside the image')
  wrong(~lost & (abs(boxes - inside) > ROUNDING).any(-1),
        'boxes (clipped) that stick out of the image', 'a box inside the image')
  return replace(annotations, boxes=inside).of_objects(~lost)


def _edges(annotations: Annotations) -> np.ndarray:
  """The largest corners (m 4) that a box in each object's image may have."""
  return np.tile(annotations.sizes[annotations.owner][:, ::-1], 2)


def with_frames(annotations: Annotations, outlines: Outlines, describe: Callable[[int], str],
                faults: Faults) -> Annotations:
  """Those that have a mask inside their image, with `frames`; see `with_sound_boxes`."""
  frames = np.clip(outlines.bounds[annotations.row], 0, _edges(annotations))
  empty = ~(frames[:, 2:] > frames[:, :2]).all(-1)
  faults.add_where(empty, 'objects without a mask',
                   lambda i: f'{describe(annotations.row[i])} has no mask in the image; expected '
                             'polygons of at least three points, or runs')
  return replace(annotations, frames=frames).of_objects(~empty)


def with_most(annotations: Annotations, most: int, where: str) -> Annotations:
  """At most so many objects per image: the largest boxes, crowds last. Warns of what is lost."""
  area = (annotations.boxes[:, 2:] - annotations.boxes[:, :2]).prod(-1)
  order = np.lexsort((-area, annotations.crowd, annotations.owner))
  owner = annotations.owner[order]
  first = np.searchsorted(owner, owner)
  keep = np.sort(order[np.arange(len(order)) - first < most])
  logging.warning('%s: most=%d leaves out %d of %d objects, the smallest of their images', where,
                  most, len(order) - len(keep), len(order))
  return annotations.of_objects(keep)
