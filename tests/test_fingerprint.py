"""The checksum of checkpoints: the same wherever it is computed, another for any changed bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.storage import fingerprint as fingerprints
from visionlab.storage.fingerprint import fingerprint, on_devices, on_host


def leaves():
  draw = np.random.default_rng(0).normal
  return [jnp.asarray(draw(size=(2, 600, 900)), jnp.float32), jnp.int32(-5), jnp.zeros((0, 3)),
          jnp.array([True, False]), jnp.asarray(draw(size=(7, 5)), jnp.bfloat16)]


def by_definition(arrays):
  """Word by word, in Python's integers."""
  total = 0
  for x in arrays:
    words = np.asarray(x).reshape(-1).view(f'u{x.dtype.itemsize}')
    total = total * 0x9e3779b1 + sum(int(w) * (2 * i + 1) for i, w in enumerate(words))
  return total % 2**32


def test_host_and_devices_compute_the_same(monkeypatch):
  monkeypatch.setattr(fingerprints, 'CHUNK', 100_000)           # some arrays take several
  arrays = leaves()
  expected = by_definition(arrays)
  assert int(on_host([np.asarray(x) for x in arrays])) == int(on_devices(arrays)) == expected
  assert fingerprint({'a': arrays}).dtype == np.uint32 and int(fingerprint(arrays)) == expected
  key = jax.random.key(3)
  assert int(fingerprint([key])) == by_definition([jax.random.key_data(key)])


@pytest.mark.parametrize('bit', [0, 17, 31])
def test_any_changed_bit_changes_it(bit):
  arrays = [np.asarray(x) for x in leaves()]
  whole, changed = int(on_host(arrays)), arrays[0].copy()
  changed.view(np.uint32)[1, 599, 899] ^= np.uint32(1 << bit)
  assert int(on_host([changed, *arrays[1:]])) != whole
