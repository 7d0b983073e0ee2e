"""Adversarial networks that make pictures like your own: a folder with a sub-folder for each kind,
or with one for all.

python -m visionlab.train --config=configs/folder_gan.py --workdir=runs/mine \
    --config.data.root=<folder/kind/picture.jpg>
python -m visionlab.sample --workdir=runs/mine
R3GAN's recipe (Huang et al. 2024), and what the critic sees is augmented, real and made alike, so
that some hundreds of pictures may do (Zhao et al. 2020). A tenth is held out, to compare with.
`runs/mine/figures/training.gif` shows how far it is; watch held_out/pixel_collapse.
"""

from configs.folder_resnet import pictures
from visionlab.config import is_smoke


def get_config(variant=''):
  smoke = is_smoke(variant)
  return pictures(
      variant, steps=20_000, batch=64, size=64, held_out=10, every='5%',
      augment=dict(flip=True),
      task=dict(name='generate', diff_augment=('colour', 'translation', 'cutout'),
                model=dict(name='gan', latent=64,
                           widths=(4, 4) if smoke else (64, 128, 256, 256))),
      optim=dict(name='adam', ema=True, schedule=dict(name='cosine', end=.1)),
      hp=dict(lr=2e-4, b1=0., b2=.95, ema_decay=.999),
      checkpoint=dict(best='held_out/pixel_coverage'))
