"""Adversarial networks that draw the MNIST digit they are asked for (R3GAN's recipe, Huang et al.
2024, with the critic's projection of Miyato and Koyama 2018).

python -m visionlab.train --config=configs/mnist_gan.py --workdir=runs/mnist_gan \
    --config.data.root=<folder with the original idx files, or with mnist.npz>
python -m visionlab.sample --workdir=runs/mnist_gan --class=7
python -m visionlab.evaluate --workdir=runs/mnist_gan --features=<a run of mnist_cnn.py that has \
    --config.task.model.hidden=64>
Not run at full length.
"""

from visionlab.config import experiment, is_smoke


def get_config(variant=''):
  smoke = is_smoke(variant)
  return experiment(
      steps=60 if smoke else '20 epochs',
      batch=32 if smoke else 128,
      data=dict(name='digits', size=28) if smoke else dict(name='mnist', root='data/mnist'),
      task=dict(name='generate', conditional=True,
                model=dict(name='gan', latent=32, widths=(4, 4) if smoke else (64, 128))),
      optim=dict(name='adam', ema=True, schedule=dict(name='cosine', end=.1)),
      hp=dict(lr=2e-4, b1=0., b2=.95, ema_decay=.999),
      evals=dict(test=dict(split='test' if smoke else 'test[:2000]', every='10%', batch=500)),
      checkpoint=dict(best='-test/pixel_frechet'))
