"""Classes are counted without reading images, and evened out by repeating examples."""

import numpy as np
import pytest
from tiny import config

from visionlab import build
from visionlab.config import ConfigError
from visionlab.data.balance import balanced, class_counts, count_line
from visionlab.data.order import batch_indices
from visionlab.data.source import Arrays, Concat, Info, Subset

LABEL = np.repeat(np.arange(4), [50, 20, 7, 0])
SOURCE = Arrays({'label': LABEL, 'image': np.arange(77)}, Info(classes=('a', 'b', 'c', 'd')))


def test_classes_are_counted_in_parts_and_sums_of_sources():
  assert class_counts(SOURCE) == (50, 20, 7, 0)
  assert class_counts(Subset(SOURCE, np.array([0, 60, 76, 76]))) == (1, 1, 2, 0)
  assert class_counts(Concat([SOURCE, SOURCE])) == (100, 40, 14, 0)
  assert class_counts(Arrays({'label': np.zeros((3, 2))}, Info(classes=('a', 'b')))) == ()


def test_in_an_epoch_every_class_is_as_frequent_and_no_example_is_left_out():
  even = balanced(SOURCE, 'here')
  seen = even[np.concatenate([batch_indices(i, 10, len(even), seed=3) for i in range(15)])]
  assert np.bincount(seen['label']).tolist() == [50, 50, 50]
  times = np.bincount(seen['image'], minlength=77)
  for k, (low, high) in enumerate([(1, 1), (2, 3), (7, 8)]):
    assert (times[k == LABEL].min(), times[k == LABEL].max()) == (low, high)


def test_on_the_device_it_gathers_the_same():
  even, indices = balanced(SOURCE, 'here'), np.array([3, 77, 149])
  for key, values in even.gather(even.arrays, indices).items():
    assert np.array_equal(values, even[indices][key])
  assert even.arrays['whole']['image'] is SOURCE.arrays['image']         # and copies nothing


def test_a_source_without_one_label_an_image_is_refused():
  with pytest.raises(ConfigError, match='here: of this source the classes'):
    balanced(Arrays({'target': np.zeros(3)}), 'here')


def test_many_classes_are_shown_in_a_line():
  assert count_line(range(1, 101), [f'c{i}' for i in range(1, 101)], shown=4) == (
      'examples: c100: 100, c99: 99, ..., c2: 2, c1: 1')


@pytest.mark.parametrize('resident', ['always', 'never'])
def test_training_batches_are_even_wherever_the_set_is_kept(resident):
  settings = config(data=dict(name='test_balance:rare'), evals={},
                    pipeline=dict(balance=True, resident=resident), steps=4)
  job = build.assemble(settings)
  assert job.facts.counts == (90, 10)
  stream, seen = job.batches.start(0, 4), []
  for step in range(4):
    (data, _), = stream.take(1)
    seen.append(job.batches.feed(data, np.uint32(step)) if job.batches.feed else data)
  labels = np.concatenate([batch['label'] for batch in seen])
  assert abs(np.bincount(labels) - 64).max() < 20         # of 128; without it 115 and 13
  assert np.array_equal(labels[:32], job.batches.loader(0)['label'])


def rare(split):
  return Arrays({'image': np.zeros((100, 8, 8, 1), np.uint8),
                 'label': (np.arange(100) >= 90).astype(np.int32)}, Info(classes=('a', 'b')))
