"""From handwritten digits to digits on photographs, whose labels are not given (Ganin et al. 2016).

python -m visionlab.train --config=configs/digits_dann.py:dann --workdir=runs/digits_dann
`:source` learns from the plain digits alone (the lower bound), `:target` from the labelled
photographs (the upper bound); `:confusion`, `:mmd` and `:coral` are other ways to adapt.
Not run at full length, nor tuned. After 800 steps (seed 0) 65.5 % of the target's test digits are
right with `:source`, 66.0 % with `:dann` and 87.2 % with `:target`.
"""

from visionlab.config import experiment, is_smoke
from visionlab.sweep import grid
from visionlab.tasks.adapt import METHODS

ZOOM = .25                      # of the photographs: small details make the target harder


def get_config(variant='dann'):
  smoke = is_smoke(variant, *METHODS)
  method = variant if variant in METHODS else 'dann'
  domains = dict(source=dict(name='digits', size=28, channels=3),
                 target=dict(name='digits_m', size=28, zoom=ZOOM))
  return experiment(
      steps=20 if smoke else 3000,
      batch=16 if smoke else 128,
      data=domains,
      task=dict(name='adapt', method=method, mean=(.32, .32, .32), model=dict(name='dann_cnn')),
      optim=dict(name='sgd', schedule=dict(name='inverse')),
      hp=dict(lr=.01, momentum=.9),
      evals={name: dict(split='test', data=data, every='25%', batch=360)
             for name, data in domains.items()})


def sweep():
  yield from grid({'hp.lr': (.003, .01, .03), 'seed': range(5)})
