"""Trains many settings of a config and says which is best.

python -m launch.sweep --config=configs/digits_cnn.py --workdir=runs/sweep
python -m launch.sweep --config=... --workdir=... --set hp.lr=1e-3,3e-3,1e-2 --set seed=0..3
python -m launch.sweep --config=... --workdir=... --random=20 --set 'hp.lr=log_uniform(1e-4,1e-1)'
python -m launch.sweep --config=... --workdir=... --search=40 --set 'hp.lr=log_uniform(1e-4,1e-1)'

Settings are those of the config's `sweep`, of its `sweep_<name>` with --sweep=<name>, or of --set.
Those that differ in hp and seeds alone are trained together, in one compiled program; with
--workers=n each is a process of its own, with --on=slurm a job (see `launch/slurm.py`), with
--on=ray a task (see `launch/ray_cluster.py`). The same command again goes on where it stood: what
has ended is left alone. Each setting has a folder in the workdir, which is that of any run;
results.csv, results.html, figures/ and best.txt say what came of them.
"""

import inspect
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import jax
from absl import flags
from ml_collections import ConfigDict

from launch import clusters, options as flagged, processes, programs, results, trials
from visionlab import build, commandline
from visionlab.config import ConfigError, TrainingError, check_choice, nearest
from visionlab.flags.arguments import module_of
from visionlab.flags.overrides import override
from visionlab.paths import local
from visionlab.storage.workdir import write_members
from visionlab.sweeps import settings as sweeps
from visionlab.sweeps.settings import Choice, Setting


def main(_):
  options = flags.FLAGS
  folder = local(options.workdir, '--workdir')
  base = options.config
  typed = commandline.typed_config()
  apart = '--workers' if options.on == 'here' else f'--on={options.on}'
  if (options.workers or options.on != 'here') and (options.search or options.halving):
    raise ConfigError(f'{apart}: processes of their own are neither searched for nor pruned')
  if options.dry_run and options.on == 'here':
    raise ConfigError('--dry_run: shows what --on=slurm would submit')
  if options.metric:
    check_choice(options.metric.lstrip('-').partition('/')[0], tuple(base.evals), '--metric')
  found = chosen(typed.file, options.sweep, options.set)
  record = trials.Sweep(typed.file, typed.changes,
                        options.metric or trials.choose_metric(base), {})
  if options.search:
    from launch import search  # noqa: PLC0415 - optuna is optional
    space = space_of(found)
    check_scalars(base, [override(base, first(space))])
    search.run(base, space, folder, record, trials=options.search,
               batch=options.at_once or 8, rungs=rungs(options.halving), eta=options.halving)
  else:
    settings = sweeps.named(drawn(found, options.random, options.draw_seed))
    train(base, settings, folder, record, options)
  if not options.dry_run:
    print(results.report(folder))


def train(base: ConfigDict, settings: Mapping[str, Setting], folder: Path, record: trials.Sweep,
          options):
  """Trains the settings, together or as processes.

  Raises:
    ConfigError: a mistake in any of them, before one is begun.
    TrainingError: some failed; the others are done.
  """
  configs = {name: override(base, setting) for name, setting in settings.items()}
  check_scalars(base, configs.values())
  jobs = [processes.Job.train(record.config, {**record.base, **setting}, folder / name)
          for name, setting in settings.items()]
  record = merged(folder, record._replace(settings=settings))
  if options.dry_run:
    print(clusters.description(jobs, folder, options))
    return
  record.save(folder)
  write_members(folder, [folder / name for name in record.settings])
  if options.workers or options.on != 'here':
    failed = clusters.run(jobs, folder, options)
    interrupted = failed is None
    if failed:
      print(results.report(folder))
      raise TrainingError(f'{len(failed)} of {len(jobs)} settings failed:\n' + '\n'.join(
          f'  {name}: {line}' for name, line in failed.items()))
  else:
    interrupted = programs.train(
        configs, folder, at_once=options.at_once, rungs=rungs(options.halving),
        drop=halving(folder, record, len(configs), options.halving) if options.halving else None)
  if interrupted:
    print('interrupted; the same command goes on from there')


def check_scalars(base: ConfigDict, configs: Iterable[ConfigDict]):
  """Raises `ConfigError` for a scalar of config.hp that the base has not and nothing reads, which
  is known only once its task is built."""
  new = next((config for config in configs if set(config.hp) - set(base.hp)), None)
  if new is not None:
    build.assemble(new)


