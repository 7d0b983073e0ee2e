"""Weights wherever they are: a run, an export, another library's file, the Hugging Face hub."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from visionlab import config as configs
from visionlab.config import ConfigError, nearest
from visionlab.optim import paths
from visionlab.storage import checkpoint
from visionlab.weights.families import FAMILIES, recognise
from visionlab.weights.torch_file import read_torch
from visionlab.weights.translate import translate

TORCH = ('.pth', '.pt', '.th', '.bin', '.ckpt', '.tar')
FORMATS = ('.npz', '.safetensors', *TORCH)
HUB = 'hf://'
EXPORT = 'model.safetensors'
HUB_FILES = (EXPORT, 'pytorch_model.bin', 'config.json', 'data.json')
PREPROCESSING = ('mean', 'std', 'channel_order')     # options of a task that belong to weights
WRAPPERS = ('state_dict', 'model_state_dict', 'model', 'state_dict_ema')


class Weights(NamedTuple):
  """Arrays under our names, and what they were trained as.

  Attributes:
    where: for messages.
    arrays: by path, 'params/stem/kernel', 'batch_stats/stem_norm/mean'.
    skipped: foreign names that have no place here.
    model: options of config.task.model: name and fields.
    task: other options of config.task that say how images were prepared: mean, std, channel_order.
    data: options of a canvas: size, crop_fraction.
    kind: the task, by its name in `visionlab.tasks.TASKS`.
    classes: of a detector, their names, or numbers for want of names; not the background.
  """
  where: str
  arrays: Mapping[str, np.ndarray]
  skipped: list[str]
  model: Mapping[str, Any]
  task: Mapping[str, Any]
  data: Mapping[str, Any]
  kind: str = 'classify'
  classes: tuple[str, ...] = ()


def read_weights(place: str | Path) -> Weights:
  """Reads weights.

  Args:
    place: a visionlab workdir or export; a state dict of torchvision or timm (.pth, .safetensors);
      a Keras-style .npz; or hf://owner/name, which is downloaded once.

  Raises:
    ConfigError: there are none, they cannot be read, or no family of networks knows their names.
  """
  text = str(place)
  path = download(text.removeprefix(HUB)) if text.startswith(HUB) else Path(text).expanduser()
  if (path / 'config.json').is_file() and (path / 'data.json').is_file():
    return _ours(path, text)
  extra = {}
  if path.is_dir():
    found = [path / name for name in HUB_FILES[:2] if (path / name).is_file()]
    if not found:
      raise ConfigError(f'{text}: neither a run (config.json) nor weights ({HUB_FILES[0]})')
    extra = _pretrained_cfg(path / 'config.json')
    path = found[0]
  foreign = read_arrays(path)
  known = recognise({name: a.shape for name, a in foreign.items()})
  if known is None:
    some = ', '.join(list(foreign)[:4])
    raise ConfigError(f'{text}: these names are of no network known here ({some}, ...); known are: '
                      + ', '.join(f.name for f in FAMILIES))
  family, fields = known
  found = translate(foreign, family.table(fields))
  data = dict(size=family.size)
  if family.kind == 'classify':
    data['crop_fraction'] = .875 if family.size > 32 else 1.
  return Weights(text, found.arrays, found.skipped, dict(name=family.model, **fields),
                 {**family.task, **extra.get('task', {})}, {**data, **extra.get('data', {})},
                 family.kind, family.classes(found.arrays))


def _ours(path: Path, where: str) -> Weights:
  config = configs.from_json((path / 'config.json').read_text())
  if (path / EXPORT).is_file():
    arrays = read_arrays(path / EXPORT)
  else:
    found = checkpoint.read_newest(path, ('model',))
    if found is None:
      raise ConfigError(f'{where}: no checkpoint yet')
    step, fields = found
    where = f'{where}, step {step}'
    arrays = flat(checkpoint.weights_of(fields))
  task = {k: v for k, v in config.task.items() if k in PREPROCESSING}
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


def read_arrays(path: Path) -> dict[str, np.ndarray]:
  """The arrays in a file, under its own names."""
  if not path.is_file():
    raise ConfigError(f'{path}: no such weights (a run, a file {", ".join(FORMATS)}, or {HUB}...)')
  if path.suffix not in FORMATS:
    raise ConfigError(f'{path}: not a format of weights known here{nearest(path.suffix, FORMATS)}; '
                      f'there are: {", ".join(FORMATS)}')
  try:
    if path.suffix == '.npz':
      with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
    if path.suffix == '.safetensors':
      return load_file(path)
  except (SafetensorError, zipfile.BadZipFile, ValueError, EOFError, OSError, KeyError) as e:
    raise ConfigError(f'{path}: cannot be read as {path.suffix}: {e}') from e
  tree = read_torch(path)
  for wrapper in WRAPPERS:
    if isinstance(tree, Mapping) and isinstance(tree.get(wrapper), Mapping):
      tree = tree[wrapper]
  arrays = {name.removeprefix('module.'): a for name, a in tree.items()
            if isinstance(a, np.ndarray)} if isinstance(tree, Mapping) else {}
  if not arrays:
    raise ConfigError(f'{path}: holds no state dict (a mapping from names to tensors)')
  return arrays


def _pretrained_cfg(file: Path) -> dict[str, dict]:
  """What timm notes beside its weights: the normalisation and the size of the images."""
  try:
    saved = json.loads(file.read_text()).get('pretrained_cfg', {})
  except (OSError, ValueError, AttributeError):
    return {}
  task = {k: tuple(saved[k]) for k in ('mean', 'std') if k in saved}
  data = {ours: value for ours, value in (('size', saved.get('input_size', [None])[-1]),
                                          ('crop_fraction', saved.get('crop_pct'))) if value}
  return dict(task=task, data=data)


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
