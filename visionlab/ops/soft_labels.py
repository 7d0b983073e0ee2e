"""Soft labels: what a network says of a class as a whole, as the target of a cross-entropy.

Tzeng et al. 2015, "Simultaneous deep transfer across domains and tasks"
(https://arxiv.org/abs/1510.02192), section 3.2.
"""

import jax
import jax.numpy as jnp
from jax import lax


def class_sums(logits: jax.Array, label: jax.Array, valid: jax.Array,
               temperature: jax.Array) -> tuple[jax.Array, jax.Array]:
  """The softened predictions of each class's examples, added up, and how many they are.

  Their quotient is the class's soft label; kept apart, both may be added over batches and devices.

  Args:
    logits: (b k).
    label: (b,) int.
    valid: (b,) bool, which examples count.
    temperature: tau > 0; the higher, the more is left for the less likely classes.

  Returns:
    (k k), of which row c is the sum over class c of softmax(logits / tau), and (k,).

  >>> label, valid = jnp.array([1, 1, 0]), jnp.array([True, True, False])
  >>> sums, counts = class_sums(jnp.zeros((3, 2)), label, valid, 2.)
  >>> sums.tolist(), counts.tolist()
  ([[0.0, 0.0], [1.0, 1.0]], [0.0, 2.0])
  """
  probabilities = jax.nn.softmax(logits.astype(jnp.float32) / temperature)
  member = jax.nn.one_hot(label, logits.shape[-1]) * valid[:, None]
  return jnp.einsum('bc,bk->ck', member, probabilities, precision='highest'), member.sum(0)


def updated_table(table: jax.Array, sums: jax.Array, counts: jax.Array,
                  momentum: jax.Array) -> jax.Array:
  """The running mean (k k) of soft labels, a row for each class, after a batch's `class_sums`.

  A class that the batch lacks stays as it is.
  """
  means = sums / jnp.maximum(counts, 1)[:, None]
  share = jnp.where(counts > 0, 1 - momentum, 0)[:, None]
  return table + share * (means - table)


def soft_cross_entropy(logits: jax.Array, label: jax.Array, table: jax.Array,
                       temperature: jax.Array) -> jax.Array:
  """-sum_i l_i log p_i (b,), where l is the label's row of `table` and p is
  softmax(logits / temperature) (the paper's equation 6). The table gets no gradient."""
  log_p = jax.nn.log_softmax(logits.astype(jnp.float32) / temperature)
  return -(lax.stop_gradient(table)[label] * log_p).sum(-1)
