"""Where the settings of a sweep are run, each as a command of its own: here, on SLURM, on Ray."""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from launch import options, processes, ray_cluster, slurm
from launch.processes import Job

flags.disclaim_key_flags()      # what is defined here is shown by --help of who calls

PLACES = ('here', 'slurm', 'ray')


def run(jobs: Sequence[Job], folder: Path, given: flags.FlagValues) -> dict[str, str] | None:
  """Trains those that have not ended: {name: why} of those that failed, None if interrupted."""
  if given.on == 'slurm':
    own = options.read('slurm', slurm.Options)
    executor = slurm.executor_of(folder / 'slurm', own, name=folder.name, at_once=given.workers)
    return slurm.run([slurm.distributed(job, own) for job in jobs], executor,
                     retries=given.retries, watch=given.watch)
  if given.on == 'ray':
    return ray_cluster.run(jobs, options.read('ray', ray_cluster.Options), at_once=given.workers,
                           retries=given.retries)
  return processes.run(jobs, workers=given.workers, devices=given.devices or processes.gpus(),
                       retries=given.retries)


def description(jobs: Sequence[Job], folder: Path, given: flags.FlagValues) -> str:
  """What `run` would do on a cluster."""
  if given.on == 'ray':
    return ray_cluster.description(jobs, options.read('ray', ray_cluster.Options))
  own = options.read('slurm', slurm.Options)
  return slurm.description([slurm.distributed(job, own) for job in jobs], folder / 'slurm', own,
                           name=folder.name, at_once=given.workers)


def define_flags():
  flags.DEFINE_enum('on', 'here', PLACES, 'Where each setting is run, if not in one program.')
  slurm.define_flags()
  ray_cluster.define_flags()
