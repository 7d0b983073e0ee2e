"""U-Net on CamVid's road scenes (Brostow et al. 2009): 11 classes, 367 training images, from
scratch.

python -m visionlab.train --config=configs/camvid_unet.py --workdir=runs/camvid_unet \
    --config.data.root=<folder with camvid_144x192.npz>
Not run at full length yet.
"""

from configs.camvid_fcn import camvid
from visionlab.config import is_smoke


def get_config(variant=''):
  size = dict(width=4, depth=2) if is_smoke(variant) else dict(width=8)
  return camvid(dict(name='unet', norm=True, **size), variant)
