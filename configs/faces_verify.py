"""Verification of drawn faces: of 150 people nobody was trained on, are two photographs of one?

python -m visionlab.train --config=configs/faces_verify.py --workdir=runs/faces_verify
Faces are aligned by their true landmarks; `--config.data.landmarks=runs/faces_landmarks`: by those
that a run finds. `:unaligned` leaves them as they were photographed.
Measured (seed 0, ten folds): 86.6 % of the pairs, area under the curve .940; shown faces aligned by
found landmarks the same network has 85.3 %, .934. Unaligned 86.5 %, .930. HOG: 57.5 %.
"""

from visionlab.config import experiment, is_smoke

NETWORK = dict(embedding=100, mean=(.45,), std=(.25,),
               model=dict(name='cnn', widths=(24, 48, 64), hidden=256))


def get_config(variant=''):
  smoke = is_smoke(variant, 'unaligned')
  faces = dict(name='faces', grey=True)
  few = dict(people=20, each=4) if smoke else {}
  data = faces if variant == 'unaligned' else dict(name='aligned', of=faces | few)
  return experiment(
      steps=40 if smoke else 2000,
      batch=32 if smoke else 64,
      data=data,
      task=dict(name='verify', loss='softmax', **NETWORK),
      optim=dict(name='adamw', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=2e-3, weight_decay=1e-2),
      evals=dict(val=dict(split='validation', every='25%', batch=200),
                 test=dict(split='test', every='100%', batch=200, first=False)),
      checkpoint=dict(best='val/auc'))
