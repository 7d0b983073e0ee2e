"""Two columns of layers, one for handwritten digits and one for digits on photographs, kept alike;
both describe a digit by attributes (after Chen et al. 2015). Ten targets a digit are labelled.

python -m visionlab.train --config=configs/digits_two_column.py:aligned --workdir=runs/two_column
`:apart` does not align the columns. Not run at full length.
"""

from visionlab.config import experiment, is_smoke


def get_config(variant='aligned'):
  smoke = is_smoke(variant, 'aligned', 'apart')
  source, target = (dict(name='digit_attributes', of=of) for of in (
      dict(name='digits', size=28, channels=3), dict(name='digits_m', size=28, zoom=.25)))
  return experiment(
      steps=20 if smoke else 3000,
      batch=16 if smoke else 128,
      data=dict(source=source, target=dict(name='partly_labelled', of=target, per_class=10)),
      task=dict(name='two_column', head='sigmoid', cost='mmd', layers=(), mean=(.32, .32, .32),
                model=dict(name='two_column', backbone=dict(name='cnn'))),
      optim=dict(name='sgd', schedule=dict(name='inverse')),
      hp=dict(lr=.01, momentum=.9, lambda_max=0. if variant == 'apart' else 1.),
      evals=dict(target=dict(split='test', data=target, every='25%', batch=360)))


def sweep():
  for name, strength in (('aligned', 1.), ('apart', 0.)):
    for seed in range(5):
      yield {'name': f'{name}-{seed}', 'hp.lambda_max': strength, 'seed': seed, 'data_seed': seed}
