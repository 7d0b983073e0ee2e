"""Weights wherever they are: a run, an export, another library's file, the Hugging Face hub."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from visionlab import config as configs
from visionlab.config import ConfigError
from visionlab.data.text.text_files import read_json
from visionlab.optim.parameter_groups import paths
from visionlab.storage import checkpoint, selection
from visionlab.weights.arrays import open_arrays, read_arrays, taken
from visionlab.weights.state_dict import find_network
from visionlab.weights.translate import COUNTS, split, translate

HUB = 'hf://'
EXPORT = 'model.safetensors'
HUB_FILES = (EXPORT, 'pytorch_model.bin', 'config.json', 'data.json')
# Options of a task that belong to weights, and what they are where a run does not say.
PREPROCESSING = dict(mean=(), std=(), channel_order='RGB')
# Layers that a network may lose and still be the one it is called after.
HEAD = re.compile(r'(fc|linear|classifier|heads?|cls_head|pre_logits|proj\w*|predictor|aux\w*|queue'
                  r'\w*)\d*([._/]|$)')


class Weights(NamedTuple):
  """Arrays under our names, and what they were trained as.

  Attributes:
    where: for messages.
    arrays: by path, 'params/stem/kernel', 'batch_stats/stem_norm/mean'.
    skipped: foreign names that have no place here.
    model: options of config.task.model: name and fields.
    task: other options of config.task that say how images were prepared: mean, std, channel_order.
    data: options of a canvas: size, crop_fraction, and channels where they are not 3.
    kind: the task, by its name in `visionlab.tasks.TASKS`.
    classes: their names, or numbers for want of names; of a detector without the background.
    remarks: sentences for the user: which of several networks it is, what is not known of it.
  """
  where: str
  arrays: Mapping[str, np.ndarray]
  skipped: list[str]
  model: Mapping[str, Any]
  task: Mapping[str, Any]
  data: Mapping[str, Any]
  kind: str = 'classify'
  classes: tuple[str, ...] = ()
  remarks: tuple[str, ...] = ()


def read_weights(place: str | Path) -> Weights:
  """Reads weights.

  Args:
    place: a visionlab workdir or export; a file of torch.save, .safetensors or .npz with names of
      torchvision, timm or Keras, under any prefix and with whatever else a training script saves
      (see `state_dict`); or hf://owner/name, which is downloaded once.

  Raises:
    ConfigError: there are none, they cannot be read, no family of networks knows their names, or
      they have arrays that the network of these names has not.
  """
  text = str(place)
  path = download(text.removeprefix(HUB)) if text.startswith(HUB) else Path(text).expanduser()
  if (path / 'config.json').is_file() and (path / 'data.json').is_file():
    return _ours(path, text)
  extra = {}, {}
  if path.is_dir():
    found = [path / name for name in HUB_FILES[:2] if (path / name).is_file()]
    if not found:
      raise ConfigError(f'{text}: neither a run (config.json) nor weights ({HUB_FILES[0]})')
    extra = _pretrained_cfg(path / 'config.json')
    path = found[0]
  try:
    return _foreign(path, text, *extra)
  except ConfigError as e:
    raise e if str(e).startswith(str(path)) else ConfigError(f'{text}: {e}') from e


def _foreign(path: Path, where: str, task: Mapping, data: Mapping) -> Weights:
  """Another library's weights. task, data: what is noted beside them, if anything is."""
  stored = open_arrays(path)
  # Keras ends its names by the number of an output.
  network = find_network({name.removesuffix(':0'): array.shape for name, array in stored.items()})
  stored = {name.removesuffix(':0'): array for name, array in stored.items()}
  family = network.family
  arrays = family.apart(taken(path, {name: stored[there]
                                     for name, there in network.names.items()}))
  found = translate(arrays, family.table(network.fields))
  for name in sorted(set(arrays) - set(found.skipped)):
    _check_numbers(name, arrays[name])
  strange = [f'{name} {arrays[name].shape}' for name in found.skipped
             if _matters(name, arrays[name])]
  if strange:
    raise ConfigError(f'this is no plain {family.name}, which has no place for {len(strange)} of '
                      f'its arrays: {", ".join(strange[:4])}{", ..." if strange[4:] else ""}')
  size = family.size(found.arrays) if callable(family.size) else family.size
  prepared, canvas = dict(family.task), dict(size=size)
  if family.kind == 'classify':
    canvas['crop_fraction'] = .875 if size > 32 else 1.
  remarks = [remark for remark in (network.remark, '' if task else family.remark) if remark]
  stem = found.arrays.get(f'params/{family.stem}/kernel')
  channels = 3 if stem is None else stem.shape[-2]
  if channels != 3:
    prepared, canvas = {}, {**canvas, 'channels': channels}
    if not task:
      remarks.append(f'it takes images of {channels} channel{"s" * (channels > 1)}, and what mean '
                     'and std it was trained with is not known: say so by config.task.mean and std')
  return Weights(where, found.arrays, [*found.skipped, *network.outside],
                 dict(name=family.model, **network.fields), {**prepared, **task},
                 {**canvas, **data}, family.kind, family.classes(found.arrays), tuple(remarks))


