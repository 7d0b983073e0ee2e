"""One face as traced arrays: a person, the moment, the view, and what all of it looks like.

What a person keeps: proportions, colours, hair, beard, sex, spots of the skin. What a moment has:
expression, pose, glasses, light, colour cast, background, and perhaps something in front of the
face. Colours of different people overlap and a moment's light changes them, so that they alone tell
nobody.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from visionlab.data.faces import shape
from visionlab.data.faces.skin import WAVES, above_hairline, complexion, places
from visionlab.data.faces.strokes import circle, cover, line, padded, polygon
from visionlab.data.scenes.assets import SPLITS
from visionlab.data.scenes.render import photograph
from visionlab.ops.landmarks import EYES, NOSE_TIP

POSES = ('left', 'half left', 'frontal', 'half right', 'right')
"""Fifths of the range of yaw, by where the nose points for the viewer."""

MOMENT = 40                     # uniform numbers that a moment may use, and a person
_PERSON = 16 + shape.PROPORTIONS
MIDDLE = np.array([.5, .45], np.float32)        # of an image, on which heads lie, give or take .05
_LARGE, _SMALL, _LINE = 26, 12, 5       # points that outlines are padded to
_HAIR = 12                      # points of its arc


def face(size: int, arrays: Mapping[str, jax.Array], index: jax.Array) -> dict:
  """The face of a traced index: a pure function of it and the arrays.

  Args:
    size: height and width of the image in pixels; the program depends on nothing else but whether
      there is a `complexion`.
    arrays: `visionlab.data.scenes.assets.backgrounds`, and the numbers `seed`, `split`, `each`,
      `yaw`, `pitch`, `roll` (radians, at most), `smiling`, `glasses`, `occluded` (shares),
      `light`, perhaps `complexion`; see `faces`.

  Returns:
    `image` (h w 3) uint8, `label` () int32, `points` (68 2) in pixels as (x, y), `covered` (68,)
    bool, and int32 () `smile`, `glasses`, `beard`, `male`, `pose` (of `POSES`).
  """
  label, number = index // arrays['each'], index % arrays['each']
  # Drawn at once: every call of the generator takes XLA a second to compile.
  words = jax.random.bits(jax.random.fold_in(_key(arrays, label, 1), number),
                          (MOMENT + 3 * size * size,))
  u = (words[:MOMENT] >> 8).astype(jnp.float32) / 2**24
  grain = _normal(words[MOMENT:].reshape(3, size, size))
  one = person(arrays, label)
  scale = size * (.42 + .09 * u[11])
  centre = size * (MIDDLE + .1 * (u[12:14] - .5))
  ground = photograph(u[15:24], arrays, size)
  image, truth = with_head(ground, one, u, centre, scale, (0., size), arrays)
  return dict(image=photographed(image, u[34:38], grain), label=label.astype(jnp.int32),
              points=truth['points'], covered=truth['covered'],
              **{k: truth[k].astype(jnp.int32) for k in ('smile', 'glasses', 'pose')},
              **{k: one[k].astype(jnp.int32) for k in ('beard', 'male')})


def person(arrays: Mapping[str, jax.Array], label: jax.Array) -> dict:
  """What the person of a traced number keeps; arrays: with `seed` and `split`."""
  key = _key(arrays, label, 0)
  one = _person(jax.random.uniform(key, (_PERSON,)))
  if 'complexion' in arrays:    # a third of the time, which plain heads do not need
    one['cover'] = jax.random.uniform(jax.random.fold_in(key, 0), (4 * WAVES + 5,))
  return one


def _key(arrays, label, which):
  """Of what a person keeps (0), or of that person's moments (1)."""
  # The implementation is named so that no setting of JAX makes other faces of the same seed.
  key = jax.random.key(arrays['seed'], impl='threefry2x32')
  return jax.random.fold_in(key, 2 * (label * len(SPLITS) + arrays['split']) + which)


