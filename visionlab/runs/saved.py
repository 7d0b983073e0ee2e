"""What the folder of a run, or of an export, says of it beside its weights."""

import json
from pathlib import Path

from ml_collections import ConfigDict
from safetensors import safe_open

from visionlab import config as configs
from visionlab.config import ConfigError
from visionlab.data.text.text_files import read_json
from visionlab.facts import Facts


def saved(workdir: Path) -> tuple[ConfigDict, Facts]:
  """What config.json and data.json say."""
  config, data = (read_json(workdir / name) for name in ('config.json', 'data.json'))
  for key in ('task', 'data', 'batch'):
    if not isinstance(config, dict) or key not in config:
      raise ConfigError(f'{workdir / "config.json"} is no config of a run: it has no "{key}"')
  try:
    facts = Facts.from_json(json.dumps(data))
  except (KeyError, TypeError, ValueError, AttributeError) as e:
    raise ConfigError(f'{workdir / "data.json"} does not hold the facts of a run\'s data: '
                      f'{type(e).__name__} {e}') from e
  return ConfigDict(configs.with_tuples(config), convert_dict=True), facts


def noted(path: Path) -> tuple[dict[str, float], int]:
  """The hyperparameters and the step that an export notes beside its weights."""
  with safe_open(path, 'np') as file:
    noted = file.metadata() or {}
  return json.loads(noted.get('hp', '{}')), int(noted.get('step', 0))
