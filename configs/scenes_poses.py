"""DeepPose on drawn people: 14 joints by regression, and each anew from its neighbourhood (after
Toshev and Szegedy 2014, "DeepPose: Human pose estimation via deep neural networks").

python -m visionlab.train --config=configs/scenes_poses.py --workdir=runs/scenes_poses
`:three` has a third stage, `:one` only the first.
Measured (`:three`, three seeds): of all limbs of the test's people 93.9 % are found by the first
stage (PCP), 97.4 % by the second, 97.9 % by the third; of forearms 75.7, 88.7 and 90.7 %. A mean
pose finds 46.7 %. See experiments/poses.
Later stages learn from where the stage before really gets to (hp.reached=1), and not, as in the
paper (0), from errors drawn like its own.
"""

from visionlab.config import experiment, is_smoke
from visionlab.ops.joints import MIRRORED

SIZES = {'one': (40,), 'three': (40, 24, 24)}


def get_config(variant=''):
  smoke = is_smoke(variant, *SIZES)
  sizes = SIZES.get(variant, (40, 24))
  return experiment(
      steps=8 if smoke else 1200,
      batch=8 if smoke else 64,
      data=dict(name='scenes', kind='figures', objects=(1, 1), masks=False, visible=.9,
                size=48 if smoke else 96, examples=80 if smoke else 0, keep=True),
      augment=dict(flip=dict(keypoint_pairs=MIRRORED)),
      task=dict(name='pose', sizes=(24, 12) if smoke else sizes, mean=(.5,) * 3, std=(.25,) * 3,
                model=dict(name='cnn', widths=(24, 48, 64), hidden=256)),
      optim=dict(name='adamw', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=1.5e-3, weight_decay=1e-3, reached=1.),
      evals=dict(val=dict(split='validation', every='25%', batch=100),
                 test=dict(split='test', every='100%', batch=100, first=False)))
