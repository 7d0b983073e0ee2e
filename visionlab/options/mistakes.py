"""What a user did wrong, said in one line: of a config, and of the code that a config names."""

import contextlib
import difflib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path


class ConfigError(ValueError):
  """A mistake in what the user asked for; its text is all the user needs to see."""


class TrainingError(RuntimeError):
  """Training cannot go on; the text says why, and what is left to go on from."""


def nearest(word: str, words) -> str:
  """A hint naming the member of `words` most like `word`, or '' when none is near.

  >>> nearest('momentun', ['lr', 'momentum'])
  ' (did you mean "momentum"?)'
  """
  alike = {str(w).lower(): str(w) for w in words}
  close = difflib.get_close_matches(str(word).lower(), alike, n=1, cutoff=.5)
  return f' (did you mean "{alike[close[0]]}"?)' if close else ''


def is_own(name) -> bool:
  """Whether a name in a config is 'package.module:name', and so no name of ours."""
  return isinstance(name, str) and ':' in name


@contextlib.contextmanager
def own_mistakes(where: str, name: str, *, inside: bool = False) -> Iterator[None]:
  """What is raised while the part 'package.module:name' runs becomes a `ConfigError` that names
  the key `where`, the part, and the line of its package that raised. Parts of ours raise as ever.

  Args:
    inside: only what was raised in its package, or by what that called.
  """
  try:
    yield
  except ConfigError:
    raise
  except Exception as e:
    if not is_own(name) or inside and not _lines(e, home_of(name)):
      raise
    raise ConfigError(f'{where}: {name}: {said(e, home_of(name))}') from e


def said(error: Exception, home: Path | None = None) -> str:
  """An exception in one line, with the last line of a file in `home` (any file's if None) that it
  went through.

  >>> said(KeyError('lr'))
  "KeyError: 'lr'"
  """
  text = str(error).strip().split('\n')[0]
  if isinstance(error, SyntaxError):
    return f'{_short(error.filename)}, line {error.lineno}: {error.msg}'
  lines = _lines(error, home)
  place = f'{_short(lines[-1][0])}, line {lines[-1][1]}: ' if lines else ''
  return f'{place}{type(error).__name__}: {text}'


def home_of(name: str) -> Path | None:
  """The folder of the package that 'package.module:name' is of, or the file of its module."""
  top = name.partition(':')[0].partition('.')[0]
  try:
    spec = importlib.util.find_spec(top)
  except ValueError:                  # a module that was made by other means than an import
    return Path(getattr(sys.modules[top], '__file__', None) or '?')
  if spec is None:
    return None
  folders = list(spec.submodule_search_locations or ())
  return Path(folders[0] if folders else spec.origin)


def _lines(error: Exception, home: Path | None) -> list[tuple[str, int]]:
  """The lines of files in `home`, or of any, that an exception went through."""
  frames = [frame for frame in traceback.extract_tb(error.__traceback__)
            if Path(frame.filename).exists()]
  return [(frame.filename, frame.lineno) for frame in frames
          if home is None or Path(frame.filename).is_relative_to(home)]


def _short(file: str | None) -> str:
  """A file's name, from the current folder where it is in there."""
  path = Path(file or '?')
  return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
