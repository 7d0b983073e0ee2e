"""What averaging several networks is worth: configs/digits_cnn.py on 100 training digits.

python -m experiments.ensembles [--seeds=10] [--folder=runs/ensembles]
"""

import numpy as np

import visionlab
from configs import digits_cnn
from experiments import study
from visionlab.evaluate import evaluate

LARGEST = 5
TESTED = dict(evals=dict(test=dict(split='test', batch=360)), checkpoint={})   # nothing is chosen
METRICS = {'accuracy': ('test accuracy, %', 100.), 'loss': ('cross-entropy', 1.),
           'calibration_error': ('calibration error, %', 100.)}


def configs(given):
  return {str(seed): study.changed(
      digits_cnn.get_config('smoke' if given.quick else ''), seed=seed, data_seed=seed,
      steps=given.steps, split=f'train[:{given.images}]', **TESTED)
      for seed in range(given.seeds)}


def teams(members: int, size: int) -> list[range]:
  """Disjoint teams, so that their results are independent: as many as the members make.

  >>> teams(5, 2)
  [range(0, 2), range(2, 4)]
  """
  return [range(i, i + size) for i in range(0, members - size + 1, size)]


def main(argv=None):
  options = study.parser('ensembles', __doc__, seeds=10)
  options.add_argument('--images', type=int, default=100, help='training images; %(default)s')
  options.add_argument('--steps', type=int, help='updates of each run; 600')
  given = study.parse(options, argv, __file__)
  given.steps = given.steps or (20 if given.quick else 600)
  if given.quick:
    given.seeds = 2
  sizes = range(1, min(LARGEST, given.seeds) + 1)
  with study.kept_in(given.folder) as folder:
    runs = [visionlab.load(path) for path in study.run(configs(given), folder).values()]
    found = {size: [evaluate([runs[i] for i in team], 'test')[0]
                    for team in teams(len(runs), size)] for size in sizes}
  rows = [{'networks': size, 'teams': len(found[size]),
           **{title: study.spread([r[key] for r in found[size]], 3 if scale == 1 else 2, scale)
              for key, (title, scale) in METRICS.items()}} for size in sizes]
  panels = []
  for key, (title, scale) in METRICS.items():
    values = {size: [scale * r[key] for r in found[size]] for size in sizes}
    each = [(size, v) for size in sizes for v in values[size]]
    panels.append(study.Panel(
        f"scikit-learn's digits, {given.images} for training", 'networks averaged', title, {
            'each team': (*zip(*each), dict(linestyle='', markersize=3, color='grey')),
            'mean': (sizes, [np.mean(values[size]) for size in sizes])}))
  return study.report(rows, given.figure, panels[:2])


if __name__ == '__main__':
  study.start(main)
