"""Regression: which number a handwritten digit stands for, as a continuous target.

python -m visionlab.train --config=configs/digits_regress.py --workdir=runs/digits_regress
Measured on the test split (seed 0, 29 November 2026): R² 0.911, mean absolute error 0.57, 39 s of
CPU time.
"""

from configs.digits_cnn import on_digits


def get_config(variant=''):
  return on_digits(
      variant,
      augment=dict(pad_crop=1),
      task=dict(name='regress', target='label', target_mean=4.5, target_std=2.9, distance='huber',
                model=dict(name='cnn')),
      optim=dict(name='adam', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=1e-3, huber_delta=1.),
      checkpoint=dict(best='val/r2'))
