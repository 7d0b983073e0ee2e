"""Which files of a Hugging Face dataset are of which split."""

import glob
import re
from pathlib import Path

from visionlab.config import ConfigError, nearest
from visionlab.data.text.text_files import read_json

HOLDS = "a dataset of save_to_disk, or parquet files such as data/train-00000-of-00001.parquet"
_SHARD = re.compile(r'(?:(.+?)[-_.])?(\d+(?:-of-\d+)?)(?:-[0-9a-f]{16})?')


def shards(top: Path) -> dict[str, list[Path]]:
  """The files of each split in a folder.

  Raises:
    ConfigError: there are none, or those of several configurations.
  """
  if (top / 'dataset_dict.json').is_file():
    listed = _field(top / 'dataset_dict.json', 'splits')
    return {str(name): _saved(top / str(name)) for name in listed}
  if (top / 'state.json').is_file():
    state = read_json(top / 'state.json')
    named = state.get('_split') if isinstance(state, dict) else None
    return {re.split(r'[\[+]', named)[0] if isinstance(named, str) else 'train': _saved(top)}
  configurations: dict[Path, dict[str, list[Path]]] = {}
  # No deeper: whoever names the wrong folder does not wait until all of the disk is looked at.
  found = (name for deep in ('*', '*/*', '*/*/*')
           for name in glob.glob(f'{deep}.parquet', root_dir=top))
  for path in sorted(top / name for name in found):
    split, folder = _split_of(path)
    configurations.setdefault(folder, {}).setdefault(split, []).append(path)
  if not configurations:
    raise ConfigError(f'hf {top} has no such files; expected {HOLDS}')
  if len(configurations) > 1:
    names = [str(path.relative_to(top)) for path in configurations]
    raise ConfigError(f'hf {top} holds several configurations: {", ".join(names)}; root must name '
                      'one of them')
  return next(iter(configurations.values()))


def _split_of(path: Path) -> tuple[str, Path]:
  """The split of a file of parquet, and the folder of the configuration: 'data/train-00000-of-
  00001.parquet', 'data/train.parquet' or 'default/train/0000.parquet'."""
  shard = _SHARD.fullmatch(path.stem)
  if shard and not shard[1]:
    return path.parent.name, path.parent.parent
  return shard[1] if shard else path.stem, path.parent


def _saved(folder: Path) -> list[Path]:
  """The files that `state.json` lists."""
  listed = _field(folder / 'state.json', '_data_files')
  names = [one.get('filename') if isinstance(one, dict) else None for one in listed]
  files = [folder / str(name) for name in names]
  for file in files:
    if not file.is_file():
      raise ConfigError(f'hf {folder}: state.json lists {file.name}, but there is no such file')
  if not files:
    raise ConfigError(f'hf {folder}: the dataset is empty')
  return files


def _field(path: Path, key: str) -> list:
  content = read_json(path)
  if not isinstance(content, dict) or not isinstance(content.get(key), list):
    raise ConfigError(f'{path} has no list "{key}"{nearest(key, content)}')
  return content[key]
