"""From rendered numbers to SVHN with the network and the schedules of Ganin et al. 2016 (table 2).

python -m visionlab.train --config=configs/synnumbers_svhn_dann.py:dann --workdir=runs/syn_svhn \
    --config.data.target.root=<SVHN> --config.evals.target.data.root=<SVHN>
The paper, with 500,000 numbers of its own: 86.74 % on SVHN's test split with `:source`, 91.09 %
with `:dann`, 92.20 % with `:target`. Not run at full length.
"""

from configs.svhn_mnist_dann import svhn_network


def get_config(variant='dann'):
  return svhn_network(
      variant,
      domains=dict(source=dict(name='synnumbers', examples=100_000),
                   target=dict(name='svhn', root='data/svhn')),
      embedded=dict(source=dict(name='synnumbers', examples=64),
                    target=dict(name='digits_m', size=32)))
