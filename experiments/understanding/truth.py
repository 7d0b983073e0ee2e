"""The digits that maps are held against: in each scene one that is alone of its class."""

from typing import NamedTuple

import numpy as np

from visionlab.data.scenes.scenes import Scenes


class Truth(NamedTuple):
  """Of n images (n h w 3) uint8 a digit each: its class (n,), its mask (n h w) and box (n 4)."""
  images: np.ndarray
  classes: np.ndarray
  masks: np.ndarray
  boxes: np.ndarray


def truth_of(source: Scenes, n: int) -> Truth:
  """Of each of the first n scenes that has one, the largest digit that is alone of its class."""
  drawn = source[np.arange(min(len(source), 2 * n))]
  objects = drawn['objects']
  places = [alone({k: v[i] for k, v in objects.items()}) for i in range(len(drawn['image']))]
  i, j = np.array([(i, j) for i, j in enumerate(places) if j is not None][:n]).T
  return Truth(drawn['image'][i], objects['classes'][i, j], objects['masks'][i, j],
               objects['boxes'][i, j])


def alone(objects) -> int | None:
  """Which of a scene's objects (k ...) is the largest of those that are alone of their class."""
  valid, classes = objects['valid'], objects['classes']
  areas = objects['masks'].sum((1, 2)) * valid
  for j in np.argsort(-areas, kind='stable'):
    if areas[j] and (valid & (classes == classes[j])).sum() == 1:
      return int(j)
  return None
