"""Generated sources in the pipeline: drawn inside the compiled loop, sliced, added."""

import jax
import numpy as np

from visionlab.data.pipeline import Batches, open_sources
from visionlab.parallel.sharding import data_mesh

OPTIONS = dict(name='scenes', size=32)


def equal(a, b):
  return jax.tree.all(jax.tree.map(lambda x, y: bool(np.array_equal(x, y)), a, b))


def batches(split, **options):
  source = open_sources(OPTIONS, split)
  return Batches(source, batch=4, seed=3, mesh=data_mesh(jax.devices()[:1]), mode='jit', total=9,
                 **options)


def test_a_slice_is_drawn_on_the_device_and_equals_the_streamed_one():
  resident, streamed = batches('train[:50%]'), batches('train[:50%]', resident='never')
  assert resident.resident and not streamed.resident
  (arrays, n), = resident.start(0, 9).take(3)
  assert n == 3
  stream = streamed.start(0, 9)
  feed = jax.jit(resident.feed)
  for step in range(2):
    (batch, _), = stream.take(1)
    assert equal(feed(arrays, step), batch)


def test_splits_are_added_with_their_objects():
  both = open_sources(OPTIONS, 'validation+test')
  validation, test = (open_sources(OPTIONS, split) for split in ('validation', 'test'))
  n = len(validation)
  assert len(both) == n + len(test)
  mixed = both[np.array([n + 1, 0, n + 2])]
  assert equal(jax.tree.map(lambda x: x[[0, 2]], mixed), test[np.array([1, 2])])
  assert equal(jax.tree.map(lambda x: x[[1]], mixed), validation[np.array([0])])
