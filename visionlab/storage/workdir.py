"""What a run leaves in its folder, beside metrics, events and checkpoints."""

import itertools
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from visionlab import config as configs
from visionlab.config import ConfigError, nearest
from visionlab.data.text.text_files import read_json
from visionlab.figures import charts
from visionlab.storage.versions import versions

MEMBERS, OUTCOME = 'members.json', 'outcome.json'
EARLY = 'stopped_early'      # in outcome.json
LISTED = 12                 # members in an error


def check_config(workdir: Path, config):
  """Raises `ConfigError`, with the differences, if the folder is another config's."""
  saved = saved_config(workdir)
  if saved is not None:
    changes = configs.difference(completed(saved), completed(config))
    if changes:
      raise ConfigError(f'{workdir} was started with another config:\n  ' + '\n  '.join(changes)
                        + '\nuse another --workdir, or --change_config to go on with the new one')


def completed(saved: ConfigDict) -> ConfigDict:
  """A config with the options that it does not name as they are by default, as an older run's are
  that were not there yet, and in the form that `experiment` gives it."""
  try:
    return configs.whole(saved)
  except ConfigError:          # it has what is no option any more: that is a difference
    return saved


def saved_config(workdir: Path) -> ConfigDict | None:
  """The config that the folder's run was started with; None where there is no run yet.

  Raises:
    ConfigError: config.json is damaged.
  """
  path = workdir / 'config.json'
  if not path.exists():
    return None
  try:
    content = expect(read_json(path), dict, path)
    expect(content.get('task'), dict, path)
    return configs.from_json(json.dumps(content))
  except ConfigError as e:
    raise ConfigError(f'{e}; the config of the run in this folder is not known. If the checkpoints '
                      'are of the one that is given now, --change_config goes on with that, and '
                      'writes the file anew') from e


def expect(content, kind: type, path: Path):
  """What a file of JSON says, which must be of that kind."""
  if not isinstance(content, kind):
    named = {dict: 'object', list: 'list'}[kind]
    raise ConfigError(f'{path} is damaged: it holds no {named} but {str(content)[:40]}')
  return content


def check_words(words: Sequence[str], *folders: str | Path):
  """Raises `ConfigError` if a run in one of the folders learnt other words than these: its tokens
  stand for others. What is no folder of a run, or learnt no words, is passed over."""
  for folder in folders:
    path = Path(folder) / 'data.json'
    there = folder and path.is_file()
    saved = expect(read_json(path), dict, path).get('words', ()) if there else ()
    if saved and list(saved) != list(words):
      pairs = itertools.zip_longest(saved, words)
      at, (there, here) = next((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
      raise ConfigError(
          f'{folder}: its vocabulary of {len(saved):,} words is not that of the data, which has '
          f'{len(words):,}: word {at} is {there!r} there and {here!r} here')


def prepare(workdir: Path, config, facts):
  """Makes the folder; writes config.json, versions.json and data.json (the facts of the data, so
  that a run reloads without it). Raises OSError where it cannot."""
  if jax.process_index() == 0:
    workdir.mkdir(parents=True, exist_ok=True)
    write_atomically(workdir / 'config.json', configs.to_json(config))
    write_atomically(workdir / 'versions.json', json.dumps(versions(), indent=2))
    write_atomically(workdir / 'data.json', facts.to_json())
    (workdir / OUTCOME).unlink(missing_ok=True)


def conclude(workdir: Path, status: str, step: int, *, early: bool = False, **more):
  """Writes how the run ended, once it has: 'done', 'diverged' or 'pruned', and after which step.

  early: patience ended it, so that its best stands for it.
  """
  if jax.process_index() == 0:
    ended = dict(status=status, step=step, **({EARLY: True} if early else {}), **more)
    write_atomically(workdir / OUTCOME, json.dumps(ended, indent=2))


def outcome(workdir: Path) -> dict[str, Any]:
  """What `conclude` wrote; {} of a run that has not ended, or not begun."""
  path = workdir / OUTCOME
  return expect(read_json(path), dict, path) if path.exists() else {}


def write_members(folder: Path, workdirs: Sequence[Path]):
  """Says in `folder` which runs belong to it, in their order."""
  paths = [os.path.relpath(workdir, folder) for workdir in workdirs]
  write_atomically(folder / MEMBERS, json.dumps(paths, indent=2))


def member_folder(folder: Path, member: int | str) -> Path:
  """The folder of one of the runs that belong to `folder`, by its number or name.

  Raises:
    ConfigError: there are none, or not that one.
  """
  if not (folder / MEMBERS).exists():
    raise ConfigError(f'{folder}: no sweep here (there is no {MEMBERS})')
  paths = expect(read_json(folder / MEMBERS), list, folder / MEMBERS)
  named = {str(i): p for i, p in enumerate(paths)} | {Path(p).name: p for p in paths}
  if str(member) not in named:
    raise ConfigError(f'{folder}: no member {member!r}{nearest(member, named)}; there are '
                      f'{len(paths)}, by number or name, such as {Path(paths[0]).name!r}')
  return folder / named[str(member)]


def members_line(folder: Path) -> str:
  """What an error adds for a folder that is a sweep's, or holds runs; '' for any other."""
  if (folder / MEMBERS).exists():
    names = [Path(p).name for p in expect(read_json(folder / MEMBERS), list, folder / MEMBERS)]
    some = [f'  {i}  {name}' for i, name in enumerate(names[:LISTED])]
    more = [f'  ... {len(names)} in all'] if len(names) > LISTED else []
    return '\n'.join(['. It is a sweep: name one of its settings by --member (member= in Python)',
                      *some, *more])
  names = sorted(path.parent.name for path in folder.glob('*/config.json'))
  return f'; it holds {len(names)} runs: name one, such as {folder / names[0]}' if names else ''


def save_figures(workdir: Path, pictures: Mapping[str, np.ndarray]):
  """Writes figures/<name>.png."""
  if jax.process_index() == 0:
    (workdir / 'figures').mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
      charts.save(picture, workdir / 'figures' / f'{name}.png')


def write_atomically(path: Path, text: str):
  """Writes a file whole or not at all, however the process ends."""
  path.with_suffix('.tmp').write_text(text)
  path.with_suffix('.tmp').replace(path)
