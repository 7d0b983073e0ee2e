"""Fusion over time on `actions`: the hue of a digit that moves, and its movement.

python -m visionlab.train --config=configs/actions_fusion.py --workdir=runs/actions
`:early`, `:late`, `:single`: when the frames are brought together, by default slowly.
`:lstm`: an LSTM over frames; `:fovea`: slowly, the whole at half the resolution beside the centre.
`:flow`: the temporal stream of two; `:found`: on flow that is found in the frames, in each
update anew; beside `:single`, the spatial one:
python -m visionlab.evaluate --workdir=runs/flow,runs/single
`--config.init_from=runs/single`: from a network of images, its kernels repeated over time, or its
first layer made to see flow; or from ImageNet's weights, with a backbone that is in the zoo.
Measured (three seeds, `--config.steps=750`), hue and movement both right: slow 99.0 %, late 98.4,
early 97.8, fovea 93.3 (at 64 x 64 pixels 98.9, slow 98.6, one seed), LSTM 30.8, single 13.0
(movement 12.9: chance), flow 16.7 (hue 16.7: chance), both streams 96.2, by an SVM on their scores
99.9.
"""

from visionlab.config import experiment, is_smoke

FUSIONS = ('early', 'late', 'single', 'slow')
VARIANTS = (*FUSIONS, 'flow', 'found', 'fovea', 'lstm')
FUSION = dict(name='fusion', hidden=(64,))
EARLY = FUSION | dict(fusion='early')
FOUND = 'lucas_kanade'


def on_actions(variant, *variants, model, sees='video', found='', **data):
  """An experiment on `actions`, of 1,500 updates, or with `smoke` 40 small ones."""
  smoke = is_smoke(variant, *variants)
  few = dict(clips=64, size=16) if smoke else {}
  stream = dict(sees=sees, flow=found) if found else dict(sees=sees)
  return experiment(
      steps=40 if smoke else 1500,
      batch=16 if smoke else 32,
      data=dict(name='actions', label='both') | data | few,
      task=dict(name='clips', **stream, mean=(.4,), std=(.25,),
                model=dict(model, backbone=dict(name='cnn', widths=(16, 24, 32)), dropout=.3)),
      optim=dict(name='adamw', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=3e-3, weight_decay=1e-2),
      evals=dict(val=dict(split='validation', every='50%', batch=125),
                 test=dict(split='test', every='100%', batch=125, first=False)),
      checkpoint=dict(best='val/video@1'))


def get_config(variant=''):
  if variant == 'flow':
    return on_actions(variant, *VARIANTS, model=EARLY, sees='flow', flow=True)
  if variant == 'found':
    return on_actions(variant, *VARIANTS, model=EARLY, sees='flow', found=FOUND)
  if variant == 'lstm':
    return on_actions(variant, *VARIANTS, model=dict(name='frame_lstm'))
  own = dict(fusion=variant) if variant in FUSIONS else dict(fovea=variant == 'fovea')
  return on_actions(variant, *VARIANTS, model=FUSION | own)
