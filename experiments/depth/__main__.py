"""What shortcuts are worth: the training loss of plain and residual networks of growing depth.

python -m experiments.depth --root=<folder with CIFAR-10> [--steps=120] [--folder=runs/depth]
"""

import numpy as np

from configs import cifar10_resnet
from experiments import study

DEPTHS = (20, 32, 44, 56)
SHORTCUTS = {'plain': 'none', 'residual': 'A'}


def configs(given):
  made = {}
  for depth in given.depths:
    for kind, shortcut in SHORTCUTS.items():
      for seed in range(given.seeds):
        config = cifar10_resnet.get_config('smoke' if given.quick else str(depth))
        changes = {} if given.quick else dict(data__root=given.root)
        # No evaluation: after so few updates it says nothing that the training loss does not.
        made[f'{kind}-{depth}/{seed}'] = study.changed(
            config, steps=given.steps, batch=given.batch, evals={},
            log__every='4%', optim__schedule=dict(name='cosine', warmup='10%'),
            task__model__shortcut=shortcut, seed=seed, data_seed=seed, **changes)
  return made


def main(argv=None):
  options = study.parser('depth', __doc__, seeds=1)
  options.add_argument('--root', default='data/cifar10', help='the folder with CIFAR-10')
  options.add_argument('--steps', type=int, help='updates of each network; 120')
  options.add_argument('--batch', type=int, help='images an update; 32')
  options.add_argument('--depths', type=int, nargs='+', choices=DEPTHS, default=DEPTHS)
  given = study.parse(options, argv, __file__)
  if given.quick:
    given.depths = DEPTHS[:1]
  given.steps = given.steps or (4 if given.quick else 120)
  given.batch = given.batch or (8 if given.quick else 32)
  with study.kept_in(given.folder) as folder:
    workdirs = study.run(configs(given), folder)
    rows, curves = [], {kind: {} for kind in SHORTCUTS}
    for i, depth in enumerate(given.depths):
      row = {'layers': depth}
      for kind in SHORTCUTS:
        own = [path for name, path in workdirs.items() if name.startswith(f'{kind}-{depth}/')]
        losses = [study.curve(path, 'train/loss') for path in own]
        curves[kind][f'{depth} layers'] = (losses[0][0], [y for _, y in losses],
                                           dict(marker='', color=f'C{i}'))
        # A line of the log is the mean since the one before, a twenty-fifth of training.
        row[f'{kind}: loss'] = study.spread([np.mean(y[-3:]) for _, y in losses], 3, 1.)
        row[f'{kind}: accuracy, %'] = study.spread(
            [np.mean(study.curve(path, 'train/accuracy')[1][-3:]) for path in own], 1)
      rows.append(row)
  return study.report(rows, given.figure, [
      study.Panel(f'CIFAR-10, {kind}', 'update', 'training loss', curves[kind])
      for kind in SHORTCUTS])


if __name__ == '__main__':
  study.start(main)
