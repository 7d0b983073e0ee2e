"""What the commands share: flags, the compilation cache, and errors without tracebacks."""

import contextlib
import gc
import logging as python_logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from functools import partial

import jax
from absl import app, flags, logging

from visionlab.config import ConfigError, TrainingError
from visionlab.data.file_warnings import with_files
from visionlab.flags.arguments import ConfigFile, check_words
from visionlab.parallel import distributed
from visionlab.paths import cache_folder

flags.disclaim_key_flags()      # what is defined here is shown by --help of who calls

UNREAD = 141            # what shells say of a process whose reader has gone: 128 + SIGPIPE


def config_flag():
  """--config=file.py[:argument], and --config.key=value for every option there is (see
  `visionlab.flags.overrides`)."""
  flags.DEFINE(ConfigFile(), 'config', None, 'A config file, e.g. configs/digits_cnn.py or '
               'configs/digits_cnn.py:smoke.')
  flags.mark_flag_as_required('config')


def typed_config() -> ConfigFile:
  """The config file and the changes that were typed."""
  return flags.FLAGS['config'].parser


def distributed_flags():
  """--distributed, and --coordinator, --processes, --process where they cannot be found out."""
  flags.DEFINE_bool('distributed', False, 'One of several processes that train together; which is '
                    'told by SLURM, Open MPI, Kubernetes or the TPU pod, or by the next three.')
  flags.DEFINE_string('coordinator', '', 'host:port of process 0, the same on all.')
  flags.DEFINE_integer('processes', None, 'How many there are.')
  flags.DEFINE_integer('process', None, 'Which this is, from 0.')
  flags.DEFINE_float('join_timeout', 300., 'Seconds to wait for the other processes at the start.')


def joined():
  """A context within which this is the process that `distributed_flags` say; or simply the only
  one."""
  given = flags.FLAGS.coordinator, flags.FLAGS.processes, flags.FLAGS.process
  if not flags.FLAGS.distributed and given == ('', None, None):
    return contextlib.nullcontext()
  return distributed.joined(*given, timeout=flags.FLAGS.join_timeout)


def step_flag():
  """--step, which checkpoint of a run."""
  flags.DEFINE_string('step', None, 'A checkpoint\'s step, best or newest; default: the newest '
                      'or, where patience ended the run, the best.')


def chosen_step() -> int | str | None:
  """What --step says, as `visionlab.load` takes it."""
  step = flags.FLAGS.step
  return int(step) if step and step.isdigit() else step


def run(main: Callable, *, words: str = ''):
  """Runs a command; a user's mistake ends it with one clear message and no traceback.

  words: what the words that are no flags are, of which main(argv) is given argv[1:]; '': any word
  is a mistake.
  """
  logging.set_verbosity(logging.WARNING)
  # What goes wrong in orbax's threads is raised, and said once, where training waits for them.
  logging.get_absl_handler().addFilter(lambda record: not of_orbax(record))
  sys.unraisablehook = unless_after_failed_save(sys.unraisablehook)
  warnings.showwarning = with_files(warnings.showwarning)
  python_logging.getLogger('jax').setLevel(python_logging.ERROR)
  cache_compilations()
  # Modules of one's own are found where the command is typed, however it is typed.
  if os.getcwd() not in sys.path:
    sys.path.insert(0, os.getcwd())
  # Tracing makes objects by the hundred thousand, and few of them are garbage in cycles.
  gc.set_threshold(100_000)
  # Names that a terminal or a pipe has no letters for are spelt, and stop nothing.
  for stream in (sys.stdout, sys.stderr):
    if hasattr(stream, 'reconfigure'):
      stream.reconfigure(errors='backslashreplace')
  try:
    with unread():
      app.run(guarded(main), flags_parser=partial(_parse, words=words))
  except KeyboardInterrupt:
    sys.exit(130)


@contextlib.contextmanager
def unread():
  """Ends the process quietly, as the shell expects, where nobody reads what it prints any more."""
  try:
    try:
      yield
    finally:
      sys.stdout.flush()
  except BrokenPipeError:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())    # else Python flushes again
    sys.exit(UNREAD)


def guarded(main: Callable) -> Callable:
  def call(argv):
    try:
      main(argv)
      gc.freeze()          # or Python would go through all of them once more before it exits
    except BrokenPipeError:
      code = UNREAD
    except (ConfigError, TrainingError, OSError) as e:
      print(f'error: {e}', file=sys.stderr)
      code = 2 if isinstance(e, ConfigError) else 1
    except BaseException:
      if not jax.distributed.is_initialized():
        raise
      traceback.print_exc()
      code = 1
    else:
      return
    if jax.distributed.is_initialized():
      distributed.end(code)
    gc.collect()           # what a failed save left would complain when Python has half gone
    sys.exit(code)
  return call


def of_orbax(record: python_logging.LogRecord) -> bool:
  """Whether a message is orbax's, or asyncio's of a task of it that failed beside another.

  What failed within tensorstore has come through no line of Python: such an error has no frames.
  """
  if record.name != 'asyncio' or not record.exc_info:
    return 'orbax' in record.pathname
  frames = traceback.extract_tb(record.exc_info[2])
  return not frames or any(f'{os.sep}orbax{os.sep}' in frame.filename for frame in frames)


def unless_after_failed_save(hook: Callable) -> Callable:
  """`sys.unraisablehook`, but for what tensorstore would still tell orbax's event loop: the first
  part of a save or a restore that failed has closed it, and is raised."""
  def call(unraisable):
    late = isinstance(unraisable.exc_value, RuntimeError) and unraisable.object is None
    if not (late and str(unraisable.exc_value) == 'Event loop is closed'):
      hook(unraisable)
  return call


def cache_compilations():
  """Compiled programs are kept between runs, in $JAX_COMPILATION_CACHE_DIR or the user's cache."""
  if not jax.config.jax_compilation_cache_dir:
    jax.config.update('jax_compilation_cache_dir', str(cache_folder('xla')))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', .1)


def _parse(argv, words: str = ''):
  """Parses flags, first those of the config; whatever is wrong with them becomes a message."""
  flags.FLAGS.set_gnu_getopt()            # flags may come after words
  try:
    argv = [argv[0], *flags.FLAGS.read_flags_from_files(argv[1:])]
    rest = typed_config().split(argv) if 'config' in flags.FLAGS else argv
    # A flag without its dashes may be one that is required, which absl would miss.
    flaglike = [w for w in rest[1:] if '=' in w and w.partition('=')[0] in flags.FLAGS]
    check_words(flaglike, argv, flags.FLAGS, words='flags')
    left = flags.FLAGS(rest)
    check_words(left[1:], argv, flags.FLAGS, words)
    return left
  except BrokenPipeError:          # of a reader of --help
    raise
  except (flags.Error, ConfigError, OSError) as e:
    print(f'error: {e}', file=sys.stderr)
  sys.exit(2)
