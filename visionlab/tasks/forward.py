"""A model's forward pass as tasks make it."""

from collections.abc import Mapping
from typing import Any

import jax

from visionlab.task import Variables


def forward(model: Any, variables: Variables, x: jax.Array, key: jax.Array | None, *,
            train: bool) -> tuple[Any, Mapping[str, Any]]:
  """What the model says of preprocessed images, and the collections other than params after it.

  In training collections are updated and `key` feeds the rng stream 'dropout'; else they stay.
  """
  mutable = [k for k in variables if k != 'params'] if train else False
  out = model.apply(variables, x, train=train, mutable=mutable,
                    rngs={'dropout': key} if train else None)
  return out if train else (out, {k: v for k, v in variables.items() if k != 'params'})
