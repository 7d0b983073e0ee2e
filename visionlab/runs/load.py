"""Reloading a run from its workdir, in one line."""

from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp

from visionlab.build import build_task
from visionlab.config import ConfigError
from visionlab.paths import local
from visionlab.runs.published import complete, published
from visionlab.runs.run import Run
from visionlab.runs.saved import noted, saved
from visionlab.storage import checkpoint
from visionlab.storage.selection import selected
from visionlab.storage.workdir import member_folder, members_line, outcome
from visionlab.task import Task
from visionlab.weights.files import EXPORT, HUB, HUB_FILES, download, read_weights


def load(workdir: str | Path, *, step: int | str | None = None,
         member: int | str | None = None) -> Run:
  """Reloads a run: its config, its task, its weights, without its data or its optimiser.

  Args:
    workdir: a run's folder; an export (see `visionlab.export`); or weights that another library
      trained, in any form `config.init_from` takes, such as 'resnet50.pth' or 'hf://owner/name'.
    step: a checkpoint's step, 'best' or 'newest'; by default the newest or, where patience ended
      the run, the best (see config.checkpoint). The run says which: `run.which`.
    member: of a sweep, whose folder `workdir` then is: a setting's name or its number.

  Raises:
    ConfigError: there is no run, not that checkpoint, or no network known that the weights are of.

  >>> run = visionlab.load('runs/digits')                                     # doctest: +SKIP
  """
  text = str(workdir)
  if not text:
    raise ConfigError('load: the name of the workdir is empty')
  if text.startswith(HUB):
    workdir = download(text.removeprefix(HUB))
  workdir = local(workdir, 'load').expanduser()
  if member is not None:
    workdir = member_folder(workdir, member)
  if not (workdir / 'data.json').exists():
    if workdir.is_dir() and not any((workdir / name).exists() for name in HUB_FILES[:2]):
      missing = 'data.json' if (workdir / 'config.json').exists() else 'config.json'
      raise ConfigError(f'{workdir}: no run here (there is no {missing})' + members_line(workdir))
    config, facts, task, variables = published(workdir)
    return Run(workdir, config, task, variables, _scalars(task, {}), 0, facts)
  config, facts = saved(workdir)
  if outcome(workdir).get('status') == 'diverged' and (workdir / checkpoint.MEMBER).exists():
    raise ConfigError(f'{workdir}: diverged at step {outcome(workdir)["step"]}; it has no weights')
  task = build_task(config, facts)
  if (workdir / EXPORT).exists():
    if step is not None:
      raise ConfigError(f'{workdir} is an export: it holds one checkpoint, and no {step}')
    variables = jax.device_put(complete(task, facts.example, read_weights(workdir)))
    hp, at = noted(workdir / EXPORT)
    return Run(workdir, config, task, variables, _scalars(task, {**config.hp, **hp}), at, facts)
  at, fields = selected(workdir, step)
  return Run(workdir, config, task, checkpoint.weights_of(fields), fields['hp'], at, facts)


def _scalars(task: Task, hp: Mapping[str, float]) -> dict[str, jax.Array]:
  """The hyperparameters, those of the task that are not among them as it has them."""
  hp = {**task.hyperparameters(), **hp}
  return {k: jnp.float32(v) for k, v in hp.items() if v is not None}
