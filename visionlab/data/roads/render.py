"""What a camera and a map show of a road, from any pose."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from visionlab.data.roads.road import STEP, Road, distance, on_ground, seen_from

HEIGHT, FOCAL, HORIZON = 1.4, .75, .34     # of the camera: metres, image widths, image heights
NEAREST = .35                    # pixels below the horizon, from which on there is ground
FAR = 1e3                        # metres to a branch that is not there
MAP_METRES = 1.5                 # a pixel of the map
MAP_BEHIND = 9.                  # metres of the map behind the car
MAP_WIDTH = 2.5                  # pixels, half a road's


class Look(NamedTuple):
  """How the world looks, scalars in [0, 1] but for the tints; see `camera`."""
  width: jax.Array               # of the road, from 2.6 to 3.5 m on each side of its middle
  dashes: jax.Array              # where they begin
  marked: jax.Array              # whether lines are painted, bool
  photo: jax.Array               # which photograph the ground has its texture of, an index
  place: jax.Array               # (2,) of the texture
  tint: jax.Array                # (3,) of the ground, .4 to 1.2
  asphalt: jax.Array             # how light the road is
  light: jax.Array               # of all
  pitch: jax.Array               # of the camera, about -.05 to .05 image heights

  @property
  def half(self) -> jax.Array:
    """Half the road's width, in metres."""
    return 2.6 + .9 * self.width

  @classmethod
  def drawn(cls, u: jax.Array, pitch: jax.Array | float = 0.) -> 'Look':
    """Of uniform numbers u (11,)."""
    return cls(width=u[0], dashes=u[1], marked=u[2] > .25, photo=(u[3] * 2).astype(jnp.int32),
               place=u[4:6], tint=.4 + .8 * u[6:9], asphalt=u[9], light=u[10], pitch=pitch)


def camera(size: tuple[int, int], road: Road, pose: jax.Array, look: Look, photo: jax.Array
           ) -> jax.Array:
  """The view (h, w, 3) in [0, 1] of a camera on the car at the pose (3,).

  A pinhole camera at `HEIGHT` over flat ground. Edges of what is far are as blurred as pixels there
  are long.
  """
  h, w = size
  row, column = jnp.meshgrid(jnp.arange(h) + .5, jnp.arange(w) + .5, indexing='ij')
  below = row - (HORIZON + look.pitch) * h
  ahead = HEIGHT * FOCAL * w / jnp.maximum(below, NEAREST)
  ground = jnp.stack([ahead, (w / 2 - column) * ahead / (FOCAL * w)], -1)
  lines = seen_from(road.lines, pose)
  away, along = jax.vmap(distance, (None, 0))(ground, lines)
  away = jnp.where(road.there[:, None, None], away, FAR)
  along = jnp.take_along_axis(along, away.argmin(0)[None], 0)[0]
  away = away.min(0)
  half, blur = look.half, .02 * ahead + .05
  on_road = jnp.clip((half - away) / blur + .5, 0, 1)
  edge = jnp.clip((.12 + blur - jnp.abs(away - half + .25)) / blur, 0, 1)
  dash = jnp.clip((.1 + blur - away) / blur, 0, 1) * ((along * STEP + 3 * look.dashes) % 3 < 1.6)
  paint = jnp.maximum(.9 * edge, dash) * on_road * look.marked
  texture = photo[look.photo].astype(jnp.float32) / 255
  soil = sampled(texture, on_ground(ground, pose) * 3 + 90 * look.place) * look.tint
  image = soil + on_road[..., None] * (.25 + .35 * look.asphalt - soil)
  image = image + paint[..., None] * (.9 - image)
  sky = .55 + .3 * sampled(texture, jnp.stack([row, column], -1) + 90 * look.place[::-1])
  image = jnp.where(below[..., None] > NEAREST, image, sky)
  return image * (.6 + .7 * look.light)


def sampled(texture: jax.Array, places: jax.Array) -> jax.Array:
  """The pixels of a texture (h, w, c) at places (..., 2), beyond which it begins again."""
  row, column = (places[..., i].astype(jnp.int32) % texture.shape[i] for i in (0, 1))
  return texture[row, column]


def chart(size: int, road: Road, chosen: jax.Array, pose: jax.Array) -> jax.Array:
  """The map (size, size, 2) in [0, 1] about the pose (3,) at which the car is thought to be, its
  heading upwards: all branches, and the one of the index `chosen`."""
  middle = jnp.arange(size) + .5
  ahead, left = jnp.meshgrid((size - middle) * MAP_METRES - MAP_BEHIND,
                             (size / 2 - middle) * MAP_METRES, indexing='ij')
  away, _ = jax.vmap(distance, (None, 0))(jnp.stack([ahead, left], -1),
                                          seen_from(road.lines, pose))
  away = jnp.where(road.there[:, None, None], away, FAR) / MAP_METRES
  return jnp.clip(MAP_WIDTH - jnp.stack([away.min(0), away[chosen]], -1), 0, 1)


def as_bytes(image: jax.Array) -> jax.Array:
  return jnp.round(255 * jnp.clip(image, 0, 1)).astype(jnp.uint8)
