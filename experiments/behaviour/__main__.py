"""Whose week is it? A CNN beside classical baselines, on incidents that it has never seen.

python -m experiments.behaviour [--seeds=3] [--folder=runs/behaviour_study]
"""

from collections.abc import Mapping

import numpy as np

import visionlab
from configs import behaviour as config
from experiments import study
from experiments.behaviour.baselines import scores_of
from experiments.behaviour.weeks import draw_weeks
from visionlab.data.behaviour.behaviour import KINDS, behaviour, timelines
from visionlab.data.behaviour.incidents import INCIDENTS
from visionlab.measures.alerts import alert_scores

WEEKS = 6


def configs(given) -> dict:
  """By 'network/seed'; the seed is that of the people, too."""
  made = {}
  for seed in range(given.seeds):
    for name in ('whose', 'disturbed'):
      variant = 'smoke' if given.quick else '' if name == 'disturbed' else name
      own = study.changed(config.get_config(variant), seed=seed, data_seed=seed)
      own.data.seed = own.evals.test.data.seed = seed
      if name == 'whose' and given.quick:
        own.data.whose = own.evals.test.data.whose = True
        own.evals.test.metrics = ()
      own.steps = given.steps or own.steps
      made[f'{name}/{seed}'] = own
  return made


def tested(given, seed: int):
  """The test split of a seed, for both networks, and the counts it was made of."""
  options = dict(users=16, history=3) if given.quick else {}
  known = dict(users=240, history=8) | options
  return (behaviour('test', weeks=WEEKS, seed=seed, **options),
          behaviour('test', weeks=WEEKS, seed=seed, whose=True, **options),
          timelines('test', known['users'], known['history'], WEEKS, .15, seed))


def scores(given, seed: int, runs: Mapping[str, visionlab.Run]) -> dict[str, np.ndarray]:
  """How unusual each week of the test is, (n,), by each method."""
  split, whose, lines = tested(given, seed)
  found = scores_of(lines)
  said = runs[f'whose/{seed}'].predict(whose.arrays['image'])['probabilities']
  claimed = said[np.arange(len(said)), whose.arrays['label']]
  found['CNN, improbable user'] = -np.log(np.maximum(claimed, 1e-30))
  logits = runs[f'disturbed/{seed}'].predict(split.arrays['image'])['logits']
  found['CNN, beside history'] = logits[:, 1] - logits[:, 0]
  return found


def row_of(method: str, found: list[dict[str, float]]) -> dict[str, object]:
  """Means over seeds. By kind: AUROC, and in brackets what is found at one false alarm a day."""
  row = {'method': method}
  for title, key in (('AUROC', 'auroc'), ('AP', 'average_precision'), ('found, %', 'found')):
    percent = title.endswith('%')
    row[title] = study.spread([f[key] for f in found], 1 if percent else 3, 100 if percent else 1)
  for kind in INCIDENTS:
    area, share = (np.nanmean([f.get(f'{key} of {kind}', np.nan) for f in found])
                   for key in ('auroc', 'found'))
    row[kind] = f'{area:.3f} ({100 * share:.0f})'
  return row


def main(argv=None):
  options = study.parser('behaviour', __doc__, seeds=3)
  options.add_argument('--steps', type=int, help='updates of each network; 2,000')
  given = study.parse(options, argv, __file__)
  with study.kept_in(given.folder) as folder:
    runs = {name: visionlab.load(path)
            for name, path in study.run(configs(given), folder).items()}
    kept: dict[str, list] = {}
    for seed in range(given.seeds):
      kinds = tested(given, seed)[0].arrays['incident']
      for method, values in scores(given, seed, runs).items():
        kept.setdefault(method, []).append(alert_scores(values, kinds, KINDS, days=7 * WEEKS))
    rows = [row_of(method, found) for method, found in kept.items()]
    print(study.table(rows))
    if given.figure:
      split, _, lines = tested(given, 0)
      draw_weeks(given.figure, runs['disturbed/0'], split, lines)
      study.picture(given.figure, given.figure)
      print(given.figure)
  return rows


if __name__ == '__main__':
  study.start(main)
