"""What is typed after a command: a config file, changes to it, and words that are no flags."""

import difflib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import ModuleType

from absl import flags
from ml_collections import ConfigDict

from visionlab.config import ConfigError, experiment, nearest, whole
from visionlab.flags.overrides import kind_at, override
from visionlab.options.kinds import WORDS
from visionlab.paths import config_file, shipped, similar

CHANGE = re.compile(r'--?(no)?config\.([^=]+)(?:=(.*))?', re.DOTALL)


class ConfigFile(flags.ArgumentParser):
  """Reads --config=file.py[:argument], and every --config.key=value beside it.

  Attributes:
    file: what was typed after --config.
    changes: key -> what was typed as its value.
  """

  file, changes, config = '', {}, None

  def parse(self, argument: str) -> ConfigDict:
    """The config with its changes, once `split` has found them."""
    return self.config

  def split(self, argv: Sequence[str]) -> list[str]:
    """`argv` without the changes, which are then known.

    Raises:
      ConfigError: there is no such file, it is wrong, or a change does not fit.
    """
    # absl makes one parser of a class for all who ask for one.
    self.file, self.changes, self.config = _value_of('config', argv), {}, None
    if not self.file:
      return [word for word in argv if not CHANGE.fullmatch(word)]
    config = config_of(self.file)
    rest, words = [], iter(argv)
    for word in words:
      change = CHANGE.fullmatch(word)
      if word == '--':
        return [*rest, word, *words]
      if change:
        self._add(config, *change.groups(), words)
      else:
        rest.append(word)
    self.config = override(config, self.changes).lock()
    return rest

  def _add(self, config, no, key, text, words):
    """Notes a change. What is True or False needs no value; anything else may be the next word."""
    hint, was = kind_at(config, key)
    if hint is bool or isinstance(was, bool):
      text = 'false' if no else 'true' if text is None else text
    elif no:
      raise ConfigError(f'--noconfig.{key}: only for what is True or False')
    elif text is None:
      text = next(words, None)
    if text is None or text.startswith('--'):
      raise ConfigError(f'--config.{key}: needs a value, --config.{key}=...')
    if key in self.changes and isinstance(was, tuple):
      raise ConfigError(f'--config.{key}: given twice; write --config.{key}="(1, 2)"')
    self.changes[key] = text


def _value_of(name: str, argv: Sequence[str]) -> str:
  """Of --name=value or --name value; '' where there is none."""
  for i, word in enumerate(argv):
    flag, equals, value = word.partition('=')
    if flag in (f'--{name}', f'-{name}'):
      return value if equals else ''.join(argv[i + 1:i + 2])
  return ''


def config_of(argument: str) -> ConfigDict:
  """The config of 'file.py' or 'file.py:argument'.

  Raises:
    ConfigError: there is no such file, or no config comes of it.
  """
  path, colon, variant = argument.partition(':')
  get_config = getattr(module_of(path), 'get_config', None)
  if not callable(get_config):
    raise ConfigError(f'--config={path}: has no function get_config')
  given = (variant,) if colon else ()
  try:
    inspect.signature(get_config).bind(*given)
  except TypeError:
    many = 'takes no argument' if colon else 'needs an argument'
    raise ConfigError(f'--config={argument}: {path} {many} after a colon') from None
  return whole(_own_mistakes(path, get_config, *given))


def module_of(path: str) -> ModuleType:
  """A config file, or one that comes with the library by its name, as a module."""
  if not Path(path).is_file():
    ours = config_file(path)
    if ours is None:
      others = [str(p) for p in Path(path).parent.glob('*.py')]
      raise ConfigError(f'--config={path}: no such file{nearest(path, others) or similar(path)}')
    if str(shipped()) not in sys.path:        # for what it takes of others
      sys.path.append(str(shipped()))
    path = str(ours)
  spec = importlib.util.spec_from_file_location('config_file', path)
  if spec is None:
    raise ConfigError(f'--config={path}: expected a Python file, *.py')
  module = sys.modules['config_file'] = importlib.util.module_from_spec(spec)
  _own_mistakes(path, spec.loader.exec_module, module)
  return module


def _own_mistakes(path: str, call: Callable, *given):
  """call(*given); an exception that the config file raises becomes a message with its line."""
  try:
    return call(*given)
  except ConfigError:
    raise
  except SyntaxError as e:
    raise ConfigError(f'{path}, line {e.lineno}: {e.msg}') from e
  except Exception as e:
    lines = [frame.lineno for frame in traceback.extract_tb(e.__traceback__)
             if Path(frame.filename).resolve() == Path(path).resolve()]
    where = f'{path}, line {lines[-1]}' if lines else path
    raise ConfigError(f'{where}: {_said(e)}') from e


def _said(error: Exception) -> str:
  """What an exception says; of a key that a ConfigDict has not, in our own words."""
  found = re.search(r'Did you mean "(.*)" instead of "(.*)"', str(error))
  if found:
    return f'no such key {found[2]!r} (did you mean "{found[1]}"?)'
  return f'{type(error).__name__}: {error}'


def check_words(left: Sequence[str], argv: Sequence[str], known: Collection[str], words: str = ''):
  """Refuses words that are no flags, and says what was probably meant.

  Args:
    left: those words.
    argv: all that was typed.
    known: the names of the command's flags.
    words: what they stand for, where a command takes some: only those are refused then that are
      no file but look like a flag without its dashes.

  Raises:
    ConfigError: there is such a word.
  """
  for word in left:
    meant = _meant(word, argv, known)
    if not words or meant and not Path(word).exists():
      raise ConfigError(f'stray word "{word}"' + (f'; write {meant}' if meant else ''))


def _meant(word: str, argv: Sequence[str], known: Collection[str]) -> str:
  """The flag that a word without dashes, or with typographic ones, was probably to be."""
  before = argv[argv.index(word) - 1] if word in argv else ''
  word = word.lstrip('-\u2010\u2011\u2012\u2013\u2014\u2212')
  name, equals, value = word.partition('=')
  if before.startswith('--') and '=' not in before and word.lower() in WORDS:
    return f'{before}={word}'
  if 'config' in known and name.endswith('.py'):
    return f'--config={word}'
  if not equals:
    return ''
  if name in known or name.startswith('config.') and 'config' in known:
    return f'--{word}'
  if 'config' in known and name.partition('.')[0] in inspect.signature(experiment).parameters:
    return f'--set {word}' if 'set' in known else f'--config.{word}'
  close = difflib.get_close_matches(name, known, n=1)
  return f'--{close[0]}={value}' if close else ''
