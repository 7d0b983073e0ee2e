"""Fixtures every test may use; the devices and flags that all tests share."""

import os
from pathlib import Path

import jax
import pytest

# Before the first computation: eight virtual devices let every way of compiling be compared.
jax.config.update('jax_num_cpu_devices', 8)


@pytest.fixture(scope='module')
def quick_compilation():
  """For tests of tiny networks, most of whose time would go into optimising programs."""
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


@pytest.fixture
def shared_data() -> Path:
  """The folder of real data and weights used for verification; skips where there is none."""
  default = Path(__file__).resolve().parents[2] / 'shared' / 'data'
  root = Path(os.environ.get('VISIONLAB_SHARED', default))
  if not root.is_dir():
    pytest.skip(f'no verification data at {root} (set VISIONLAB_SHARED)')
  return root
