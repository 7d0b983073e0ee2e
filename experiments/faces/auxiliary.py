"""What pose, smile, glasses, beard and sex bring to landmarks, where there is little to learn from.

Zhang et al. 2014 (TCDCN) report a gain on thousands of photographs. Here are 800, of one kind or
another; the runs of a kind differ in their seed and in the others' weight alone, so that they are
trained in one program.
"""

from collections.abc import Mapping
from pathlib import Path

from configs import faces_landmarks
from experiments import study

FEW = dict(people=100, each=8)
KINDS = {'as they come': {},
         'turned by up to 80 degrees, each partly hidden': dict(yaw=80., occluded=1.)}
WEIGHTS = (0., .02, .1)
UPDATES = 400


def configs(given, kind: str) -> dict:
  """By name, the runs of one kind of photograph."""
  config = faces_landmarks.get_config('smoke' if given.quick else '')
  few = {} if given.quick else FEW
  evals = dict(test=config.evals.test.to_dict())
  steps = given.steps or (config.steps if given.quick else UPDATES)
  made = {}
  for seed in range(given.seeds):
    for weight in WEIGHTS:
      others = {f'hp__{name}_weight': weight for name in faces_landmarks.OTHERS}
      made[f'{weight}/{seed}'] = study.changed(
          config, steps=steps, seed=seed, data_seed=seed, evals=evals,
          data=config.data.to_dict() | few | KINDS[kind], **others)
  return made


def errors(workdirs: Mapping[str, Path]) -> dict[str, list[float]]:
  """By weight, each seed's mean error on people nobody was trained on."""
  return {weight: [study.last(path, 'test/landmarks_nme') for path in paths]
          for weight, paths in study.by_kind(workdirs).items()}


def tasks(given, folder):
  """Errors of landmarks, in % of the distance of the eyes, by the weight of the other tasks"""
  rows = []
  for kind in list(KINDS)[:1] if given.quick else KINDS:
    own = configs(given, kind)
    workdirs = study.run_together(own, folder / 'tasks' / kind)
    found = errors(dict(zip(own, workdirs, strict=True)))
    alone, strong = (found[str(WEIGHTS[i])] for i in (0, -1))
    gains = [a - b for a, b in zip(alone, strong, strict=True)]
    rows.append({'photographs': kind, **{
        f'weight {weight}': study.spread(values, 1) for weight, values in found.items()},
        f'gain by {WEIGHTS[-1]}, of each seed': study.spread(gains, 1)})
  return rows
