"""Articulated stick figures as the objects of a scene, with the 14 joints of Leeds Sports Pose.

Johnson and Everingham (2010) name and order the joints; left and right are the person's own. All
lengths here are in units of a figure's height, head up, origin between the hips and the neck.
"""

from functools import reduce

import jax.numpy as jnp
import numpy as np
from jax import lax

from visionlab.ops.joints import JOINTS, LIMBS, MIRRORED  # noqa: F401, of this kind of objects

CLASSES = ('person',)

# Angles in degrees: thighs and upper arms outward from hanging down, shins and forearms from there
# on; the head to the side.
ANGLES = dict(right_thigh=(-5, 45), left_thigh=(-5, 45), right_shin=(-50, 5), left_shin=(-50, 5),
              right_arm=(10, 165), left_arm=(10, 165), right_forearm=(-60, 80),
              left_forearm=(-60, 80), head=(-15, 15))
_LOW, _HIGH = (np.array(side, np.float32) for side in zip(*ANGLES.values(), strict=True))
_REACH = .42                    # less than half a figure: a hand, foot or head may leave the image
_SKULL = .075
_THINNEST = 1.                  # pixels; a joint's own pixel is then always inside its limb
_HIP, _NECK, _HEAD, _TOP = 12, 13, 14, 15      # in `_points`, after the limbs
_SHOWN = (*range(12), _NECK, _TOP)
# Capsules (from, to, radius) of the parts, from back to front: legs, trunk, sleeves, skin.
_PARTS = (
    ((0, 1, .042), (1, 2, .042), (3, 4, .042), (4, 5, .042)),
    ((8, 2, .05), (2, 3, .05), (3, 9, .05), (9, 8, .05), (_NECK, _HIP, .07)),
    ((7, 8, .034), (9, 10, .034)),
    ((6, 7, .03), (10, 11, .03), (_NECK, _HEAD, .035), (_HEAD, _HEAD, _SKULL)))


def cast(u, recipe, arrays) -> dict:
  """For n figures: `height` in pixels, `pose` (n 9) and its change a frame `swing`, `reach`, and
  `hue` (n 4) of legs, trunk, sleeves and skin.

  u: (n 22), uniform in [0, 1).
  """
  own, pose, swing = jnp.split(u, (4, 4 + len(ANGLES)), axis=1)
  low, high = arrays['scale']
  height = recipe.size * (low + (high - low) * own[:, 0])
  skin = .03 + .08 * own[:, 3]
  return dict(height=height, pose=pose, swing=4 * arrays['speed'] * (2 * swing - 1),
              reach=_REACH * height, classes=jnp.zeros(len(u), jnp.int32),
              hue=jnp.stack([own[:, 1], own[:, 2], own[:, 2], skin], axis=1))


def draw(recipe, arrays, actor, centre, angle, t):
  """The pixels that a figure's parts cover, (4 h w), and its joints (14 2) in pixels.

  The parts are legs, trunk, sleeves and skin, each in front of those before it.
  """
  del arrays
  share = (actor['pose'] + t * actor['swing']) % 2
  pose = _LOW + (_HIGH - _LOW) * (1 - abs(share - 1))       # swings to and fro
  points, head = _points(jnp.deg2rad(pose))
  cos, sin = jnp.cos(angle), jnp.sin(angle)

  def place(p):
    turned = jnp.stack([cos * p[:, 0] - sin * p[:, 1], sin * p[:, 0] + cos * p[:, 1]], axis=-1)
    return centre + actor['height'] * turned
  points = jnp.concatenate([place(points), place(head)])
  parts, clear = [], 1.
  for away in _distances(points, actor['height'], recipe.size)[::-1]:
    cover = jnp.clip(.5 - away, 0, 1)
    parts.append(cover * clear)
    clear *= 1 - cover
  return jnp.stack(parts[::-1]), points[np.array(_SHOWN)]


def _points(pose):
  """Limb joints in LSP's order, mid hip and neck (14 2); the head's centre and top (2 2)."""
  thigh, shin, arm, forearm, head = pose[0:2], pose[2:4], pose[4:6], pose[6:8], pose[8]
  side = np.array([-1., 1.], np.float32)       # the person faces us: the right is at our left

  def down(angle, length):
    return length * jnp.stack([side * jnp.sin(angle), jnp.cos(angle)], axis=-1)
  hip = np.array([[-.055, .01], [.055, .01]], np.float32)
  shoulder = np.array([[-.105, -.27], [.105, -.27]], np.float32)
  knee = hip + down(thigh, .24)
  ankle = knee + down(thigh + shin, .23)
  elbow = shoulder + down(arm, .17)
  wrist = elbow + down(arm + forearm, .16)
  trunk = np.array([[0, 0], [0, -.3]], np.float32)
  up = jnp.stack([jnp.sin(head), -jnp.cos(head)])
  right, left = (jnp.stack(limb) for limb in (
      (ankle[0], knee[0], hip[0]), (hip[1], knee[1], ankle[1])))
  arms = jnp.stack([wrist[0], elbow[0], shoulder[0], shoulder[1], elbow[1], wrist[1]])
  heads = trunk[1] + jnp.stack([.1 * up, (.1 + _SKULL) * up])
  return jnp.concatenate([right, left, arms, trunk]), heads


def _distances(points, height, size):
  """Pixels (4 h w) from the outline of each part, negative inside."""
  along = jnp.arange(size) + .5

  def part(capsules):
    starts, ends, radii = capsules
    return reduce(jnp.minimum, (capsule(*c) for c in zip(starts, ends, radii, strict=True)))

  def capsule(a, b, radius):
    (px, py), (dx, dy) = a, b - a
    x, y = along - px, (along - py)[:, None]
    scale = 1 / jnp.maximum(dx * dx + dy * dy, 1e-6)
    t = jnp.clip(x * (dx * scale) + y * (dy * scale), 0, 1)
    return jnp.sqrt((x - t * dx) ** 2 + (y - t * dy) ** 2) - radius
  ends, radii, wider = _capsules()
  radii = jnp.maximum(radii * height, _THINNEST) + wider
  # A loop, not vmap: XLA would measure the distances again for each part further back.
  return lax.map(part, (points[ends[..., 0]], points[ends[..., 1]], radii))


def _capsules():
  """Ends (4 m 2) as indices of points, radii (4 m) and what they gain in pixels, part by part."""
  most = max(map(len, _PARTS))
  rows = [list(part) + [part[-1]] * (most - len(part)) for part in _PARTS]    # repeated, no harm
  ends = np.array([[capsule[:2] for capsule in row] for row in rows])
  radii = np.array([[capsule[2] for capsule in row] for row in rows], np.float32)
  # The head is a little larger than the joint at its top, which then is inside the mask.
  return ends, radii, np.where(ends[..., 0] == ends[..., 1], .75, 0).astype(np.float32)
