"""How long training waits for its data, as metrics.jsonl has it."""

import time

import numpy as np
import pytest
from tiny import config

from visionlab.data.source import Info
from visionlab.train import train
from visionlab.training.ending import last_line
from visionlab.training.log import read_metrics
from visionlab.training.meanings import loss_of_training
from visionlab.training.waiting import Waits


def test_only_the_time_that_batches_take_to_come_is_counted(monkeypatch):
  now = [0.]
  monkeypatch.setattr(time, 'perf_counter', lambda: now[0])

  def batches():
    for i in range(3):
      now[0] += 2.
      yield i
  waits, seen = Waits(), []
  for batch in waits.over(batches()):
    seen.append(batch)
    now[0] += 10.                                   # the step itself
  assert seen == [0, 1, 2]
  assert [waits.taken(), waits.taken()] == [6., 0.]


class Slow:
  """Images that take a while to read, one after another."""
  info = Info(classes=('a', 'b'))

  def __len__(self):
    return 64

  def __getitem__(self, indices):
    time.sleep(.2)
    return {'image': np.zeros((len(indices), 8, 8, 1), np.uint8), 'label': np.int32(indices % 2)}


def slow(split: str):
  return Slow()


def test_slow_data_are_seen_in_every_line_of_training(tmp_path):
  train(config(data=dict(name='test_waiting:slow'), split='all', steps=8, evals={}, batch=8,
               log=dict(every='4', tensorboard=False)), tmp_path)
  waits = [line['train/data_wait_seconds'] for line in read_metrics(tmp_path)]
  assert len(waits) == 2 and waits[0] > .15


@pytest.mark.parametrize('changes, said', [
    ({}, 'loss'), (dict(hp={'label_smoothing': 0.}, augment={'mixup': None}), 'loss'),
    (dict(hp={'label_smoothing': .1}), 'loss (smoothed)'),
    (dict(augment={'cutmix': {}}), 'loss (mixed)'),
    (dict(task=dict(name='classify', class_weights='balanced', focal=True)),
     'loss (weighted, focal)'),
    (dict(task=dict(name='segment', class_weights=(1., 2.))), 'loss')])
def test_a_loss_that_is_another_than_the_measured_one_says_so(changes, said):
  assert loss_of_training(dict(hp={}, augment={}, task=dict(name='classify')) | changes) == said


def test_a_line_of_training_names_its_loss_and_the_file_does_not(tmp_path, capsys):
  train(config(steps=1, hp=dict(lr=.1, label_smoothing=.2), optim=dict(name='sgd'), evals={}),
        tmp_path)
  lines = capsys.readouterr().out.splitlines()
  (own,) = [line for line in lines if line.startswith('step 1/1  loss')]
  assert '  loss (smoothed) ' in own
  assert 'train/loss' in read_metrics(tmp_path)[0]


class Kept:
  best_step, record = 40, -.25


def test_the_last_line_names_the_best_as_it_was_measured(tmp_path):
  assert last_line(dict(best='-test/loss'), Kept, 60, tmp_path) == (
      'done: step 60, best test/loss 0.2500 at step 40')
  assert last_line(dict(best=''), Kept, 60, tmp_path) == 'done: step 60'
  Kept.best_step = None
  assert 'was never a number' in last_line(dict(best='-test/loss'), Kept, 60, tmp_path)
