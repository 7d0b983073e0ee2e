"""ResNet-18 on your own pictures: a folder with a sub-folder for each class.

python -m visionlab.train --config=configs/folder_resnet.py --workdir=runs/mine \
    --config.data.root=<folder/class/picture.jpg, or folder/train/class/picture.jpg>
Where there are no folders for the splits, a tenth is held out.

The averaged weights are judged with averaged BatchNorm statistics. Cross-entropy of 80 pictures of
20 people (AT&T's, 64 px; 180 updates, lr .05) at a quarter, at half and at the end: 2.636, 2.239,
2.151; with the live statistics instead 2.584, 2.243, 2.160; the live weights 2.806, 2.360, 2.149.
"""

from visionlab.config import experiment, is_smoke


def pictures(variant, *, steps, batch, size, held_out, every, **options):
  """An experiment with a classifier of pictures in folders, of which `held_out` per cent, the last
  ones, are measured `every` so often; `smoke` takes the embedded digits."""
  smoke = is_smoke(variant)
  kept = 100 - held_out
  return experiment(
      steps=8 if smoke else steps,
      batch=8 if smoke else batch,
      data=(dict(name='digits', size=32, channels=3) if smoke
            else dict(name='folder', root='data/pictures', size=size, on_broken='skip')),
      split=f'train[:{kept}%]',
      evals=dict(held_out=dict(split='train[97%:]' if smoke else f'train[{kept}%:]',
                               every='50%' if smoke else every)),
      **options)


def get_config(variant=''):
  smoke = is_smoke(variant)
  return pictures(
      variant, steps='60 epochs', batch=64, size=256, held_out=10, every='10%',
      pipeline=dict(workers=0 if smoke else 4),
      augment=dict(resized_crop=dict(size=32 if smoke else 224), flip=True,
                   colour=dict(brightness=.3, contrast=.3, saturation=.3, hue=.05)),
      task=dict(name='classify', mean=(.485, .456, .406), std=(.229, .224, .225),
                model=dict(name='resnet', depth=18)),
      precision='float32',
      optim=dict(name='sgd', nesterov=True, schedule=dict(name='cosine', warmup='5%'), ema=True),
      hp=dict(lr=.1, momentum=.9, weight_decay=1e-4, label_smoothing=.1, ema_decay=.999),
      checkpoint=dict(best='held_out/accuracy'))
