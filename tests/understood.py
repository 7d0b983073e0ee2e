"""Small networks to be looked into."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from visionlab.models.layers import point
from visionlab.understand import Subject


class Smooth(nn.Module):
  """Two convolutions and a head, of any image's size, with gradients everywhere."""

  @nn.compact
  def __call__(self, x):
    x = point('first', nn.softplus(nn.Conv(4, (3, 3), name='conv1')(x)))
    x = point('second', nn.softplus(nn.Conv(6, (3, 3), (2, 2), name='conv2')(x)))
    return nn.Dense(3, name='head')(x.mean((1, 2)))


class Linear(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.Dense(3, name='head')(x.reshape(len(x), -1))


def subject_of(model, shape=(8, 8, 3), seed=0, classes=('ant', 'bee', 'cow')):
  variables = jax.jit(model.init)(jax.random.key(seed), jnp.zeros((1, *shape)))
  return Subject.of((model, variables), shape, classes)


def photos(n, shape=(8, 8, 3), seed=0):
  return np.random.default_rng(seed).uniform(.1, .9, (n, *shape)).astype(np.float32)
