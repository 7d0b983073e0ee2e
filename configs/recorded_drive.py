"""Steering from recorded pictures, by PilotNet (Bojarski et al. 2016), beside the constant and the
last command.

python -m visionlab.train --config=configs/recorded_drive.py --workdir=runs/recorded \
    --config.data.root=<folder with driving_log.csv>
`:told` is told the last command as well, and learns what the picture changes about it. Other tables
are options of the source: `--config.data.path=interpolated.csv` (Udacity's real car),
`--config.data.path=data.txt --config.data.images=data` (SullyChen's). The first 70 % of a recording
are learnt from, the next 15 % are to choose by, the last are the test: no frame is in two of them.

Every evaluation reports `rmse`, the network's; `rmse_constant`, that of the one best command of
the same pictures; and `rmse_last`, that of the command one picture before, which at ten pictures
a second is hard to beat for one who only sees. `--config.data.horizon=1` compares with, and tells,
the command of a second before. Who is told it leans on it: how well such a network would drive is
not measured by recordings. Not run at full length.
"""

from visionlab.config import experiment, is_smoke


def get_config(variant=''):
  smoke = is_smoke(variant, 'told')
  return experiment(
      steps=20 if smoke else 4000,
      batch=16 if smoke else 64,
      data=dict(name='roads', examples=64) if smoke else dict(name='driving_log'),
      augment=dict(flip=True, colour=dict(brightness=.3, contrast=.3, saturation=.3, hue=.03)),
      task=dict(name='drive', target_std=0., told=variant == 'told', mean=(.45,), std=(.25,),
                model=dict(name='pilotnet', same=smoke,
                           **(dict(widths=(4, 4, 4, 4, 4), hidden=(8,)) if smoke else {}))),
      optim=dict(name='adamw', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=1e-3, weight_decay=.01),
      evals=dict(val=dict(split='validation', every='10%', batch=64),
                 test=dict(split='test', every='100%', batch=64, first=False)),
      checkpoint=dict(best='-val/rmse'))
