"""The five landmarks that faces are aligned by, of the 68 of iBUG 300-W (Sagonas et al. 2013)."""

import jax
import jax.numpy as jnp

FIVE = ('left eye', 'right eye', 'nose tip', 'left mouth corner', 'right mouth corner')
"""Their names; left and right are the viewer's."""
EYES = slice(36, 42), slice(42, 48)
NOSE_TIP, CORNERS = 30, (48, 54)


def five_of(points: jax.Array) -> jax.Array:
  """The `FIVE` points (... 5 d) of 68 (... 68 d): eyes are the mean of their outlines."""
  eyes = [points[..., eye, :].mean(-2) for eye in EYES]
  others = [points[..., i, :] for i in (NOSE_TIP, *CORNERS)]
  return jnp.stack([*eyes, *others], -2)
