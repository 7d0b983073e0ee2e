"""AlexNet on ImageNet (Krizhevsky et al. 2012; the single-tower form of Krizhevsky 2014, as in
torchvision, whose weights have 43.45 % top-1 error, one crop).

python -m visionlab.train --config=configs/imagenet_alexnet.py --workdir=runs/imagenet_alexnet \
    --config.data.root=<folder with train/ and val/, a folder for each class in them>
With --config=configs/imagenet_alexnet.py:tfds it reads tensorflow_datasets' imagenet2012
from the data_dir --config.data.root.
--config.task.model.towers=2 is the network of 2012, with its groups and response normalisation.
Not run at full length yet.
"""

from visionlab.config import experiment, is_smoke


def get_config(variant=''):
  smoke, tfds = is_smoke(variant, 'tfds'), variant == 'tfds'
  return experiment(
      steps=4 if smoke else '90 epochs',
      batch=8 if smoke else 128,
      data=(dict(name='digits', size=64, channels=3) if smoke
            else dict(name='tfds', dataset='imagenet2012', root='', size=224, crop_fraction=.875)
            if tfds else dict(name='folder', root='data/imagenet', size=224, crop_fraction=.875)),
      pipeline={} if smoke else dict(workers=8, crop=dict(size=224, scale=(.08, 1.))),
      augment=dict(flip=True, colour=dict(brightness=.2, contrast=.2, saturation=.2, hue=0.)),
      task=dict(name='classify', mean=(.485, .456, .406), std=(.229, .224, .225),
                model=dict(name='alexnet', towers=1)),
      precision='float32' if smoke else 'bfloat16',
      optim=dict(name='sgd', schedule=dict(name='steps', at=('33.3%', '66.7%', '88.9%'))),
      hp=dict(lr=.01, momentum=.9, weight_decay=5e-4),
      evals=dict(val=dict(split='test[:40]' if smoke else 'validation' if tfds else 'val',
                          every='50%' if smoke else '5%')),
      checkpoint=dict(best='val/accuracy'))
