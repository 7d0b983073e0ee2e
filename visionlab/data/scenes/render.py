"""One scene as traced arrays: objects cast, placed and moved, then drawn from front to back.

Only the nearest object's mask is whole; those behind keep what is left of theirs, and one of which
too little is left is not drawn at all. So the image, label map, masks and boxes always agree.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from visionlab.data.drawn import key_of
from visionlab.data.scenes import digits as scenes_digits, figures as scenes_figures
from visionlab.data.scenes.assets import PATCH, SPLITS

KINDS = dict(digits=scenes_digits, figures=scenes_figures)
LUMA = (.299, .587, .114)       # ITU-R BT.601
LEAST = 8                       # visible pixels that an object has at least
TRIES = 3                       # places tried for an object: the one most clear of others is taken
DRAWS = (4 + 2 * TRIES, 8, 22)  # random numbers an object's place, paint and shape may use


@dataclass(frozen=True)
class Recipe:
  """What the program that draws scenes depends on; all else is data, which never recompiles.

  Attributes:
    kind: a key of `KINDS`.
    size: of the image, in pixels.
    most: objects that a scene has room for.
    frames: 1 for images.
    masks: whether instances' masks are wanted.
  """
  kind: str
  size: int
  most: int
  frames: int
  masks: bool


def scene(recipe: Recipe, arrays: Mapping[str, jax.Array], index) -> dict:
  """The scene of a traced index: a pure function of it, the recipe and the arrays.

  Args:
    arrays: `photo` and `photo_width`, what the kind needs, and the numbers `seed`, `split`,
      `fewest` (objects), `scale` (2,), `degrees`, `speed`, `contrast`, `visible`; see `scenes`.

  Returns:
    `image` (h w 3) uint8, `label_map` (h w) int32 and `objects` as visionlab/ops/geometry.py has
    them; each with a leading t if recipe.frames > 1.
  """
  u, paint, place, actors = rehearse(recipe, arrays, index)
  count = arrays['fewest'] + jnp.floor(u[9] * (recipe.most + 1 - arrays['fewest']))
  ground = photograph(u[:9], arrays, recipe.size)
  route = journey(place, actors['reach'], recipe, arrays)
  # A loop, not vmap: XLA would draw all parts again in each place that looks at them.
  parts, joints = lax.map(lambda actor: _drawn(recipe, arrays, *actor), (actors, route))
  frames = compose(ground, parts, actors['hue'], paint, jnp.arange(recipe.most) < count,
                   actors['classes'], arrays['contrast'], arrays['visible'])
  masks = frames.pop('masks')
  frames['objects'] = objects = jax.vmap(annotate, (0, None))(masks, actors['classes'])
  if joints is not None:
    objects['keypoints'] = jax.vmap(visibility)(jnp.moveaxis(joints, 0, 1), masks, objects['valid'])
  if recipe.masks:
    objects['masks'] = masks
  return frames if recipe.frames > 1 else jax.tree.map(lambda x: x[0], frames)


def rehearse(recipe: Recipe, arrays: Mapping[str, jax.Array], index) -> tuple:
  """The random numbers of a scene as a whole, of its objects' paint and places, and its objects."""
  key = key_of(arrays, index, len(SPLITS))
  u = jax.random.uniform(key, (1 + recipe.most, sum(DRAWS)))
  place, paint, cast = jnp.split(u[1:], np.cumsum(DRAWS)[:-1], axis=1)
  return u[0], paint, place, KINDS[recipe.kind].cast(cast, recipe, arrays)


def _drawn(recipe, arrays, actor, route):
  """Parts (t p h w) and joints (t j 2) of one object."""
  def at(t):
    return KINDS[recipe.kind].draw(recipe, arrays, actor, *position(route, t), t)
  return jax.vmap(at)(jnp.arange(recipe.frames))


