"""Adversarial networks that draw faces like those of `visionlab.data.faces`: 32 x 32, grey, with
eyes, nose and mouth where those of all others are.

python -m visionlab.train --config=configs/faces_gan.py --workdir=runs/faces_gan
python -m visionlab.sample --workdir=runs/faces_gan
python -m visionlab.evaluate --workdir=runs/faces_gan --features=<a run of faces_verify.py>
The recipe is R3GAN's (Huang et al. 2024). Not run at full length: after 500 of 1,000 updates (one
seed), ovals in the light of a side, some with eyes; Frechet distance of pixels 1.03, of two halves
of the real images .22, coverage .56.
"""

from visionlab.config import experiment, is_smoke


def get_config(variant=''):
  smoke = is_smoke(variant)
  few = dict(people=10, each=4) if smoke else {}
  return experiment(
      steps=10 if smoke else 20_000,
      batch=8 if smoke else 32,
      data=dict(name='aligned', of=dict(name='faces', grey=True, occluded=0., **few), size=32),
      task=dict(name='generate',
                model=dict(name='gan', latent=32, widths=(4, 4) if smoke else (16, 32, 64))),
      optim=dict(name='adam', ema=True, schedule=dict(name='cosine', end=.1)),
      hp=dict(lr=5e-4, b1=0., b2=.95, ema_decay=.995, r1_weight=.2, r2_weight=.2),
      evals=dict(test=dict(split='test', every='25%', batch=40 if smoke else 200)),
      checkpoint=dict(best='test/pixel_coverage'))
