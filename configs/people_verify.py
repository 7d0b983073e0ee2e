"""Verification of real people: a folder with a sub-folder for each, half of whom are held out.

python -m visionlab.train --config=configs/people_verify.py --workdir=runs/people \
    --config.data.root=<folder/person/picture.jpg> --config.init_from=<weights of a ResNet-50>
The weights may be torchvision's or timm's (.pth, .safetensors), Keras' (.npz), hf://owner/name, or
another run; only the embedding on top of their features is learnt, from people who are none of
those measured. `:drawn` is the small network of `configs/faces_verify.py`, to start from a run of
its `:unaligned`. Faces should fill the pictures, as in AT&T's (ORL), whose folders are read as they
are.
Measured (AT&T's 20 people, ten learnt from and ten judged, seed 0): `:drawn` 74.5 %, before that
71.0 %; pixels 89.0 %. What is learnt on a ResNet-50 has not been measured.
"""

from configs.faces_verify import NETWORK
from visionlab.config import experiment, is_smoke

DISTURBED = dict(flip=True, affine=dict(degrees=12., translate=.08, scale=(.8, 1.25)),
                 colour=dict(brightness=.4, contrast=.5, saturation=0., hue=0.),
                 blur=dict(sigma=(.1, 1.5), p=.5), noise=dict(std=.04, p=.5),
                 erase=dict(area=(.02, .15), p=.3))
TURNED = dict(flip=True, affine=dict(degrees=8., translate=.05, scale=(.9, 1.15)),
              colour=dict(brightness=.3, contrast=.3, saturation=0., hue=0.))


def get_config(variant=''):
  smoke = is_smoke(variant, 'drawn')
  small = smoke or variant == 'drawn'
  pictures = dict(name='folder', size=40 if small else 80, channels=1 if small else 3)
  resnet = dict(name='resnet', depth=50, frozen_norm=True)
  return experiment(
      steps=20 if smoke else 300 if small else 60,
      batch=32 if small else 24,
      data=dict(name='open_set', of=dict(name='digits') if smoke else pictures, held_out=.5),
      augment=DISTURBED if small else TURNED,
      task=dict(name='verify', **(dict(loss='softmax', **NETWORK) if small else dict(
          loss='cosface', embedding=128, model=resnet))),
      optim=dict(name='adamw', schedule=dict(name='cosine', warmup='5%'), groups=() if small else (
          dict(match='^(head|people)/'), dict(match='.', frozen=True))),
      hp=dict(lr=5e-4, weight_decay=1e-2),
      evals=dict(test=dict(split='test', every='50%', batch=100)))
