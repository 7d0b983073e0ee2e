"""Landmarks of faces of your own, as many as they have: 68, 98, 29, ... in a .pts file beside each
photograph, as 300-W's.

python -m visionlab.train --config=configs/own_landmarks.py --workdir=runs/own_landmarks \
    --config.data.root=<folder> --config.init_from=runs/faces_landmarks
A tenth of the photographs is to choose by, a tenth the test; `--config.split=trainset` and the like
name folders instead, as is right where a folder holds mirrored copies. Of other numbers of
landmarks than 5, 68 and 98 `--config.augment.flip.keypoint_pairs="((0, 1), ...)"` says which change
places in a mirror, and `--config.task.targets.landmarks.between="(0, 1)"` whose distance errors are
divided by. Lists and json: `--config.data.name=landmark_list` or `landmark_json`. Not run at full
length.
"""

from visionlab.config import experiment, is_smoke


def get_config(variant=''):
  smoke = is_smoke(variant)
  drawn = dict(name='faces', grey=True, people=20, each=4)
  return experiment(
      steps=20 if smoke else 4000,
      batch=16 if smoke else 64,
      split='train[:80%]',
      data=drawn if smoke else dict(name='landmark_files', channels=1),
      augment=dict(flip=True, affine=dict(degrees=10., translate=.05, scale=(.9, 1.15))),
      task=dict(name='multitask', targets=dict(landmarks=dict(kind='landmarks', mean=20., std=8.)),
                mean=(.45,), std=(.25,),
                model=dict(name='multitask', shared=(128,),
                           backbone=dict(name='cnn', widths=(24, 48, 64)))),
      optim=dict(name='adam', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=2e-3),
      evals=dict(val=dict(split='train[80%:90%]', every='10%', batch=100),
                 test=dict(split='train[90%:]', every='100%', batch=100, first=False)),
      checkpoint=dict(best='-val/landmarks_nme'))
