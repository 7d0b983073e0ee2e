"""Weights into a model: what fits is taken, and what became of every array is reported."""

import inspect
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from visionlab import config as configs
from visionlab.config import ConfigError, resolve
from visionlab.models.vit import resampled
from visionlab.optim.parameter_groups import paths
from visionlab.storage.workdir import saved_config
from visionlab.tasks import TASKS
from visionlab.weights.files import PREPROCESSING, Weights, read_weights
from visionlab.weights.translate import norm_of

# Layers whose size follows the number of classes, or of anchors: a classifier's, FCN's scores, and
# what the heads of a detector predict; or how a box or a clip is pooled: its first layer. `people`
# are those that a run of verification learns from.
HEADS = re.compile(r'(^|/)((head|score\d*|logits|deltas|objectness|people)/|up\d+/kernel$|'
                   r'box/fc6/kernel$|predictor/dense0/kernel$)')

Widened = Callable[[np.ndarray, int], np.ndarray | None]

# Fields of models that make no difference to what a trained one says.
TRAINING_ONLY = ('classes', 'dropout', 'dtype', 'frozen_norm')


class Report(NamedTuple):
  """What became of each array, by our paths (`skipped`: also by foreign ones)."""
  where: str
  loaded: list[str]
  reshaped: list[str]
  resampled: list[str]      # positions, interpolated to the grid of these images
  widened: list[str]        # kernels of images, made to extend over time or to see flow
  folded: list[str]         # biases of convolutions, put into the mean of the BatchNorm after them
  fresh: list[str]          # of another size: initialised anew
  missing: list[str]        # not among the weights: initialised anew
  skipped: list[str]        # weights without a place in the model
  remarks: tuple[str, ...] = ()    # of `Weights`

  def __str__(self):
    lines = [f'weights of {self.where}: {len(self.loaded)} arrays loaded']
    for kind, note in (('reshaped', ''), ('resampled', ' to the images of this run'),
                       ('widened', ' to clips'), ('folded', ' into the BatchNorm after them'),
                       ('fresh', ' (another size): initialised anew'),
                       ('missing', ': initialised anew'), ('skipped', '')):
      names = getattr(self, kind)
      if names:
        shown = ', '.join(names[:6]) + (', ...' if len(names) > 6 else '')
        label = 'head' if kind == 'fresh' else kind
        lines.append(f'  {label}{note}: {len(names)}: {shown}')
    lines.extend(f'  {remark}' for remark in self.remarks)
    return '\n'.join(lines)


def fit(weights: Weights, variables: Mapping[str, Any],
        widened: Widened = lambda kernel, channels: None) -> tuple[dict[str, Any], Report]:
  """`variables` with the weights put in wherever they belong, and the report.

  A network that is another's `backbone` takes that network's weights, and a detector's box head the
  fully connected layers of a classifier (Girshick 2015, section 2.2). One that became a convolution
  over the same map, or the reverse, is reshaped (Long et al. 2015, section 3.1). Learnt positions
  are interpolated where images have another size.

  Args:
    variables: {'params': ..., other collections}; where they are on devices, the weights go there.
    widened: a task's, see `visionlab.task`: makes kernels that see more channels than there are.

  Raises:
    ConfigError: none of the weights belongs here, or an array that is no head has another shape.
  """
  leaves = jax.tree.leaves(variables)
  want = dict(zip(paths(variables), leaves, strict=True))
  arrays, folded = _folded(weights.arrays, want)
  report = Report(weights.where, [], [], [], [], folded, [], [], [], weights.remarks)
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
    elif _other_grid(path, array.shape, leaf.shape):
      report.resampled.append(path)
      array = np.asarray(resampled(array, leaf.shape[:2]))
    elif _other_input(array.shape, leaf.shape) and (
        made := widened(array, leaf.shape[2])) is not None:
      report.widened.append(path)
      array = made
    elif _same_layer(array.shape, leaf.shape):
      report.reshaped.append(path)
    elif HEADS.search(path):
      report.fresh.append(path)
      continue
    else:
      wrong.append(f'{path}: {array.shape} there, {leaf.shape} here'
                   + _other_channels(array.shape, leaf.shape))
      continue
    taken[path] = array.reshape(leaf.shape)
  wrong += _amiss(taken, arrays, used, want)
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


def _amiss(taken, arrays, used, want) -> list[str]:
  """Arrays of the weights that are not used, and yet were part of what the others were trained in;
  and such as a trained network would have."""
  wrong, kinds, blocks = [], {_kind(path) for path in used}, {_block(path) for path in used} - {''}
  for path in taken:
    norm = norm_of(path.removeprefix('params/').rpartition('/')[0])
    stats = f'batch_stats/{norm}/mean'
    # A convolution without the BatchNorm it was trained with is another one.
    if stats in arrays and stats not in used | set(want):
      wrong.append(f'batch_stats/{norm}: there, absent here')
    if path.endswith('/scale'):
      stats = path.replace('params/', 'batch_stats/', 1).removesuffix('scale') + 'mean'
      if stats in want and stats not in taken:
        wrong.append(f'{stats}: here, absent there (another kind of normalisation)')
  for path in arrays:
    part = _kind(path) in kinds or _block(path) in blocks
    if path not in used and part and not HEADS.search(path):
      wrong.append(f'{path}: there, absent here')
  return wrong


