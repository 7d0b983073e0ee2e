"""Adversarial networks that draw handwritten digits like scikit-learn's (1,797 images of 8 x 8).

python -m visionlab.train --config=configs/digits_gan.py --workdir=runs/digits_gan
python -m visionlab.sample --workdir=runs/digits_gan
The recipe is R3GAN's (Huang et al. 2024): a relativistic loss, and the critic's squared slope at
real and at made images. `:dcgan` has DCGAN's losses and BatchNorm (Radford et al. 2015).
Measured (three seeds in one program, 35 minutes on 2 busy CPU cores; beside the 359 test images, in
the 64 features of a classifier as in `digits_vae.py`): Frechet distance 3.2 (sd .3), where two
halves of the real images have 3.5 and a normal distribution of pixels 17.9; precision .78 (.02),
recall .98 (.01), density .49 (.03), coverage .79 (.04); all ten digits, about as often (entropy
.99). Of pixels .22 (.02) and .32. The critic's loss is .667 on test images and .660 on those it
learns from: it does not memorise.
"""

from visionlab.config import experiment, is_smoke
from visionlab.sweeps.settings import grid


def get_config(variant=''):
  smoke, dcgan = is_smoke(variant, 'dcgan'), variant == 'dcgan'
  task = dict(loss='non_saturating', penalties=()) if dcgan else dict(loss='relativistic')
  hp = dict(lr=2e-4, b1=.5) if dcgan else dict(lr=5e-4, b1=0., b2=.95)
  return experiment(
      steps=60 if smoke else 3000,
      batch=32 if smoke else 64,
      data=dict(name='digits'),
      task=dict(name='generate', **task,
                model=dict(name='gan', norm=dcgan, widths=(8, 8) if smoke else (32, 64))),
      optim=dict(name='adam', ema=True, schedule=dict(name='cosine', end=.1),
                 groups=(dict(match='^critic', rate='critic_rate'), dict(match='^generator'))),
      hp=dict(hp, critic_rate=1., ema_decay=.998),
      evals=dict(test=dict(split='test', every='25%', batch=360)),
      checkpoint=dict(best='-test/pixel_frechet'))         # a loss says nothing of the images


def sweep():
  """Eight pairs of learning rates, the generator's and the critic's over it, with three seeds, in
  one program. What it shows: `experiments/generative/README.md`."""
  yield from grid({'hp.lr': (1e-4, 2e-4, 5e-4, 1e-3), 'hp.critic_rate': (1., 2.),
                   'seed': range(3)})
