"""Faster R-CNN on drawn people: where on a photograph are faces?

python -m visionlab.train --config=configs/crowds_faster_rcnn.py --workdir=runs/crowds_faster_rcnn
Such a run is what `visionlab.verify --detector=` and the `detector` of dict(name='aligned') take.
Measured (seed 0, 300 test photographs with none, one or two faces of 18 to 45 pixels): AP50 99.8 %,
AP 62.8 %.
"""

from configs.scenes_faster_rcnn import BACKBONE, SMALL
from visionlab.config import experiment, is_smoke


def get_config(variant=''):
  smoke = is_smoke(variant)
  few = dict(examples=8, size=48) if smoke else {}
  return experiment(
      steps=2 if smoke else 800,
      batch=2 if smoke else 8,
      data=dict(name='crowds') | few,
      augment=dict(flip=dict(keypoint_pairs=((0, 1), (3, 4)))),
      task=dict(name='detect', mean=(.4,) * 3, std=(.25,) * 3,
                model=dict(name='detector', backbone=SMALL if smoke else BACKBONE,
                           levels=('conv4',), pyramid=0, rpn_width=64,
                           anchor_sizes=((20, 28, 40),), anchor_ratios=(1.2,), pooling='pool',
                           pool_size=6, hidden=(8,) if smoke else (128,)),
                rpn=dict(sample=64, pre_nms=60, post_nms=20, train_pre_nms=100, train_post_nms=50,
                         min_size=2.),
                box=dict(sample=16, positive_share=.5, score_threshold=.1, most=5)),
      optim=dict(name='adamw', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=2e-3, weight_decay=.01),
      evals=dict(test=dict(split='test', every='100%' if smoke else '50%',
                           batch=4 if smoke else 20, first=False)))
