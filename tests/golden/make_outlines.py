"""Makes outlines.npz: polygons, run lengths and what pycocotools makes of them.

python tests/golden/make_outlines.py

Needs pycocotools (2.0.11 was used); the tests read only the file.
"""

from pathlib import Path

import numpy as np
from pycocotools import mask as coco

H, W = 60, 80


def star(rng, corners):
  """A ring of corners (x1, y1, ...) at uneven distances around a place; it may leave the image."""
  angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
  radius = rng.uniform(6, 28, corners)
  centre = rng.uniform((10, 10), (W - 10, H - 10))
  ring = centre + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
  return np.round(ring, 2).ravel()


def main():
  rng = np.random.default_rng(0)
  polygons = [[star(rng, corners) for corners in rng.integers(3, 30, parts)]
              for parts in (1, 1, 1, 1, 2, 3)]
  united = [coco.decode(coco.merge(coco.frPyObjects([ring.tolist() for ring in rings], H, W)))
            for rings in polygons]
  noise = [np.zeros((H, W), bool), np.ones((H, W), bool), rng.random((H, W)) < .5,
           rng.random((H, W)) < .01, np.pad(np.ones((20, W), bool), ((0, 40), (0, 0)))]
  encoded = [coco.encode(np.asfortranarray(bitmap.astype(np.uint8))) for bitmap in noise]
  assert all((coco.decode(code) == bitmap).all()
             for code, bitmap in zip(encoded, noise, strict=True))
  rings = [ring for rings in polygons for ring in rings]
  np.savez_compressed(
      Path(__file__).parent / 'outlines.npz', coordinates=np.concatenate(rings),
      lengths=[len(ring) for ring in rings], parts=[len(rings) for rings in polygons],
      united=np.packbits(united), counts=[code['counts'].decode() for code in encoded],
      bitmaps=np.packbits(noise), boxes=coco.toBbox(encoded), shape=(H, W))


if __name__ == '__main__':
  main()
