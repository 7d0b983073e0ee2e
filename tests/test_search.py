"""Which settings go on, and which come next: successive halving, search with optuna."""

import math
import statistics

import pytest
from made_up import finish

from configs.digits_cnn import get_config
from launch import programs, search, sweep as command
from launch.trials import Sweep, read_trials
from visionlab.flags.overrides import override
from visionlab.sweeps.settings import grid, log_uniform, named
from visionlab.sweeps.together import Stopped


def pretended(accuracy_of, interrupt_after=math.inf):
  """Instead of `train_together`: every member's accuracy is a function of its config."""
  calls = []

  def train(configs, folder, *, until='100%'):
    calls.append((until, list(configs)))
    if len(calls) > interrupt_after:
      return Stopped(0, 30, True)
    step = round(.3 * float(until.rstrip('%')))
    for name, config in configs.items():
      finish(folder / name, accuracy_of(config), step)
      if step < 30:
        (folder / name / 'outcome.json').unlink()
        (folder / name / 'checkpoints' / str(step)).mkdir(parents=True)
    return Stopped(step, step, False)
  return train, calls


def test_successive_halving_gives_up_the_worse(tmp_path, monkeypatch):
  train, calls = pretended(lambda config: config.hp.lr)
  monkeypatch.setattr(programs, 'train_together', train)
  settings = named(grid({'hp.lr': [.1 * i for i in range(1, 10)]}))
  record = Sweep('configs/digits_cnn.py', {}, 'test/accuracy', settings)
  record.save(tmp_path)
  configs = {name: override(get_config(), s) for name, s in settings.items()}
  programs.train(configs, tmp_path, rungs=command.rungs(3),
                 drop=command.halving(tmp_path, record, 9, 3))
  assert [len(names) for _, names in calls] == [9, 3, 1]
  status = {t.setting['hp.lr']: (t.status, t.step) for t in read_trials(tmp_path, record)}
  assert [s for s, _ in status.values()] == ['pruned'] * 8 + ['done']
  assert [n for _, n in status.values()] == [3] * 6 + [10] * 2 + [30]


@pytest.mark.parametrize('rungs', [[], ['10%', '30%']])
def test_search_goes_on_where_it_was_interrupted(tmp_path, monkeypatch, rungs):
  pytest.importorskip('optuna')
  space = {'hp.lr': log_uniform(1e-4, 1.), 'hp.label_smoothing': (0., .1)}

  def accuracy(config):
    return 1 - abs(math.log10(config.hp.lr / .01)) / 4
  record = Sweep('configs/digits_cnn.py', {}, 'test/accuracy', {})
  options = dict(trials=64, batch=8, rungs=rungs, eta=3)
  train, calls = pretended(accuracy, interrupt_after=1 + len(rungs))
  monkeypatch.setattr(programs, 'train_together', train)
  assert search.run(get_config(), space, tmp_path, record, **options)
  interrupted = calls[-1][1]
  train, calls = pretended(accuracy)
  monkeypatch.setattr(programs, 'train_together', train)
  assert not search.run(get_config(), space, tmp_path, record, **options)
  assert calls[0][1] == interrupted                     # what had been asked for comes first
  trials = read_trials(tmp_path, Sweep.read(tmp_path))
  assert len(trials) == 64 and len({t.setting['hp.lr'] for t in trials}) > 60
  assert {t.status for t in trials} == ({'done', 'pruned'} if rungs else {'done'})
  first, last = (statistics.mean(t.value('test/accuracy') for t in part if t.status == 'done')
                 for part in (trials[:16], trials[-16:]))
  assert last > first                                   # it has learnt from what it was told
