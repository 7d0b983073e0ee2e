"""What a face is covered with: spots and shadows of skin, and hair over the forehead, which are a
person's own and turn with the head."""

import jax
import jax.numpy as jnp

from visionlab.data.faces import shape
from visionlab.ops.landmarks import EYES

WAVES = 24                      # of a person's skin, each of four uniform numbers
_EYES_APART, _TO_MOUTH = .72, .7        # of the mean head, in its own unit


def places(points: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
  """Where on the mean head each pixel lies, as (x, y) from between the eyes, (h w) each.

  A head is taken for a plane through the eyes (68 2) and the mouth, seen from afar.
  """
  left, right = (points[eye].mean(0) for eye in EYES)
  middle = (left + right) / 2
  across = (right - left) / _EYES_APART
  down = (points[shape.LIPS].mean(0) - middle) / _TO_MOUTH
  area = across[0] * down[1] - across[1] * down[0]
  area = jnp.where(abs(area) < 1e-3, 1e-3, area)        # seen from its edge
  y, x = jnp.mgrid[:size, :size] + .5 - middle[::-1, None, None]
  return (x * down[1] - y * down[0]) / area, (y * across[0] - x * across[1]) / area


def complexion(u: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
  """A field of about unit variance at places x, y of a face: waves (n 4) in all directions, the
  longer the stronger."""
  waves = 2 * 6. ** u[:, 0]             # radians a unit
  angle = 2 * jnp.pi * u[:, 1]
  strength = (.5 + u[:, 2]) / jnp.sqrt(waves)
  strength *= jnp.sqrt(2 / (strength ** 2).sum())
  along = waves[:, None, None] * (jnp.cos(angle)[:, None, None] * x
                                  + jnp.sin(angle)[:, None, None] * y)
  return jnp.tensordot(strength, jnp.cos(along + 2 * jnp.pi * u[:, 3, None, None]), 1)


def above_hairline(u: jax.Array, x: jax.Array, y: jax.Array, scale: jax.Array) -> jax.Array:
  """How far each place is covered by hair that falls over the forehead, in [0, 1].

  Args:
    u: (5,), uniform: how low, how bent, and a wave's length, phase and height.
    scale: pixels of a unit.
  """
  line = -.85 + .55 * u[0] + (.9 * u[1] - .35) * x * x
  line += .2 * u[4] * jnp.sin(7 * u[2] * x + 2 * jnp.pi * u[3])
  return jax.nn.sigmoid(1.5 * scale * (line - y))
