"""Autoencoders of scikit-learn's handwritten digits (1,797 images of 8 x 8): 8 numbers for each.

python -m visionlab.train --config=configs/digits_autoencoder.py --workdir=runs/digits_autoencoder
`:denoising` learns to make clean images of such with noise of standard deviation .3.
Measured (three seeds, on the test split): a squared error of .0121 (sd .00004), where 8 principal
components have .0246; a linear classifier of the 8 numbers is right about 79.1 % (1.5), of the
components about 79.1 too. `:denoising`: .0165 (.0002), beside noise .0510, a Gaussian filter .0361
and the best linear one .0217. See `experiments/generative`, and there for the command.
"""

from visionlab.config import experiment, is_smoke


def get_config(variant=''):
  smoke = is_smoke(variant, 'denoising')
  denoising = variant == 'denoising'
  return experiment(
      steps=60 if smoke else 4000,
      batch=32 if smoke else 64,
      data=dict(name='digits'),
      task=dict(name='reconstruct', denoising=denoising,
                model=dict(name='autoencoder', codes=32 if denoising else 8, hidden=128)),
      optim=dict(name='adam', schedule=dict(name='cosine')),
      hp=dict(lr=2e-3),
      split='train[:80%]',
      evals=dict(val=dict(split='train[80%:]', every='25%', batch=360),
                 test=dict(split='test', first=False, batch=360)),
      checkpoint=dict(best='-val/denoised' if denoising else '-val/reconstruction_error'))