def _matters(name: str, array: np.ndarray) -> bool:
  """Whether a network of which this is an array is not the same without it."""
  return not HEAD.match(name) and (array.ndim > 0 or bool(split(name)[0]))     # 'epoch', 'best_acc'


def _check_numbers(name: str, array: np.ndarray):
  if split(name)[1] in COUNTS:
    return
  if array.dtype.kind in 'iub':
    raise ConfigError(f'{name} holds {array.dtype}: a quantised network; give the one of floats')
  if not np.isfinite(array.astype(np.float32)).all():
    raise ConfigError(f'{name} holds numbers that are not finite')


def _ours(path: Path, where: str) -> Weights:
  config = _config_of(path)
  if 'model' not in config.task:
    raise ConfigError(f'{path / "config.json"}: is no config of a run: it has no task.model')
  if (path / EXPORT).is_file():
    arrays = read_arrays(path / EXPORT)
  else:
    step, fields = selection.selected(path)
    where = f'{where}, step {step}'
    arrays = flat(checkpoint.weights_of(fields))
  task = {k: config.task.get(k, default) for k, default in PREPROCESSING.items()}
  return Weights(where, arrays, [], config.task.model.to_dict(), task, {})


def flat(variables) -> dict[str, np.ndarray]:
  """Variables as one dict: 'params/stem/kernel' -> array on the host."""
  return {n: np.asarray(x) for n, x in zip(paths(variables), jax.tree.leaves(variables),
                                           strict=True)}


def nested(arrays: Mapping[str, Any]) -> dict[str, Any]:
  """The inverse of `flat`.

  >>> nested({'params/head/bias': 1, 'batch_stats/norm/mean': 2})
  {'params': {'head': {'bias': 1}}, 'batch_stats': {'norm': {'mean': 2}}}
  """
  tree = {}
  for path, array in arrays.items():
    *folders, leaf = path.split('/')
    node = tree
    for folder in folders:
      node = node.setdefault(folder, {})
    node[leaf] = array
  return tree


def _config_of(folder: Path):
  """The config of a run or an export. Raises `ConfigError` where its file is damaged."""
  path = folder / 'config.json'
  saved = read_json(path)
  task = saved.get('task') if isinstance(saved, dict) else None
  if not isinstance(task, dict) or not isinstance(task.get('model', {}), dict):
    raise ConfigError(f'{path}: is no config of a run, which has a task with its model')
  try:
    return configs.from_json(json.dumps(saved))
  except Exception as e:      # noqa: BLE001 - a damaged file may fail in any way
    raise ConfigError(f'{path}: is no config of a run: {e}') from e


def _pretrained_cfg(file: Path) -> tuple[dict, dict]:
  """What timm notes beside its weights: (options of the task, of the canvas).

  Raises:
    ConfigError: it cannot be read, or says what no image can have.
  """
  saved = read_json(file) if file.is_file() else {}
  saved = saved if isinstance(saved, dict) else {}
  architecture, said = str(saved.get('architecture')), saved.get('pretrained_cfg') or {}
  if re.search(r'blur|aa\d', architecture):       # a filter before striding, which has no weights
    raise ConfigError(f'{file}: {architecture} blurs maps before it strides; it has the arrays of '
                      'a plain network and is another')
  if not isinstance(said, dict):
    raise ConfigError(f'{file}: pretrained_cfg: expected a dict, got {said!r}')
  task = {}
  for key in ('mean', 'std'):
    value = said.get(key)
    if value is not None:
      if not (isinstance(value, list) and value and all(_is_number(v) for v in value)):
        raise ConfigError(f'{file}: pretrained_cfg.{key}: expected numbers, got {value!r}')
      task[key] = tuple(value)
  return task, _canvas_of(said, file)


def _canvas_of(said, file):
  data, size, crop = {}, said.get('input_size'), said.get('crop_pct')
  if size is not None:
    if not (isinstance(size, list) and size and isinstance(size[-1], int) and size[-1] > 0):
      raise ConfigError(f'{file}: pretrained_cfg.input_size: expected [3, 224, 224] or such, got '
                        f'{size!r}')
    data['size'] = size[-1]
  if crop is not None:
    if not _is_number(crop) or not 0 < crop <= 1:
      raise ConfigError(f'{file}: pretrained_cfg.crop_pct: expected one in (0, 1], got {crop!r}')
    data['crop_fraction'] = crop
  return data


def _is_number(value) -> bool:
  return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def download(name: str) -> Path:
  """The folder with owner/name's files from the Hugging Face hub, or its local cache."""
  try:
    import huggingface_hub  # noqa: PLC0415 - optional
  except ImportError as e:
    raise ConfigError(f'{HUB}{name}: needs its extra: pip install "visionlab[hub]"') from e
  try:
    return Path(huggingface_hub.snapshot_download(name, allow_patterns=list(HUB_FILES)))
  except Exception as e:              # noqa: BLE001 - the hub's, requests' and the network's own
    raise ConfigError(f'{HUB}{name}: cannot be had from the hub: '
                      f'{str(e).splitlines()[0]}') from e
