"""GoogLeNet on ImageNet (Szegedy et al. 2014) with BatchNorm, as in torchvision, whose weights have
30.22 % top-1 error, one crop.

python -m visionlab.train --config=configs/imagenet_googlenet.py --workdir=runs/imagenet_googlenet \
    --config.data.root=<folder with train/ and val/, a folder for each class in them>
With --config=configs/imagenet_googlenet.py:tfds it reads tensorflow_datasets' imagenet2012
from the data_dir --config.data.root.
The two auxiliary classifiers count .3 each in training (hp.aux1_weight, hp.aux2_weight).
--config.task.model.norm=local is the paper's network, with response normalisation.
Not run at full length yet.
"""

from configs.imagenet_resnet50 import imagenet


def get_config(variant=''):
  return imagenet(
      variant, steps='90 epochs', batch=256, digits=64,
      model=dict(name='googlenet', norm='batch'),
      augment=dict(flip=True),
      optim=dict(name='sgd', nesterov=True, schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=.1, momentum=.9, weight_decay=1e-4))
