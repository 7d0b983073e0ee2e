"""Fine-tuning a pretrained network on your own pictures: a folder with a sub-folder for each class.

python -m visionlab.train --config=configs/folder_finetune.py --workdir=runs/mine \
    --config.data.root=<folder/class/picture.jpg> --config.init_from=<weights>
The weights may be torchvision's or timm's (.pth, .safetensors), Keras' (.npz), hf://owner/name, or
another run; the network's depth and preprocessing are theirs. The head is trained first, then every
stage, the deeper ones at a smaller rate; a fifth of the pictures is held out, and training ends
once those are not recognised better.
"""

from configs.folder_resnet import pictures
from visionlab.config import is_smoke


def get_config(variant=''):
  smoke = is_smoke(variant)
  return pictures(
      variant, steps='20 epochs', batch=16, size=224, held_out=20, every='5%',
      pipeline=dict(workers=0),
      augment=dict(flip=True, affine=dict(degrees=10., translate=.05, scale=(.9, 1.1))),
      task=dict(name='classify', model=dict(name='resnet', frozen_norm=True,
                                            **(dict(depth=18) if smoke else {}))),
      init_from='' if smoke else 'hf://timm/resnet50.a1_in1k',
      optim=dict(name='adamw', schedule=dict(name='cosine', warmup='5%'), groups=(
          dict(match='^head/'),
          dict(match='^stage4/', lr=.03, start='40%'),
          dict(match='^stage3/', lr=.01, start='40%'),
          dict(match='^(stem|stem_norm|stage1|stage2)/', frozen=True))),
      hp=dict(lr=1e-3, weight_decay=1e-2, label_smoothing=.1),
      checkpoint=dict(every='50%' if smoke else '5%', best='-held_out/loss',
                      patience='0' if smoke else '20%'))
