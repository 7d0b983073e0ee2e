"""What augmentation is worth, by the number of training images: configs/digits_cnn.py.

python -m experiments.augmentation [--seeds=5] [--folder=runs/augmentation]
"""

import numpy as np

from configs import digits_cnn
from experiments import study

SIZES = (50, 200, 1438)
KINDS = ('without', 'with')
TESTED = dict(evals=dict(test=dict(split='test', batch=360)), checkpoint={})   # nothing is chosen


def configs(given):
  made = {}
  for size in given.sizes:
    for kind in KINDS:
      for seed in range(given.seeds):
        config = digits_cnn.get_config('smoke' if given.quick else '')
        changes = {} if kind == 'with' else dict(augment={})
        made[f'{kind}-{size}/{seed}'] = study.changed(
            config, steps=given.steps, split=f'train[:{size}]',
            seed=seed, data_seed=seed, **TESTED, **changes)
  return made


def main(argv=None):
  options = study.parser('augmentation', __doc__, seeds=5)
  options.add_argument('--steps', type=int, help='updates of each run; 600')
  given = study.parse(options, argv, __file__)
  given.steps = given.steps or (20 if given.quick else 600)
  given.sizes = SIZES[:1] if given.quick else SIZES
  with study.kept_in(given.folder) as folder:
    workdirs = study.run(configs(given), folder)
    found = {(kind, size): [study.last(workdirs[f'{kind}-{size}/{seed}'], 'test/accuracy')
                            for seed in range(given.seeds)]
             for kind in KINDS for size in given.sizes}
  rows = [{'training images': size,
           **{f'{kind} augmentation, %': study.spread(found[kind, size]) for kind in KINDS}}
          for size in given.sizes]
  curves = {f'{kind} augmentation': (given.sizes, 100 * np.array(
      [found[kind, size] for size in given.sizes]).T) for kind in KINDS}
  return study.report(rows, given.figure, [study.Panel(
      "scikit-learn's digits", 'training images', 'test accuracy, %', curves, x_log=True)])


if __name__ == '__main__':
  study.start(main)
