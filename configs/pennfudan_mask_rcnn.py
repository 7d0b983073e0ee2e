"""Mask R-CNN with a feature pyramid on Penn-Fudan's pedestrians: 120 images to learn from, 50 to
test.

python -m visionlab.train --config=configs/pennfudan_mask_rcnn.py --workdir=runs/pennfudan \
    --config.data.root=<PennFudanPed> --config.init_from=<weights of a ResNet>
Measured (seed 0, 20 November 2026, Keras' ResNet-50, a single run) on the 50 test images: box AP50
87.8 %, box AP 55.1 %, mask AP50 80.5 %, mask AP 42.3 %; 13 minutes on 2 CPU cores beside other
jobs.
"""

from configs.bccd_faster_rcnn import FEW_IMAGES
from configs.coco_faster_rcnn import detection


def get_config(variant=''):
  return detection(
      variant, steps='8 epochs', batch=4, split='all[:120]',
      data=dict(name='pennfudan', root='data/PennFudanPed', size=(256, 320)),
      augment=dict(flip=True, scale_jitter=dict(scale=(.8, 1.4))),
      model=dict(levels=('stage2', 'stage3', 'stage4'), pyramid=128, extra=0, hidden=(512,),
                 anchor_sizes=((24, 40), (64, 96), (128, 192)), anchor_ratios=(1.5, 2.5, 4.),
                 canonical_side=112., aligned=True, masks=True, mask_convs=(128, 128),
                 mask_hidden=128),
      rpn=dict(train_pre_nms=500, train_post_nms=300, pre_nms=300, post_nms=100),
      box=dict(sample=64),
      **FEW_IMAGES,
      evals=dict(test=dict(split='all[120:]', every='50%', batch=5)))
