"""Skip-thoughts on prose that is on every machine: docstrings of Python, NumPy, SciPy and others.

python -m visionlab.train --config=configs/docs_skip_thoughts.py --workdir=runs/skip_thoughts
"""

from visionlab.config import experiment, is_smoke


def get_config(variant=''):
  smoke = is_smoke(variant, *ENCODERS)
  docs = dict(name='docstrings', length=24, words=2500)
  if smoke:
    docs = dict(name='docstrings', packages=('optax',), length=12, words=100)
  few = dict(examples=40) if smoke else {}
  return experiment(
      steps=4 if smoke else 3000,
      batch=8 if smoke else 32,
      data=docs | few,
      task=dict(name='skip_thoughts',
                model=dict(name='skip_thoughts', encoder='uni' if smoke or not variant else variant,
                           width=16 if smoke else 256, embedding=8 if smoke else 96,
                           decoder=8 if smoke else 128)),
      optim=dict(name='adam', clip=True, schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=2e-3),
      evals=dict(validation=dict(split='validation', every='50%', batch=50,
                                 data=docs | dict(examples=40 if smoke else 1000)),
                 test=dict(split='test', every='100%', batch=50, data=docs | few)))


ENCODERS = ('uni', 'bi', 'combine')
