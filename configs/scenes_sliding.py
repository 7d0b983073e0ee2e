"""A sliding window on the embedded scenes: a classifier with a background class looks at every
place, in nine shapes, and non-maximum suppression keeps the best.

python -m visionlab.train --config=configs/scenes_sliding.py --workdir=runs/scenes_sliding
Measured (seed 0): AP50 48.3 %, AP 18.2 % on 500 test scenes; 6.0 ms an image.
"""

from configs.scenes_faster_rcnn import scenes_detector
from visionlab.config import is_smoke

SHAPES = tuple((height, round(height / ratio)) for height in (42, 50, 58)
               for ratio in (1.1, 1.5, 2.2))


def get_config(variant=''):
  shapes = SHAPES[:2] if is_smoke(variant) else SHAPES
  model = dict(name='sliding_window', shapes=shapes, patch=32, widths=(16, 32, 64), hidden=128)
  return scenes_detector(variant, 'windows', model,
                         box=dict(low=.4, high=.6, sample=48, positive_share=1 / 3))
