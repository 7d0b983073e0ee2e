"""Digits among clutter: which of ten digits are on a photograph, and a network that says so.

The labels say what is there and not where, so that a map of where a network looked can be held
against a truth that the network was never told.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import experiment, is_smoke
from visionlab.data.scenes.scenes import Scenes, scenes
from visionlab.data.source import Info
from visionlab.models.layers import Head, point

SHARPNESS = 4.                 # of the pooling; 0 is the mean over the places, infinity the maximum


class WhichDigits:
  """The scenes of a source, each with the multi-hot `label` (n 10) of the digits on it."""

  def __init__(self, source: Scenes):
    self.source, self.arrays, self.info = source, source.arrays, Info(source.info.classes)

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, indices: np.ndarray) -> dict:
    return self._labelled(self.source[indices])

  def gather(self, arrays, indices) -> dict:
    return self._labelled(self.source.gather(arrays, indices))

  def _labelled(self, example):
    objects = example['objects']
    shown = objects['valid'][..., None] & (
        objects['classes'][..., None] == np.arange(len(self.info.classes)))
    return dict(image=example['image'], label=shown.any(1).astype(np.float32))


def which_digits(split: str, *, examples: int = 0, size: int = 64) -> WhichDigits:
  """Photographs with one to three digits, and which these are."""
  return WhichDigits(drawn(split, examples=examples, size=size))


def drawn(split: str, *, examples: int = 0, size: int = 64, masks: bool = False) -> Scenes:
  """The same scenes with all their truth."""
  return scenes(split, examples=examples, size=size, objects=(1, 3), visible=.85, scale=(.4, .55),
                masks=masks)


class Pooled(nn.Module):
  """Scores of classes at each place of a backbone's map, and of each class their smooth maximum.

  A mean of exponentials (Pinheiro and Collobert 2015, section 3.2): one digit among clutter is then
  worth as much on a large image as on a small one. (b h w c) -> logits (b k).
  """
  classes: int
  backbone: Any
  level: str

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    x = self.backbone.features(x, train=train)[self.level]
    x = point('scores', Head(self.classes)(x))
    n = x.shape[1] * x.shape[2]
    return (nn.logsumexp(SHARPNESS * x, axis=(1, 2)) - jnp.log(n)) / SHARPNESS


def get_config(variant=''):
  smoke = is_smoke(variant)
  here = 'experiments.understanding.clutter'
  encoder = dict(name='visionlab.models.segnet:Encoder', convs=(1, 1, 2, 2),
                 widths=(4,) * 4 if smoke else (16, 32, 64, 96))
  data = dict(name=f'{here}:which_digits', size=32 if smoke else 64)
  return experiment(
      steps=4 if smoke else 1500,
      batch=8 if smoke else 32,
      data=dict(data, examples=40) if smoke else dict(data, examples=100_000),
      task=dict(name='classify', head='sigmoid', mean=(.5,) * 3, std=(.25,) * 3,
                model=dict(name=f'{here}:Pooled', backbone=encoder, level='conv4')),
      optim=dict(name='adamw', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=3e-3, weight_decay=.01),
      evals=dict(test=dict(split='test', every='100%' if smoke else '20%', batch=8 if smoke else 50,
                           data=dict(data, examples=16 if smoke else 1000))))
