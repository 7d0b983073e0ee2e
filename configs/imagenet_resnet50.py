"""ResNet-50 on ImageNet (He et al. 2015) by the recipe of Goyal et al. 2017, with a cosine schedule
and label smoothing. torchvision's weights of the older recipe have 23.85 % top-1 error, one crop.

python -m visionlab.train --config=configs/imagenet_resnet50.py --workdir=runs/imagenet_resnet50 \
    --config.data.root=<folder with train/ and val/, a folder for each class in them>
With --config=configs/imagenet_resnet50.py:tfds it reads tensorflow_datasets' imagenet2012
from the data_dir --config.data.root.
:1024 sets the batch, and the learning rate with it: .1 for each 256 images. Other depths:
--config.task.model.depth=18|34|101|152.
Not run at full length yet.
"""

from visionlab.config import experiment, is_smoke


def imagenet(variant, *, steps, batch, model, digits=32, **recipe):
  """An experiment with a classifier on ImageNet, from folders or by `tfds` from its files; `smoke`
  takes embedded `digits` of so many pixels. The recipe is the network's own: augment, optim, hp."""
  smoke, tfds = is_smoke(variant, 'tfds'), variant == 'tfds'
  files = (dict(name='tfds', dataset='imagenet2012', root='') if tfds else
           dict(name='folder', root='data/imagenet'))
  return experiment(
      steps=4 if smoke else steps,
      batch=8 if smoke else batch,
      data=(dict(name='digits', size=digits, channels=3) if smoke
            else files | dict(size=224, crop_fraction=.875)),
      pipeline={} if smoke else dict(workers=8, crop=dict(size=224, scale=(.08, 1.))),
      task=dict(name='classify', mean=(.485, .456, .406), std=(.229, .224, .225), model=model),
      precision='float32' if smoke else 'bfloat16',
      evals=dict(val=dict(split='test[:40]' if smoke else 'validation' if tfds else 'val',
                          every='50%' if smoke else '5%')),
      checkpoint=dict(best='val/accuracy'),
      **recipe)


def get_config(variant=''):
  batch = int(variant) if variant.isdigit() else 512
  smoke = is_smoke(variant, 'tfds', str(batch))
  return imagenet(
      '' if variant.isdigit() else variant, steps='90 epochs', batch=batch,
      model=dict(name='resnet', depth=18 if smoke else 50),
      augment=dict(flip=True),
      optim=dict(name='sgd', nesterov=True, schedule=dict(name='cosine', warmup='5.6%')),
      hp=dict(lr=.1 * batch / 256, momentum=.9, weight_decay=1e-4, label_smoothing=.1))
