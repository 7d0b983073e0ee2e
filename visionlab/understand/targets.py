"""What of an answer is explained: one number of each image."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from visionlab.config import ConfigError

Answer = Mapping[str, jax.Array]
Target = Callable[[Answer], jax.Array] | str | int | None
LARGEST = -1          # the index of a target: the largest of an image's scores


def scores(answer: Answer, select: Callable | None, index: jax.Array) -> jax.Array:
  """One number (b,) of each image's answer, which is explained.

  Args:
    select: of the answer, in place of what follows.
    index: () or (b,) int. Of `logits` (b k) the class; of `logits` (b h w k) the mean over the
      pixels that are of that class, or over all if none is; of `outputs` (b d) and of
      `log_likelihoods` (b t) which. `LARGEST`: the largest of the logits or outputs, the class of
      most pixels, or all words together.
  """
  if select is not None:
    return select(answer)
  name = next((name for name in ('logits', 'outputs', 'log_likelihoods') if name in answer), None)
  if name is None:
    raise ConfigError(f'target: this network answers {", ".join(sorted(answer))}; give a function '
                      'of that which says what is to be explained')
  values = answer[name]
  if values.ndim == 1:
    return values
  index = jnp.broadcast_to(index, values.shape[:1])
  if values.ndim == 4:
    return _of_pixels(values, index)
  whole = values.sum(-1) if name == 'log_likelihoods' else values.max(-1)
  return jnp.where(index == LARGEST, whole, _column(values, jnp.maximum(index, 0)))


def _of_pixels(values, index):
  """The mean (b,) of logits (b h w k) of a class over the pixels that are of it."""
  b, _, _, k = values.shape
  predicted = values.argmax(-1).reshape(b, -1)
  most = jax.vmap(lambda p: jnp.bincount(p, length=k))(predicted).argmax(-1)
  index = jnp.where(index == LARGEST, most, index)
  own = predicted == index[:, None]
  own = jnp.where(own.any(-1, keepdims=True), own, True)
  of_class = jnp.take_along_axis(values.reshape(b, -1, k), index[:, None, None], -1)[..., 0]
  return (own * of_class).sum(-1) / own.sum(-1)


def _column(values, index):
  return jnp.take_along_axis(values, index[:, None], 1)[:, 0]
