"""From rendered numbers to SVHN with the network and the schedules of Ganin et al. 2016 (table 2).

python -m visionlab.train --config=configs/synnumbers_svhn_dann.py:dann --workdir=runs/syn_svhn \
    --config.data.target.root=<SVHN> --config.evals.target.data.root=<SVHN>
The paper, with 500,000 numbers of its own: 86.74 % on SVHN's test split with `:source`, 91.09 %
with `:dann`, 92.20 % with `:target`. Not run at full length.
"""

from visionlab.config import experiment, is_smoke
from visionlab.tasks.adapt import METHODS


def get_config(variant='dann'):
  smoke = is_smoke(variant, *METHODS)
  method = variant if variant in METHODS else 'dann'
  domains = dict(source=dict(name='synnumbers', examples=64 if smoke else 100_000),
                 target=(dict(name='digits_m', size=32) if smoke else
                         dict(name='svhn', root='data/svhn')))
  model = (dict(name='dann_cnn') if smoke else
           dict(name='dann_cnn', network='svhn', dropout=.5))
  return experiment(
      steps=10 if smoke else '100000',
      batch=16 if smoke else 128,
      data=domains,
      task=dict(name='adapt', method=method, mean=(.45, .45, .45), model=model),
      optim=dict(name='sgd', schedule=dict(name='inverse')),
      hp=dict(lr=.01, momentum=.9),
      evals={name: dict(split='test', data=data, every='10%', batch=500)
             for name, data in domains.items()})