def chosen(file: str, name: str, axes: Sequence[str]):
  """Settings, or a space: what --set says, or a function of the config file."""
  if axes:
    return dict(map(sweeps.parse_axis, axes))
  module = module_of(file.partition(':')[0])
  there = {n.removeprefix('sweep').removeprefix('_'): f for n, f in vars(module).items()
           if (n == 'sweep' or n.startswith('sweep_')) and inspect.isfunction(f)}
  if name not in there:
    raise ConfigError(f'--sweep={name}: {file} has no such sweep{nearest(name, there)}; there are: '
                      f'{", ".join(n or "(the unnamed one)" for n in there) or "none"}; or use '
                      '--set key=value,value')
  return there[name]()


def drawn(found, n: int, seed: int) -> Iterable[Setting]:
  """Settings as they are; of a space all combinations or, where it has ranges, n drawn ones."""
  if not isinstance(found, Mapping):
    if n:
      raise ConfigError('--random: the sweep lists its settings; it needs a space to draw from')
    return found
  ranges = [key for key, values in found.items() if isinstance(values, Choice)]
  if ranges and not n:
    raise ConfigError(f'{ranges[0]}: a range; draw from it with --random=20, or --search=20')
  return sweeps.random(found, n, seed) if n else sweeps.grid(found)


def space_of(found) -> Mapping:
  if not isinstance(found, Mapping):
    raise ConfigError('--search: the sweep lists its settings; it needs a space to search')
  return found


def first(space: Mapping) -> Setting:
  """One of the settings of a space."""
  return {key: values.low if isinstance(values, Choice) else values[0]
          for key, values in space.items()}


def merged(folder: Path, record: trials.Sweep) -> trials.Sweep:
  """`record` with the settings of an earlier sweep in this folder before its own.

  Raises:
    ConfigError: a setting has changed under its name.
  """
  if not (folder / trials.SWEEP).exists():
    return record
  before = trials.Sweep.read(folder)
  for name, setting in record.settings.items():
    if name in before.settings and dict(before.settings[name]) != dict(setting):
      raise ConfigError(f'{folder}: another setting is called {name!r} there')
  return record._replace(settings={**before.settings, **record.settings})


def rungs(eta: int) -> list[str]:
  """Successive halving's durations: a ninth and a third of the training for eta = 3.

  >>> rungs(2)
  ['25.0%', '50.0%']
  """
  return [f'{100 / eta ** r}%' for r in (2, 1)] if eta else []


def halving(folder: Path, record: trials.Sweep, n: int, eta: int) -> programs.Drop:
  """Which of the settings to give up at a rung: of n, one in `eta` stays at the first, and of
  those one in `eta` at the second."""
  def drop(rung: str, left: Sequence[str]) -> Sequence[str]:
    keep = math.ceil(n / eta ** (1 + rungs(eta).index(rung)))
    found = {t.name: t.value(record.metric) for t in trials.read_trials(folder, record)}
    sign = -1 if record.metric.startswith('-') else 1
    best = sorted(left, key=lambda name: (math.isnan(found[name]), -sign * found[name]))
    return best[keep:]
  return drop


def define_flags():
  commandline.config_flag()
  flags.DEFINE_string('workdir', None, 'Folder of the sweep; one that holds some goes on from '
                      'there.', required=True)
  flags.DEFINE_string('sweep', '', 'Which of the config file\'s sweeps.')
  flags.DEFINE_multi_string('set', [], 'key=value,value; key=0..4; key=log_uniform(low,high). '
                            'Several are combined.')
  flags.DEFINE_integer('random', 0, 'Draw that many settings.', lower_bound=0)
  flags.DEFINE_integer('draw_seed', 0, 'Of what is drawn.')
  flags.DEFINE_integer('search', 0, 'Let optuna choose that many settings.', lower_bound=0)
  flags.DEFINE_string('metric', '', 'What is best by; default: config.checkpoint.best, or the '
                      'first evaluation\'s loss. With -, smaller is better.')
  flags.DEFINE_integer('at_once', 0, 'Settings in one program; 0: all that fit together (8 with '
                       '--search).', lower_bound=0)
  flags.DEFINE_integer('halving', 0, 'Successive halving: of the settings one in so many goes on, '
                       'twice.', lower_bound=0)
  flags.DEFINE_integer('workers', 0, 'Each setting in a process, job or task of its own, so many '
                       'at a time; 0 on a cluster: as many as it lets.', lower_bound=0)
  clusters.define_flags()
  flagged.define_dry_run()
  flags.DEFINE_list('devices', [], 'GPUs for the workers, in turn; default: those there are.')
  flagged.define_retries()


def use_all_cores():
  """A CPU's cores as devices of their own, each of which trains its own settings."""
  cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
  jax.config.update('jax_num_cpu_devices', cores)


if __name__ == '__main__':
  define_flags()
  use_all_cores()
  commandline.run(main)
