"""Driving on drawn roads: camera and a coarse map in, a distribution of steering out.

python -m visionlab.train --config=configs/roads_drive.py --workdir=runs/roads_drive
The map shows all roads; with `:route` it shows the way, with `:camera` there is none.
"""

from visionlab.config import experiment, is_smoke

CHARTS = dict(all='all', route='route', camera='none')


def get_config(variant='all'):
  smoke = is_smoke(variant, *CHARTS)
  data = dict(name='roads', **dict(examples=64) if smoke else {})
  return experiment(
      steps=20 if smoke else 2000,
      batch=16 if smoke else 64,
      data=data,
      task=dict(name='drive', chart=CHARTS.get(variant, 'all'), mean=(.4,), std=(.25,),
                model=dict(name='pilotnet', same=True,
                           **dict(widths=(4, 4, 4, 4, 4), hidden=(8,)) if smoke else {})),
      optim=dict(name='adamw', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=1e-3, weight_decay=.01),
      evals=dict(val=dict(split='validation', every='25%', batch=64 if smoke else 256),
                 test=dict(split='test', every='100%', batch=64 if smoke else 256, first=False)),
      checkpoint=dict(best='-val/loss'))
