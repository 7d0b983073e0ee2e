"""Fusion over time on `actions`: the hue of a digit that moves, and its movement.

python -m visionlab.train --config=configs/actions_fusion.py --workdir=runs/actions
`:early`, `:late`, `:single`: when the frames are brought together, by default slowly.
`:flow`: the temporal stream of two; beside `:single`, the spatial one:
python -m visionlab.evaluate --workdir=runs/flow,runs/single
"""

from visionlab.config import experiment, is_smoke

FUSIONS = ('early', 'late', 'single', 'flow')
BACKBONE = dict(name='cnn', widths=(16, 24, 32))


def on_actions(variant, *variants, model, sees='video', **data):
  """An experiment on `actions`, of 1,500 updates, or with `smoke` 40 small ones."""
  smoke = is_smoke(variant, *variants)
  few = dict(clips=64, size=16) if smoke else {}
  return experiment(
      steps=40 if smoke else 1500,
      batch=16 if smoke else 32,
      data=dict(name='actions', label='both') | data | few,
      task=dict(name='clips', sees=sees, mean=(.4,), std=(.25,),
                model=dict(name='fusion', backbone=BACKBONE, hidden=(64,), dropout=.3) | model),
      optim=dict(name='adamw', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=3e-3, weight_decay=1e-2),
      evals=dict(val=dict(split='validation', every='50%', batch=125),
                 test=dict(split='test', every='100%', batch=125, first=False)),
      checkpoint=dict(best='val/video@1'))


def get_config(variant=''):
  if variant == 'flow':
    return on_actions(variant, *FUSIONS, model=dict(fusion='early'), sees='flow', flow=True)
  return on_actions(variant, *FUSIONS,
                    model=dict(fusion=variant if variant in FUSIONS else 'slow'))
