"""Adaptive search with optuna: a batch of what it asks for is trained in one program.

The search is kept in <workdir>/optuna.journal, and goes on from there: what had been asked for but
not been answered is trained first.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from ml_collections import ConfigDict

from launch import programs
from launch.trials import Sweep, read_trials
from visionlab.config import ConfigError
from visionlab.flags.overrides import override
from visionlab.storage.workdir import write_members
from visionlab.sweeps.settings import Choice, Setting, name_of

JOURNAL = 'optuna.journal'


def run(base: ConfigDict, space: Mapping[str, Choice | Sequence], folder: Path, record: Sweep, *,
        trials: int, batch: int = 8, rungs: Sequence[str] = (), eta: int = 3) -> bool:
  """Searches `space` until there are `trials` settings, `batch` at a time.

  Args:
    record: of the sweep; its settings are added as they are chosen.
    rungs: durations at which optuna's successive halving prunes, one in `eta` goes on.

  Returns:
    Whether it was interrupted.

  Raises:
    ConfigError: optuna is not installed.
  """
  optuna = _optuna()
  study = open_study(optuna, folder, record.metric, eta)
  if (folder / 'sweep.json').exists():
    record = record._replace(settings=Sweep.read(folder).settings)
  while True:
    open_trials = [optuna.trial.Trial(study, t._trial_id) for t in study.get_trials(
        deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))]
    missing = min(trials - len(study.trials), batch - len(open_trials))
    open_trials += [study.ask() for _ in range(missing)]
    if not open_trials:
      return False
    asked = {}
    for trial in open_trials:
      setting = suggested(trial, space)
      asked[f'{trial.number:04},{name_of(setting)}'] = trial, setting
    settings = {name: setting for name, (_, setting) in asked.items()}
    record = record._replace(settings={**record.settings, **settings})
    record.save(folder)
    write_members(folder, [folder / name for name in record.settings])

    def drop(rung: str, left: Sequence[str], asked=asked, record=record) -> list[str]:
      now = {t.name: t.value(record.metric) for t in read_trials(folder, record)}
      for name in left:
        asked[name][0].report(_signed(now[name], record.metric), eta ** rungs.index(rung))
      return [name for name in left if asked[name][0].should_prune()]
    configs = {name: override(base, setting) for name, setting in settings.items()}
    if programs.train(configs, folder, rungs=rungs, drop=drop if rungs else None):
      print('interrupted; the same command goes on from there')
      return True
    for ended in read_trials(folder, record._replace(settings=settings)):
      done = ended.status == 'done'
      study.tell(asked[ended.name][0], _signed(ended.value(record.metric), record.metric)
                 if done else None, state=None if done else optuna.trial.TrialState.PRUNED)


def open_study(optuna, folder: Path, metric: str, eta: int):
  """The folder's study; it always maximises (see `_signed`)."""
  folder.mkdir(parents=True, exist_ok=True)
  backend = optuna.storages.journal.JournalFileBackend(str(folder / JOURNAL))
  study = optuna.create_study(
      study_name=metric, storage=optuna.storages.JournalStorage(backend),
      pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=max(eta, 2)),
      direction='maximize', load_if_exists=True)
  with warnings.catch_warnings():
    warnings.simplefilter('ignore', optuna.exceptions.ExperimentalWarning)
    # What is asked for together should not be all alike, nor what was asked for before again.
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials), constant_liar=True)
  return study


def suggested(trial, space: Mapping[str, Choice | Sequence]) -> Setting:
  """What a trial says for each key; the same whenever it is asked."""
  setting = {}
  for key, values in space.items():
    if isinstance(values, Choice):
      suggest = trial.suggest_int if values.integer else trial.suggest_float
      setting[key] = values.rounded(suggest(key, values.low, values.high, log=values.log))
    else:
      names = [str(v) for v in values]
      setting[key] = values[names.index(trial.suggest_categorical(key, names))]
  return setting


def _signed(value: float, metric: str) -> float:
  return -value if metric.startswith('-') else value


def _optuna():
  try:
    import optuna  # noqa: PLC0415 - optional
  except ImportError:
    raise ConfigError('--search needs optuna: pip install optuna') from None
  optuna.logging.set_verbosity(optuna.logging.WARNING)
  return optuna
