"""R-CNN on the embedded scenes: each proposal of Selective Search is cut out, warped, and goes
through the network by itself.

python -m visionlab.train --config=configs/scenes_rcnn.py --workdir=runs/scenes_rcnn
Measured (seed 0): AP50 95.1 %, AP 80.0 % on 500 test scenes; 72 ms an image and 51
for its proposals.
python -m experiments.rcnn.region_svm --workdir=runs/scenes_rcnn --output=runs/scenes_rcnn_svm
puts SVMs and ridge regressions in the place of the softmax and its boxes: AP50 96.0 %, AP 82.7 %.
"""

from configs.scenes_faster_rcnn import BACKBONE, scenes_detector


def get_config(variant=''):
  model = dict(name='region_cnn', backbone=BACKBONE, level='conv4', side=48, context=4,
               hidden=(256,), dropout=0.)
  return scenes_detector(variant, 'given', model, box=dict(sample=24, positive_share=1 / 3))
