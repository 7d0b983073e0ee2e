"""The five landmarks that faces are aligned by, of the 68 of iBUG 300-W (Sagonas et al. 2013)."""

import jax
import jax.numpy as jnp

FIVE = ('left eye', 'right eye', 'nose tip', 'left mouth corner', 'right mouth corner')
"""Their names; left and right are the viewer's."""
EYES = slice(36, 42), slice(42, 48)
NOSE_TIP = 30
PLACES = {
    68: (range(36, 42), range(42, 48), (NOSE_TIP,), (48,), (54,)),
    51: (range(19, 25), range(25, 31), (13,), (31,), (37,)),
    49: (range(19, 25), range(25, 31), (13,), (31,), (37,)),
    98: ((96,), (97,), (54,), (76,), (82,)),
    29: ((16,), (17,), (20,), (22,), (23,))}
"""By their number, of which landmarks the `FIVE` are the mean: of iBUG's 68, and those without the
jaw, or inner mouth corners too; of WFLW's 98 (Wu et al. 2018) and COFW's 29 (Burgos-Artizzu et al.
2013), whose pupils are landmarks."""
MIRRORED = {
    5: ((0, 1), (3, 4)),
    68: (*((i, 16 - i) for i in range(8)), *((i, 43 - i) for i in range(17, 22)),
         (31, 35), (32, 34), *((i, 81 - i) for i in range(36, 40)), (40, 47), (41, 46),
         *((i, 102 - i) for i in range(48, 51)), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)),
    98: (*((i, 32 - i) for i in range(16)), *((i, 79 - i) for i in range(33, 38)),
         *((i, 88 - i) for i in range(38, 42)), (55, 59), (56, 58),
         *((i, 132 - i) for i in range(60, 65)), *((i, 140 - i) for i in range(65, 68)),
         *((i, 158 - i) for i in range(76, 79)), (83, 87), (84, 86), (88, 92), (89, 91), (93, 95),
         (96, 97))}
"""By their number, which landmarks are each other's in a mirror: of the `FIVE`, iBUG's, WFLW's."""
FILLED = {5: .9, 29: .3, 49: .4, 51: .4}
"""By their number, how much of the side of the square that just holds a face's landmarks is left
free at each side in the world `faces`; .15 of those that know the jaw."""


def margin_of(count: int) -> float:
  return FILLED.get(count, .15)


def five_of(points: jax.Array) -> jax.Array:
  """The `FIVE` points (... 5 d) of as many (... k d) as `PLACES` has."""
  return jnp.stack([points[..., jnp.array(some), :].mean(-2)
                    for some in PLACES[points.shape[-2]]], -2)
