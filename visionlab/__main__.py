"""python -m visionlab list: what a config can name."""

import sys

from visionlab.config import ConfigError

USAGE = """usage: python -m visionlab list [KIND [NAME]]     what a config can name, and its options
  train, evaluate, predict, understand, sample, verify, alerts and exports are commands of their
  own: python -m visionlab.train --help"""


def main(arguments: list[str]) -> int:
  from visionlab.catalogue import listing  # noqa: PLC0415 - --help waits for no import of jax
  from visionlab.commandline import unread  # noqa: PLC0415
  if arguments[:1] not in ([], ['list']) or len(arguments) > 3:
    print(USAGE, file=sys.stderr)
    return 2
  try:
    with unread():
      print(listing(*arguments[1:]))
  except ConfigError as error:
    print(f'error: {error}', file=sys.stderr)
    return 2
  return 0


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
