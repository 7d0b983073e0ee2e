"""ResNets on ImageNet (Deng et al. 2009) as in He et al. 2015; torchvision's one-crop top-1 error
of ResNet-18/34/50/101/152: 30.24, 26.70, 23.85, 22.63, 21.69 %.

python -m visionlab.train --config=configs/imagenet_resnet.py:50 --workdir=runs/imagenet_resnet50 \
    --config.data.root=<folder with train/ and val/, a folder for each class in them>
Not run at full length yet.
"""

from visionlab.config import experiment


def get_config(variant='50'):
  smoke = variant == 'smoke'
  return experiment(
      steps=4 if smoke else '90 epochs',
      batch=8 if smoke else 256,
      data=(dict(name='digits', size=32, channels=3) if smoke
            else dict(name='folder', root='data/imagenet', size=256)),
      pipeline=dict(workers=0 if smoke else 8),
      augment=dict(resized_crop=dict(size=32 if smoke else 224, scale=(.08, 1.)), flip=True),
      task=dict(name='classify', mean=(.485, .456, .406), std=(.229, .224, .225),
                model=dict(name='resnet', depth=18 if smoke else int(variant))),
      precision='bfloat16',
      optim=dict(name='sgd', nesterov=True,
                 schedule=dict(name='steps', at=('33.3%', '66.7%', '88.9%'), warmup='5.6%')),
      hp=dict(lr=.1, momentum=.9, weight_decay=1e-4),
      evals=dict(val=dict(split='test' if smoke else 'val', every='50%' if smoke else '5%')),
      checkpoint=dict(best='val/accuracy'))
