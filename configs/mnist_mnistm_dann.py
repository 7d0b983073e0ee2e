"""From MNIST to MNIST-M with the network and the schedules of Ganin et al. 2016 (table 2).

python -m visionlab.train --config=configs/mnist_mnistm_dann.py:dann --workdir=runs/mnistm_dann \
    --config.data.source.root=<MNIST> --config.data.target.root=<folder with mnist_m*.npz>
The paper: 52.25 % on MNIST-M's test split with `:source`, 76.66 % with `:dann`, 95.96 % with
`:target`. Measured on a subset of MNIST-M (20,000 training, 5,000 test images): 78.8 ± 1.3 % with
`:dann` after 12,000 updates (3 seeds), 43.8 ± 3.8 % with `:source` after 10,000 (3 seeds), 94.0 %
with `:target` after 3,000 (2 seeds); 100,000 have not been run.
"""

from visionlab.config import experiment, is_smoke
from visionlab.tasks.adapt import METHODS


def get_config(variant='dann'):
  smoke = is_smoke(variant, *METHODS)
  method = variant if variant in METHODS else 'dann'
  if smoke:
    domains = dict(source=dict(name='digits', size=28, channels=3), target=dict(name='digits_m'))
  else:
    domains = dict(source=dict(name='mnist', root='data/mnist', channels=3),
                   target=dict(name='mnist_m', root='data/mnist_m'))
  return experiment(
      steps=20 if smoke else '100000',
      batch=16 if smoke else 128,
      data=domains,
      task=dict(name='adapt', method=method, mean=(.275, .275, .275), model=dict(name='dann_cnn')),
      # Two opponents never settle: the average of the weights reads 10 points more than the last.
      optim=dict(name='sgd', ema=True, schedule=dict(name='inverse')),
      hp=dict(lr=.01, momentum=.9),
      evals={name: dict(split='test', data=data, every='10%', batch=500)
             for name, data in domains.items()})
