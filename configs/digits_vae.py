"""A variational autoencoder of scikit-learn's handwritten digits (1,797 images of 8 x 8).

python -m visionlab.train --config=configs/digits_vae.py --workdir=runs/digits_vae
python -m visionlab.sample --workdir=runs/digits_vae --traverse
Measured (three seeds, on the test split): ELBO -23.63 nats (sd .07), of them 3.75 (.01) the
divergence, where independent pixels have -27.1; 4 of 10 codes are used, and a linear classifier of
them is right about 76.0 % (2.4). What runs on the whole training split draw has a Frechet distance
of 7.5 (.8) in the features of a classifier, real halves 3.5, a normal distribution of pixels 17.9;
all ten digits:
python -m visionlab.train --config=configs/digits_cnn.py --workdir=runs/digits64 \
    --config.task.model.hidden=64
python -m visionlab.evaluate --workdir=runs/digits_vae --features=runs/digits64
"""

from visionlab.config import experiment, is_smoke


def get_config(variant=''):
  smoke = is_smoke(variant)
  return experiment(
      steps=60 if smoke else 4000,
      batch=32 if smoke else 64,
      data=dict(name='digits'),
      task=dict(name='reconstruct', variational=True,
                model=dict(name='autoencoder', codes=10, hidden=128)),
      optim=dict(name='adam', schedule=dict(name='cosine')),
      hp=dict(lr=2e-3),
      split='train[:80%]',
      evals=dict(val=dict(split='train[80%:]', every='25%', batch=360),
                 test=dict(split='test', first=False, batch=360)),
      checkpoint=dict(best='val/elbo'))
