"""Show and Tell on COCO with a ResNet-50 that is fine-tuned once the words are learnt (Vinyals et
al. 2015: BLEU-4 27.7 %).

python -m visionlab.train --config=configs/coco_captioner.py --workdir=runs/coco_captioner \
    --config.data.root=<folder with annotations/, train2017/, val2017/> --config.init_from=<weights>
Not run at full length: no copy of the images was at hand. `:attention` is Show, Attend and Tell.
"""

from configs.flickr8k_captioner import captioner
from visionlab.config import is_smoke


def get_config(variant=''):
  is_smoke(variant, 'attention')
  return captioner(
      variant,
      steps='20 epochs',
      batch=64,
      split='train2017',
      data=dict(name='captions', root='data/coco', captions='annotations/captions_{split}.json',
                images='{split}', vocabulary='train2017'),
      pipeline=dict(workers=8),
      augment=dict(flip=True),
      precision='bfloat16',
      evals=dict(val=dict(split='val2017', every='20%', batch=64)),
      checkpoint=dict(best='val/cider_d'))
