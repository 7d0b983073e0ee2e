"""What a run leaves in its folder, beside metrics, events and checkpoints."""

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

from visionlab import config as configs, figures
from visionlab.config import ConfigError

PACKAGES = ('visionlab', 'jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'grain', 'numpy')


def check_config(workdir: Path, config):
  """Raises `ConfigError`, with the differences, if the folder is another config's."""
  saved = workdir / 'config.json'
  if saved.exists():
    changes = configs.difference(configs.from_json(saved.read_text()), config)
    if changes:
      raise ConfigError(f'{workdir} was started with another config:\n  ' + '\n  '.join(changes)
                        + '\nuse another --workdir, or --change_config to go on with the new one')


def prepare(workdir: Path, config, facts):
  """Makes the folder; writes config.json, versions.json and data.json (the facts of the data, so
  that a run reloads without it). Raises OSError where it cannot."""
  if jax.process_index() == 0:
    workdir.mkdir(parents=True, exist_ok=True)
    _write(workdir / 'config.json', configs.to_json(config))
    _write(workdir / 'versions.json', json.dumps(versions(), indent=2))
    _write(workdir / 'data.json', facts.to_json())


def versions() -> dict[str, str]:
  """Python, packages and device: a run is repeated bit for bit only where they are the same."""
  found = {'python': platform.python_version(), 'device': jax.devices()[0].device_kind}
  for package in PACKAGES:
    try:
      found[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      found[package] = 'not installed'
  return found


def save_figures(workdir: Path, pictures: Mapping[str, np.ndarray]):
  """Writes figures/<name>.png."""
  if jax.process_index() == 0:
    (workdir / 'figures').mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
      figures.save(picture, workdir / 'figures' / f'{name}.png')


def _write(path: Path, text: str):
  # Whole or not at all, however the process ends.
  path.with_suffix('.tmp').write_text(text)
  path.with_suffix('.tmp').replace(path)
