"""Weights that others published, as a run: its config and facts say what they need to be used."""

from pathlib import Path

import jax
import numpy as np
from absl import logging
from ml_collections import ConfigDict

from visionlab import config as configs
from visionlab.build import build_task
from visionlab.config import ConfigError
from visionlab.data.source import Info
from visionlab.facts import Facts
from visionlab.task import Task, Variables
from visionlab.weights.files import Weights, read_weights
from visionlab.weights.fit import fit


def published(place: Path) -> tuple[ConfigDict, Facts, Task, Variables]:
  """What a run has that was trained to these weights; there are no examples in its facts.

  Raises:
    ConfigError: no weights, those of a network that is not known here, or not all of them.
  """
  weights = read_weights(place)
  for remark in weights.remarks:
    logging.warning('%s: %s', place, remark)
  size, channels = weights.data['size'], weights.data.get('channels', 3)
  example = dict(image=jax.ShapeDtypeStruct((1, size, size, channels), np.uint8))
  if weights.kind == 'classify':
    example['label'] = jax.ShapeDtypeStruct((1,), np.int32)
  config = configs.experiment(
      steps=0, batch=64 if weights.kind == 'classify' else 4,
      data=dict(name='folder', **weights.data), optim=dict(name='sgd'), hp={},
      task=dict(name=weights.kind, model=weights.model, **weights.task))
  facts = Facts(Info(weights.classes), example, 0)
  task = build_task(config, facts)
  return config, facts, task, complete(task, example, weights)


def complete(task: Task, example, weights: Weights) -> Variables:
  """The variables of a task, all of them from the weights.

  Raises:
    ConfigError: some are missing, or of another size.
  """
  shapes = jax.eval_shape(task.init, jax.random.key(0), example)
  variables, report = fit(weights, shapes)
  if report.missing or report.fresh:
    raise ConfigError(f'{weights.where}: these weights are not complete\n{report}')
  return variables


def numbered(k: int) -> tuple[str, ...]:
  """Names of k classes for want of names.

  >>> numbered(3)
  ('0', '1', '2')
  """
  return tuple(map(str, range(k)))
