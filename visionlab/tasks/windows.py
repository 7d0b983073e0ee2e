"""A detector without proposals: a classifier's verdict on every window, then suppression.

Functions of a bound `visionlab.models.sliding_window.SlidingWindow`, traced, over a batch.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from visionlab.metrics import Ratio
from visionlab.tasks import detection_losses as losses
from visionlab.tasks.two_stage import Detecting, Objects, chosen, take


def window_losses(model: Any, x: jax.Array, objects: Objects, valid: jax.Array, keys: jax.Array,
                  rules: Detecting, *, train: bool,
                  own: losses.Own | None = None) -> dict[str, Ratio]:
  """`class`, over a sample of each image's windows, of which most are background.

  Args:
    x: (b h w c), normalised.
    objects, valid, keys: as in `visionlab.tasks.two_stage.all_losses`.
    own: a loss in place of the cross-entropy.
  """
  logits, windows = model(x, train=train), jnp.asarray(model.windows(x.shape[1:3]))
  draw = partial(losses.draw, low=rules.low, high=rules.high, size=rules.sample,
                 positive_share=rules.positive_share, low_quality=True)
  everywhere = jnp.broadcast_to(valid[:, None], (len(x), len(windows)))
  some = jax.vmap(draw, (0, None, 0, 0))(keys, windows, everywhere, objects)
  classes = take(objects['classes'], some.object)
  term = jax.vmap(partial(losses.class_loss, own=own))(
      take(logits, some.index), classes, some)
  return {'class': Ratio(term.sum.sum(), term.count.sum())}


def window_detections(model: Any, x: jax.Array, extent: jax.Array, rules: Detecting, *,
                      train: bool = False) -> dict[str, Any]:
  """What `visionlab.tasks.detect.Detect.predict` gives; boxes are windows, clipped."""
  logits, windows = model(x, train=train), jnp.asarray(model.windows(x.shape[1:3]))
  b, n, k = logits.shape
  regions = dict(boxes=jnp.tile(windows, (b, 1, 1)), valid=jnp.ones((b, n), bool))
  return chosen(logits, jnp.zeros((b, n, k - 1, 4)), regions, extent, rules) | dict(
      proposals=regions)
