"""What a label costs: cross-entropy, smoothed, weighed by class, and with less for what is easy."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError


def label_losses(logits: jax.Array, label: jax.Array, head: str, smoothing=0.,
                 weights: Sequence[float] = (), gamma=None) -> tuple[jax.Array, jax.Array]:
  """The loss of each example, and what it counts in a mean.

  Args:
    logits: (b k) float32.
    label: (b,) int, or (b k) soft or multi-hot.
    head: 'softmax': cross-entropy against targets smoothed towards uniform (Szegedy et al. 2016,
      section 7). 'sigmoid': the sum over classes of binary ones, smoothed towards one half.
    weights: of the classes, (k,). A mean is then weighed by them too, as torch's is, but for
      'sigmoid', where each class's term is multiplied.
    gamma: of the focal loss (Lin et al. 2017, equation 4), or None for none.

  Returns:
    (b,), (b,).
  """
  soft = label if label.ndim == 2 else jax.nn.one_hot(label, logits.shape[-1])
  if head == 'sigmoid':
    return _binary(logits, soft, smoothing, weights, gamma)
  log_p = jax.nn.log_softmax(logits)
  if label.ndim == 1:
    own = jnp.take_along_axis(log_p, label[:, None], -1)[:, 0]
  else:
    own = (label * log_p).sum(-1)
  counts = jnp.ones(len(logits))
  if not weights and gamma is None:
    return -(1 - smoothing) * own - smoothing * log_p.mean(-1), counts
  w = jnp.asarray(weights or np.ones(logits.shape[-1]), jnp.float32)
  easy = 1. if gamma is None else _focus(jnp.exp(log_p), gamma)
  target = (1 - smoothing) * soft + smoothing / logits.shape[-1]
  return -(target * w * easy * log_p).sum(-1), (soft * w).sum(-1)


def _binary(logits, soft, smoothing, weights, gamma):
  target = soft * (1 - smoothing) + .5 * smoothing
  yes, no = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
  if gamma is not None:
    yes, no = yes * _focus(jnp.exp(yes), gamma), no * _focus(jnp.exp(no), gamma)
  losses = -(target * yes + (1 - target) * no)
  if weights:
    losses = losses * jnp.asarray(weights, jnp.float32)
  return losses.sum(-1), jnp.ones(len(logits))


def _focus(p, gamma):
  """(1 - p)^gamma; at p = 1 its gradient, for gamma below 1, would be infinite."""
  return jnp.maximum(1 - p, 1e-7) ** gamma


def weights_of_classes(wanted: Sequence[float] | str, counts: Sequence[int],
                       classes: Sequence[str]) -> tuple[float, ...]:
  """Weights by class, from what config.task.class_weights says.

  Raises:
    ConfigError: not one for each class, none above zero, or 'balanced' of classes that are not
      counted or have no example.

  >>> weights_of_classes('balanced', (30, 10), ('cat', 'dog'))
  (0.6666666666666666, 2.0)
  """
  where = 'config.task.class_weights'
  if isinstance(wanted, str):
    if wanted != 'balanced':
      raise ConfigError(f'{where}: expected "balanced" or a weight for each class, got {wanted!r}')
    if not counts:
      raise ConfigError(f'{where}: "balanced" needs a source whose labels are known without '
                        f'reading its images; give {len(classes)} weights instead')
    missing = [name for name, n in zip(classes, counts, strict=True) if not n]
    if missing:
      raise ConfigError(f'{where}: "balanced": there is no training example of {missing[0]!r}')
    return tuple(sum(counts) / (len(counts) * n) for n in counts)
  if wanted and (len(wanted) != len(classes)
                 or not all(isinstance(w, int | float) and w >= 0 for w in wanted)
                 or not any(wanted)):
    raise ConfigError(f'{where}: expected {len(classes)} weights, one for each of '
                      f'{", ".join(classes[:4])}{", ..." if classes[4:] else ""}, got {wanted!r}')
  return tuple(map(float, wanted))
