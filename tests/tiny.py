"""A network small enough for tests, with BatchNorm in it, and configs of runs that take seconds."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from visionlab.config import experiment
from visionlab.data.source import Arrays
from visionlab.models.layers import Conv


class TinyNet(nn.Module):
  classes: int
  dtype: Any = jnp.float32
  axis_name: str | None = None
  norm: bool = True
  dropout: float = 0.
  pool: bool = False               # or it takes images of one size

  @nn.compact
  def __call__(self, x, *, train=False):
    x = Conv(4, (3, 3), (2, 2), padding=1, dtype=self.dtype, name='conv')(x)
    if self.norm:
      x = nn.BatchNorm(not train, momentum=.9, axis_name=self.axis_name, dtype=self.dtype,
                       name='norm')(x)
    x = nn.relu(x).mean((1, 2)) if self.pool else nn.relu(x).reshape(x.shape[0], -1)
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return nn.Dense(self.classes, name='head')(x)


def people(split):
  """A person in each of 64 images of noise, with 14 joints."""
  del split
  rng = np.random.default_rng(0)
  points = np.concatenate([rng.uniform(2, 14, (64, 1, 14, 2)), rng.integers(0, 3, (64, 1, 14, 1))],
                          -1).astype(np.float32)
  boxes = np.tile(np.float32([2, 2, 14, 14]), (64, 1, 1))
  objects = dict(keypoints=points, boxes=boxes, valid=np.ones((64, 1), bool))
  return Arrays(dict(image=rng.integers(0, 256, (64, 16, 16, 1), np.uint8), objects=objects))


def config(**changes):
  """A run of 20 steps on the digits; `model` adds to the model's options."""
  model = dict(name='tiny:TinyNet', **changes.pop('model', {}))
  options = dict(
      steps=20, batch=32, data=dict(name='digits'), augment=dict(pad_crop=1),
      task=dict(name='classify', model=model), optim=dict(name='sgd', schedule=dict(name='cosine')),
      hp=dict(lr=.1, momentum=.9, weight_decay=1e-3),
      evals=dict(test=dict(split='test', every='50%', batch=120)),
      log=dict(every='5', tensorboard=False), parallel=dict(devices=1),
      checkpoint=dict(every='5', keep=3))
  return experiment(**{**options, **changes})


def players(**changes):
  """The same of two players with rates of their own, and all else that theirs may have."""
  model = dict(name='gan', latent=3, widths=(4,), norm=True)
  options = dict(
      task=dict(name='generate', model=model, penalties=('r1',), spectral_norm=True,
                diff_augment=('translation',)),
      augment={}, hp=dict(lr=.01, critic_rate=2.),
      optim=dict(name='adam', ema=True, turns=('critic', 'generator'),
                 groups=(dict(match='critic', rate='critic_rate'), dict(match='.'))))
  return config(**{**options, **changes})


def clips(**changes):
  """The same on clips, of which windows are drawn, and frames mirrored."""
  model = dict(name='fusion', backbone=dict(name='cnn', widths=(4,)), hidden=())
  options = dict(data=dict(name='actions', size=16, frames=4, clips=64), augment=dict(flip=True),
                 task=dict(name='clips', frames=3, windows=2, model=model),
                 evals=dict(test=dict(split='test', every='50%', batch=32)))
  return config(**{**options, **changes})


def poses(**changes):
  """The same of joints, of which a second stage learns from the first one's errors."""
  model = dict(name='cnn', widths=(4,), hidden=8)
  options = dict(data=dict(name='tiny:people'), augment={}, evals={},
                 task=dict(name='pose', sizes=(8, 8), model=model),
                 hp=dict(lr=.01, momentum=.9, spread=1.2, reached=.5))
  return config(**{**options, **changes})


def aligned_stories(**changes):
  """The same of films and books, of which other sentences are drawn to be told apart."""
  task = dict(name='align', negatives=3,
              model=dict(name='context_cnn', widths=(4,), size=(3, 3), dropout=.3))
  options = dict(data=dict(name='stories', films=16, shots=8, sentences=20, known=4), augment={},
                 evals={}, task=task, batch=8, hp=dict(lr=.05, momentum=.9))
  return config(**{**options, **changes})


def compared(**changes):
  """The same of digits, each told apart from others beside one of its kind."""
  task = dict(name='verify', loss='contrastive', mining='all', likeness='chi_square', embedding=6,
              model=dict(name='cnn', widths=(4,), hidden=8))
  options = dict(data=dict(name='partners', of=dict(name='digits')), augment={}, evals={},
                 task=task, hp=dict(lr=.05, momentum=.9))
  return config(**{**options, **changes})
