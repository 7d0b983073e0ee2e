"""Sources of random pixels in memory: how long a step takes does not depend on what is seen."""

import numpy as np

from visionlab.data.source import Arrays, Info

BOXES = 10               # objects in each image; slots for 10 times as many, as COCO has


def images(split: str = 'train', *, side: int = 224, classes: int = 1000, n: int = 512) -> Arrays:
  """n images (side side 3) with labels."""
  rng = np.random.default_rng(0)
  return Arrays(dict(image=rng.integers(0, 256, (n, side, side, 3), np.uint8),
                     label=np.arange(n, dtype=np.int32) % classes), Info(named(classes)))


def objects(split: str = 'train', *, size: tuple[int, int] = (800, 1088), classes: int = 90,
            n: int = 16, masks: bool = False) -> Arrays:
  """n images of `size` (height, width), each with `BOXES` objects of all sizes somewhere on it."""
  rng, slots = np.random.default_rng(0), 10 * BOXES
  boxes = np.zeros((n, slots, 4), np.float32)
  boxes[:, :BOXES] = random_boxes(rng, n * BOXES, size).reshape(n, BOXES, 4)
  there = np.broadcast_to(np.arange(slots) < BOXES, (n, slots))
  truth = dict(boxes=boxes, valid=there, crowd=np.zeros_like(there),
               classes=np.where(there, rng.integers(0, classes, there.shape), 0).astype(np.int32))
  if masks:
    truth |= dict(masks=rng.random((n, slots, 112, 112), np.float32) > .5, frames=boxes)
  return Arrays(dict(image=rng.integers(0, 256, (n, *size, 3), np.uint8), objects=truth,
                     extent=np.tile(np.float32(size), (n, 1))), Info(named(classes)))


def random_boxes(rng: np.random.Generator, n: int, size: tuple[int, int]) -> np.ndarray:
  """(n 4), within an image of `size` (height, width); sides from 3 to 40 % of its height."""
  side = rng.uniform(.03, .4, (n, 2)) * size[0]
  corner = rng.random((n, 2)) * (np.array(size[::-1]) - side)
  return np.concatenate([corner, corner + side], -1).astype(np.float32)


def named(classes: int) -> tuple[str, ...]:
  return tuple(f'class{i}' for i in range(classes))
