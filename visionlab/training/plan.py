"""What a config asks for, found to make sense as a whole before anything is trained or written."""

from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from visionlab import build
from visionlab.config import whole
from visionlab.training.due import Schedule
from visionlab.training.evaluation import Evaluations
from visionlab.weights.fit import adopt_options


class Plan(NamedTuple):
  config: ConfigDict         # whole, with what the weights that it starts from say of themselves
  job: build.Job
  evaluations: Evaluations
  schedule: Schedule

  @classmethod
  def of(cls, config, workdir: Path) -> 'Plan':
    """Of a run in `workdir`.

    Raises:
      ConfigError: a mistake in the config.
    """
    config = adopt_options(whole(config), workdir)
    job = build.assemble(config)
    evaluations = Evaluations(config, job.task, job.mesh, job.total, job.steps)
    evaluations.check_facts(job.facts)
    return cls(config, job, evaluations, Schedule.of(config, job, evaluations))
