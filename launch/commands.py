"""Command lines of other programs: shown, then run."""

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

from visionlab.config import ConfigError, TrainingError


class Command(NamedTuple):
  words: Sequence[str]
  stdin: str = ''


def shown(command: Command) -> str:
  """As it would be typed.

  >>> print(shown(Command(['kubectl', 'apply', '-f', '-'], 'kind: Job')))
  kubectl apply -f - <<'END'
  kind: Job
  END
  """
  line = ' '.join(map(_quoted, command.words))
  return f"{line} <<'END'\n{command.stdin}\nEND" if command.stdin else line


def _quoted(word: str) -> str:
  flag, equals, value = word.partition('=')
  return f'{flag}={shlex.quote(value)}' if flag.startswith('--') and equals else shlex.quote(word)


def run(commands: Sequence[Command], *, dry_run: bool, where: str):
  """Shows each command and runs it, or, with `dry_run`, shows all and runs none.

  Args:
    where: what a user without the program is told.

  Raises:
    ConfigError: a program is not installed.
    TrainingError: one failed; those after it were not begun.
  """
  missing = [c.words[0] for c in commands if not shutil.which(c.words[0])]
  if missing and not dry_run:
    raise ConfigError(f'{missing[0]} is not installed here; {where}, or add --dry_run to see the '
                      'commands')
  for command in commands:
    print(shown(command), flush=True)
    if not dry_run:
      code = subprocess.run(command.words, input=command.stdin or None, text=True).returncode
      if code:
        raise TrainingError(f'{shlex.join(command.words[:5])} ...: exit code {code}')
