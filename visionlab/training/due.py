"""What is due when, in steps."""

from typing import NamedTuple

from visionlab import build
from visionlab.config import whole
from visionlab.parallel.distributed import slowest
from visionlab.storage.saving import at_least_one, check_metric, saving_intervals
from visionlab.training.evaluation import Evaluations

CHUNK_SECONDS = 1.       # of work in one dispatch: how long a signal or a bad loss may go unnoticed


class Schedule(NamedTuple):
  """What is due when, in steps."""
  until: int                     # training ends here, or later goes on from here
  log: int
  save: int
  patience: int                  # see `visionlab.storage.saving.Checkpoints`
  marks: tuple[int, ...]         # no dispatch reaches over a multiple of one of these, ...
  places: tuple[int, ...]        # ... or over one of these

  @classmethod
  def of(cls, config, job: build.Job, evaluations: Evaluations) -> 'Schedule':
    config = whole(config)
    log = at_least_one(job.steps, config.log.every, 'config.log.every')
    if config.checkpoint.best:
      check_metric(config.checkpoint.best, dict.fromkeys(evaluations.sources))
    save, patience = saving_intervals(config.checkpoint, job.steps)
    return cls(job.total, log, save, patience, (log, save, *evaluations.every.values()),
               tuple(config.profile))


def next_stop(step: int, schedule: Schedule, deadline: float) -> int:
  """The first step after `step` at which something other than training is due; `deadline` is when
  the best is too old."""
  return min([schedule.until, deadline, *((step // n + 1) * n for n in schedule.marks),
              *(p for p in schedule.places if p > step)])


def next_size(last: int, rate: float | None) -> int:
  """Steps in the next dispatch: about a second of them, approached from below."""
  return max(1, min(4 * last, int(slowest(rate or 1) * CHUNK_SECONDS)))
