"""Show, Attend and Tell on the embedded scenes; its pictures show where each word looked.

python -m visionlab.train --config=configs/scenes_attention_captioner.py \
    --workdir=runs/scenes_attention
Measured after half of its updates (--config.steps=6000; seeds 0 to 2, experiments/show_and_tell),
of 1,000 test scenes: 77.1 ± 1.5 % of the captions wholly true with the likeliest word each time,
79.0 ± .7 % with five beams; 71.0 and 73.6 % without attention.
"""

from configs import scenes_captioner
from visionlab.config import is_smoke


def get_config(variant=''):
  config = scenes_captioner.get_config(variant)
  config.task.model = dict(config.task.model.to_dict(), attention=8 if is_smoke(variant) else 64,
                           position=True)
  return config
