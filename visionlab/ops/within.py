"""Within-class covariance normalisation: what differs between images of one class counts less.

Hatch, Kajarekar and Stolcke 2006, "Within-class covariance normalization for SVM-based speaker
recognition"; with faces Barkan et al. 2013, "Fast high dimensional vector multiplication face
recognition". What is kept are sums over examples, so that neither devices nor microbatches change
them.
"""

import jax
import jax.numpy as jnp

KEPT = .99               # of the sums, from one update to the next: a network goes on learning
LEAST = 1e-6             # of the covariance's diagonal, where nothing has been seen yet


def nothing(classes: int, width: int) -> dict[str, jax.Array]:
  """The sums over no rows: of products (d d), and for each class of rows (c d) and of ones (c,)."""
  return dict(products=jnp.zeros((width, width)), rows=jnp.zeros((classes, width)),
              count=jnp.zeros(classes))


def sums(rows: jax.Array, label: jax.Array, valid: jax.Array, classes: int) -> dict[str, jax.Array]:
  """`nothing` with rows (b d) in it whose class is `label` (b,), but those that are not valid."""
  rows = jnp.where(valid[:, None], rows, 0)
  members = jax.nn.one_hot(label, classes) * valid[:, None]
  return dict(products=rows.T @ rows, rows=members.T @ rows, count=members.sum(0))


def after(kept, new, ends) -> dict[str, jax.Array]:
  """The sums after one more part of an update; where it `ends`, all that is kept fades a little."""
  fades = jnp.where(jnp.asarray(ends), KEPT, 1.)
  return jax.tree.map(lambda a, b: (a + b) * fades, kept, new)


def moments(kept) -> tuple[jax.Array, jax.Array]:
  """The mean of all rows (d,), and the mean product of what they are off their class' mean (d d).

  >>> rows, label = jnp.array([[1.], [3.], [8.], [8.]]), jnp.array([0, 0, 1, 1])
  >>> seen = sums(rows, label, jnp.ones(4, bool), 2)
  >>> [x.item() for x in moments(seen)]
  [5.0, 0.5]
  """
  count = kept['count'][:, None]
  means = kept['rows'] / jnp.maximum(count, 1e-30)
  scatter = kept['products'] - (means * count).T @ means
  total = jnp.maximum(count.sum(), 1e-30)
  return kept['rows'].sum(0) / total, scatter / total


def normalised(rows: jax.Array, kept, shrinkage) -> jax.Array:
  """Rows (b d) without the mean, in a basis in which the covariance within classes is 1.

  To the covariance is added `shrinkage` times the mean of its diagonal, without which directions
  that the classes seen do not vary in would count without bound.
  """
  mean, covariance = moments(kept)
  width = len(mean)
  ridge = shrinkage * jnp.trace(covariance) / width + LEAST
  root = jnp.linalg.cholesky(covariance + ridge * jnp.eye(width))
  return jax.scipy.linalg.solve_triangular(root, (rows - mean).T, lower=True).T
