"""VGG-16 on ImageNet (Simonyan and Zisserman 2014; torchvision's weights have 28.41 % top-1 error,
one crop).

python -m visionlab.train --config=configs/imagenet_vgg16.py --workdir=runs/imagenet_vgg16 \
    --config.data.root=<folder with train/ and val/, a folder for each class in them>
With --config=configs/imagenet_vgg16.py:tfds it reads tensorflow_datasets' imagenet2012
from the data_dir --config.data.root.
--config.task.model.norm=True adds BatchNorm; then hp.lr=.1 is right.
Not run at full length yet.
"""

from visionlab.config import experiment, is_smoke


def get_config(variant=''):
  smoke, tfds = is_smoke(variant, 'tfds'), variant == 'tfds'
  return experiment(
      steps=4 if smoke else '74 epochs',
      batch=8 if smoke else 256,
      data=(dict(name='digits', size=32, channels=3) if smoke
            else dict(name='tfds', dataset='imagenet2012', root='', size=224, crop_fraction=.875)
            if tfds else dict(name='folder', root='data/imagenet', size=224, crop_fraction=.875)),
      pipeline={} if smoke else dict(workers=8, crop=dict(size=224, scale=(.08, 1.))),
      augment=dict(flip=True, colour=dict(brightness=.2, contrast=.2, saturation=.2, hue=0.)),
      task=dict(name='classify', mean=(.485, .456, .406), std=(.229, .224, .225),
                model=dict(name='vgg', depth=11 if smoke else 16, norm=False,
                           hidden=64 if smoke else 4096)),
      precision='float32' if smoke else 'bfloat16',
      optim=dict(name='sgd', schedule=dict(name='steps', at=('33.3%', '66.7%', '88.9%'))),
      hp=dict(lr=.01, momentum=.9, weight_decay=5e-4),
      evals=dict(val=dict(split='test[:40]' if smoke else 'validation' if tfds else 'val',
                          every='50%' if smoke else '5%')),
      checkpoint=dict(best='val/accuracy'))
