"""What RoIAlign brings over RoIPool, and masks to boxes; detectors on scenes and on photographs.

python -m experiments.mask_rcnn [scenes] [--folder=runs/mask_rcnn]
python -m experiments.mask_rcnn cells people --cells=<BCCD> --people=<PennFudanPed> --weights=<file>
"""

from configs import bccd_faster_rcnn, pennfudan_mask_rcnn, scenes_mask_rcnn
from experiments import study

METRICS = {'box AP': 'box_ap', 'box AP50': 'box_ap50', 'mask AP': 'mask_ap',
           'mask AP50': 'mask_ap50', 'recall at .7': 'recall70_at_100'}
SCENES = {'RoIAlign, masks': {}, 'RoIPool, masks': dict(task__model__pooling='pool'),
          'RoIAlign, boxes only': dict(task__model__masks=False,
                                       hp=dict(lr=2e-3, weight_decay=.01))}


def once(config, given, split, batch):
  """Measured at the end alone."""
  every = dict(test=dict(split=split, every='100%', batch=batch))
  return {} if given.quick else dict(evals=every)


def scenes(given, folder):
  """Mask R-CNN on scenes, and what is left of it without RoIAlign or without masks."""
  made = {}
  for seed in range(given.seeds):
    for name, changes in list(SCENES.items())[:1 if given.quick else None]:
      config = scenes_mask_rcnn.get_config(*['smoke'] * given.quick)
      made[f'{name}/{seed}'] = study.changed(
          config, seed=seed, data_seed=seed, **changes, **once(config, given, 'test[:500]', 50),
          **study.steps_of(given))
  return trained('scenes', made, given, folder)


def cells(given, folder):
  """Faster R-CNN on blood cells, from a ResNet-50 trained on ImageNet."""
  return photographs('cells', bccd_faster_rcnn, given, folder, given.cells, 'test', 8)


def people(given, folder):
  """Mask R-CNN on pedestrians, from a ResNet-50 trained on ImageNet."""
  return photographs('people', pennfudan_mask_rcnn, given, folder, given.people, 'all[120:]', 5)


def photographs(name, file, given, folder, root, split, batch):
  made = {}
  for seed in range(given.seeds):
    config = file.get_config(*['smoke'] * given.quick)
    changes = {} if given.quick else dict(data__root=root, init_from=given.weights)
    made[f'{name}/{seed}'] = study.changed(config, seed=seed, data_seed=seed, **changes,
                                           **once(config, given, split, batch))
  return trained(name, made, given, folder)


def trained(part, configs, given, folder):
  """A row for each kind of run, over its seeds; and the pictures that the first run drew itself."""
  workdirs = study.run(configs, folder)
  if given.figure:
    study.picture(next(iter(workdirs.values())) / 'figures' / 'test_samples.png',
                  given.figure.with_name(f'{part}.png'))
  rows = []
  for name, own in study.by_kind(workdirs).items():
    row = {'detector': name, 'runs': len(own)}
    for title, key in METRICS.items():
      there = study.curve(own[0], f'test/{key}')[1]
      row[f'{title}, %'] = study.spread([study.last(p, f'test/{key}') for p in own],
                                        1) if there else '-'
    rows.append(row)
  return rows


PARTS = {f.__name__: f for f in (scenes, cells, people)}


def main(argv=None):
  options = study.parser('mask_rcnn', __doc__, seeds=1)
  study.add_parts(options, PARTS, ['scenes'])
  options.add_argument('--cells', default='data/BCCD', help="the folder of BCCD's images")
  options.add_argument('--people', default='data/PennFudanPed', help='the folder of Penn-Fudan')
  options.add_argument('--weights', default='hf://timm/resnet50.a1_in1k',
                       help='of a ResNet-50, in any form that config.init_from takes; %(default)s')
  options.add_argument('--steps', type=int, help='on scenes; by default those of the config')
  given = study.parse(options, argv, __file__)
  return study.run_parts(PARTS, given)


if __name__ == '__main__':
  study.start(main)
