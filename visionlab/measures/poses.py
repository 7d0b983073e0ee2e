"""How many limbs and joints of people were found."""

from collections.abc import Mapping, Sequence

import numpy as np

from visionlab.ops.joints import JOINTS

PARTS = dict(torso=((2, 8), (3, 9)), upper_leg=((1, 2), (3, 4)), lower_leg=((0, 1), (4, 5)),
             upper_arm=((7, 8), (9, 10)), lower_arm=((6, 7), (10, 11)), head=((12, 13),))
"""Of the 14 joints of Leeds Sports Pose: pairs of joints that are the two sides' limbs."""
LIMB, NEAR = .5, .2             # the usual bounds: of a limb's length, and of the torso or the box
BOUNDS = np.arange(1, 51) / 100        # of the curves, in the same units


def parts_of(joints: Sequence[str], limbs: Sequence[tuple[int, int]]) -> Mapping[str, tuple]:
  """Name of a part -> its limbs: `PARTS` where the joints are those, else each limb by itself."""
  if tuple(joints) == JOINTS:
    return PARTS
  return {f'{joints[a]}-{joints[b]}'.replace(' ', '_'): ((a, b),) for a, b in limbs}


def limbs_found(found: np.ndarray, true: np.ndarray, limbs: Sequence[tuple[int, int]],
                at: float = LIMB) -> float:
  """The percentage of correct parts (PCP; Ferrari et al. 2008), of 1: of limbs with two known ends,
  those of which each end lies within `at` of the limb's length of where it should.

  Args:
    found: (n k 2); true: (n k 3), x, y, and 0 for a joint that is not known.
    limbs: pairs of joints.

  >>> true = np.array([[[0, 0, 2], [10, 0, 2]], [[0, 0, 2], [10, 0, 0]]], float)
  >>> limbs_found(np.array([[[0, 4.], [10, 5]], [[9, 9], [9, 9]]]), true, [(0, 1)])
  1.0
  """
  off = np.linalg.norm(found - true[..., :2], axis=-1)
  right, known = [], []
  for a, b in limbs:
    length = np.linalg.norm(true[:, a, :2] - true[:, b, :2], axis=-1)
    right.append(np.maximum(off[:, a], off[:, b]) <= at * length)
    known.append((true[:, a, 2] > 0) & (true[:, b, 2] > 0))
  return share_of(np.stack(right), np.stack(known))


def joints_found(found: np.ndarray, true: np.ndarray, unit: np.ndarray, at: float = NEAR) -> float:
  """The share of known joints that were found within `at` of a unit (n,); images whose unit is not
  known (nan) do not count.

  With the torso's diameter, from a hip to the other shoulder, that is the percentage of detected
  joints (PDJ; Sapp and Taskar 2013); with the longer side of the person's box the percentage of
  correct keypoints (PCK; Yang and Ramanan 2013).
  """
  off = np.linalg.norm(found - true[..., :2], axis=-1)
  known = (true[..., 2] > 0) & ~np.isnan(unit)[:, None]
  return share_of(off <= at * np.nan_to_num(unit)[:, None], known)


def torsos(true: np.ndarray, diameter: tuple[int, int]) -> np.ndarray:
  """The distance (n,) of two joints; nan where one is not known."""
  a, b = (true[:, i] for i in diameter)
  return np.where((a[:, 2] > 0) & (b[:, 2] > 0), np.linalg.norm(a[:, :2] - b[:, :2], axis=-1),
                  np.nan)


def pose_scores(found: np.ndarray, true: np.ndarray, boxes: np.ndarray, parts: Mapping,
                diameter: tuple[int, int]) -> dict[str, float | np.ndarray]:
  """`pcp`, the mean over `parts`, and `pcp_<part>`; `pdj` and `pck`, and over `BOUNDS` their curves
  `pdj_curve` and `pck_curve`.

  Args:
    found, true: as in `limbs_found`.
    boxes: (n 4).
    parts: see `parts_of`.
    diameter: the joints between which a torso is measured.
  """
  each = {f'pcp_{name}': limbs_found(found, true, limbs) for name, limbs in parts.items()}
  units = dict(pdj=torsos(true, diameter), pck=(boxes[:, 2:] - boxes[:, :2]).max(1))
  known = [value for value in each.values() if not np.isnan(value)]
  scores = dict(pcp=float(np.mean(known)) if known else np.nan, **each)
  for name, unit in units.items():
    scores[name] = joints_found(found, true, unit)
    scores[f'{name}_curve'] = np.array([joints_found(found, true, unit, at) for at in BOUNDS])
  return scores


def share_of(right: np.ndarray, known: np.ndarray) -> float:
  """Of what is known, how much is right; nan where nothing is."""
  return float(right[known].mean()) if known.any() else np.nan
