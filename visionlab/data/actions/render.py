"""One clip as traced arrays: a digit that moves before a photograph, and the flow that it makes.

Where the digit is, how it is turned and how large it is are symmetric about the middle of the clip:
the middle frame is as likely under any movement, and so tells none.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.data.drawn import key_of
from visionlab.data.scenes import digits
from visionlab.data.scenes.assets import SPLITS
from visionlab.data.scenes.render import LUMA, Recipe, photograph, stand_out
from visionlab.ops.warp import centres, sample

MOVEMENTS = ('left', 'right', 'up', 'down', 'clockwise', 'anticlockwise', 'grow', 'shrink')
HUES = ('red', 'yellow', 'green', 'cyan', 'blue', 'magenta')
SIDE = 32                       # pixels, of the images that the speeds below are meant for
SHIFT = (.7, 1.2)               # pixels a frame
TURN = (5., 8.)                 # degrees a frame
GROWTH = (.05, .08)             # of the logarithm of the size, a frame
TILT = 20.                      # degrees by which a digit leans at most, in the middle of its clip
CONTRAST = .3                   # of the digit's luminance and what is behind it
SMALLER = .5                    # the distractor's size, in the digit's
# By movement the directions of shift, turn and growth; y is down, so that a turn is clockwise.
SHIFTS = np.array([[-1, 0], [1, 0], [0, -1], [0, 1], *[[0, 0]] * 4], np.float32)
TURNS = np.array([0, 0, 0, 0, 1, -1, 0, 0], np.float32)
GROWTHS = np.array([0, 0, 0, 0, 0, 0, 1, -1], np.float32)


@dataclass(frozen=True)
class Form:
  """What the program that draws clips depends on.

  Attributes:
    size, frames: of a clip.
    margin: pixels of the photograph around what a frame shows of it, for a camera that moves.
    distractor: whether there is one.
    flow: whether it is wanted.
    seen: whether, beside it, what is seen again is wanted.
  """
  size: int
  frames: int
  margin: int
  distractor: bool
  flow: bool
  seen: bool = False


def clip(form: Form, arrays: Mapping[str, jax.Array], index) -> dict:
  """The clip of a traced index: a pure function of it, the form and the arrays.

  Args:
    arrays: backgrounds and glyphs (`visionlab.data.scenes.assets`), the numbers `seed`, `split`,
      `scale` (2,), `spread`, `pan`; see `visionlab.data.actions.actions`.

  Returns:
    `video` (t h w 3) uint8; `movement` and `hue` () int32; as wanted `flow` (t-1 h w 2) float32
    and `seen` (t-1 h w) bool.
  """
  key = key_of(arrays, index, len(SPLITS))
  u = jax.random.uniform(key, (64,))
  time, middle = jnp.arange(form.frames) - (form.frames - 1) / 2, form.frames // 2
  turn = 2 * jnp.pi * u[0]
  pan = arrays['pan'] * jnp.sqrt(u[1]) * jnp.stack([jnp.cos(turn), jnp.sin(turn)])
  image = jnp.broadcast_to(photograph(u[2:11], arrays, form.size + 2 * form.margin), (
      form.frames, 3, form.size + 2 * form.margin, form.size + 2 * form.margin))
  image = jax.vmap(lambda one, t: _shifted(one, -pan * t, form))(image, time)
  movement, hue = (jnp.floor(x * n).astype(jnp.int32)
                   for x, n in ((u[11], len(MOVEMENTS)), (u[12], len(HUES))))
  flow = jnp.broadcast_to(pan, (form.frames - 1, form.size, form.size, 2))
  owner = jnp.zeros((form.frames, form.size, form.size), jnp.int32)    # whose a pixel is; 0: none's
  actors = [(1., movement, hue, u[16:32])]
  if form.distractor:           # behind the digit, of another movement and another hue
    others = (x + 1 + jnp.floor(r * (n - 1)).astype(jnp.int32) for x, r, n in (
        (movement, u[13], len(MOVEMENTS)), (hue, u[14], len(HUES))))
    step, tint = (x % n for x, n in zip(others, (len(MOVEMENTS), len(HUES)), strict=True))
    actors.insert(0, (SMALLER, step, tint, u[32:48]))
  for number, (smaller, step, tint, own) in enumerate(actors, 1):
    route = _route(own, step, smaller, time, pan, form, arrays)
    cover = _drawn(route, form, arrays)
    luma = sum(share * image[middle, i] for i, share in enumerate(LUMA))
    below = (cover[middle] * luma).sum() / jnp.maximum(cover[middle].sum(), 1e-3)
    # Not so bright or dark that no hue is left.
    shade = jnp.stack([own[10], .4 * own[11]]).reshape(2, 1)
    vivid = (tint + .5 * (own[12] - .5))[None] / len(HUES)
    colour = stand_out(shade, vivid, below[None], CONTRAST)[0]
    image += cover[:, None] * (colour[:, None, None] - image)
    flow = jnp.where(cover[:-1, ..., None] > .5, _flow(route, form.size), flow)
    owner = jnp.where(cover > .5, number, owner)
  video = jnp.round(255 * jnp.clip(jnp.moveaxis(image, 1, -1), 0, 1)).astype(jnp.uint8)
  wanted = {'flow': flow} if form.flow else {}
  if form.seen:
    wanted['seen'] = jax.vmap(_seen)(owner[:-1], owner[1:], flow)
  return dict(video=video, movement=movement, hue=hue, **wanted)


def _route(u, movement, smaller, time, pan, form, arrays) -> dict:
  """`centre` (t 2) in pixels, `angle` (t) in radians and `zoom` (t) of a digit, and its glyph."""
  cast = digits.cast(u[None, :3], Recipe('digits', form.size, 1, form.frames, False), arrays)
  actor = jax.tree.map(lambda x: x[0], cast)
  shift, turn, growth = (low + (high - low) * x for (low, high), x in zip(
      (SHIFT, TURN, GROWTH), u[3:6], strict=True))
  centre = form.size * (.5 + arrays['spread'] * (2 * u[6:8] - 1))
  step = shift * form.size / SIDE * jnp.asarray(SHIFTS)[movement] + pan
  tilt = jnp.deg2rad(TILT * (2 * u[8] - 1))
  return dict(actor=actor, centre=centre + step * time[:, None],
              angle=tilt + jnp.deg2rad(turn) * jnp.asarray(TURNS)[movement] * time,
              zoom=smaller * actor['zoom'] * jnp.exp(
                  growth * jnp.asarray(GROWTHS)[movement] * time))


def _drawn(route, form, arrays):
  """The share (t h w) of each pixel that a digit covers."""
  recipe = Recipe('digits', form.size, 1, form.frames, False)

  def at(centre, angle, zoom):
    actor = dict(route['actor'], zoom=zoom)
    return digits.draw(recipe, arrays, actor, centre, angle, 0)[0][0]
  return jax.vmap(at)(route['centre'], route['angle'], route['zoom'])


def _flow(route, size):
  """How far what a digit shows in each pixel is from there in the next frame: (t-1 h w 2)."""
  along = jnp.arange(size) + .5
  place = jnp.stack(jnp.meshgrid(along, along), -1)

  def between(centre, angle, zoom):
    x, y = jnp.moveaxis(place - centre[0], -1, 0)
    turn, grown = angle[1] - angle[0], zoom[1] / zoom[0]
    cos, sin = jnp.cos(turn) * grown, jnp.sin(turn) * grown
    return jnp.stack([cos * x - sin * y, sin * x + cos * y], -1) + centre[1] - place
  pairs = (jnp.stack([x[:-1], x[1:]], 1) for x in (route['centre'], route['angle'], route['zoom']))
  return jax.vmap(between)(*pairs)


def _seen(owner, after, flow):
  """Whether what a pixel shows (h w) is seen in the next frame, neither covered nor outside."""
  goal = centres(*owner.shape) + flow
  return sample(after, goal, order=0, fill=-1) == owner


def _shifted(ground, at, form):
  """What a frame (3 s s) shows of a photograph (3 h w), `at` (2,) pixels from its middle."""
  if not form.margin:
    return ground
  corner = form.margin + at                     # x, y; one pixel of the margin is for this
  low = jnp.floor(corner).astype(jnp.int32)
  x, y = corner - low
  side = form.size + 1
  part = jax.lax.dynamic_slice(ground, (0, low[1], low[0]), (3, side, side))
  rows = part[:, :-1] + y * (part[:, 1:] - part[:, :-1])
  return rows[..., :-1] + x * (rows[..., 1:] - rows[..., :-1])
