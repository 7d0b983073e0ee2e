"""Annotations of images as they are stored, turned as EXIF's orientation turns the images."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from visionlab.data.images.decode import open_image, orientation_of, turned
from visionlab.data.images.files import in_threads
from visionlab.data.sources.annotation_files import Annotations
from visionlab.data.sources.outlines import Runs, Shape, bitmap, runs_of


def upright(annotations: Annotations, shapes: list[Shape],
            root: Path) -> tuple[Annotations, list[Shape]]:
  """Annotations in pixels of the images as stored, and their shapes, in those of upright images.

  Args:
    annotations: with the sizes as stored.
    shapes: of each `row`, see `visionlab.data.sources.outlines.Outlines`; or none.
    root: what the names of images are relative to.
  """
  each = np.array(in_threads(lambda name: _orientation(root / os.fsdecode(name)),
                             annotations.files.tolist()), np.int64)
  owner = annotations.owner
  sizes, orientation = annotations.sizes[owner], each[owner]
  corners = annotations.boxes.reshape(-1, 2, 2)
  corners = turned_points(corners, sizes[:, None], orientation[:, None])
  keypoints = annotations.keypoints
  if keypoints is not None:
    points = turned_points(keypoints[..., :2], sizes[:, None], orientation[:, None])
    there = keypoints[..., 2:] > 0
    keypoints = np.concatenate([np.where(there, points, 0), keypoints[..., 2:]], -1)
    keypoints = keypoints.astype(np.float32)
  shapes = [_turned_shape(shape, size, number) if number > 1 else shape
            for shape, size, number in zip(shapes, sizes, orientation.tolist(), strict=False)]
  # Where corners are swapped the box keeps its sense: one without an area is no box either way.
  low, high = corners.min(1), corners.max(1)
  sound = (annotations.boxes[:, 2:] > annotations.boxes[:, :2]).all(-1, keepdims=True)
  boxes = np.concatenate([np.where(sound, low, high), np.where(sound, high, low)], -1)
  turn = (each >= 5)[:, None]
  return replace(annotations, boxes=boxes, keypoints=keypoints,
                 sizes=np.where(turn, annotations.sizes[:, ::-1], annotations.sizes)), shapes


def turned_points(points: np.ndarray, sizes: np.ndarray, orientation: np.ndarray) -> np.ndarray:
  """Where points (... 2) of images as stored, of sizes (... 2), lie in the upright images.

  >>> turned_points(np.array([1., 2.]), np.array([40, 60]), np.array(6)).tolist()
  [38.0, 1.0]
  """
  swap = orientation >= 5
  x, y = points[..., 0], points[..., 1]
  x, y = np.where(swap, y, x), np.where(swap, x, y)
  height = np.where(swap, sizes[..., 1], sizes[..., 0])
  width = np.where(swap, sizes[..., 0], sizes[..., 1])
  x = np.where(np.isin(orientation, (2, 3, 6, 7)), width - x, x)
  y = np.where(np.isin(orientation, (3, 4, 7, 8)), height - y, y)
  return np.stack([x, y], -1)


def _turned_shape(shape: Shape, size: np.ndarray, orientation: int) -> Shape:
  if isinstance(shape, Runs):
    return runs_of(turned(bitmap(shape)[..., None], orientation)[..., 0])
  return [turned_points(np.reshape(ring, (-1, 2)), size, np.array(orientation)).ravel()
          for ring in shape]


def _orientation(path: Path) -> int:
  try:
    with open_image(path) as image:
      return orientation_of(image)
  except Exception:      # as in Objects; such images are found and named elsewhere
    return 1
