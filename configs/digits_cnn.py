"""A two-layer convolutional network on scikit-learn's handwritten digits (1,797 images of 8 x 8).

python -m visionlab.train --config=configs/digits_cnn.py --workdir=runs/digits
Measured: 99.44 ± 0 % test accuracy (seeds 0 to 2), trained on four fifths of the training split; of
the last fifth, which is to choose by, all are right. 13 s on 2 CPU cores from start to end, 11 s
once compiled.

python -m launch.sweep --config=configs/digits_cnn.py --workdir=runs/digits_sweep --sweep=short
Six learning rates with 300 steps and four seeds each: all 24 settings in one program, 2 min on 2
busy CPU cores. The best setting is named by its mean on the held-out fifth, with what it has on the
test split.
"""

from visionlab.config import experiment, is_smoke
from visionlab.sweeps.settings import grid, log_uniform


def on_digits(variant, **options):
  """An experiment on scikit-learn's digits, of 1,500 updates, or with `smoke` 60 small ones; a
  fifth of the training split is to choose by, and the test split is measured once, at the end."""
  smoke = is_smoke(variant)
  return experiment(
      steps=60 if smoke else 1500,
      batch=32 if smoke else 128,
      data=dict(name='digits'),
      split='train[:80%]',
      evals=dict(val=dict(split='train[80%:]', every='25%', batch=360),
                 test=dict(split='test', first=False, batch=360)),
      **options)


def get_config(variant=''):
  return on_digits(
      variant,
      augment=dict(affine=dict(degrees=10., translate=.12, scale=(.9, 1.1), shear=8.)),
      task=dict(name='classify', model=dict(name='cnn', dropout=.5)),
      optim=dict(name='adamw', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=2e-3, weight_decay=1e-2, label_smoothing=.1),
      checkpoint=dict(best='val/accuracy'))


def sweep():
  yield from grid({'hp.lr': (3e-4, 6e-4, 1e-3, 2e-3, 4e-3, 8e-3), 'seed': range(4)})


def sweep_short():
  """The same, to rank learning rates in a fifth of the time."""
  for setting in sweep():
    yield {**setting, 'steps': '300'}


def sweep_space():
  return {'hp.lr': log_uniform(1e-4, 3e-2), 'hp.weight_decay': log_uniform(1e-4, 1e-1),
          'hp.label_smoothing': (0., .1)}
