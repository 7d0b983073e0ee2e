"""What numbers stand for: the same in what is measured as in what is trained on."""

from collections.abc import Sequence

from visionlab.config import ConfigError
from visionlab.data.source import Info

NAMED = dict(classes='classes', map_classes='classes of pixels', joints='joints', words='words')
SHOWN = 6                        # of each list, in an error


def check_meanings(measured: Info, trained: Info, where: str):
  """Raises `ConfigError`, naming both, where a class, a joint or a word of `measured` is known to
  the network by another number. Fewer are fine; so is a source that names none."""
  for field, said in NAMED.items():
    there, here = getattr(measured, field), getattr(trained, field)
    if not there or not here or there == here[:len(there)]:
      continue
    at = next((i for i, (a, b) in enumerate(zip(there, here, strict=False)) if a != b), len(here))
    known = f'there and {here[at]!r} in' if at < len(here) else 'there, and there is none in'
    raise ConfigError(f'{where}: its {said} ({_listed(there)}) are not those of config.data '
                      f'({_listed(here)}): {at} is {there[at]!r} {known} config.data; give both '
                      'the same, in one order')
  if measured.words and trained.words and measured.scale != trained.scale:
    raise ConfigError(f'{where}: its captions call small and large what is outside {measured.scale}'
                      f', those of config.data what is outside {trained.scale}')


def _listed(names: Sequence[str]) -> str:
  more = f', ... {len(names):,} in all' if len(names) > SHOWN else ''
  return ', '.join(names[:SHOWN]) + more
