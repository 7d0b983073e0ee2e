"""FCN-32s, -16s or -8s on CamVid's road scenes (Brostow et al. 2009): 11 classes, 367 training
images, from scratch, on a narrow VGG with BatchNorm; or from an ImageNet ResNet-50.

python -m visionlab.train --config=configs/camvid_fcn.py:8s --workdir=runs/camvid_fcn8 \
    --config.data.root=<folder with camvid_144x192.npz>
`:wide` has stride 4, a wider encoder and the average of the weights; `:resnet` stride 4 on a
ResNet-50, whose weights (config.init_from) may be torchvision's or timm's (.pth, .safetensors),
Keras' (.npz), hf://owner/name, or another run's.
Measured (seed 0), mean IoU on the test and the validation images: with 8s 45.8 and 53.6 %, in about
8 minutes on 2 CPU cores; with wide 46.5 and 55.0 %, in 17 minutes of one; with resnet and Keras'
weights 52.6 and 63.1 %, in 45 minutes of a busy one. With cross-entropy alone, after 8 epochs, over
3 seeds: 32s 32.2, 16s 36.3 and 8s 37.0 % on test (experiments/fcn).
"""

from visionlab.config import ConfigError, experiment, nearest

VARIANTS = dict(smoke=8, wide=4, resnet=4, **{f'{n}s': n for n in (32, 16, 8)})
RESNET = dict(name='resnet', depth=50, frozen_norm=True)
CLASSES = ('sky', 'building', 'pole', 'road', 'pavement', 'tree', 'sign', 'fence', 'car',
           'pedestrian', 'cyclist')
# Square roots of the median frequency over each class's own, in the images that show it.
WEIGHTS = (.53, .45, 2.19, .39, 1., .65, 1.96, 1.41, .89, 2.53, 2.97)


def camvid(model, variant='', **options):
  """An experiment on CamVid; `smoke` replaces the data by embedded scenes."""
  smoke = variant == 'smoke'
  data = (dict(name='scenes', size=32, examples=32) if smoke else
          dict(name='arrays', root='data/camvid', path='camvid_144x192.npz', ignore=11,
               classes=CLASSES))
  weights = {} if smoke else dict(class_weights=WEIGHTS)
  evals = dict(every='50%' if smoke else '20%', batch=16)
  return experiment(**{**dict(
      steps=8 if smoke else '60 epochs',
      batch=8,
      data=data,
      augment=dict(flip=True, resized_crop=dict(scale=(.4, 1.), ratio=(1.2, 1.5)),
                   colour=dict(brightness=.4, contrast=.4, saturation=.4, hue=.03)),
      task=dict(name='segment', mean=(.41, .42, .43), std=(.3, .31, .3), model=model, loss='both',
                **weights),
      optim=dict(name='adamw', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=3e-3, weight_decay=.01),
      evals=dict(val=dict(split='validation' if smoke else 'val', **evals),
                 test=dict(split='test', **evals))), **options})


def get_config(variant='8s'):
  if variant not in VARIANTS:
    raise ConfigError(f'configs/camvid_fcn.py: {variant!r} is not one of {", ".join(VARIANTS)}'
                      f'{nearest(variant, VARIANTS)}')
  if variant == 'resnet':
    return pretrained(dict(name='fcn', backbone=RESNET, stride=VARIANTS[variant], hidden=0))
  wide = variant == 'wide'
  encoder = dict(name='visionlab.models.segnet:Encoder', convs=(1, 1, 2, 2, 2),
                 widths=(16, 32, 64, 128, 160) if wide else (12, 24, 48, 96, 128))
  config = camvid(dict(name='fcn', backbone=encoder, stride=VARIANTS[variant], hidden=0), variant)
  if wide:
    config.steps = '40 epochs'
    config.optim.ema = True
    config.augment.grey = dict(p=.1)
  return config


def pretrained(model):
  """An experiment with a model on `RESNET`, whose first stage stays as it is; the others follow
  slowly."""
  config = camvid(
      model, steps='20 epochs', init_from='hf://timm/resnet50.a1_in1k',
      optim=dict(name='adamw', schedule=dict(name='cosine', warmup='5%'), ema=True, groups=(
          dict(match='^backbone/(stem|stage1)', frozen=True),
          dict(match='^backbone/', lr=.1), dict(match='.'))),
      hp=dict(lr=2e-3, weight_decay=.01))
  config.augment.grey = dict(p=.1)
  return config