def with_head(image: jax.Array, one: Mapping, u: jax.Array, centre: jax.Array, scale: jax.Array,
              square: tuple, arrays: Mapping[str, jax.Array]) -> tuple[jax.Array, dict]:
  """A person's head in front of a picture (3 h w), square and in [0, 1], and what is to be seen.

  Args:
    one: see `person`.
    u: (`MOMENT`,) uniform in [0, 1): expression, view, glasses, light, and what is in front.
    centre, scale: (2,) and (), between the eyes and the mouth and half a face's height, in pixels.
    square: the corner and the side of that in which something may be in front of it.
    arrays: see `face`.

  Returns:
    The picture, and `points` (68 2) in pixels, `forehead` (8 2), where hair begins, `covered`
    (68,) bool, `smile`, `glasses` () bool and `pose` () float.
  """
  size = image.shape[-1]
  mood = _mood(u[:8], arrays['smiling'])
  turn = jnp.stack([arrays[k] for k in ('yaw', 'pitch', 'roll')]) * (2 * u[8:11] - 1)
  solid = shape.head(one['shape'], mood)

  def seen(points):
    return centre + scale * _turned(points, turn)
  points, forehead = seen(solid), seen(_forehead(solid))
  glasses = u[14] < arrays['glasses']
  image = _painted(image, points, forehead, seen(_hair(solid, one)), scale, one, mood, glasses,
                   arrays['light'] * (u[24:26] - .5), u[26], arrays.get('complexion'))
  block, colour = _block(u[27:34], arrays['occluded'], size, *square)
  image += block * (colour[:, None, None] - image)
  column, row = jnp.clip(points.astype(jnp.int32), 0, size - 1).T
  return image, dict(points=points, forehead=forehead, covered=block[row, column] > .5,
                     smile=mood['smile'] > 0, glasses=glasses, pose=jnp.floor(u[8] * len(POSES)))


def photographed(image: jax.Array, u: jax.Array, grain: jax.Array) -> jax.Array:
  """A picture (3 h w) in a light whose strength and colour u (4,) says, with grain (3 h w):
  (h w 3) uint8."""
  cast = (.6 + .7 * u[0]) * (.85 + .3 * u[1:])
  image = jnp.clip(image * cast[:, None, None] + .02 * grain, 0, 1)
  return jnp.round(255 * jnp.moveaxis(image, 0, -1)).astype(jnp.uint8)


def _person(u) -> dict:
  z = jnp.sqrt(2) * lax.erf_inv(2 * u[16:] - 1)        # normal; at 0 infinite, and cut off
  male = u[0] < .5
  sign = jnp.where(male, 1., -1.)
  # What differs on average between the sexes: jaw, brows, lips; nobody is told by one of them.
  lean = {3: .5, 4: .4, 5: .6, 6: -.5, 15: -.6}
  z += sign * np.array([lean.get(i, 0) for i in range(shape.PROPORTIONS)], np.float32)
  skin = np.array([.35, .22, .15]) + u[1] * np.array([.55, .5, .45])
  hair = (u[2:5] * .3 + u[5] * np.array([.45, .33, .18])) * (.3 + .9 * u[6])
  return dict(shape=z, male=male, beard=male & (u[7] < .45), long=jnp.where(male, u[8] < .1,
              u[8] < .75), skin=skin, hair=hair, iris=u[9:12] * .6, width=u[12], height=u[13],
              brow=.03 + .02 * u[14] + .012 * sign, lips=.45 + .15 * u[15] + .08 * sign)


def _mood(u, smiling) -> dict:
  smile = jnp.where(u[0] < smiling, .4 + .6 * u[1], -.3 * u[1])
  return dict(smile=smile, open=jnp.where(u[2] < .3, u[3], 0.),
              blink=jnp.where(u[4] < .1, 1., .25 * u[5]), brow=2 * u[6] - 1)


def _turned(points, turn):
  """Points (n 3) turned by yaw, pitch and roll, seen from afar: (n 2)."""
  (x, y, z), (yaw, pitch, roll) = points.T, turn
  x, z = jnp.cos(yaw) * x + jnp.sin(yaw) * z, jnp.cos(yaw) * z - jnp.sin(yaw) * x
  y = jnp.cos(pitch) * y + jnp.sin(pitch) * z
  return jnp.stack([jnp.cos(roll) * x - jnp.sin(roll) * y,
                    jnp.sin(roll) * x + jnp.cos(roll) * y], -1)


def _forehead(solid):
  """From the right end of the jaw over the top to the left one (8 3)."""
  angle = np.linspace(0, np.pi, 10, dtype=np.float32)[1:-1]
  end = solid[16]
  return jnp.stack([end[0] * np.cos(angle), end[1] - .75 * np.sin(angle),
                    np.full(8, -.3, np.float32)], -1)


def _hair(solid, one):
  """An arc behind the face (14 3), down to the ears or, where it is long, to the chin."""
  end, reach = solid[16], .2 + .35 * one['width']
  angle = jnp.linspace(-reach, jnp.pi + reach, _HAIR)
  x = (1.12 + .12 * one['width']) * end[0] * jnp.cos(angle)
  y = end[1] - (.9 + .2 * one['height']) * jnp.sin(angle)
  foot = jnp.where(one['long'], .75, y[0])
  x, y = (jnp.concatenate([a[None], b, c[None]]) for a, b, c in (
      (x[0], x, x[-1]), (foot, y, foot)))
  return jnp.stack([x, y, jnp.full(_HAIR + 2, -.55)], -1)


