"""Leeds Sports Pose: people with 14 joints each, in a MATLAB file beside their images."""

from pathlib import Path

import numpy as np
import scipy.io

from visionlab.config import ConfigError
from visionlab.data.images.files import encoded, image_names
from visionlab.data.source import check_root, check_split
from visionlab.data.sources.annotation_files import Annotations, Faults, image_sizes
from visionlab.data.sources.objects import Objects, objects_of
from visionlab.ops.joints import JOINTS, LIMBS

FILE, IMAGES = 'joints.mat', 'images'


def lsp(split: str, *, root: str = '', size: int | tuple[int, int] = 160, on_broken: str = 'skip',
        check: bool = True) -> Objects:
  """Leeds Sports Pose (Johnson and Everingham 2010), and its extended training set (2011).

  `root/joints.mat` has `joints`; its n-th person is in the n-th image of `root/images` by name.
  Joints (3 14 n) are x, y and whether something hides them: the first half is 'train', the second
  'test' (1,000 each). Joints (14 3 n), of the extended set, are x, y and whether they are known:
  all are 'train'. A person's box is that around the joints that are known.

  Args:
    split: 'train' or 'test'.
    root: the folder.
    size, on_broken, check: see `visionlab.data.sources.coco.coco`.

  Returns:
    A source as `visionlab.data.sources.objects.objects_of` describes it, with `keypoints` (b 1 14
    3): x, y, and 2 where seen, 1 where hidden, 0 (all three) where not known. Joints outside the
    image are not known, and counted in a warning.

  Raises:
    ConfigError: files that are not there, that do not fit together, or that cannot be read.
  """
  top = check_root(root, 'lsp', f'{FILE} and the folder {IMAGES}')
  joints, extended = _joints(top / FILE)
  if not (top / IMAGES).is_dir():
    raise ConfigError(f'lsp {top}: there is no folder {IMAGES}')
  names = image_names(top / IMAGES)
  if len(names) != len(joints):
    raise ConfigError(f'lsp {top}: {FILE} has the joints of {len(joints)} people, and {IMAGES} '
                      f'holds {len(names)} images')
  check_split(split, ('train',) if extended else ('train', 'test'), f'lsp {top}')
  half = len(names) if extended else len(names) // 2
  part = slice(half) if split == 'train' else slice(half, None)
  names, joints = names[part], joints[part]
  faults = Faults(f'lsp {top}', on_broken)
  files = encoded(f'{IMAGES}/{name}' for name in names)
  sizes = image_sizes(top, files, faults, check=check)
  known = (joints[..., 2] > 0) & np.isfinite(joints).all(-1)
  place = np.where(known[..., None], joints[..., :2], 0)
  inside = ((place >= 0) & (place <= sizes[:, None, ::-1])).all(-1)
  for i, j in np.argwhere(known & ~inside & sizes.any(-1)[:, None]):
    x, y = place[i, j]
    faults.add('joints outside their images (not known)',
               f'{names[i]}: its {JOINTS[j]} lies at ({x:.0f}, {y:.0f}) in an image of '
               f'{sizes[i, 1]}x{sizes[i, 0]} pixels')
  known &= inside
  low, high = (np.where(known[..., None], place, fill) for fill in (np.inf, -np.inf))
  boxes = np.where(known.any(-1)[:, None], np.concatenate([low.min(1), high.max(1)], -1), 0.)
  number = np.arange(len(names))
  annotations = Annotations(
      files=files, ids=number, sizes=sizes, owner=number, row=number, boxes=boxes,
      classes=np.zeros(len(names), np.int32), crowd=np.zeros(len(names), bool),
      keypoints=np.where(known[..., None], joints, 0.)).of_images(sizes.all(-1))
  return objects_of(annotations, lambda row: f'{names[row]}: the person', faults, root=top,
                    classes=('person',), size=size, check=False, joints=JOINTS, limbs=LIMBS,
                    field='the box around the joints')


def _joints(path: Path) -> tuple[np.ndarray, bool]:
  """The joints (n 14 3), with flags as keypoints have them; and whether the set is the extended."""
  if not path.is_file():
    raise ConfigError(f'lsp: {path} does not exist')
  try:
    joints = np.asarray(scipy.io.loadmat(path)['joints'], np.float64)
  except Exception as e:        # of whatever kind SciPy's parsers raise
    raise ConfigError(f'lsp: {path} cannot be read as a MATLAB file with "joints": {e}') from e
  k = len(JOINTS)
  if joints.ndim != 3 or joints.shape[:2] not in ((3, k), (k, 3)):
    raise ConfigError(f'lsp: {path}: joints are (3 {k} n) or ({k} 3 n), not {joints.shape}')
  extended = joints.shape[0] == k
  joints = joints.transpose(2, 0, 1) if extended else joints.transpose(2, 1, 0)
  flag = joints[..., 2] > 0
  return np.concatenate([joints[..., :2], np.where(flag, 2, 0)[..., None] if extended else
                         np.where(flag, 1, 2)[..., None]], -1), extended