def photograph(u, arrays: Mapping[str, jax.Array], size: int) -> jax.Array:
  """A patch of one of the photographs at another brightness, (3 size size) in [0, 1].

  u: (9,) uniform in [0, 1). arrays: `photo` (p h w 3), `photo_width` (), see `assets.backgrounds`.
  """
  photo, width = arrays['photo'], arrays['photo_width']
  p, h, w = photo.shape[:3]
  most = jnp.minimum(min(h, size * PATCH[1] * 2 / sum(PATCH)), width)
  side = most * (PATCH[0] / PATCH[1] + (1 - PATCH[0] / PATCH[1]) * u[0])
  along = side * (np.arange(size) + .5) / size - .5
  x = jnp.clip(u[1] * (width - side) + jnp.where(u[2] < .5, along, along[::-1]), 0, width - 1.01)
  y = jnp.clip(u[3] * (h - side) + along, 0, h - 1.01)
  column, row = x.astype(jnp.int32), y.astype(jnp.int32)
  right, down = x - column, (y - row)[:, None]
  corner = (jnp.floor(u[4] * p).astype(jnp.int32) * h + row[:, None]) * w + column
  gain = (.65 + .4 * u[5]) * (.92 + .16 * u[6:9]) / 255
  # Gathers from one flat table take a tenth of the time that batched ones take on a CPU.
  table = jnp.asarray(photo).reshape(-1)

  def plane(channel):
    a, b, c, d = (table.at[3 * (corner + step) + channel].get(mode='promise_in_bounds')
                  .astype(jnp.float32) for step in (0, 1, w, w + 1))
    above, below = a + (b - a) * right, c + (d - c) * right
    return jnp.clip((above + (below - above) * down) * gain[channel], 0, 1)
  return lax.map(plane, jnp.arange(3))       # a loop for the reason given in `scene`


def journey(u, reach, recipe: Recipe, arrays) -> dict:
  """Where objects (n,) that reach so many pixels start, and how they move a frame.

  Each takes the clearest of `TRIES` places, so that many objects still fit.

  u: (n 4 + 2 TRIES) uniform in [0, 1).
  """
  n, size = len(reach), recipe.size
  start, room = clearest(u[:, 4:], reach, size)
  turn, speed = 2 * jnp.pi * u[:, 0], arrays['speed'] * size * u[:, 1]
  velocity = speed[:, None] * jnp.stack([jnp.cos(turn), jnp.sin(turn)], axis=-1)
  limit = jnp.full(n, arrays['degrees'])
  return dict(start=start, velocity=velocity, low=(size - room) / 2, high=(size + room) / 2,
              angle=limit * (2 * u[:, 2] - 1), limit=limit,
              spin=100 * arrays['speed'] * (2 * u[:, 3] - 1))


def clearest(u, reach, size: int) -> tuple[jax.Array, jax.Array]:
  """Of `TRIES` places the one most clear of the objects before it, for each: centres (n 2), and
  how far these may lie apart (n,), since objects (n,) that reach so far are inside the image.

  u: (n 2 TRIES) uniform in [0, 1).
  """
  n = len(reach)
  room = jnp.maximum(size - 2 * reach, 0)
  tried = u.reshape(n, TRIES, 2) * room[:, None, None] + (size - room)[:, None, None] / 2

  def choose(taken, one):
    centres, reaches = taken             # of those before it; a reach of -inf for those to come
    i, tries, own = one
    step = tries[:, None] - centres
    apart = jnp.sqrt((step ** 2).sum(-1)) - own - reaches
    best = tries[jnp.argmax(jnp.minimum(apart, 0).min(1))]
    return (centres.at[i].set(best), reaches.at[i].set(own)), best
  nobody = jnp.zeros((n, 2)), jnp.full(n, -jnp.inf)
  return lax.scan(choose, nobody, (jnp.arange(n), tried, reach))[1], room


def position(route, t):
  """The centre (2,) in pixels and the angle in radians of one object at frame t."""
  centre = bounce(route['start'] + t * route['velocity'], route['low'], route['high'])
  angle = bounce(route['angle'] + t * route['spin'], -route['limit'], route['limit'])
  return centre, jnp.deg2rad(angle)


def bounce(x, low, high):
  """x reflected at both ends of [low, high] as often as it takes.

  >>> bounce(jnp.array([2., 7., 11.]), 0., 5.).tolist()
  [2.0, 3.0, 1.0]
  """
  span = jnp.maximum(high - low, 1e-6)
  return low + span - abs((x - low) % (2 * span) - span)


def stand_out(u, hue, below, contrast):
  """Colours (p 3) of these hues (p,) whose luminances differ from `below` (p,) by `contrast`.

  u: (2 p) uniform in [0, 1).
  """
  brighter = below < .35 + .3 * u[0]
  room = jnp.where(brighter, 1 - below, below)
  step = contrast + jnp.maximum(room - contrast, 0) * u[1]
  return coloured(hue, jnp.clip(jnp.where(brighter, below + step, below - step), 0, 1))


