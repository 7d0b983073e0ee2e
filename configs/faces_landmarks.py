"""Five landmarks of drawn faces, learnt beside pose, smile, glasses, beard and sex (after Zhang et
al. 2014, "Facial landmark detection by deep multi-task learning").

python -m visionlab.train --config=configs/faces_landmarks.py --workdir=runs/faces_landmarks
`:alone` gives the other tasks no weight; `:all68` finds iBUG's 68 points; `:tcdcn` has the paper's
own network.
Measured (seed 0, 150 people nobody was trained on): the mean error is 7.6 % of the distance of the
eyes (two other seeds 7.8; 8.3 % after 2,500 updates), 18.8 % of the images are above 10 %; glasses
99.3 %, male 91.3 %, beard 90.6 %, smile 90.3 %, pose 89.5 %. The mean shape is off by 25 %.
"""

from visionlab.config import experiment, is_smoke

OTHERS = ('pose', 'smile', 'glasses', 'beard', 'male')


OURS = dict(name='multitask', shared=(128,), backbone=dict(name='cnn', widths=(24, 48, 64)))
TCDCN = dict(name='multitask', shared=(100,), act='abs_tanh', backbone=dict(name='tcdcn'))


def get_config(variant=''):
  smoke = is_smoke(variant, 'alone', 'all68', 'tcdcn')
  few = dict(people=20, each=4) if smoke else {}
  data = dict(name='faces', grey=True, points=68 if variant == 'all68' else 5) | few
  return experiment(
      steps=40 if smoke else 4000,
      batch=32 if smoke else 64,
      data=data,
      task=dict(
          name='multitask',
          targets=dict(landmarks=dict(kind='landmarks', mean=20., std=8.),
                       **{name: dict(kind='softmax') for name in OTHERS}),
          mean=(.45,), std=(.25,), model=TCDCN if variant == 'tcdcn' else OURS),
      optim=dict(name='adam', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=2e-3, **{f'{name}_weight': 0. if variant == 'alone' else .02 for name in OTHERS}),
      evals=dict(val=dict(split='validation', every='25%', batch=200),
                 test=dict(split='test', every='100%', batch=200, first=False)),
      checkpoint=dict(best='-val/landmarks_nme'))
