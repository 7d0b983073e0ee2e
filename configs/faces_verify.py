"""Verification of drawn faces: of 150 people nobody was trained on, are two photographs of one?

python -m visionlab.train --config=configs/faces_verify.py --workdir=runs/faces_verify
Faces are aligned by their true landmarks; `--config.data.landmarks=runs/faces_landmarks`: by those
that a run finds. `:unaligned` leaves them as they were photographed. `:gradients` is meant for real
faces: HOG and one linear layer, of people with a skin, who look at the camera.
Measured (ten folds): learnt from and judged by landmarks that a run finds 92.3, 91.4 and 92.7 % of
the pairs, area under the curve .979, .975 and .977 (three seeds); by true landmarks 91.2 %, .969,
and of that network by found ones 89.8 %, .962 (one seed).
Of 1,200 people, without mirroring, after 2,000 updates: 86.6 %, .940; shown faces aligned by found
landmarks that network has 85.3 %, .934; unaligned 86.5 %, .930. HOG: 57.5 %. Real faces
(experiments/faces), trained on drawn ones alone: `:unaligned` 76.0 %, `:gradients` 83.0 %.
"""

from visionlab.config import experiment, is_smoke

FACES = dict(name='faces', grey=True)
NETWORK = dict(embedding=100, mean=(.45,), std=(.25,),
               model=dict(name='cnn', widths=(24, 48, 64), hidden=256))

GRADIENTS = NETWORK | dict(embedding=128, model=dict(name='hog_mlp', hidden=()))
FRONTAL = dict(complexion=.3, people=2000, each=12, yaw=25., pitch=12., roll=8., occluded=.1)
TURNED = dict(flip=True, affine=dict(degrees=5., translate=.05, scale=(.9, 1.25)))


def get_config(variant=''):
  smoke = is_smoke(variant, 'unaligned', 'gradients')
  few = dict(people=20, each=4) if smoke else dict(train_people=2400)
  if variant == 'gradients':
    return verification(FACES | FRONTAL, dict(loss='cosface', **GRADIENTS), 4e-3,
                        steps=1500, batch=128, augment=TURNED)
  return verification(
      FACES | few if variant == 'unaligned' else dict(name='aligned', of=FACES | few),
      dict(loss='softmax', **NETWORK), 2e-3, steps=40 if smoke else 8000, batch=32 if smoke else 64,
      augment=dict(flip=True))


def verification(data, task, lr, **given):
  """An experiment of so many `steps` with a `batch`, and an `augment` if wanted."""
  return experiment(
      data=data,
      task=dict(name='verify', **task),
      optim=dict(name='adamw', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=lr, weight_decay=1e-2),
      evals=dict(val=dict(split='validation', every='25%', batch=200),
                 test=dict(split='test', every='100%', batch=200, first=False)),
      checkpoint=dict(best='val/auc'),
      **given)
