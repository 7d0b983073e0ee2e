"""Flags that launchers share: of the run they start, and --<launcher>.<key> of where it runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from absl import flags

from launch.processes import Job
from visionlab import commandline

flags.disclaim_key_flags()      # what is defined here is shown by --help of who calls

KINDS = {str: flags.DEFINE_string, int: flags.DEFINE_integer, bool: flags.DEFINE_bool}


def define(launcher: str, defaults: NamedTuple, meanings: Mapping[str, str]):
  """--<launcher>.<key> for every field of `defaults`."""
  for key, value in defaults._asdict().items():
    KINDS[type(value)](f'{launcher}.{key}', value, meanings[key])


def read(launcher: str, kind: type) -> NamedTuple:
  """What was typed, as `kind`."""
  return kind(*(flags.FLAGS[f'{launcher}.{key}'].value for key in kind._fields))


def define_run():
  """The flags of `visionlab.train`."""
  commandline.config_flag()
  flags.DEFINE_string('workdir', None, 'The run\'s folder, which all machines see.', required=True)
  define_dry_run()


def run() -> Job:
  """The run that --config, --config.<key> and --workdir describe."""
  typed = commandline.typed_config()
  return Job.train(typed.file, typed.changes, Path(flags.FLAGS.workdir))


def define_dry_run():
  flags.DEFINE_bool('dry_run', False, 'Print what would be submitted or run, and do nothing.')


def define_retries():
  flags.DEFINE_integer('retries', 2, 'How often a process that died is started again.',
                       lower_bound=0)
