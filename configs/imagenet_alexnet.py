"""AlexNet on ImageNet (Krizhevsky et al. 2012; the single-tower form of Krizhevsky 2014, as in
torchvision, whose weights have 43.45 % top-1 error, one crop).

python -m visionlab.train --config=configs/imagenet_alexnet.py --workdir=runs/imagenet_alexnet \
    --config.data.root=<folder with train/ and val/, a folder for each class in them>
With --config=configs/imagenet_alexnet.py:tfds it reads tensorflow_datasets' imagenet2012
from the data_dir --config.data.root.
--config.task.model.towers=2 is the network of 2012, with its groups and response normalisation.
Not run at full length yet.
"""

from configs.imagenet_resnet50 import imagenet


def get_config(variant=''):
  return imagenet(
      variant, steps='90 epochs', batch=128, digits=64,
      model=dict(name='alexnet', towers=1),
      augment=dict(flip=True, colour=dict(brightness=.2, contrast=.2, saturation=.2, hue=0.)),
      optim=dict(name='sgd', schedule=dict(name='steps', at=('33.3%', '66.7%', '88.9%'))),
      hp=dict(lr=.01, momentum=.9, weight_decay=5e-4))
