"""Scenes and what is said of them in one space: how many of which digits, how large, and where.

python -m visionlab.train --config=configs/scenes_match.py --workdir=runs/scenes_match
Measured (seed 0, 29 November 2026, a single run, beside other work on 2 CPU cores): of 1,000 test
scenes 69.7 % find a sentence of theirs first among all different ones (by chance .3 %), and 48.6 %
of the sentences an image they are true of (.2 %). After 655 updates its learning rate was changed
to end at 1,500 instead of 3,000.
"""

from visionlab.config import experiment, is_smoke


def get_config(variant=''):
  smoke = is_smoke(variant)
  scenes = dict(name='scenes', size=32, objects=(1, 2), visible=.8, scale=(.35, .75), captions=2)
  encoder = dict(name='visionlab.models.segnet:Encoder', convs=(1, 1, 2),
                 widths=(4, 8, 8) if smoke else (24, 48, 128))
  return experiment(
      steps=4 if smoke else 1500,
      batch=8 if smoke else 64,
      data=dict(scenes, examples=40 if smoke else 60_000),
      # What is said of a scene does not depend on its colours.
      augment=dict(colour=dict(brightness=.2, contrast=.2, saturation=.3, hue=.1)),
      task=dict(name='match', mean=(.5,) * 3, std=(.25,) * 3,
                model=dict(name='visual_semantic', backbone=encoder, level='conv3', pool='points',
                           width=16 if smoke else 192, embedding=16 if smoke else 96)),
      optim=dict(name='adamw', clip=True, ema=True, schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=2e-3, weight_decay=.01),
      evals={split: dict(split=split, every='50%', batch=50,
                         data=dict(scenes, examples=40 if smoke else 1000))
             for split in ('validation', 'test')})
