"""ResNets on CIFAR-10 (He et al. 2015, table 6; error of ResNet-20/32/44/56/110: 8.75, 7.51, 7.17,
6.97, 6.43 %).

python -m visionlab.train --config=configs/cifar10_resnet.py:20 --workdir=runs/cifar10_resnet20 \
    --config.data.root=<folder with the original batches, or with their tar.gz>
Not run at full length yet.
"""

from visionlab.config import experiment, is_smoke


def get_config(variant='20'):
  smoke = is_smoke(variant, '20', '32', '44', '56', '110')
  return experiment(
      steps=20 if smoke else 64000,
      batch=16 if smoke else 128,
      data=(dict(name='digits', size=32, channels=3) if smoke
            else dict(name='cifar10', root='data/cifar10')),
      augment=dict(pad_crop=4, flip=True),
      task=dict(name='classify', mean=(.4914, .4822, .4465), std=(.247, .2435, .2616),
                model=dict(name='cifar_resnet', depth=20 if smoke else int(variant))),
      optim=dict(name='sgd', schedule=dict(name='steps', at=('50%', '75%'), factor=.1),
                 decay='.'),                       # the paper decays every weight
      hp=dict(lr=.1, momentum=.9, weight_decay=1e-4),
      split='train[:90%]',                         # the paper's 45,000 and 5,000
      evals=dict(val=dict(split='train[90%:]', every='50%' if smoke else '5%', batch=500),
                 test=dict(split='test', first=False, batch=500)),
      checkpoint=dict(best='val/accuracy'))
