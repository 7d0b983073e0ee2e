"""What numbers stand for: the same in training and in what is measured, but for the loss."""

from collections.abc import Mapping, Sequence

from visionlab.config import ConfigError
from visionlab.data.source import Info

NAMED = dict(classes='classes', map_classes='classes of pixels', joints='joints', words='words')
SHOWN = 6                        # of each list, in an error


def check_meanings(measured: Info, trained: Info, where: str, *, open_set: bool = False):
  """Raises `ConfigError`, naming both, where a class, a joint or a word of `measured` is known to
  the network by another number. Fewer are fine; so is a source that names none; so are, in an
  open set, whatever classes there are."""
  for field, said in NAMED.items():
    there, here = getattr(measured, field), getattr(trained, field)
    if not there or not here or there == here[:len(there)] or open_set and field == 'classes':
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


def loss_of_training(config: Mapping) -> str:
  """What the loss of training is called: what is measured is the plain one of plain labels, and may
  lie far below.

  >>> loss_of_training(dict(hp={'label_smoothing': .1}, augment={'mixup': {}}, task={}))
  'loss (smoothed, mixed)'
  """
  task, augment = config['task'], config['augment']
  altered = dict(smoothed=config['hp'].get('label_smoothing', 0),
                 mixed=any(augment.get(name) not in (None, False) for name in ('mixup', 'cutmix')),
                 weighted=task.get('name') == 'classify' and task.get('class_weights'),
                 focal=task.get('focal'))
  said = [word for word, yes in altered.items() if yes]
  return f'loss ({", ".join(said)})' if said else 'loss'
