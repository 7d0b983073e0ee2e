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

from visionlab.config import experiment, is_smoke


def get_config(variant=''):
  smoke, tfds = is_smoke(variant, 'tfds'), variant == 'tfds'
  return experiment(
      steps=4 if smoke else '90 epochs',
      batch=8 if smoke else 256,
      data=(dict(name='digits', size=64, channels=3) if smoke
            else dict(name='tfds', dataset='imagenet2012', root='', size=224, crop_fraction=.875)
            if tfds else dict(name='folder', root='data/imagenet', size=224, crop_fraction=.875)),
      pipeline={} if smoke else dict(workers=8, crop=dict(size=224, scale=(.08, 1.))),
      augment=dict(flip=True),
      task=dict(name='classify', mean=(.485, .456, .406), std=(.229, .224, .225),
                model=dict(name='googlenet', norm='batch')),
      precision='float32' if smoke else 'bfloat16',
      optim=dict(name='sgd', nesterov=True, schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=.1, momentum=.9, weight_decay=1e-4),
      evals=dict(val=dict(split='test[:40]' if smoke else 'validation' if tfds else 'val',
                          every='50%' if smoke else '5%')),
      checkpoint=dict(best='val/accuracy'))
