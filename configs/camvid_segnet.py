"""SegNet on CamVid's road scenes (Brostow et al. 2009): 11 classes, 367 training images, from
scratch, on a narrow VGG with BatchNorm.

python -m visionlab.train --config=configs/camvid_segnet.py:switches \
    --workdir=runs/camvid_segnet --config.data.root=<folder with camvid_144x192.npz>
The argument is how maps are enlarged: switches, nails, nearest, bilinear or transposed.
Measured after 8 epochs (switches, seed 0, experiments/fcn): mean IoU 21.7 % on the test images.
"""

from configs.camvid_fcn import camvid
from visionlab.config import check_choice
from visionlab.models.segnet import UNPOOLS


def get_config(variant='switches'):
  check_choice(variant, ('smoke', *UNPOOLS), 'the argument after the config file')
  if variant == 'smoke':
    return camvid(dict(name='segnet', widths=(4, 8), convs=(1, 2)), variant)
  return camvid(dict(name='segnet', widths=(12, 24, 48, 96, 128), convs=(1, 1, 2, 2, 2),
                     unpool=variant), variant)
