"""R-CNN on the embedded scenes: each proposal of Selective Search is cut out, warped, and goes
through the network by itself.

python -m visionlab.train --config=configs/scenes_rcnn.py --workdir=runs/scenes_rcnn
"""

from configs.scenes_faster_rcnn import BACKBONE, scenes_detector


def get_config(variant=''):
  model = dict(name='region_cnn', backbone=BACKBONE, level='conv4', side=48, context=4,
               hidden=(256,), dropout=0.)
  return scenes_detector(variant, 'given', model, box=dict(sample=24, positive_share=1 / 3))
