"""Recurrent networks that read an image, row after row or column after column."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.config import check_choice
from visionlab.models.layers import Head
from visionlab.ops import recurrent
from visionlab.options.kinds import Count, Natural, Share

READ = {'rows': 1, 'columns': 2}       # the axis of (b h w c) that becomes time


class Recurrent(nn.Module):
  """Recurrent layers over the rows or columns of an image; a linear classifier.

  It classifies the whole sequence by its last output (many to one) or each of its steps (many to
  many); its `features` are the outputs, for a decoder that turns them into another sequence.

  Attributes:
    classes: number of classes k.
    cell: 'lstm', 'gru' or 'rnn' (see `visionlab.ops.recurrent`).
    width: of a cell's state.
    layers: each reads the outputs of the one before.
    read: 'rows', from the top, or 'columns', from the left.
    each: whether it classifies each step, and not the whole.
    both_ways: whether as many layers more read from the end, the outputs of both side by side
      (Schuster & Paliwal 1997, "Bidirectional recurrent neural networks").
    dropout: the share of what each layer but the first reads, and of what the classifier reads,
      that is set to zero in training (rng stream 'dropout'); never between one step and the next
      (Zaremba et al. 2014, https://arxiv.org/abs/1409.2329).
    forget_bias, memory: how the gates' biases begin; see `visionlab.ops.recurrent.init`.
    backbone: a module whose last map of `features` is read in place of the pixels.
    dtype: dtype of the computation; parameters and logits are float32.

  Raises:
    ConfigError: an unknown cell, or something else to read.
  """

  classes: int
  cell: str = 'lstm'
  width: Count = 128
  layers: Count = 1
  read: str = 'rows'
  each: bool = False
  both_ways: bool = False
  dropout: Share = 0.
  forget_bias: float = 1.
  memory: Natural = 0
  backbone: Any = None
  dtype: Any = jnp.float32

  def __post_init__(self):
    check_choice(self.cell, recurrent.CELLS, 'model.cell')
    check_choice(self.read, READ, 'model.read')
    super().__post_init__()

  @property
  def strides(self) -> dict[str, int]:
    """Of the map of `features`, in pixels."""
    return {'read': [*self.backbone.strides.values()][-1] if self.backbone else 1}

  def setup(self):
    self.drop = nn.Dropout(self.dropout)
    self.head = Head(self.classes)

  def features(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
    """Images (b h w c) -> {'read': (b t 1 d)} of t rows, or (b 1 t d) of t columns.

    d is the width, or twice that with both_ways.
    """
    outputs = self.run(self.sequence(x, train=train), train=train)
    return {'read': jnp.expand_dims(outputs, 3 - READ[self.read])}

  def __call__(self, x: jax.Array, valid: jax.Array | None = None, *,
               train: bool = False) -> jax.Array:
    """Logits of images (b h w c), or of sequences (b t d) if there is no backbone.

    Args:
      valid: (b t) bool, which steps are not padding; None: all. What is padded comes after the
        valid steps.

    Returns:
      (b k); or with `each` (b h w k), the same in a whole row or column, and for sequences (b t k).
    """
    outputs = self.run(self.sequence(x, train=train), valid, train=train)
    if not self.each:
      # A padded step repeats the output before it, so the last is that of the last valid step.
      ahead, back = outputs[:, -1, :self.width], outputs[:, 0, self.width:]
      return self.head(self.drop(jnp.concatenate([ahead, back], -1), deterministic=not train))
    logits = self.head(self.drop(outputs, deterministic=not train))
    return logits if x.ndim == 3 else self._spread(logits, x.shape)

  def sequence(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Images (b h w c) as steps (b t d); what is one (b t d) stays as it is."""
    if self.backbone is not None:
      x = [*self.backbone.features(x, train=train).values()][-1]
    if self.read == 'columns' and x.ndim == 4:
      x = x.swapaxes(1, 2)
    return x.reshape(*x.shape[:2], -1)

  @nn.compact
  def run(self, xs: jax.Array, valid: jax.Array | None = None, *,
          train: bool = False) -> jax.Array:
    """The last layer's outputs (b t d), of steps (b t d)."""
    xs = xs.astype(self.dtype)
    for i in range(self.layers):
      if i:
        xs = self.drop(xs, deterministic=not train)
      outputs = self._layer(f'layer{i}', xs, valid)
      if self.both_ways:
        turned = None if valid is None else valid[:, ::-1]
        back = self._layer(f'layer{i}_back', xs[:, ::-1], turned)[:, ::-1]
        outputs = jnp.concatenate([outputs, back], -1)
      xs = outputs
    return xs

  def _layer(self, name, xs, valid):
    cell = recurrent.CELLS[self.cell]
    params = self.param(name, lambda key: recurrent.init(
        key, cell, xs.shape[-1], self.width, forget_bias=self.forget_bias, memory=self.memory))
    params = jax.tree.map(lambda x: x.astype(self.dtype), params)
    return recurrent.run(cell, params, recurrent.zero_state(cell, params, len(xs)), xs, valid)[0]

  def _spread(self, logits, shape):
    """(b t k) over the image's rows and columns, (b h w k); pixels that a backbone's pooling left
    out at the end go with the last step."""
    axis = READ[self.read]
    step = jnp.minimum(jnp.arange(shape[axis]) // self.strides['read'], logits.shape[1] - 1)
    logits = jnp.expand_dims(logits[:, step], 3 - axis)
    return jnp.broadcast_to(logits, (*shape[:3], self.classes))
