"""How far two sets of features are apart, and a map of one set onto the other.

Distances are small differences of large scalar products: these are in float32 in full, where an
accelerator's default would round their factors to ten bits or fewer.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

product = partial(jnp.matmul, precision='highest')


def mmd(source: jax.Array, target: jax.Array, source_valid: jax.Array | None = None,
        target_valid: jax.Array | None = None, *,
        widths: Sequence[float] = (.25, .5, 1., 2., 4.)) -> jax.Array:
  """The squared maximum mean discrepancy under a mean of Gaussian kernels.

  The biased estimate, which is never negative (Gretton et al. 2012, "A kernel two-sample test",
  JMLR 13, the square of equation 5). A kernel is exp(-|x - y|^2 / (w m)), with m the mean squared
  distance between all pairs and w one of `widths`: several, as no single one fits all of training
  (Long et al. 2015, https://arxiv.org/abs/1502.02791, section 3.1). m gets no gradient, and the
  result does not depend on the features' units.

  Args:
    source, target: (n d), (m d).
    source_valid, target_valid: (n,), (m,) bool, which rows count; None: all.
    widths: relative to m.

  Returns:
    () float32 in [0, 2].

  >>> x = jnp.array([[0., 1], [2, 3]])
  >>> float(mmd(x, x)), round(float(mmd(x, x + 100)), 2)
  (0.0, 1.55)
  """
  valid = [_rows(source, source_valid), _rows(target, target_valid)]
  shares = [v / jnp.maximum(v.sum(), 1) for v in valid]
  valid = jnp.concatenate(valid)
  x = jnp.where(valid[:, None], jnp.concatenate([source, target]).astype(jnp.float32), 0)
  products = product(x, x.T)
  squares = jnp.diagonal(products)
  distance = jnp.maximum(squares[:, None] + squares - 2 * products, 0)
  pairs = valid[:, None] & valid
  mean = lax.stop_gradient(jnp.where(pairs, distance, 0).sum() / jnp.maximum(pairs.sum(), 1))
  kernel = sum(jnp.exp(-distance / jnp.maximum(w * mean, 1e-12)) for w in widths) / len(widths)
  # Signed weights turn the three means of the estimate into one quadratic form.
  weight = jnp.concatenate([shares[0], -shares[1]])
  return jnp.maximum(product(product(weight, kernel), weight), 0)


def coral(source: jax.Array, target: jax.Array, source_valid: jax.Array | None = None,
          target_valid: jax.Array | None = None) -> jax.Array:
  """|C_s - C_t|^2 / (4 d^2) of the two covariances (Sun and Saenko 2016,
  https://arxiv.org/abs/1607.01719, equation 1), in the Frobenius norm.

  Covariances are unbiased (divided by n - 1). The d x d matrices are never formed: the norm follows
  from the scalar products of examples.

  Args:
    source, target: (n d), (m d).
    source_valid, target_valid: (n,), (m,) bool, which rows count; None: all.

  Returns:
    () float32.

  >>> x = jnp.array([[0., 0], [2, 0]])                  # variances 2 and 0
  >>> float(coral(x, 2 * x))                            # (8 - 2)^2 / 16
  2.25
  """
  rows = []
  for x, valid in ((source, source_valid), (target, target_valid)):
    x, valid = x.astype(jnp.float32), _rows(x, valid)
    count = valid.sum()
    mean = jnp.where(valid[:, None], x, 0).sum(0) / jnp.maximum(count, 1)
    rows.append(jnp.where(valid[:, None], x - mean, 0) / jnp.sqrt(jnp.maximum(count - 1, 1.)))
  gram = [[product(a, b.T) for b in rows] for a in rows]
  norms = (gram[0][0] ** 2).sum() - 2 * (gram[0][1] ** 2).sum() + (gram[1][1] ** 2).sum()
  return jnp.maximum(norms, 0) / (4 * source.shape[1] ** 2)


def subspace_alignment(source: jax.Array, target: jax.Array,
                       components: int) -> tuple[jax.Array, jax.Array]:
  """Both sets in their own principal subspaces, the source's turned onto the target's.

  Fernando et al. 2013 ("Unsupervised visual domain adaptation using subspace alignment", ICCV,
  section 3): with P_s and P_t (d c) the leading principal directions, source P_s P_s' P_t and
  target P_t. A classifier trained on the first is then used on the second. Each set is centred by
  its own mean; the authors also divide each feature by its standard deviation beforehand.

  Args:
    source, target: (n d), (m d).
    components: c, at most the smaller of d, n and m.

  Returns:
    (n c) and (m c), float32.
  """
  source, target = (x.astype(jnp.float32) - x.mean(0, dtype=jnp.float32) for x in (source, target))
  own, other = (jnp.linalg.svd(x, full_matrices=False)[2][:components].T for x in (source, target))
  turned = product(own, product(own.T, other))
  return product(source, turned), product(target, other)


def _rows(x, valid):
  return jnp.ones(len(x), bool) if valid is None else valid
