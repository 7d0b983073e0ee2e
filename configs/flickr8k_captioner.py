"""Show and Tell on Flickr8k with a ResNet-50 that is fine-tuned once the words are learnt (Vinyals
et al. 2015: BLEU-1 63 %, BLEU-2 41 %, BLEU-3 27 %).

python -m visionlab.train --config=configs/flickr8k_captioner.py --workdir=runs/flickr8k \
    --config.data.root=<Flickr8k.token.txt, Flickr_8k.*Images.txt, Flicker8k_Dataset/> \
    --config.init_from=<weights>
Not run at full length: no copy of the images was at hand.

`:attention` is Show, Attend and Tell; `:text` learns the language alone and needs no images.
"""

from visionlab.config import experiment, is_smoke

FILES = dict(captions='Flickr8k.token.txt', splits='Flickr_8k.{split}Images.txt',
             images='Flicker8k_Dataset')
SCENES = dict(name='scenes', size=32, examples=16, objects=(1, 2), captions=2)
SMALL = dict(backbone=dict(name='cnn', widths=(8, 8)), width=16, embedding=16)
WARM = dict(name='cosine', warmup='5%')


def captioner(variant='', *, text=False, **options):
  """An experiment with a captioner on a ResNet-50; `smoke` takes a small network and the scenes."""
  if variant == 'smoke':
    return experiment(**options | dict(
        steps=2, batch=4, data=SCENES, split='train', pipeline=dict(workers=0),
        task=dict(name='caption', beams=2, model=dict(name='captioner', **SMALL)),
        init_from='', optim=dict(name='adamw'), hp=dict(lr=1e-3), augment={}, precision='float32',
        checkpoint={}, evals=dict(test=dict(split='test', every='100%', batch=8))))
  attention = dict(attention=256) if variant == 'attention' else {}
  resnet = {} if text else dict(backbone=dict(name='resnet', depth=50, frozen_norm=True))
  groups = () if text else (dict(match='^backbone/(stage3|stage4)/', lr=.01, start='60%'),
                            dict(match='^backbone/', frozen=True), dict(match='.'))
  return experiment(**dict(
      task=dict(name='caption', beams=3, captions=0 if text else 1,
                model=dict(name='captioner', dropout=.5, **resnet, **attention)),
      init_from='' if text else 'hf://timm/resnet50.a1_in1k',
      optim=dict(name='adamw', clip=True, schedule=WARM, groups=groups),
      hp=dict(lr=1e-3, weight_decay=.01)) | options)


def get_config(variant=''):
  is_smoke(variant, 'attention', 'text')
  text = variant == 'text'
  files = FILES | dict(images=None) if text else FILES
  return captioner(
      variant,
      text=text,
      steps='5 epochs' if text else '40 epochs',
      batch=32,
      data=dict(name='captions', root='data/flickr8k', **files),
      pipeline=dict(workers=0 if text else 8),
      augment={} if text else dict(flip=True),
      evals={split: dict(split=split, every='25%' if split == 'dev' else '100%', batch=50)
             for split in ('dev', 'test')},
      checkpoint=dict(best='dev/cider_d'))
