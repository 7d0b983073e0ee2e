"""Mask R-CNN with a ResNet-50 and a feature pyramid on COCO, 12 epochs (He et al. 2017; torchvision
reports 37.9 box AP and 34.6 mask AP).

python -m visionlab.train --config=configs/coco_mask_rcnn.py --workdir=runs/coco_mask_rcnn \
    --config.data.root=<folder with annotations/, train2017/, val2017/> --config.init_from=<weights>
Not run at full length: no copy of the images was at hand.
"""

from configs import coco_faster_rcnn


def get_config(variant=''):
  return coco_faster_rcnn.get_config(variant, masks=True)
