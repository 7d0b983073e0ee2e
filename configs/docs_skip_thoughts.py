"""Skip-thoughts on prose that is on every machine: docstrings of Python, NumPy, SciPy and others.

python -m visionlab.train --config=configs/docs_skip_thoughts.py --workdir=runs/skip_thoughts
Not run to its end: after 1,100 updates (seed 0, 29 November 2026, Python 3.11, NumPy 2.4, SciPy,
scikit-learn, Matplotlib, JAX 0.10, Flax, Optax, Orbax) perplexity 109.4 of the sentences after and
108.7 of those before, where word frequencies have 231.9 (sentences were not yet cut as they are
now). Thoughts do not find their neighbours; those of docs_quick_thoughts.py do. hp.word_dropout was
not tried.
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
