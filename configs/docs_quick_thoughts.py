"""Quick thoughts on prose that is on every machine: docstrings of Python, NumPy, SciPy and others.

python -m visionlab.train --config=configs/docs_quick_thoughts.py --workdir=runs/quick_thoughts
Three seeds, three minutes each on 2 CPU cores that other jobs shared (30 November 2026, Python
3.11, NumPy 2.4, JAX 0.10): by a linear probe 50.4 ± 1.1 % of packages and 69.7 ± 1.5 % of
neighbours are right, where a bag of words has 45.1 and 60.4, an untrained network 25.6 and 60.8;
the sentence that follows is found at rank 267 ± 7 of 3,743 (experiments/sentences).
"""

from visionlab.config import experiment, is_smoke

# 'uni', 'bi' and 'combine' read by recurrent units, which take fifty times as long.
ENCODERS = ('bag', 'uni', 'bi', 'combine', 'both')


def get_config(variant=''):
  smoke = is_smoke(variant, *ENCODERS)
  docs = dict(name='docstrings', length=24, words=5000, least_count=3)
  if smoke:
    docs = dict(name='docstrings', packages=('optax',), length=12, words=100)
  few = dict(examples=40) if smoke else {}
  encoder = 'both' if smoke else variant or 'bag'
  return experiment(
      steps=4 if smoke else 1500,
      batch=8 if smoke else 256,
      data=docs | few,
      task=dict(name='quick_thoughts',
                model=dict(name='quick_thoughts', encoder=encoder, width=16 if smoke else 512,
                           embedding=8 if smoke else 256, spread=.1)),
      optim=dict(name='adam', clip=True, schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=2e-3, word_dropout=.3),
      evals=dict(validation=dict(split='validation', every='50%', batch=64,
                                 data=docs | dict(examples=40 if smoke else 1000)),
                 test=dict(split='test', every='100%', batch=64, data=docs | few)))
