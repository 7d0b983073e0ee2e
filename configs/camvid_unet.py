"""U-Net on CamVid's road scenes (Brostow et al. 2009): 11 classes, 367 training images, from
scratch; or, `:resnet`, from an ImageNet ResNet-50, whose weights config.init_from names.

python -m visionlab.train --config=configs/camvid_unet.py --workdir=runs/camvid_unet \
    --config.data.root=<folder with camvid_144x192.npz>
Measured after 8 epochs (seed 0, experiments/fcn): mean IoU 23.6 % on the test images. With width
12, 36 epochs, the average of the weights and no class weights: 40.5 % on test, 49.5 % on val; with
resnet and Keras' weights, after 10 of its 20 epochs, 48.2 and 59.0 %.
"""

from configs.camvid_fcn import RESNET, camvid, pretrained
from visionlab.config import is_smoke


def get_config(variant=''):
  smoke = is_smoke(variant, 'resnet')
  if variant == 'resnet':
    return pretrained(dict(name='unet', norm=True, width=16, depth=5, backbone=RESNET))
  size = dict(width=4, depth=2) if smoke else dict(width=8)
  return camvid(dict(name='unet', norm=True, **size), variant)
