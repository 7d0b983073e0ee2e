"""What an image should have little of, whatever a network says; subtracted from objectives."""

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.ops.filters import filter_image, gaussian
from visionlab.understand.terms import Objective, node


@node('power')
class TotalVariation(Objective):
  """See `total_variation`."""
  unit: jax.Array
  power: float

  def score(self, sums, images):
    right = jnp.diff(images, axis=2, append=images[:, :, -1:])
    down = jnp.diff(images, axis=1, append=images[:, -1:])
    squares = jnp.square(right) + jnp.square(down)
    if self.power != 2:
      # The root's slope is infinite at 0, where an even image has all its pixels.
      squares = jnp.where(squares > 0, jnp.where(squares > 0, squares, 1) ** (self.power / 2), 0)
    return squares.mean((1, 2, 3)) / self.unit ** self.power


@node('power')
class AlphaNorm(Objective):
  """See `alpha_norm`."""
  centre: jax.Array
  unit: jax.Array
  power: float

  def score(self, sums, images):
    away = (images - self.centre) / self.unit[:, None, None, None]
    return (jnp.abs(away) ** self.power).mean((1, 2, 3))


@node('sigma')
class Roughness(Objective):
  """See `roughness`."""
  sigma: float

  def score(self, sums, images):
    smooth = jax.lax.stop_gradient(filter_image(images, gaussian(self.sigma), 'edge'))
    return jnp.square(images - smooth).mean((1, 2, 3))


def total_variation(power: float = 2., unit: float = 1.) -> Objective:
  """The mean of (dx^2 + dy^2)^(power / 2), differences in units of `unit` (Mahendran and Vedaldi
  2015, section 3.2), over all pixels; those at the border have no further neighbours. To be
  subtracted."""
  return TotalVariation(np.float32([unit]), power)


def alpha_norm(power: float = 6., unit: float = 1., centre: jax.Array | float = .5) -> Objective:
  """The mean of |x - centre|^power, in units of `unit`: with a power of 6 all values are kept
  within about one unit, with 2 it is the norm of Simonyan et al. To be subtracted.

  centre: a number, or one for each channel.
  """
  centre = np.broadcast_to(np.float32(centre), np.shape(centre) or (1,))
  return AlphaNorm(centre[None, None, None], np.float32([unit]), power)


def roughness(sigma: float = 1.) -> Objective:
  """The mean squared distance to the image blurred by a Gaussian: what a blur takes away. To be
  subtracted; its gradient draws each pixel to its surroundings."""
  return Roughness(sigma)