def _kind(path: str) -> str:
  """The same for layers that are repeated, of which another network has more.

  >>> _kind('params/stage3/block22/conv1/kernel'), _kind('params/conv3_4/bias')
  ('params/stage#/block#/conv1/kernel', 'params/conv#_#/bias')
  """
  *folders, layer, leaf = path.split('/')
  layer = re.sub(r'\d+_\d+', '#_#', layer)
  return '/'.join([*(re.sub(r'\d+', '#', folder) for folder in folders), layer, leaf])


def _block(path: str) -> str:
  """What the layer of an array is a part of: 'stage3/block22', or '' for the network itself."""
  return '/'.join(path.removeprefix('params/').removeprefix('batch_stats/')
                  .removeprefix('backbone/').split('/')[:-2])


def _other_channels(there: tuple[int, ...], here: tuple[int, ...]) -> str:
  """A hint, if these are first layers that differ in the channels of images alone."""
  if not _other_input(there, here) or min(there[2], here[2]) > 4:
    return ''
  return (f'; it was trained on images of {there[2]} channels, and these have {here[2]}: '
          f'config.data.channels={there[2]}, where the source can')


def _other_input(there: tuple[int, ...], here: tuple[int, ...]) -> bool:
  """Whether these are kernels (h w i o) that differ in the channels they see alone."""
  return len(there) == len(here) == 4 and (*there[:2], there[3]) == (*here[:2], here[3])


def _sources(path: str) -> tuple[str, ...]:
  """Where weights for our `path` may be found, the best first."""
  trained = re.sub('^frozen/', 'params/', path)      # of a network that a task looks into
  return (path, trained, trained.replace('/backbone/', '/', 1), path.replace('/box/', '/', 1))


def _same_layer(there: tuple[int, ...], here: tuple[int, ...]) -> bool:
  """Whether one is a kernel (h w i o), and the other the (h*w*i o) of the flattened map."""
  return (sorted((len(there), len(here))) == [2, 4] and there[-1] == here[-1]
          and math.prod(there) == math.prod(here))


def _other_grid(path: str, there: tuple[int, ...], here: tuple[int, ...]) -> bool:
  """Whether these are the positions of a `ViT` in images of another size."""
  return path.endswith('tokens/positions') and there[2:] == here[2:]


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
  """`config` with what config.init_from's weights say of themselves: the model's fields (the
  backbone's, of one that has a backbone) where it says nothing, and how images are prepared.

  Weights are of use with the mean, std and channel order that they were trained with, so these win
  over numbers in the config, which are for training from scratch; ('own', .5, .5, .5) keeps them.
  None and 'weights' are as if they were left out. It becomes part of the run, so that nobody has
  to know it later. A run that has begun keeps what it adopted, also when the weights are gone.

  Raises:
    ConfigError: the weights cannot be read, or a word has nothing to stand for.
  """
  config, own = _without_words(config)
  if not config.init_from:
    return config
  given = None
  if (workdir / 'config.json').is_file():
    saved = saved_config(workdir)
    if saved.get('init_from') == config.init_from:
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
  for key, default in PREPROCESSING.items():
    if key in known and key in task and not own:
      _prepare(config.task, key, task[key], default)
  if network and network.get('name') == model.get('name'):
    for key, value in model.items():
      _fill(network, key, value)
  return config


def _without_words(config):
  """(the config without the words that may stand for mean, std and channel_order, whether it keeps
  its own)."""
  task = config.task if hasattr(config.task, 'items') else {}
  said = {key: task[key] for key in PREPROCESSING if key in task}
  words = {key: value[0] if isinstance(value, tuple) and value else value
           for key, value in said.items()}
  if not any(isinstance(word, str | None) and word not in ('RGB', 'BGR')
             for word in words.values()):
    return config, False
  config = configs.from_json(config.to_json())
  for key, word in words.items():
    if word == 'weights' and not config.init_from:
      raise ConfigError(f'config.task.{key}: "weights" needs config.init_from, which is empty')
    if word in (None, 'weights'):
      del config.task[key]
    elif word == 'own':
      if not isinstance(said[key], tuple) or len(said[key]) == 1:
        raise ConfigError(f'config.task.{key}: after "own" come the numbers: ("own", .5, .5, .5)')
      config.task[key] = said[key][1:]
    elif isinstance(word, str) and key != 'channel_order':
      raise ConfigError(f'config.task.{key}: {word!r} is no word for it; there are numbers, '
                        '"weights", and ("own", .5, .5, .5)')
  return config, 'own' in words.values()


def _network(model):
  """The part of a model's options that the weights of another are for: its backbone, if any."""
  return model.get('backbone') or model


def _prepare(options, key, value, default):
  """Sets an option of how images are prepared to what the weights were trained with."""
  if key not in options and value == default:
    return
  if key in options and options[key] != value:
    logging.warning('config.task.%s is %s, as the weights of config.init_from were trained, and '
                    'not %s; to keep that, write ("own", ...)', key, value, options[key])
    del options[key]                  # the types of an option do not change
  options[key] = value


def _fill(network, key, value):
  if key not in network:
    network[key] = value
  elif network[key] != value and key not in TRAINING_ONLY:
    logging.warning('config.task.model.%s is %s, but the weights of config.init_from were trained '
                    'with %s', key, network[key], value)
