"""What runs are measured on: their own data, other data of the same kind, or another source."""

import ast
import inspect
import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags, logging

from visionlab.config import ConfigError, check_choice, resolve
from visionlab.data import SOURCES
from visionlab.data.images.imagenet import aliases
from visionlab.data.pipeline import open_sources
from visionlab.data.relabelled import Relabelled
from visionlab.data.source import Source, UnknownSplit
from visionlab.facts import Facts
from visionlab.runs.attribute_names import attributes_as_known
from visionlab.runs.joint_names import joints_as_known
from visionlab.runs.published import numbered
from visionlab.runs.run import Run

flags.disclaim_key_flags()      # what is defined here is shown by --help of who calls

# What is usually kept for measuring.
SPLITS = ('test', 'testing', 'testset', 'validation', 'val', 'valid', 'dev')
_FLAG = re.compile(r'--?data\.([\w.]+)')


def open_data(run: Run, split: str = '', *, domain: str = '', root: str = '',
                  data: Mapping | None = None, as_known: bool = True) -> tuple[Source, str]:
  """(the source, its split) to measure a run on, its classes numbered as the network has them.

  Args:
    split: as in a config, e.g. 'test' or 'train[90%:]'; by default 'test', or where there is none,
      what the run was measured on in training, or what else is kept for measuring.
    domain: which of the run's sources, where there are several.
    root: instead of the data's own root; its classes may be some of those the network knows, by
      their names or, for ImageNet's, by their WordNet ids.
    data: instead of the run's own, another source, as config.data names one. Its size and channels
      are the run's, where it has such options and they are not given.
    as_known: whether the classes of other data must be the network's, and are numbered as it does.

  Raises:
    ConfigError: data that cannot be opened, or that do not fit the network.
  """
  where = 'data' if data else 'config.data'
  options = dict(data) if data else run.config.data.to_dict()
  own = not (data or root)
  if own and not run.facts.examples:
    raise ConfigError(f'{run.workdir}: weights alone have no data to be measured on; give --root, '
                      'a folder of images by class, or another source, e.g. --data=cifar10 '
                      '--root=...')
  if 'name' not in options and not data:
    check_choice(domain, tuple(options), '--domain')
    options = options[domain]
  options |= {'root': root} if root else {}
  if data:
    options = {**_fitting(run, options), **options}
  source, split = _open(options, split, where, _held_out(run) if own else ())
  if not own:
    _check_channels(run, source, where)
    if data and run.config.data.get('name') == 'aligned' != options['name']:
      logging.warning('%s was trained on faces that are aligned, and these are as they were '
                      'photographed; --data=aligned --data.of.name=%s --data.of.KEY=VALUE '
                      '--data.landmarks=<a run that finds them> aligns them', run.workdir,
                      options['name'])
    open_set = getattr(run.task, 'open_set', False)
    source = _as_known(run, source) if as_known and not open_set else source
    if as_known:
      labels = [target.entry for target in getattr(run.task, 'targets', ())]
      source = attributes_as_known(run.facts.info, joints_as_known(run.facts, source), labels)
  return source, split


def data_flags(arguments: Sequence[str]):
  """--data, and --data.KEY for every such key among the arguments, for `given_data`."""
  flags.DEFINE_string('data', '', 'Another source to measure on, e.g. cifar10; its options are '
                      '--root and --data.KEY=VALUE.')
  for key in {match[1] for a in arguments if (match := _FLAG.match(a)) and match[1] != 'name'}:
    flags.DEFINE_string(f'data.{key}', None, 'An option of --data.')


def given_data() -> dict[str, Any] | None:
  """The source that --data names, with its options as they were typed."""
  name = flags.FLAGS.data
  texts = {flag.removeprefix('data.'): flags.FLAGS[flag].value for flag in flags.FLAGS
           if flag.startswith('data.')}
  if not name:
    if texts:
      raise ConfigError(f'--data.{next(iter(texts))}: --data=NAME is missing, the source that has '
                        'this option')
    return None
  hints = _hints(resolve(name, SOURCES, '--data'))
  options = {'name': name}
  for path, text in texts.items():
    *outer, key = path.split('.')
    place = options
    for part in outer:
      place = place.setdefault(part, {})
    place[key] = typed(text, Any if outer else hints.get(key, Any))
  return options


def typed(text: str, hint: Any) -> Any:
  """What was typed, as an option of that type: 32, (48, 64), red,white or simply a text."""
  kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
  if kinds == (str,):
    return text
  try:
    return ast.literal_eval(text)
  except (ValueError, SyntaxError):
    pass
  if text.lower() in ('true', 'false'):
    return text.lower() == 'true'
  tuples = any(kind is tuple or typing.get_origin(kind) in (tuple, Sequence) for kind in kinds)
  return tuple(part.strip() for part in text.split(',')) if tuples and str not in kinds else text


def _hints(source) -> dict[str, Any]:
  try:
    return typing.get_type_hints(source)
  except (NameError, TypeError):
    return {}


def _fitting(run: Run, options: Mapping) -> dict[str, Any]:
  """What of a source's options the run itself says: the canvas of its images."""
  if 'name' not in options:
    raise ConfigError(f'data.name: missing; there are: {", ".join(SOURCES)}')
  if run.facts.sentences:
    return {}
  height, width, channels = run.facts.image.shape[1:]
  known = inspect.signature(resolve(options['name'], SOURCES, 'data.name')).parameters
  canvas = dict(run.placing, size=height if height == width else (height, width),
                channels=channels)
  return {name: value for name, value in canvas.items() if name in known}


def _held_out(run: Run) -> list[str]:
  """The splits of its own data that a run was measured on in training."""
  evals = run.config.get('evals', {}).values()
  return [options['split'] for options in evals if 'data' not in options]


def _open(options: Mapping, split: str, where: str, held_out: Sequence[str]) -> tuple[Source, str]:
  if split:
    return open_sources(options, split, where), split
  try:
    return open_sources(options, SPLITS[0], where), SPLITS[0]
  except UnknownSplit as e:
    likely = [name for name in SPLITS if name in e.splits]
    for other in (*held_out, *likely, *e.splits):
      try:
        return open_sources(options, other, where), other
      except UnknownSplit:
        continue
    raise


def _check_channels(run: Run, source: Source, where: str):
  if run.facts.sentences:
    return
  there, here = Facts.of(source).image.shape[-1], run.facts.image.shape[-1]
  if there != here:
    raise ConfigError(f'{where}: its images have {there} channels, and {run.workdir} was trained '
                      f'on images with {here}')


def _as_known(run: Run, source: Source) -> Source:
  """The source with its classes numbered as the run has them."""
  mine, theirs = run.facts.info, source.info
  if (theirs.classes, theirs.map_classes) == (mine.classes, mine.map_classes):
    return source
  if not run.facts.examples and mine.classes == numbered(len(mine.classes)):
    if len(theirs.classes) != len(mine.classes):
      raise ConfigError(f'{run.workdir} has {len(mine.classes)} classes without names, and the '
                        f'data have {len(theirs.classes)}')
    logging.warning('%s names no classes; they are taken to be those of the data in their order, '
                    'from %s to %s', run.workdir, theirs.classes[0], theirs.classes[-1])
    return source
  same = aliases(theirs.classes, mine.classes)
  return Relabelled(source, mine.classes, same, mine.map_classes)
