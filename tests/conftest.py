"""Fixtures every test may use; the devices and flags that all tests share."""

import gc
import os
import time
from pathlib import Path

from visionlab.paths import cache_folder

# Networks are tiny here, and most of the time would go into compiling their programs. XLA's own
# passes stay; LLVM's are left out, and elementwise kernels are made by XLA's older emitters, which
# take half the time and may differ by a unit in the last place. Set before jax is imported; the
# commands that tests start inherit it. `optimised` is for invariants that users' programs keep.
os.environ.setdefault('JAX_DISABLE_MOST_OPTIMIZATIONS', 'true')
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '.1')
os.environ.setdefault('XLA_FLAGS', '--xla_cpu_use_fusion_emitters=false')
# Kept for the next time: of a change few programs are new.
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(cache_folder('tests')))

import jax
import pytest
from absl import logging
from jax._src import compiler

SLOW = Path(__file__).with_name('slow.txt')
BEGUN = time.monotonic()

# As the commands do: tracing makes objects by the hundred thousand, few of them garbage in cycles.
gc.set_threshold(100_000)
# Before the first computation: eight virtual devices let every way of compiling be compared.
jax.config.update('jax_num_cpu_devices', 8)


@pytest.hookimpl(tryfirst=True)          # before -m chooses
def pytest_collection_modifyitems(items):
  """What slow.txt names, a file, a test or one of its cases, is of the second tier. The files come
  in their order, from number $VISIONLAB_TEST_BEGIN on: those that a limit of time leaves out are
  not always the same."""
  names = set(SLOW.read_text().splitlines())
  for item in items:
    if names & {item.nodeid, item.nodeid.partition('[')[0], item.nodeid.partition('::')[0]}:
      item.add_marker('slow')
  begin = int(os.environ.get('VISIONLAB_TEST_BEGIN', 0))
  place = {path: i for i, path in enumerate(dict.fromkeys(item.path for item in items))}
  items.sort(key=lambda item: (place[item.path] - begin) % len(place))


def pytest_runtest_setup(item):
  """Where a machine is too slow for all of the second tier within $VISIONLAB_TEST_MINUTES, what is
  left of it is skipped, and named by -rs: a run that is cut off would say nothing."""
  minutes = os.environ.get('VISIONLAB_TEST_MINUTES')
  if minutes and 'slow' in item.keywords and time.monotonic() - BEGUN > 60 * float(minutes):
    pytest.skip(f'left out after {minutes} minutes')


@pytest.fixture(scope='module')
def optimised(request):
  """Programs as users have them, here and in commands: for invariants that those must keep. Of each
  invariant the second tier has a case; in the first tier alone programs are compiled quickly."""
  if request.config.getoption('markexpr') == 'not slow':
    yield
    return
  before = jax.config.read('jax_disable_most_optimizations')
  options_of = compiler.get_compile_options

  def as_users(*arguments, env_options_overrides=None, **more):
    overrides = {'xla_cpu_use_fusion_emitters': True, **(env_options_overrides or {})}
    return options_of(*arguments, env_options_overrides=overrides, **more)
  jax.config.update('jax_disable_most_optimizations', False)
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('JAX_DISABLE_MOST_OPTIMIZATIONS', 'false')
    patch.setenv('XLA_FLAGS', os.environ['XLA_FLAGS'].replace('emitters=false', 'emitters=true'))
    patch.setattr(compiler, 'get_compile_options', as_users)
    yield
  jax.config.update('jax_disable_most_optimizations', before)


@pytest.fixture
def warned(monkeypatch) -> list[str]:
  """The warnings that a test has caused, in their order."""
  messages = []
  monkeypatch.setattr(logging, 'warning', lambda text, *values: messages.append(text % values))
  return messages


@pytest.fixture
def shared_data() -> Path:
  """The folder of real data and weights used for verification; skips where there is none."""
  default = Path(__file__).resolve().parents[2] / 'shared' / 'data'
  root = Path(os.environ.get('VISIONLAB_SHARED', default))
  if not root.is_dir():
    pytest.skip(f'no verification data at {root} (set VISIONLAB_SHARED)')
  return root
