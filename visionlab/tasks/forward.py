"""A model's forward pass as tasks make it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax

from visionlab.task import Variables


def forward(model: Any, variables: Variables, x: jax.Array, key: jax.Array | None, *,
            train: bool, method: Callable | None = None) -> tuple[Any, Mapping[str, Any]]:
  """What the model says of preprocessed images, and the collections other than params after it.

  In training collections are updated and `key` feeds the rng stream 'dropout'; else they stay.

  method: (model, x, train=) in place of the model's own `__call__`.
  """
  mutable = [k for k in variables if k != 'params'] if train else False
  out = model.apply(variables, x, train=train, mutable=mutable,
                    rngs={'dropout': key} if train else None,
                    **({'method': method} if method else {}))
  return out if train else (out, {k: v for k, v in variables.items() if k != 'params'})


def mean_over(ask: Callable, members: Sequence, variables: Sequence[Variables],
              views: Iterable) -> jax.Array:
  """The mean of ask(member, its variables, view), an array, over all members and views."""
  answers = [ask(member, own, view)
             for member, own in zip(members, variables, strict=True) for view in views]
  return sum(answers) / len(answers)
