"""Pictures of poses: skeletons as they were found after each stage, and curves of joints found."""

from collections.abc import Mapping, Sequence

import numpy as np

from visionlab.figures.charts import image_grid, new_axes, rendered
from visionlab.figures.drawing import as_picture, draw_keypoints
from visionlab.measures.poses import BOUNDS

SIDE = 190                      # pixels that an image is enlarged to, at least


def skeletons(images: Sequence[np.ndarray], poses: np.ndarray, joints: Sequence[str],
              limbs: Sequence) -> np.ndarray:
  """Images of one size, enlarged, with the poses (n p k 2), or (n p k 3), of their people."""
  zoom = max(1, round(SIDE / images[0].shape[0]))
  sides = [next((side for side in ('right', 'left') if name.startswith(side)), 'middle')
           for name in joints]
  if poses.shape[-1] == 2:
    poses = np.concatenate([poses, np.full((*poses.shape[:-1], 1), 2)], -1)
  return np.stack([draw_keypoints(as_picture(image, zoom), own, limbs, sides, zoom=zoom)
                   for image, own in zip(images, poses, strict=True)])


def found(images: np.ndarray, poses: np.ndarray, joints: Sequence[str], limbs: Sequence,
          captions: Sequence[str], title: str) -> np.ndarray:
  """Images with the poses that were found, (n p k 2)."""
  return image_grid(skeletons(images, poses, joints, limbs), captions, None, title, columns=4)


def stages(images: np.ndarray, objects: Mapping, poses: np.ndarray, joints: Sequence[str],
           limbs: Sequence, most: int = 5) -> np.ndarray:
  """Of the first images, in a row each: the true pose, and what it was after each stage.

  Args:
    objects: `keypoints` (n p k 3) and `valid` (n p).
    poses: (n s p k 2).
  """
  there = np.asarray(objects['valid'])[:most, :, None, None]
  truth = np.where(there, objects['keypoints'][:most], 0)
  seen = np.where(there, 2., 0.) * np.ones_like(poses[:most, 0, ..., :1])
  shown = [skeletons(images[:most], truth, joints, limbs)]
  for s in range(poses.shape[1]):
    own = np.concatenate([poses[:most, s], seen], -1)
    shown.append(skeletons(images[:most], own, joints, limbs))
  rows = np.stack(shown, 1)
  captions = ['true', *(f'stage {s + 1}' for s in range(poses.shape[1]))] * len(rows)
  return image_grid(rows.reshape(-1, *rows.shape[2:]), captions, None, 'Poses, stage by stage',
                    columns=len(shown))


def curves(found: Mapping[str, np.ndarray]) -> np.ndarray:
  """The share of joints found within each of `BOUNDS` of a torso, a line for each name."""
  figure, axes = new_axes(1, 1, (4.6, 3.4))
  axis = axes[0, 0]
  for name, share in found.items():
    axis.plot(BOUNDS, share, label=name)
  axis.set(xlim=(0, BOUNDS[-1]), ylim=(0, 1.01), xlabel='distance, of the torso',
           ylabel='share of the joints')
  axis.grid(alpha=.3)
  axis.legend(fontsize=8)
  return rendered(figure)
