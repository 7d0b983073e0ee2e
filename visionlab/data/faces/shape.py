"""The 68 points of a head in three dimensions, from the numbers of a person and of a moment.

The markup is that of iBUG 300-W (Sagonas et al. 2013), in its order: the jaw from the viewer's left
(0..16), both brows (17..26), the nose's ridge and base (27..35), both eyes (36..47), the lips'
outline (48..59) and the mouth's (60..67). x is to the viewer's right, y down, z towards the viewer;
the unit is about half a face's height, the origin is between the eyes and the mouth.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

PROPORTIONS = 16                # numbers by which heads differ, each standard normal
JAW, RIDGE, BASE = slice(0, 17), slice(27, 31), slice(31, 36)
BROWS = slice(17, 22), slice(22, 27)
LIPS, MOUTH = slice(48, 60), slice(60, 68)

_LID = np.array([[-1, 0], [-.4, -1], [.4, -1], [1, 0], [.4, 1], [-.4, 1]], np.float32)
_LID_RIGHT = _LID * [-1, 1]     # eyes are numbered from the viewer's left, and mirror each other


def head(person: jax.Array, mood: Mapping[str, jax.Array]) -> jax.Array:
  """The points (68 3).

  Args:
    person: (16,), standard normal; what is beyond 2 is cut off.
    mood: `smile` in [-1, 1], `open` (the mouth), `blink` in [0, 1], `brow` (raised) in [-1, 1].
  """
  z = jnp.clip(person, -2, 2)

  def size(i, mean, spread):    # positive whatever z is
    return mean * jnp.exp(spread * z[i])
  eye = jnp.stack([size(0, .36, .08), -.17 + .03 * z[1]])
  nose_end = eye[1] + size(2, .46, .1)
  parts = [_jaw(size(3, .78, .08), size(4, .98, .07), size(5, .8, .2))]
  parts += [_brow(side, eye, size(6, .2, .15), .05 * z[7], size(8, .24, .08), mood['brow'])
            for side in (-1, 1)]
  parts += _nose(eye[1], nose_end, size(9, .11, .18), size(10, .3, .15))
  parts += [_eye(side, eye, size(11, .15, .1), size(12, .06, .2) * (1 - .75 * mood['blink']))
            for side in (-1, 1)]
  parts += _mouth(nose_end + size(13, .24, .1), size(14, .28, .1), size(15, .06, .25), mood)
  return jnp.concatenate(parts)


def _jaw(width, height, power):
  """17 points from ear to ear; power: below 1 the chin is broad, above it pointed."""
  t = np.linspace(-1, 1, 17, dtype=np.float32)
  down = np.maximum(np.cos(np.pi / 2 * t), 1e-3)
  return _stack(width * np.sin(np.pi / 2 * t), -.12 + height * down ** power, -.75 * abs(t) ** 1.5)


def _brow(side, eye, above, slope, width, raised):
  along = np.linspace(-1, 1, 5, dtype=np.float32)
  x = side * eye[0] + width * along
  y = eye[1] - above - .07 * raised - .05 * (1 - along ** 2) + side * slope * along
  return _stack(x, y, .12)


def _nose(top, end, width, depth):
  """The ridge's 4 points and the base's 5."""
  down = np.arange(4, dtype=np.float32) / 3
  ridge = _stack(0, top + .03 + (end - top - .1) * down, .18 + depth * 1.2 * down)
  along = np.linspace(-1, 1, 5, dtype=np.float32)
  base = _stack(width * along, end + .03 * (1 - abs(along)), depth * (.8 + .4 * (1 - abs(along))))
  return [ridge, base]


def _eye(side, eye, width, height):
  lid = _LID if side < 0 else _LID_RIGHT[[3, 2, 1, 0, 5, 4]]
  return _stack(side * eye[0] + width * lid[:, 0], eye[1] + height * lid[:, 1], .08)


def _mouth(y, width, thickness, mood):
  """The lips' 12 points, clockwise from the left corner, and the mouth's 8."""
  half, lift = width * (1 + .18 * mood['smile']), -.2 * mood['smile']
  gap = .12 * mood['open']

  def row(along, offset):
    bulge = 1 - along ** 2
    return _stack(half * along, y + lift * along ** 2 + offset(bulge), .25 * bulge)
  outer, inner = (np.linspace(-end, end, n, dtype=np.float32) for end, n in ((1, 7), (.85, 5)))
  dip = 1 - .3 * np.exp(-20 * outer ** 2)         # of the upper lip, below the nose
  above = row(outer, lambda bulge: -(thickness * dip + gap / 2) * bulge)
  below = row(outer, lambda bulge: (1.3 * thickness + gap) * bulge)
  top = row(inner, lambda bulge: -gap / 2 * bulge)
  bottom = row(inner, lambda bulge: (.01 + gap) * bulge)
  return [above, below[5:0:-1], top, bottom[3:0:-1]]


def _stack(x, y, z):
  return jnp.stack(jnp.broadcast_arrays(x, y, z), -1).astype(jnp.float32)
