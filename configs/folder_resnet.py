"""ResNet-18 on your own pictures: a folder with a sub-folder for each class.

python -m visionlab.train --config=configs/folder_resnet.py --workdir=runs/mine \
    --config.data.root=<folder/class/picture.jpg, or folder/train/class/picture.jpg>
Where there are no folders for the splits, a tenth is held out.
"""

from visionlab.config import experiment, is_smoke


def get_config(variant=''):
  smoke = is_smoke(variant)
  return experiment(
      steps=8 if smoke else '60 epochs',
      batch=8 if smoke else 64,
      data=(dict(name='digits', size=32, channels=3) if smoke
            else dict(name='folder', root='data/pictures', size=256, on_broken='skip')),
      split='train[:90%]',
      pipeline=dict(workers=0 if smoke else 4),
      augment=dict(resized_crop=dict(size=32 if smoke else 224), flip=True,
                   colour=dict(brightness=.3, contrast=.3, saturation=.3, hue=.05)),
      task=dict(name='classify', mean=(.485, .456, .406), std=(.229, .224, .225),
                model=dict(name='resnet', depth=18)),
      precision='float32',
      optim=dict(name='sgd', nesterov=True, schedule=dict(name='cosine', warmup='5%'), ema=True),
      hp=dict(lr=.1, momentum=.9, weight_decay=1e-4, label_smoothing=.1, ema_decay=.999),
      evals=dict(held_out=dict(split='train[97%:]' if smoke else 'train[90%:]',
                               every='50%' if smoke else '10%')),
      checkpoint=dict(best='held_out/accuracy'))
