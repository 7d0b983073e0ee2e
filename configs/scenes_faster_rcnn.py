"""Faster R-CNN on the embedded scenes: which digits are on a photograph, and where.

python -m visionlab.train --config=configs/scenes_faster_rcnn.py --workdir=runs/scenes_faster_rcnn
The last of six detectors on one backbone; the others are scenes_localize, scenes_sliding,
scenes_rcnn, scenes_spp and scenes_fast_rcnn. See experiments/rcnn.
Measured (seed 0): AP50 91.4 %, AP 58.6 % on 500 test scenes; 2.0 min of training on 2 CPU cores,
3.6 ms an image.
"""

from visionlab.config import experiment, is_smoke

BACKBONE = dict(name='visionlab.models.segnet:Encoder', widths=(16, 32, 64, 96),
                convs=(1, 1, 2, 2))
SMALL = dict(name='visionlab.models.segnet:Encoder', widths=(4,) * 4, convs=(1,) * 4)
SEARCH = dict(name='selective_search', scale=2., least_side=8., most=150)


def scenes_detector(variant, proposals, model, *, box, data=(), rpn=None, **options):
  """An experiment on 1,500 scenes of one to three digits, and 500 for testing."""
  smoke = is_smoke(variant)
  given = dict(proposals=SEARCH | (dict(mode='single') if smoke else {})) if (
      proposals == 'given') else {}
  if smoke and 'backbone' in model:
    model = model | dict(backbone=SMALL, hidden=(8,))
  return experiment(**dict(
      steps=2 if smoke else 1500,
      batch=2 if smoke else 8,
      split='train' if smoke else 'train[:1500]',
      data=dict(name='scenes', examples=16 if smoke else 0, size=96, masks=False, objects=(1, 3),
                visible=.85, scale=(.45, .6), contrast=.3) | given | dict(data),
      task=dict(name='detect', mean=(.5,) * 3, std=(.25,) * 3, proposals=proposals, model=model,
                box=dict(score_threshold=.1, most=10) | box, **dict(rpn=rpn) if rpn else {}),
      compile='quick',
      optim=dict(name='adamw', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=2e-3, weight_decay=.01),
      evals=dict(test=dict(split='test' if smoke else 'test[:500]', batch=4 if smoke else 20,
                           every='100%' if smoke else '50%'))) | options)


def get_config(variant=''):
  model = dict(name='detector', backbone=BACKBONE, levels=('conv4',), pyramid=0, rpn_width=64,
               anchor_sizes=((36, 48),), anchor_ratios=(1., 1.6, 2.4), pooling='pool', pool_size=6,
               hidden=(256,))
  return scenes_detector(
      variant, 'rpn', model, box=dict(sample=24, positive_share=1 / 3),
      rpn=dict(sample=64, pre_nms=100, post_nms=50, train_pre_nms=200, train_post_nms=100,
               min_size=2.))
