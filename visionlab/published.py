"""Weights that others published, as a run: its config and facts say what they need to be used."""

from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from visionlab import config as configs
from visionlab.build import Facts, build_task
from visionlab.config import ConfigError
from visionlab.data.imagenet import synsets
from visionlab.data.source import Info
from visionlab.data.sources.cifar import CIFAR10
from visionlab.task import Task, Variables
from visionlab.weights.files import read_weights
from visionlab.weights.fit import fit


def published(place: Path) -> tuple[ConfigDict, Facts, Task, Variables]:
  """What a run has that was trained to these weights; there are no examples in its facts.

  Raises:
    ConfigError: no weights, those of a network that is not known here, or not all of them.
  """
  weights = read_weights(place)
  size = weights.data['size']
  # Those of the first convolution, which has the fewest.
  channels = min(a.shape[2] for a in weights.arrays.values() if a.ndim == 4)
  example = dict(image=jax.ShapeDtypeStruct((1, size, size, channels), np.uint8))
  classes = weights.classes
  if weights.kind == 'classify':
    classes = classes or _classes(len(weights.arrays['params/head/bias']), weights.model['name'])
    example['label'] = jax.ShapeDtypeStruct((1,), np.int32)
  config = configs.experiment(
      steps=0, batch=64 if weights.kind == 'classify' else 4,
      data=dict(name='folder', **weights.data), optim=dict(name='sgd'), hp={},
      task=dict(name=weights.kind, model=weights.model, **weights.task))
  facts = Facts(Info(classes), example, 0)
  task = build_task(config, facts)
  shapes = jax.eval_shape(task.init, jax.random.key(0), example)
  variables, report = fit(weights, shapes)
  if report.missing or report.fresh:
    raise ConfigError(f'{place}: these weights are not complete\n{report}')
  return config, facts, task, variables


def _classes(k: int, model: str) -> tuple[str, ...]:
  """The k classes that such networks are published for; numbers, where nobody says which."""
  if k == 1000:
    return tuple(synsets().values())
  return CIFAR10 if k == 10 and model == 'cifar_resnet' else numbered(k)


def numbered(k: int) -> tuple[str, ...]:
  """Names of k classes for want of names.

  >>> numbered(3)
  ('0', '1', '2')
  """
  return tuple(map(str, range(k)))
