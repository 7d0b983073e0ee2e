"""From SVHN to MNIST with the network and the schedules of Ganin et al. 2016 (table 2).

python -m visionlab.train --config=configs/svhn_mnist_dann.py:dann --workdir=runs/svhn_mnist_dann \
    --config.data.source.root=<SVHN> --config.data.target.root=<MNIST> \
    --config.evals.source.data.root=<SVHN> --config.evals.target.data.root=<MNIST>
The paper: 54.90 % on MNIST's test split with `:source`, 73.85 % with `:dann`, 99.42 % with
`:target`. Not run at full length.
"""

from visionlab.config import experiment, is_smoke
from visionlab.tasks.adapt import METHODS


def svhn_network(variant, domains, embedded):
  """An experiment with the paper's network for SVHN, from one of the `domains` to the other;
  `smoke` takes those that are `embedded`, and a smaller network."""
  smoke = is_smoke(variant, *METHODS)
  method = variant if variant in METHODS else 'dann'
  domains = embedded if smoke else domains
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


def get_config(variant='dann'):
  return svhn_network(
      variant,
      domains=dict(source=dict(name='svhn', root='data/svhn'),
                   target=dict(name='mnist', root='data/mnist', size=32, channels=3)),
      embedded=dict(source=dict(name='digits_m', size=32),
                    target=dict(name='digits', size=32, channels=3)))
