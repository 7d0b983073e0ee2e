"""SPP-net on the embedded scenes: one pass over the image, and of each proposal a spatial pyramid,
from which only the fully connected layers learn.

python -m visionlab.train --config=configs/scenes_localize.py --workdir=runs/scenes_localize
python -m visionlab.train --config=configs/scenes_spp.py --workdir=runs/scenes_spp
The convolutions are those of the first run, as the paper's are those of an ImageNet classifier.
Measured (seed 0): AP50 86.1 %, AP 61.5 % on 500 test scenes; .7 min of training, 14 ms an image
and 51 for its proposals.
"""

from configs.scenes_faster_rcnn import BACKBONE, scenes_detector
from visionlab.config import is_smoke


def get_config(variant=''):
  model = dict(name='detector', backbone=BACKBONE | dict(frozen_norm=True), levels=('conv4',),
               pyramid=0, proposals=False, pooling='spp', pool_size=6, grids=(3, 2, 1),
               hidden=(256,))
  frozen = (dict(match='backbone/', frozen=True), dict(match='.'))
  return scenes_detector(
      variant, 'given', model, box=dict(sample=24, positive_share=1 / 3),
      init_from='' if is_smoke(variant) else 'runs/scenes_localize',
      optim=dict(name='adamw', groups=frozen, schedule=dict(name='cosine', warmup='5%')))
