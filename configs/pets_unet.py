"""U-Net on the Oxford-IIIT pets (Parkhi et al. 2012): pet, background and the outline between them.

tfds build oxford_iiit_pet --data_dir=<root> --file_format=array_record
python -m visionlab.train --config=configs/pets_unet.py --workdir=runs/pets_unet \
    --config.data.root=<root>
Not run at full length: no copy of the images was at hand.
"""

from visionlab.config import experiment, is_smoke


def get_config(variant=''):
  smoke = is_smoke(variant)
  return experiment(
      steps=8 if smoke else '60 epochs',
      batch=8 if smoke else 32,
      data=(dict(name='scenes', size=32, examples=32) if smoke else
            dict(name='tfds', dataset='oxford_iiit_pet', root='', label_key='', size=160,
                 mask_key='segmentation_mask', mask_offset=-1,
                 mask_classes=('pet', 'background', 'outline'))),
      pipeline=dict(workers=0 if smoke else 4),
      augment=dict(flip=True, resized_crop=dict(size=32 if smoke else 128, scale=(.4, 1.)),
                   colour=dict(brightness=.3, contrast=.3, saturation=.3, hue=.05)),
      task=dict(name='segment', loss='both', mean=(.485, .456, .406), std=(.229, .224, .225),
                model=dict(name='unet', width=4 if smoke else 32, depth=2 if smoke else 4,
                           norm=True)),
      optim=dict(name='adamw', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=1e-3, weight_decay=.01),
      split='train[:90%]',
      evals=dict(val=dict(split='train[90%:]', every='50%' if smoke else '10%', batch=32),
                 test=dict(split='test', first=False, batch=32)),
      checkpoint=dict(best='val/mean_iou'))
