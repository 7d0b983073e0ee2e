"""FCN-32s, -16s and -8s on PASCAL VOC with VGG-16 (Long et al. 2015, table 3: mean IoU 59.4, 62.4
and 62.7 % on a part of VOC 2011's validation images, trained on those of Hariharan et al. too).

python -m visionlab.train --config=configs/voc_fcn.py:32s --workdir=runs/voc_fcn32 \
    --config.data.root=<VOCdevkit/VOC2012> --config.init_from=hf://timm/vgg16.tv_in1k
python -m visionlab.train --config=configs/voc_fcn.py:16s --workdir=runs/voc_fcn16 \
    --config.data.root=<VOCdevkit/VOC2012> --config.init_from=runs/voc_fcn32
and 8s likewise from 16s. --config.data.masks=SegmentationClassAug reads others' masks.
Not run at full length: no copy of the images was at hand.
"""

from visionlab.config import check_choice, experiment

VARIANTS = {'smoke': 8, '32s': 32, '16s': 16, '8s': 8}


def get_config(variant='32s'):
  check_choice(variant, VARIANTS, 'the argument after the config file')
  smoke = variant == 'smoke'
  backbone = dict(name='vgg', depth=11 if smoke else 16)
  return experiment(
      steps=2 if smoke else '60 epochs',
      batch=2 if smoke else 20,
      # Images have at most 500 x 500 pixels; what 'pad' adds counts nowhere.
      data=(dict(name='scenes', size=32, examples=16) if smoke else
            dict(name='voc', root='data/VOCdevkit/VOC2012', size=512, resize='pad')),
      pipeline=dict(workers=0 if smoke else 8),
      augment=dict(flip=True),
      task=dict(name='segment', mean=(.485, .456, .406), std=(.229, .224, .225),
                model=dict(name='fcn', backbone=backbone, stride=VARIANTS[variant],
                           **(dict(hidden=8) if smoke else {}))),
      precision='float32' if smoke else 'bfloat16',
      optim=dict(name='sgd', groups=(dict(match='bias$', lr=2.), dict(match='.'))),
      hp=dict(lr=1e-3 if variant == '32s' else 1e-4, momentum=.9, weight_decay=5e-4),
      evals=dict(val=dict(split='test' if smoke else 'val', every='50%' if smoke else '10%',
                          batch=16)),
      checkpoint=dict(best='val/mean_iou'))
