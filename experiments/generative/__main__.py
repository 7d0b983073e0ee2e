"""What keeps a generator from making the same image again and again, and what autoencoders know.

python -m experiments.generative [collapse] [codes] [denoising] [--folder=runs/generative]
"""

from collections.abc import Mapping
from pathlib import Path

import visionlab
from configs import digits_cnn, digits_gan
from experiments import study
from experiments.generative.codes import codes, denoising
from visionlab.figures import charts
from visionlab.figures.drawing import as_picture, below, beside, captioned
from visionlab.storage.workdir import outcome

KINDS: dict[str, dict] = {
    'non-saturating': dict(loss='non_saturating', penalties=()),
    'the same, DiffAugment': dict(loss='non_saturating', penalties=(),
                                  diff_augment=('translation', 'cutout')),
    'hinge, spectral norm': dict(loss='hinge', penalties=(), spectral_norm=True),
    'Wasserstein, slope of 1': dict(loss='wasserstein', penalties=('penalty',)),
    'relativistic': dict(loss='relativistic', penalties=()),
    'relativistic, R1 and R2': dict(loss='relativistic', penalties=('r1', 'r2'))}
COLLAPSED = .5        # the recall below which a generator is said to make few kinds of image
SHOWN = 12            # images of each seed
ZOOM = 4


def collapse(given, folder):
  """Generators of digits, beside the test images in the 64 features of a classifier"""
  features = judge(given, folder)
  found = {kind: study.run_together(configs(given, kind, features), folder / kind)
           for kind in given.kinds}
  some = next(iter(found.values()))[0]
  for name in ('frechet_of_real_halves', 'frechet_of_gaussian'):
    print(f'{name}: {study.last(some, f"test/{name}"):.1f}')
  if given.figure:
    draw(given.figure, found)
    print(given.figure)
  return [row_of(kind, workdirs) for kind, workdirs in found.items()]


def judge(given, folder: Path) -> Path:
  """A classifier of the digits, in whose 64 features images are compared."""
  config = study.changed(digits_cnn.get_config('smoke' if given.quick else ''),
                         task__model__hidden=64, seed=0)
  return study.run({'judge': config}, folder)['judge']


def configs(given, kind: str, features: Path) -> dict:
  """By the name of each seed. They differ in nothing else, so they train in one program."""
  model = dict(name='gan', widths=(4,) if given.quick else (16, 32))
  evals = dict(test=dict(split='test', every='100%' if given.quick else '10%', batch=360,
                         features=str(features)))
  return {f'seed={seed}': study.changed(
      digits_gan.get_config(), steps=given.steps or 600, batch=given.batch, hp__lr=1e-3, seed=seed,
      data_seed=seed, evals=evals, task=dict(name='generate', model=model, **KINDS[kind]))
      for seed in range(given.seeds)}


def row_of(kind: str, workdirs: list[Path]) -> Mapping[str, object]:
  """Of the table: means over the seeds that came to their end, and how many did not do well."""
  whole = [path for path in workdirs if outcome(path)['status'] == 'done']
  ends = {key: [study.last(path, f'test/{key}') for path in whole]
          for key in ('frechet', 'precision', 'recall', 'coverage', 'classes_made')}
  failed = len(workdirs) - len(whole) + sum(x < COLLAPSED for x in ends['recall'])
  return {'': kind, 'Fréchet': study.spread(ends['frechet'], 1, 1),
          'precision': study.spread(ends['precision'], 2, 1),
          'recall': study.spread(ends['recall'], 2, 1),
          'coverage': study.spread(ends['coverage'], 2, 1),
          'digits made': study.spread(ends['classes_made'], 1, 1),
          'collapsed': f'{failed} of {len(workdirs)}'}


def draw(path: Path, found: Mapping[str, list[Path]]) -> None:
  """A block for each kind, with a row for each seed: images that were not chosen."""
  blocks = []
  for kind, workdirs in found.items():
    rows = [beside([as_picture(image, ZOOM) for image in visionlab.load(workdir).sample(SHOWN)],
                   gap=3) for workdir in workdirs]
    blocks.append(captioned(below(rows, gap=3), kind, above=True))
  charts.save(below([beside(blocks[i:i + 2], gap=16) for i in range(0, len(blocks), 2)]), path)
  study.picture(path, path)


PARTS = {f.__name__: f for f in (collapse, codes, denoising)}


def main(argv=None):
  options = study.parser('generative', __doc__, seeds=3)
  options.add_argument('--steps', type=int, help='updates of each network; default: 600, and of '
                       'autoencoders their config\'s')
  options.add_argument('--batch', type=int, help='images an update of a generator; 64')
  options.add_argument('--kinds', nargs='+', choices=list(KINDS), default=list(KINDS))
  study.add_parts(options, PARTS, list(PARTS))
  given = study.parse(options, argv, __file__)
  if given.quick:
    given.kinds, given.steps = given.kinds[2:4], given.steps or 10
  given.batch = given.batch or (8 if given.quick else 64)
  return study.run_parts(PARTS, given)


if __name__ == '__main__':
  study.start(main)
