"""Handwritten digits as the objects of a scene."""

import jax.numpy as jnp

from visionlab.data.scenes.assets import INK

CLASSES = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine')
JOINTS = LIMBS = ()


def cast(u, recipe, arrays) -> dict:
  """Which glyphs, how large: for n objects `glyph`, `classes`, `zoom`, `reach` (n,), `hue` (n 1).

  u: (n 3) or more, uniform in [0, 1).
  """
  height, reach, label = (jnp.asarray(arrays[k]) for k in ('height', 'reach', 'label'))
  glyph = jnp.floor(u[:, 0] * arrays['count']).astype(jnp.int32)
  low, high = arrays['scale']
  zoom = recipe.size * (low + (high - low) * u[:, 1]) / height[glyph]
  return dict(glyph=glyph, classes=label[glyph], zoom=zoom, hue=u[:, 2:3],
              reach=zoom * reach[glyph])


def draw(recipe, arrays, actor, centre, angle, t):
  """The pixels that an object covers at a centre (2,) and angle: ((1 h w), None).

  Each canvas pixel looks up its place in the object's glyph; the glyph's grey level, steepened such
  that an outline is about one pixel wide at any zoom, is what the object covers of it.
  """
  del t
  side = arrays['glyph'].shape[-1]
  along = jnp.arange(recipe.size) + .5
  x, y = along - centre[0], (along - centre[1])[:, None]
  cos, sin = jnp.cos(angle) / actor['zoom'], jnp.sin(angle) / actor['zoom']
  value = _look_up(arrays['glyph'], actor['glyph'], cos * x + sin * y + side / 2,
                   cos * y - sin * x + side / 2) / 255
  width = jnp.minimum(1.2 / (actor['zoom'] * arrays['detail']), .6)
  return jnp.clip((value - INK) / width + .5, 0, 1)[None], None


def _look_up(tiles, which, x, y):
  """Bilinear values of tiles (g s s) at points (h w); their borders go on for ever."""
  side = tiles.shape[-1]
  x, y = (jnp.clip(v - .5, 0, side - 1.01) for v in (x, y))
  column, row = x.astype(jnp.int32), y.astype(jnp.int32)
  corner = (which * side + row) * side + column
  # Gathers from one flat table take a tenth of the time that batched ones take on a CPU.
  table = jnp.asarray(tiles).reshape(-1)
  a, b, c, d = (table.at[corner + step].get(mode='promise_in_bounds').astype(jnp.float32)
                for step in (0, 1, side, side + 1))
  above, below = a + (b - a) * (x - column), c + (d - c) * (x - column)
  return above + (below - above) * (y - row)
