"""U-Net on membranes in electron micrographs, from 30 images (Ronneberger et al. 2015, table 1;
ISBI 2012's challenge): elastic deformation, and weights that keep touching cells apart.

python -m visionlab.train --config=configs/membranes_unet.py --workdir=runs/membranes_unet \
    --config.data.root=<folder with images/*.png and masks/*.png: 0 membrane, 255 cell>
Not run at full length: no copy of the images was at hand.
"""

import numpy as np

from visionlab.config import experiment, is_smoke
from visionlab.data.border import BorderWeighted
from visionlab.data.scenes.scenes import scenes
from visionlab.data.source import Arrays, Info
from visionlab.data.sources.pairs import pairs

CLASSES = ('membrane', 'cell')


def membranes(split: str, *, root: str = '', size: int = 512) -> BorderWeighted:
  """Images with label maps and the weights of U-Net's loss; without a root, the scenes' digits
  instead of cells."""
  if root:
    return BorderWeighted(pairs(split, root=root, size=size, channels=1, classes=CLASSES,
                                palette=dict(membrane=0, cell=255)))
  drawn = scenes(split, size=size, examples=16)
  examples = drawn[np.arange(len(drawn))]
  return BorderWeighted(Arrays(
      dict(image=examples['image'], label_map=np.minimum(examples['label_map'], 1)),
      Info(map_classes=CLASSES)))


def get_config(variant=''):
  smoke = is_smoke(variant)
  held_out = dict(split='test' if smoke else 'train[80%:]', every='50%' if smoke else '10%')
  return experiment(
      steps=8 if smoke else 20000,
      batch=4 if smoke else 1,
      data=dict(name='configs.membranes_unet:membranes', root='' if smoke else 'data/membranes',
                size=32 if smoke else 512),
      split='train' if smoke else 'train[:80%]',
      # Smooth over 30 pixels, and of some 10 pixels, as the paper's, which come from a 3 x 3 grid.
      augment=dict(flip=dict(vertical=True), rotate=180.,
                   elastic=dict(alpha=80., sigma=4.) if smoke else dict(alpha=1900., sigma=30.)),
      task=dict(name='segment', mean=(.5,), std=(.25,),
                model=dict(name='unet', width=4 if smoke else 64, depth=2 if smoke else 4,
                           dropout=.5)),
      optim=dict(name='adam', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=1e-4),
      evals=dict(held_out=dict(batch=4 if smoke else 1, **held_out)),
      checkpoint=dict(best='held_out/mean_iou'))
