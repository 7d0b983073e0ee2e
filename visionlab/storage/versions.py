"""What a run was made by: packages, machine, command and commit."""

import importlib.metadata
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import jax

PACKAGES = ('visionlab', 'jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'grain', 'numpy')


def versions() -> dict[str, str]:
  """Python, packages and device: a run is repeated bit for bit only where they are the same. And
  the command, the host, the time and the commit it was started by."""
  found = {'python': platform.python_version(), 'device': jax.devices()[0].device_kind}
  for package in PACKAGES:
    try:
      found[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      found[package] = 'not installed'
  return {**found, 'command': shlex.join(sys.orig_argv), 'host': platform.node(),
          'date': datetime.now(UTC).isoformat(timespec='seconds'), **commit(Path.cwd())}


def commit(folder: Path) -> dict[str, str]:
  """The commit of the git repository that a folder is in, and how many of its files differ from it;
  {} where there is no repository, or no git."""
  def git(*words):
    return subprocess.run(['git', '-C', str(folder), *words], capture_output=True, text=True,
                          check=True, timeout=10).stdout.strip()
  try:
    return {'commit': git('rev-parse', 'HEAD'),
            'uncommitted': str(len(git('status', '--porcelain', '-uno').splitlines()))}
  except (OSError, subprocess.SubprocessError):
    return {}