def _painted(image, points, forehead, hair, scale, one, mood, glasses, light, gaze,
             uneven):
  """A head over the background `image` (3 h w)."""
  size = image.shape[-1]
  outlines = [hair, jnp.concatenate([points[shape.JAW], forehead]),
              jnp.concatenate([points[2:15], points[jnp.array([54, 55, 56, 57, 58, 59, 48])]])]
  # Loops, not vmap: XLA would measure distances again in each place that looks at them.
  large = lax.map(lambda p: cover(polygon(p, size)),
                  jnp.stack([padded(p, _LARGE) for p in outlines]))
  parts = [*EYES, shape.LIPS, shape.MOUTH]
  small = lax.map(lambda p: cover(polygon(p, size)),
                  jnp.stack([padded(points[part], _SMALL) for part in parts]))
  eyes = [points[eye].mean(0) for eye in EYES]
  bridge = jnp.stack([points[39], points[42]])
  strokes = [points[shape.BROWS[0]], points[shape.BROWS[1]], points[28:31], points[shape.BASE],
             points[36:40], points[42:46], bridge]
  width = scale * jnp.stack([one['brow'], one['brow'], .02, .03, .012, .012, .03])
  drawn = lax.map(lambda stroke: cover(line(stroke[0], size) - stroke[1]),
                  (jnp.stack([padded(p, _LINE) for p in strokes]), width))
  y, x = jnp.mgrid[:size, :size] + .5
  nose = points[NOSE_TIP]
  shade = jnp.clip(1 + 1.8 * ((x - nose[0]) * light[0] + (y - nose[1]) * light[1]) / scale, .3, 1.8)
  bare, locks = (jnp.asarray(one[k], jnp.float32)[:, None, None] for k in ('skin', 'hair'))
  relief, fringe = 1., 0.
  if uneven is not None:
    waves, line_of_hair = one['cover'][:-5].reshape(-1, 4), one['cover'][-5:]
    at = places(points, size)
    relief = jnp.exp(uneven * complexion(waves, *at))
    fringe = above_hairline(line_of_hair, *at, scale)

  def over(image, colour, share):
    return image + share * (colour - image)
  image = over(image, locks * (.5 + .5 * shade), large[0])
  image = over(image, bare * relief * shade, large[1])
  image = over(image, locks * relief * (.5 + .5 * shade), large[1] * fringe)
  image = over(image, .4 * bare * shade + .6 * locks, large[2] * one['beard'])
  for brow in drawn[:2]:
    image = over(image, locks * .9, brow)
  image = over(over(image, bare * shade * .8, drawn[2]), bare * shade * .55, drawn[3])
  iris = one['iris'][:, None, None]
  for eye, open_eye, lid in zip(eyes, small[:2], drawn[4:6], strict=True):
    image = over(image, .95 * jnp.minimum(shade, 1.05), open_eye)
    ball = cover(circle(eye + scale * .05 * jnp.stack([2 * gaze - 1, 0.]), .065 * scale, size))
    image = over(image, iris, jnp.minimum(open_eye, ball))
    image = over(image, bare * .4, lid)
  red = jnp.stack([jnp.float32(.95), one['lips'], one['lips']])[:, None, None]
  image = over(image, bare * red * shade, small[2])
  teeth = jnp.where(mood['open'] > .4, jnp.array([.15, .05, .05]), jnp.array([.85, .82, .8]))
  image = over(image, teeth[:, None, None], small[3] * (mood['open'] > 0))
  rings = [cover(abs(circle(eye, .2 * scale, size)) - .03 * scale) for eye in eyes]
  frame = jnp.maximum(jnp.maximum(*rings), drawn[6]) * glasses
  return over(image, jnp.array([.08, .08, .1])[:, None, None], frame)


def _block(u, share, size, corner, side):
  """Something in front: the pixels that it covers (h w), and its colour (3,)."""
  y, x = jnp.mgrid[:size, :size] + .5
  half, (left, top) = side * (.1 + .08 * u[0]), corner + side * u[1:3]
  near = (abs(x - left) < half) & (abs(y - top) < half)
  return (near & (u[3] < share)).astype(jnp.float32), u[4:7]


def _normal(word):
  """About normal numbers of unit variance: the sums of the four bytes of words."""
  total = sum((word >> (8 * i)) & 255 for i in range(4))
  return (total.astype(jnp.float32) - 510) / 147.8      # 4 variances of (256^2 - 1) / 12


