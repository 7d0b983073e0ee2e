"""Fixtures every test may use; the devices and flags that all tests share."""

import os
from pathlib import Path

# Networks are tiny here, and most of the time would go into optimising their programs, many of
# which are the same in several tests. XLA's own passes are the same either way (its optimised HLO
# does not change); what is left out is LLVM's. Set before jax is imported; the commands that tests
# start inherit it.
os.environ.setdefault('JAX_DISABLE_MOST_OPTIMIZATIONS', 'true')
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '.1')

import jax
import pytest

# Before the first computation: eight virtual devices let every way of compiling be compared.
jax.config.update('jax_num_cpu_devices', 8)


@pytest.fixture(scope='module')
def optimised():
  """Programs as users have them, here and in commands: for invariants that those must keep."""
  before = jax.config.read('jax_disable_most_optimizations')
  jax.config.update('jax_disable_most_optimizations', False)
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('JAX_DISABLE_MOST_OPTIMIZATIONS', 'false')
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