def coloured(hue, luma):
  """The most vivid RGB (... 3) of a hue in turns that has this luminance.

  >>> jnp.round(coloured(jnp.array([0., .5]), jnp.array([.299, .5])), 3).tolist()
  [[1.0, 0.0, 0.0], [0.0, 0.71..., 0.71...]]
  """
  vivid = jnp.clip(abs((6 * hue[..., None] + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
  own = (vivid * np.array(LUMA, np.float32)).sum(-1)
  dark = vivid * (luma / own)[..., None]
  light = vivid + (1 - vivid) * ((luma - own) / (1 - own))[..., None]
  return jnp.where((luma < own)[..., None], dark, light)


def compose(ground, parts, hue, u, present, classes, contrast, visible) -> dict:
  """All frames, `image` (t h w 3), `label_map` (t h w), and `masks` (t n h w) of what is seen.

  Args:
    ground: (3 h w) in [0, 1].
    parts: (n t p h w), the share of each pixel that each part of each object covers; front first.
    hue: (n p) in turns.
    u: (n m), m >= 2 p, uniform in [0, 1).
    present, classes: (n,).
    contrast, visible: see `scenes`.
  """
  _, t, p, h, w = parts.shape

  def add(state, one):
    image, clear, label_map = state
    parts, hue, u, present, label = one
    luma = sum(share * plane for share, plane in zip(LUMA, ground, strict=True))
    area = jnp.maximum(parts[0].sum((1, 2)), 1e-3)
    below = (parts[0] * luma).sum((1, 2)) / area
    colours = stand_out(u[:2 * p].reshape(2, p), hue, below, contrast)
    # Sums of a few terms, written out: XLA's reductions over a short axis are slow on a CPU.
    cover = sum(parts[:, k] for k in range(p))
    paint = sum(parts[:, k, None] * colours[k, :, None, None] for k in range(p))
    whole = cover > .5
    free = whole & (label_map == 0)
    count = free.sum((1, 2))
    keep = present & (count >= jnp.maximum(visible * whole.sum((1, 2)), LEAST))
    share = jnp.where(keep[:, None, None], clear, 0)
    image += share[:, None] * (paint - cover[:, None] * ground)
    mask = free & keep[:, None, None]
    return (image, clear - share * cover, jnp.where(mask, label, label_map)), mask
  state = (jnp.broadcast_to(ground, (t, 3, h, w)), jnp.ones((t, h, w)),
           jnp.zeros((t, h, w), jnp.int32))
  labels = 1 + classes.astype(jnp.int32)
  (image, _, label_map), masks = lax.scan(add, state, (parts, hue, u, present, labels))
  image = jnp.round(255 * jnp.clip(image, 0, 1)).astype(jnp.uint8)
  return dict(image=jnp.moveaxis(image, 1, -1), label_map=label_map,
              masks=jnp.moveaxis(masks, 0, 1))


def annotate(masks, classes) -> dict:
  """The objects that masks (n h w) show: `boxes` (n 4), `classes` (n,), `valid` (n,)."""
  valid = masks.any((1, 2))
  low, high = [], []
  for axis in (1, 2):           # whether anything is in a column, in a row
    some = masks.any(axis)
    place = jnp.arange(some.shape[1])
    low.append(jnp.where(some, place, some.shape[1]).min(1))
    high.append(jnp.where(some, place + 1, 0).max(1))
  boxes = jnp.stack([*low, *high], axis=1).astype(jnp.float32)
  return dict(boxes=jnp.where(valid[:, None], boxes, 0), valid=valid,
              classes=jnp.where(valid, classes, 0).astype(jnp.int32))


def visibility(joints, masks, valid) -> jax.Array:
  """Joints (n j 2) with 2 where their object is seen there, 1 where it is covered: (n j 3).

  Joints outside the image, and those of objects that are not there, are (0, 0, 0).
  """
  n, h, w = masks.shape
  limit = np.array([w, h])
  inside = jnp.all((joints >= 0) & (joints <= limit), axis=-1) & valid[:, None]
  x, y = jnp.moveaxis(jnp.clip(joints.astype(jnp.int32), 0, limit - 1), -1, 0)
  shown = masks[jnp.arange(n)[:, None], y, x]
  points = jnp.concatenate([joints, (1. + shown)[..., None]], axis=-1)
  return jnp.where(inside[..., None], points, 0)
