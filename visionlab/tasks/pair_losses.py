"""Losses of embeddings that compare the photographs of a batch with each other."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from visionlab.ops.pool import largest

MINING = ('hard', 'all')


class Photographs(NamedTuple):
  """embedding (n d); label (n,), whose they are; valid (n,); place (n,), which of them all."""
  embedding: jax.Array
  label: jax.Array
  valid: jax.Array
  place: jax.Array


def contrastive(apart: jax.Array, same: jax.Array, other: jax.Array, margin, mining: str
                ) -> tuple[jax.Array, jax.Array]:
  """Hadsell, Chopra and LeCun 2006 ("Dimensionality reduction by learning an invariant mapping",
  eq. 4): half the squared distance of two photographs of one person, and half the square of what
  two people's lack of the margin.

  Args:
    apart: distances (n m) of anchors from all others.
    same, other: (n m), which of these are the anchor's person, and which are not.
    mining: 'hard' takes of either kind the worst one of each anchor, 'all' the mean.

  Returns:
    The losses (n,), and which anchors count: those with both kinds.
  """
  near, far = .5 * apart ** 2, .5 * jnp.maximum(margin - apart, 0) ** 2
  if mining == 'hard':
    losses = worst(near, same) + worst(far, other)
  else:
    losses = mean_of(near, same) + mean_of(far, other)
  return losses, same.any(-1) & other.any(-1)


def triplet(apart: jax.Array, same: jax.Array, other: jax.Array, margin, mining: str
            ) -> tuple[jax.Array, jax.Array]:
  """Schroff et al. 2015 ("FaceNet"), of distances that are not squared: by how much another
  person is not a margin further away than oneself.

  'hard' is the batch-hard form of Hermans et al. 2017 (https://arxiv.org/abs/1703.07737),
  of the farthest photograph of a person and the nearest of another; 'all' the mean over all
  triplets of an anchor that have a loss (its batch-all form, without zeros). Otherwise as
  `contrastive`.
  """
  if mining == 'hard':
    losses = jnp.maximum(margin + worst(apart, same) + worst(-apart, other), 0)
  else:
    each = jnp.maximum(margin + apart[:, :, None] - apart[:, None, :], 0)
    each = jnp.where(same[:, :, None] & other[:, None, :], each, 0).reshape(len(apart), -1)
    losses = each.sum(-1) / jnp.maximum((each > 0).sum(-1), 1)
  return losses, same.any(-1) & other.any(-1)


LOSSES = dict(contrastive=contrastive, triplet=triplet)


def compared(kind: str, mining: str, margin, apart: jax.Array, anchors: Photographs,
             others: Photographs) -> tuple[jax.Array, jax.Array]:
  """A loss of `LOSSES` of each anchor among others (m), itself among them, and who counts (n,)."""
  alike = anchors.label[:, None] == others.label
  there = anchors.valid[:, None] & others.valid
  same = alike & there & (anchors.place[:, None] != others.place)
  losses, counts = LOSSES[kind](apart, same, ~alike & there, margin, mining)
  return jnp.where(counts, losses, 0), counts


def worst(values, chosen):
  """The largest (n,) of those chosen of values (n m); 0 where there is none."""
  return jnp.where(chosen.any(-1), largest(jnp.where(chosen, values, -jnp.inf)), 0)


def mean_of(values, chosen):
  return jnp.where(chosen, values, 0).sum(-1) / jnp.maximum(chosen.sum(-1), 1)
