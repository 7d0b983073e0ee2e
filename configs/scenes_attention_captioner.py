"""Show, Attend and Tell on the embedded scenes; its pictures show where each word looked.

python -m visionlab.train --config=configs/scenes_attention_captioner.py \
    --workdir=runs/scenes_attention
Not run at full length yet.
"""

from configs import scenes_captioner
from visionlab.config import is_smoke


def get_config(variant=''):
  config = scenes_captioner.get_config(variant)
  config.task.model = dict(config.task.model.to_dict(), attention=8 if is_smoke(variant) else 64,
                           position=True)
  return config
