"""A fully connected network (512 ReLU units) on MNIST (LeCun et al. 1998).

python -m visionlab.train --config=configs/mnist_mlp.py --workdir=runs/mnist_mlp \
    --config.data.root=<folder with the original idx files, or with mnist.npz>
Measured: 98.37 % test accuracy (seed 0), 20 s on 2 CPU cores.
"""

from configs.mnist_cnn import mnist


def get_config(variant=''):
  return mnist(variant, dict(name='mlp'))
