"""Is it them? Weeks of people's work, as images of days by hours, beside their eight weeks before.

python -m visionlab.train --config=configs/behaviour.py --workdir=runs/behaviour
It learns from disturbed weeks of 2,000 people, and is tested on incidents of five kinds among 240
others; it has seen none. `:whose` learns to name the 240 instead: a week is unusual where the user
it is said to be of is improbable. `:autoencoder` learns to make the usual weeks of others' again,
from 32 numbers: what it cannot is unusual. Devices: configs/devices.py.
Measured (three seeds, other people each, 2,000 updates, 4 minutes on 2 busy CPU cores): AUROC .924
(sd .013), 77.8 % (3.3) of incidents at one false alarm a day; `:whose` .720 (.039) and 40.1 %
(4.9); `:autoencoder` .841 (.009) and 51.2 % (2.1). Beside baselines: experiments/behaviour.
"""

from visionlab.config import experiment, is_smoke


def get_config(variant=''):
  smoke = is_smoke(variant, 'whose', 'autoencoder')
  data = dict(name='behaviour', weeks=16) | (dict(users=16, history=3) if smoke else {})
  if variant == 'autoencoder':
    return autoencoder(data)
  if variant == 'whose':
    data = dict(name='behaviour', whose=True)
  return weekly(data, dict(mean=(.05,), std=(.07,)) if variant == 'whose' else
                dict(mean=(.05,) * 18 + (.5,) * 6, std=(.07,) * 24), smoke)


def weekly(data, scale, smoke):
  """A CNN that tells usual from unusual weeks, or whose they are."""
  metric = {} if 'whose' in data else dict(metrics=('visionlab.measures.alerts:weekly_alerts',))
  return experiment(
      steps=20 if smoke else 2000,
      batch=16 if smoke else 128,
      data=data,
      task=dict(name='classify', **scale,
                model=dict(name='cnn', widths=(8,) if smoke else (48, 96),
                           hidden=16 if smoke else 256, dropout=.3)),
      optim=dict(name='adamw', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=1e-3, weight_decay=.01),
      evals=dict(test=dict(split='test', every='25%', batch=240,
                           data=data | dict(weeks=6), **metric)))


def autoencoder(data):
  """How far weeks are from what is usual, made again from 32 numbers."""
  data = data | dict(disturbed=0., groups=('apart',))
  return experiment(
      steps=2000,
      batch=128,
      data=data,
      task=dict(name='reconstruct',
                model=dict(name='autoencoder', codes=32, widths=(), hidden=256)),
      optim=dict(name='adamw', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=1e-3, weight_decay=.01),
      evals=dict(test=dict(split='test', every='25%', batch=240, data=data | dict(weeks=6),
                           metrics=('visionlab.measures.alerts:error_alerts',))))
