"""What pretraining is worth when images are few: ResNet-50 on blood cells, or on things of COCO's
photographs, three ways.

python -m experiments.limited_data --root=<BCCD's archive or folder> --weights=<ResNet-50> \
    [--seeds=2] [--folder=runs/limited_data]
python -m experiments.limited_data --root=<COCO128's> --weights=<ResNet-50> --sizes 2 6 12 --size=96
The weights may be in any form that config.init_from takes.
"""

import json
from pathlib import Path

import numpy as np

from configs import folder_finetune
from experiments import study
from experiments.limited_data.crops import crop_objects
from visionlab.config import ConfigError

FROZEN = (dict(match='^head/'), dict(match='.', frozen=True))
FROM_SCRATCH = dict(init_from='', optim__groups=(), task__mean=(.485, .456, .406),
                    task__std=(.229, .224, .225))


def configs(given, pictures: Path):
  made = {}
  for size in given.sizes:
    for seed in range(given.seeds):
      base = folder_finetune.get_config('smoke' if given.quick else '')
      if given.quick:
        # No pretrained weights are at hand: those of the run from scratch stand in.
        common = dict(split='train[:24]', data=dict(name='digits'), task__model=dict(name='cnn'))
        scratch = {}
        pretrained = dict(init_from=str(given.folder / f'from scratch-{size}' / '0'),
                          optim__groups=(FROZEN[0], dict(match='.', lr=.03, start='40%')))
      else:
        common = dict(split=f'train{size}', data__root=str(pictures), data__size=given.size,
                      data__resize='stretch')
        scratch = dict(task__model=dict(name='resnet', depth=50))
        pretrained = dict(init_from=given.weights)
      common |= dict(steps=given.steps, batch=given.batch, seed=seed, data_seed=seed,
                     log__every='20%', evals=dict(test=dict(
                         split='test[:16]' if given.quick else 'test', batch=16)))
      for kind, changes in {'from scratch': FROM_SCRATCH | scratch,
                            'frozen features': pretrained | dict(optim__groups=FROZEN),
                            'fine-tuned': pretrained}.items():
        made[f'{kind}-{size}/{seed}'] = study.changed(base, **common | changes)
  return made


def cut_once(root: Path, pictures: Path, sizes: list[int], **options):
  """Has the pictures cut out, unless they are there. options: of `crop_objects`.

  Raises:
    ConfigError: those that are there are of another root or other sizes: which classes there are
      hangs on both.
  """
  note = pictures.with_name('pictures.json')
  wanted = dict(root=str(root.resolve()), sizes=sorted(sizes))
  if not pictures.exists():
    note.write_text(json.dumps(wanted))
    crop_objects(root, pictures, sizes=sizes, **options)
  there = json.loads(note.read_text()) if note.exists() else wanted
  if there != wanted:
    raise ConfigError(f'{pictures}: cut out of {there["root"]} with --sizes '
                      f'{" ".join(map(str, there["sizes"]))}; give these, or another --folder')


def main(argv=None):
  options = study.parser('limited_data', __doc__, seeds=2)
  options.add_argument('--root', type=Path, help='BCCD or COCO128: its archive, or its folder')
  options.add_argument('--sizes', type=int, nargs='+', default=[2, 8, 32],
                       help='training pictures of each class; 2 8 32')
  options.add_argument('--weights', help='of a ResNet-50 trained on ImageNet')
  options.add_argument('--size', type=int, default=64, help='side of the pictures; %(default)s')
  options.add_argument('--steps', type=int, help='updates of each run; 40')
  options.add_argument('--batch', type=int, help='pictures an update; 12')
  given = study.parse(options, argv, __file__)
  if not given.quick and not (given.root and given.weights):
    options.error('--root and --weights are needed, or --quick')
  given.sizes = given.sizes[:1] if given.quick else given.sizes
  given.steps = given.steps or (2 if given.quick else 40)
  given.batch = given.batch or (8 if given.quick else 12)
  with study.kept_in(given.folder) as given.folder:
    pictures = given.folder / 'pictures'
    if not given.quick:
      cut_once(given.root, pictures, given.sizes)
    workdirs = study.run(configs(given, pictures), given.folder)
    found = {}
    for name, path in workdirs.items():
      kind, size = name.split('/')[0].rsplit('-', 1)
      found.setdefault(kind, {}).setdefault(int(size), []).append(
          study.last(path, 'test/mean_class_accuracy'))
  rows = [{'pictures of each class': size,
           **{f'{kind}, %': study.spread(values[size], 1) for kind, values in found.items()}}
          for size in given.sizes]
  curves = {kind: (given.sizes, 100 * np.array([values[size] for size in given.sizes]).T)
            for kind, values in found.items()}
  return study.report(rows, given.figure, [study.Panel(
      'ResNet-50, from few pictures', 'training pictures of each class',
      'mean accuracy of classes, %', curves, x_log=True)])


if __name__ == '__main__':
  study.start(main)
