"""Pictures of any size on a detector's canvas, and what was found there in their own pixels."""

from collections.abc import Mapping

import numpy as np
from PIL import Image

from visionlab.data.images.decode import Canvas
from visionlab.data.sources.objects import fitted
from visionlab.ops.host_masks import paste_bitmaps


def on_canvas(image: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
  """An image (h w c) scaled to fit, at the top left of a black canvas, and its extent there."""
  h, w = fitted(np.array(image.shape[:2]), size).tolist()
  canvas = np.zeros((*size, image.shape[2]), np.uint8)
  canvas[:h, :w] = Canvas((h, w), 'stretch', channels=image.shape[2])(Image.fromarray(image))
  return canvas, (h, w)


def in_own_pixels(image: np.ndarray, found: Mapping[str, np.ndarray],
                  extent: tuple[int, int]) -> dict[str, np.ndarray]:
  """What was found in one image, which has that extent on its canvas: in its own pixels, without
  padding."""
  found = {k: v[found['valid']] for k, v in found.items() if k not in ('valid', 'proposals')}
  zoom = np.divide(image.shape[:2], extent)[::-1].astype(np.float32)
  found['boxes'] = found['boxes'] * np.tile(zoom, 2)
  if 'keypoints' in found:
    found['keypoints'] = found['keypoints'] * np.array([*zoom, 1], np.float32)
  if 'masks' in found:
    found['masks'] = paste_bitmaps(found['masks'], found['boxes'], image.shape[:2])
  return found
