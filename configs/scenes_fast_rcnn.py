"""Fast R-CNN on the embedded scenes: RoIPool, one head for class and box, trained with the backbone
on the proposals of Selective Search.

python -m visionlab.train --config=configs/scenes_fast_rcnn.py --workdir=runs/scenes_fast_rcnn
Measured (seed 0): AP50 87.5 %, AP 63.6 % on 500 test scenes; 1.9 min of training, 10 ms an image
and 50 for its proposals.
"""

from configs.scenes_faster_rcnn import BACKBONE, scenes_detector


def get_config(variant=''):
  model = dict(name='detector', backbone=BACKBONE, levels=('conv4',), pyramid=0, proposals=False,
               pooling='pool', pool_size=6, hidden=(256,))
  return scenes_detector(variant, 'given', model, box=dict(sample=24, positive_share=1 / 3))
