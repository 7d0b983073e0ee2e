"""Weights into a model: what fits is taken, and what became of every array is reported."""

import inspect
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from visionlab import config as configs
from visionlab.config import ConfigError, resolve
from visionlab.optim import paths
from visionlab.storage.workdir import saved_config
from visionlab.tasks import TASKS
from visionlab.weights.files import PREPROCESSING, Weights, read_weights
from visionlab.weights.translate import norm_of

# Layers whose size follows the number of classes, or of anchors: a classifier's, FCN's scores, and
# what the heads of a detector predict; or how a box is pooled: its first layer.
HEADS = re.compile(
    r'(^|/)((head|score\d*|logits|deltas|objectness)/|up\d+/kernel$|box/fc6/kernel$)')


class Report(NamedTuple):
  """What became of each array, by our paths (`skipped`: also by foreign ones)."""
  where: str
  loaded: list[str]
  reshaped: list[str]
  folded: list[str]         # biases of convolutions, put into the mean of the BatchNorm after them
  fresh: list[str]          # of another size: initialised anew
  missing: list[str]        # not among the weights: initialised anew
  skipped: list[str]        # weights without a place in the model

  def __str__(self):
    lines = [f'weights of {self.where}: {len(self.loaded)} arrays loaded']
    for kind, note in (('reshaped', ''), ('folded', ' into the BatchNorm after them'),
                       ('fresh', ' (another size): initialised anew'),
                       ('missing', ': initialised anew'), ('skipped', '')):
      names = getattr(self, kind)
      if names:
        shown = ', '.join(names[:6]) + (', ...' if len(names) > 6 else '')
        label = 'head' if kind == 'fresh' else kind
        lines.append(f'  {label}{note}: {len(names)}: {shown}')
    return '\n'.join(lines)


def fit(weights: Weights, variables: Mapping[str, Any]) -> tuple[dict[str, Any], Report]:
  """`variables` with the weights put in wherever they belong, and the report.

  A network that is another's `backbone` takes that network's weights, and a detector's box head the
  fully connected layers of a classifier (Girshick 2015, section 2.2). One that became a convolution
  over the same map, or the reverse, is reshaped (Long et al. 2015, section 3.1).

  Args:
    variables: {'params': ..., other collections}; where they are on devices, the weights go there.

  Raises:
    ConfigError: none of the weights belongs here, or an array that is no head has another shape.
  """
  leaves = jax.tree.leaves(variables)
  want = dict(zip(paths(variables), leaves, strict=True))
  arrays, folded = _folded(weights.arrays, want)
  report = Report(weights.where, [], [], folded, [], [], [])
  taken, used, wrong = {}, set(), []
  for path, leaf in want.items():
    source = next((s for s in _sources(path) if s in arrays), None)
    if source is None:
      report.missing.append(path)
      continue
    used.add(source)
    array = np.asarray(arrays[source], leaf.dtype)
    if array.shape == leaf.shape:
      report.loaded.append(path)
    elif _same_layer(array.shape, leaf.shape):
      report.reshaped.append(path)
    elif HEADS.search(path):
      report.fresh.append(path)
      continue
    else:
      wrong.append(f'{path}: {array.shape} there, {leaf.shape} here')
      continue
    taken[path] = array.reshape(leaf.shape)
  for path in taken:      # a convolution without the BatchNorm it was trained with is another one
    stats = f'batch_stats/{norm_of(path.removeprefix("params/").rpartition("/")[0])}/mean'
    if stats in arrays and stats not in used | set(want):
      wrong.append(f'{stats.rpartition("/")[0]}: there, absent here')
  if wrong:
    name = weights.model.get('name', 'unnamed')
    raise ConfigError(f'{weights.where} is of another model ({name})\n  '
                      + '\n  '.join(wrong[:8] + ['...'] * (len(wrong) > 8)))
  if not taken:
    raise ConfigError(f'{weights.where} holds nothing for this model: it has '
                      f'{_some(arrays)}, and the model {_some(want)}')
  report.skipped.extend([*weights.skipped, *(n for n in arrays if n not in used)])
  placed = [jax.device_put(taken[n], x.sharding) if n in taken else x for n, x in want.items()]
  return jax.tree.unflatten(jax.tree.structure(variables), placed), report


def _sources(path: str) -> tuple[str, ...]:
  """Where weights for our `path` may be found, the best first."""
  return (path, path.replace('/backbone/', '/', 1), path.replace('/box/', '/', 1))


def _same_layer(there: tuple[int, ...], here: tuple[int, ...]) -> bool:
  """Whether one is a kernel (h w i o), and the other the (h*w*i o) of the flattened map."""
  return (sorted((len(there), len(here))) == [2, 4] and there[-1] == here[-1]
          and math.prod(there) == math.prod(here))


def _folded(arrays, want):
  """The arrays without the biases of convolutions that have none here because BatchNorm follows.

  In training a bias before BatchNorm cancels out; at test it is the same as a smaller mean.
  """
  arrays, folded = dict(arrays), []
  for path in list(arrays):
    folder, _, leaf = path.rpartition('/')
    layer = folder.removeprefix('params/')
    mean = f'batch_stats/{norm_of(layer)}/mean'
    with_backbone = path.replace('params/', 'params/backbone/', 1)
    if leaf == 'bias' and mean in arrays and not {path, with_backbone} & set(want):
      arrays[mean] = arrays[mean] - arrays.pop(path).astype(np.float32)
      folded.append(path)
  return arrays, folded


def _some(names) -> str:
  names = list(names)
  return ', '.join(names[:3]) + (', ...' if len(names) > 3 else '') or 'nothing'


def adopt_options(config, workdir: Path):
  """`config` with what config.init_from's weights say of themselves, where it says nothing: the
  model's fields (the backbone's, of one that has a backbone), and how images are prepared.

  It becomes part of the run, so that nobody has to know it later. A run that has begun keeps what
  it adopted, also when the weights are gone.
  """
  if not config.init_from:
    return config
  given = None
  if (workdir / 'config.json').is_file():
    saved = saved_config(workdir)
    if saved.init_from == config.init_from:
      given = saved.task.to_dict(), _network(saved.task.get('model', {}))
  if given is None:
    try:
      weights = read_weights(config.init_from)
    except ConfigError as e:
      raise ConfigError(f'config.init_from: {e}') from e
    given = dict(weights.task), _network(dict(weights.model))
  config = configs.from_json(config.to_json())
  task, model = given
  network = _network(config.task.get('model', {}))
  known = inspect.signature(resolve(config.task.name, TASKS, 'config.task.name')).parameters
  for key in PREPROCESSING:
    if key in known and key in task:
      _fill(config.task, key, task[key], 'config.task')
  if network and network.get('name') == model.get('name'):
    for key, value in model.items():
      _fill(network, key, value, 'config.task.model')
  return config


def _network(model):
  """The part of a model's options that the weights of another are for: its backbone, if any."""
  return model.get('backbone') or model


def _fill(options, key, value, where):
  if key not in options:
    options[key] = value
  elif options[key] != value and key in PREPROCESSING:
    logging.warning('%s.%s is %s, but the weights of config.init_from were trained with %s',
                    where, key, options[key], value)
