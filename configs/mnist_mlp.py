"""A fully connected network (512 ReLU units) on MNIST (LeCun et al. 1998).

python -m visionlab.train --config=configs/mnist_mlp.py --workdir=runs/mnist_mlp \
    --config.data.root=<folder with the original idx files, or with mnist.npz>
Measured (seed 0, 29 November 2026): 98.22 % test accuracy, trained on 54,000 images, with 6,000 to
choose by; 46 s of CPU time. On all 60,000 it has 98.37 %.
"""

from configs.mnist_cnn import mnist


def get_config(variant=''):
  return mnist(variant, dict(name='mlp'))
