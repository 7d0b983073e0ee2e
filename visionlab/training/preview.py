"""What a command would train, before anything is trained or written."""

from pathlib import Path

import jax

from visionlab.config import to_json
from visionlab.data.balance import class_counts, count_line
from visionlab.data.box_sizes import anchor_line
from visionlab.training.parameters import cost_line, parameter_table, settings_of
from visionlab.training.plan import Plan


def preview(config, workdir: Path) -> str:
  """The whole config with its defaults, the table of parameters, the splits with their classes, and
  the memory of the state.

  Raises:
    ConfigError: whatever training would find wrong before its first step.
  """
  config, job, evaluations, schedule = Plan.of(config, workdir)
  state = job.init()
  job.empty(state)                     # traces a step, which may not fit together
  lines = [to_json(config),
           parameter_table(state.params, settings_of(job.optimizer, state.params, state.hp)),
           cost_line(job, evaluations, state),
           f'state: {bytes_of(state) / 2**20:,.1f} MiB, of it parameters '
           f'{bytes_of(state.params) / 2**20:,.1f} MiB',
           f'train: {config.split}, {job.facts.examples:,} examples, {job.total:,} steps of '
           f'{config.batch}, {"resident" if job.batches.resident else "streamed"}; a line each '
           f'{schedule.log:,} steps, a checkpoint each {schedule.save:,}']
  if job.facts.counts:
    lines.append(f'  {count_line(job.facts.counts, job.facts.info.classes)}')
  if line := anchor_line(job.batches.sources, getattr(job.task, 'model', None)):
    lines.append(f'  {line}')
  for name, source in evaluations.sources.items():
    lines.append(f'{name}: {config.evals[name].split}, {len(source):,} examples, each '
                 f'{evaluations.every[name]:,} steps')
    if counts := class_counts(source):
      lines.append(f'  {count_line(counts, source.info.classes)}')
  return '\n'.join(lines)


def bytes_of(tree) -> int:
  return sum(x.nbytes for x in jax.tree.leaves(tree))
