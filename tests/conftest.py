"""Fixtures every test may use; the devices and flags that all tests share."""

import os
import subprocess
import sys
from pathlib import Path

# Networks are tiny here, and most of the time would go into optimising their programs, many of
# which are the same in several tests. XLA's own passes are the same either way (its optimised HLO
# does not change); what is left out is LLVM's. Set before jax is imported; the commands that tests
# start inherit it.
os.environ.setdefault('JAX_DISABLE_MOST_OPTIMIZATIONS', 'true')
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '.1')
# The older of XLA's two ways to make loops of a fusion compiles in half the time. An XLA that no
# longer has it would end the process, so another one is asked first.
OLD_EMITTERS = '--xla_cpu_use_fusion_emitters=false'
if 'XLA_FLAGS' not in os.environ and not subprocess.run(
    [sys.executable, '-c', 'import jax; jax.devices()'], capture_output=True,
    env={**os.environ, 'XLA_FLAGS': OLD_EMITTERS, 'JAX_PLATFORMS': 'cpu'}).returncode:
  os.environ['XLA_FLAGS'] = OLD_EMITTERS

import jax  # noqa: E402
import pytest  # noqa: E402

# Before the first computation: eight virtual devices let every way of compiling be compared.
jax.config.update('jax_num_cpu_devices', 8)


@pytest.fixture(scope='module')
def optimised():
  """For invariants that programs as users have them must keep: optimised ones, and in commands none
  of the flags above at all."""
  before = jax.config.read('jax_disable_most_optimizations')
  jax.config.update('jax_disable_most_optimizations', False)
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('JAX_DISABLE_MOST_OPTIMIZATIONS', 'false')
    if os.environ.get('XLA_FLAGS') == OLD_EMITTERS:
      patch.delenv('XLA_FLAGS')
    yield
  jax.config.update('jax_disable_most_optimizations', before)


@pytest.fixture
def shared_data() -> Path:
  """The folder of real data and weights used for verification; skips where there is none."""
  default = Path(__file__).resolve().parents[2] / 'shared' / 'data'
  root = Path(os.environ.get('VISIONLAB_SHARED', default))
  if not root.is_dir():
    pytest.skip(f'no verification data at {root} (set VISIONLAB_SHARED)')
  return root
