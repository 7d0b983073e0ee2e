"""Similarities: turning, scaling and moving, so that points come to lie on others."""

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.ops.warp import centres, sample, transform

TEMPLATE = np.array([[.3419, .4616], [.6565, .4598], [.5002, .6405], [.3710, .8247],
                     [.6315, .8234]], np.float32)
"""Where eyes, nose tip and mouth corners lie in aligned faces, as shares of their width and height
(Deng et al. 2019, "ArcFace", in their 112 x 112 pixels)."""


def similarity(points: jax.Array, onto: jax.Array, weights: jax.Array | None = None) -> jax.Array:
  """The similarity (... 3 3) with the least squared distances from moved points to others.

  That of Umeyama 1991 ("Least-squares estimation of transformation parameters between two point
  patterns", eq. 40 to 42) without reflection, which in the plane needs no singular values: with
  points as complex numbers it is one quotient.

  Args:
    points, onto: (... n 2).
    weights: (... n), not negative, of each point; None: all alike. Where fewer than two points
      count, or all lie in one place, the points are moved and neither turned nor scaled.

  >>> moved = similarity(jnp.array([[0., 0.], [1., 0.]]), jnp.array([[1., 1.], [1., 3.]]))
  >>> transform(moved, jnp.array([0., 1.])).tolist()
  [-1.0, 1.0]
  """
  weights = jnp.ones(points.shape[:-1]) if weights is None else weights
  share = (weights / jnp.maximum(weights.sum(-1, keepdims=True), 1e-9))[..., None]
  middle, other = ((share * x).sum(-2) for x in (points, onto))
  (x, y), (u, v) = (jnp.moveaxis(p - m[..., None, :], -1, 0)
                    for p, m in ((points, middle), (onto, other)))
  share = share[..., 0]
  spread = (share * (x * x + y * y)).sum(-1)
  there = spread > 1e-9
  spread = jnp.where(there, spread, 1)
  cos = jnp.where(there, (share * (x * u + y * v)).sum(-1) / spread, 1)
  sin = jnp.where(there, (share * (x * v - y * u)).sum(-1) / spread, 0)
  shift = other - jnp.stack([cos * middle[..., 0] - sin * middle[..., 1],
                             sin * middle[..., 0] + cos * middle[..., 1]], -1)
  zero, one = jnp.zeros_like(cos), jnp.ones_like(cos)
  rows = [(cos, -sin, shift[..., 0]), (sin, cos, shift[..., 1]), (zero, zero, one)]
  return jnp.stack([jnp.stack(row, -1) for row in rows], -2)


def aligned(image: jax.Array, landmarks: jax.Array, size: int) -> jax.Array:
  """A face (h w c) turned and scaled so that its five landmarks come to lie on `TEMPLATE`.

  Args:
    landmarks: (5 3), x and y in pixels, and 0 where it is not known; see `faces`.
    size: height and width of the result.

  Returns:
    (size size c) float32; what is beyond the image's border looks as its nearest pixel does. Where
    fewer than two landmarks are known the whole image is scaled to that size.
  """
  h, w = image.shape[:2]
  known = landmarks[:, 2] > 0
  back = similarity(jnp.asarray(size * TEMPLATE), landmarks[:, :2], known.astype(jnp.float32))
  plain = jnp.array([[w / size, 0, 0], [0, h / size, 0], [0, 0, 1]], jnp.float32)
  back = jnp.where(known.sum() > 1, back, plain)
  return sample(image, transform(back, centres(size, size)), mode='edge')
