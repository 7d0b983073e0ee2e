"""Verification of real people: a folder with a sub-folder for each, half of whom are held out.

python -m visionlab.train --config=configs/people_verify.py --workdir=runs/people \
    --config.data.root=<folder/person/picture.jpg> --config.init_from=runs/faces_gradients
starts from a run of `configs/faces_verify.py:gradients`. Faces should fill the pictures, as in
AT&T's (ORL), whose folders are read as they are. `:cnn` is the network of `faces_verify:unaligned`;
`:resnet` takes the third stage of a ResNet-50 as it is, and learns in which directions photographs
of one person differ, which then count less; its weights may be torchvision's or timm's (.pth,
.safetensors), Keras' (.npz), hf://owner/name, or another run's.
Measured (AT&T's 20 people, ten learnt from and ten judged, 200 pairs, splits 0, 1, 2): 88, 82 and
85 %, before that 85, 80 and 86; `:resnet` 98.0, 95.5 and 98.5 %, before that 90.0, 91.5 and 93.0;
pixels 89, 86 and 82, HOG 84, 82 and 80, a ResNet-50's own features 90.0, 91.5 and 93.0. `:cnn`,
split 0 alone: 74.5 %, before that 71.0.
"""

from configs.faces_verify import GRADIENTS, NETWORK
from visionlab.config import experiment, is_smoke

DISTURBED = dict(flip=True, affine=dict(degrees=12., translate=.08, scale=(.8, 1.25)),
                 colour=dict(brightness=.4, contrast=.5, saturation=0., hue=0.),
                 blur=dict(sigma=(.1, 1.5), p=.5), noise=dict(std=.04, p=.5),
                 erase=dict(area=(.02, .15), p=.3))
TURNED = dict(flip=True, affine=dict(degrees=8., translate=.05, scale=(.9, 1.15)),
              colour=dict(brightness=.3, contrast=.3, saturation=0., hue=0.))


def get_config(variant=''):
  smoke = is_smoke(variant, 'cnn', 'resnet')
  resnet = dict(name='resnet', depth=50, head_on='stage3', frozen_norm=True)
  task, augment, steps, size = {
      'cnn': (dict(loss='softmax', **NETWORK), DISTURBED, 300, 40),
      'resnet': (dict(loss='softmax', embedding=0, shrinkage=.1, model=resnet), TURNED, 20, 224),
  }.get(variant, (dict(loss='cosface', **GRADIENTS), TURNED, 150, 40))
  of = dict(name='folder', size=size, channels=3 if variant == 'resnet' else 1)
  return experiment(
      steps=20 if smoke else steps,
      batch=24 if variant == 'resnet' else 32,
      data=dict(name='open_set', held_out=.5, of=dict(name='faces', grey=True, people=8, each=10,
                                                      size=24) if smoke else of),
      augment=augment,
      task=dict(name='verify', **task),
      optim=dict(name='adamw', schedule=dict(name='cosine', warmup='5%'),
                 groups=(dict(match='^people/'), dict(match='.', frozen=True))
                 if variant == 'resnet' else ()),
      hp=dict(lr=5e-4, weight_decay=1e-2),
      evals=dict(test=dict(split='test', every='50%', batch=100)))
