"""Quick thoughts on prose that is on every machine: docstrings of Python, NumPy, SciPy and others.

python -m visionlab.train --config=configs/docs_quick_thoughts.py --workdir=runs/quick_thoughts
"""

from visionlab.config import experiment, is_smoke


def get_config(variant=''):
  smoke = is_smoke(variant, *ENCODERS)
  docs = dict(name='docstrings', length=24, words=5000, least_count=3)
  if smoke:
    docs = dict(name='docstrings', packages=('optax',), length=12, words=100)
  encoder = 'uni' if smoke or not variant else variant
  few = dict(examples=40) if smoke else {}
  return experiment(
      steps=4 if smoke else 1500,
      batch=8 if smoke else 128,
      data=docs | few,
      task=dict(name='quick_thoughts',
                model=dict(name='quick_thoughts', encoder=encoder, width=16 if smoke else 256,
                           embedding=8 if smoke else 96)),
      optim=dict(name='adam', clip=True, schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=2e-3, word_dropout=.3),
      evals=dict(validation=dict(split='validation', every='50%', batch=50,
                                 data=docs | dict(examples=40 if smoke else 1000)),
                 test=dict(split='test', every='100%', batch=50, data=docs | few)))


ENCODERS = ('uni', 'bi', 'combine', 'bag', 'both')
