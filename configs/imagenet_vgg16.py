"""VGG-16 on ImageNet (Simonyan and Zisserman 2014; torchvision's weights have 28.41 % top-1 error,
one crop).

python -m visionlab.train --config=configs/imagenet_vgg16.py --workdir=runs/imagenet_vgg16 \
    --config.data.root=<folder with train/ and val/, a folder for each class in them>
With --config=configs/imagenet_vgg16.py:tfds it reads tensorflow_datasets' imagenet2012
from the data_dir --config.data.root.
--config.task.model.norm=True adds BatchNorm; then hp.lr=.1 is right.
Not run at full length yet.
"""

from configs.imagenet_resnet50 import imagenet
from visionlab.config import is_smoke


def get_config(variant=''):
  smoke = is_smoke(variant, 'tfds')
  return imagenet(
      variant, steps='74 epochs', batch=256,
      model=dict(name='vgg', depth=11 if smoke else 16, norm=False, hidden=64 if smoke else 4096),
      augment=dict(flip=True, colour=dict(brightness=.2, contrast=.2, saturation=.2, hue=0.)),
      optim=dict(name='sgd', schedule=dict(name='steps', at=('33.3%', '66.7%', '88.9%'))),
      hp=dict(lr=.01, momentum=.9, weight_decay=5e-4))
