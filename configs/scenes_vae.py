"""A variational autoencoder of the embedded scenes: photographs with digits on them, told by 64
numbers each.

python -m visionlab.train --config=configs/scenes_vae.py --workdir=runs/scenes_vae
python -m visionlab.sample --workdir=runs/scenes_vae --traverse
"""

from visionlab.config import experiment, is_smoke


def get_config(variant=''):
  smoke = is_smoke(variant)
  return experiment(
      steps=20 if smoke else 2000,
      batch=16 if smoke else 64,
      data=dict(name='scenes', examples=40 if smoke else 0, size=32, masks=False),
      task=dict(name='reconstruct', variational=True, likelihood='gaussian', sigma=.1,
                model=dict(name='autoencoder', codes=64,
                           widths=(4, 4, 4) if smoke else (32, 64, 128))),
      optim=dict(name='adam', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=1e-3),
      evals=dict(test=dict(split='test', every='25%', batch=100)),
      checkpoint=dict(best='test/elbo'))
