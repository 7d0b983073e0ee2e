"""Simultaneous transfer across domains and tasks (Tzeng et al. 2015) with ten labelled targets a
class: domain confusion and soft labels, from handwritten digits to digits on photographs.

python -m visionlab.train --config=configs/digits_confusion.py:both --workdir=runs/digits_confusion
`:confusion` leaves the soft labels out, `:soft` the confusion, `:few` both: it learns the source's
labels and the few of the target. Soft labels have the authors' weight of .1; confusion has .1 in
place of their .01, as nothing is pretrained here. Not run at full length.
"""

from visionlab.config import experiment, is_smoke

VARIANTS = {'both': (.1, .1), 'confusion': (.1, 0.), 'soft': (0., .1), 'few': (0., 0.)}


def get_config(variant='both'):
  smoke = is_smoke(variant, *VARIANTS)
  confusion, soft = VARIANTS.get(variant, VARIANTS['both'])
  domains = dict(source=dict(name='digits', size=28, channels=3),
                 target=dict(name='digits_m', size=28, zoom=.25))
  return experiment(
      steps=20 if smoke else 3000,
      batch=16 if smoke else 128,
      data=domains | dict(target=dict(name='partly_labelled', of=domains['target'], per_class=10)),
      task=dict(name='adapt', method='confusion', soft_labels=True, mean=(.32, .32, .32),
                model=dict(name='dann_cnn')),
      optim=dict(name='sgd', schedule=dict(name='inverse')),
      hp=dict(lr=.01, momentum=.9, lambda_max=confusion, soft_weight=soft),
      evals={name: dict(split='test', data=data, every='25%', batch=360)
             for name, data in domains.items()})


def sweep():
  for name, (confusion, soft) in VARIANTS.items():
    for seed in range(5):
      yield {'name': f'{name}-{seed}', 'hp.lambda_max': confusion, 'hp.soft_weight': soft,
             'seed': seed, 'data_seed': seed}
