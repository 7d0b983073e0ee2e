"""Images from the features of a network that was trained on scikit-learn's digits (Dosovitskiy and
Brox 2016): what each of its layers still knows of an image.

python -m visionlab.train --config=configs/digits_cnn.py --workdir=runs/digits
python -m visionlab.train --config=configs/invert_features.py --workdir=runs/inverted \
    --config.init_from=runs/digits --config.task.at=pool1
Measured (seed 0, 400 updates, a rate of .002, no augmentation, of a run of `digits_cnn.py:smoke`):
relative error on the test images .246 from pool0, .273 from pool1, .336 from dense, .402 from head;
the linear inverse by least squares has .088, .187, .298 and .422: of these small images the maps
hold more numbers than there are pixels.

The layers are conv0, pool0, conv1, pool1, dense and head. For another network name its model in
`task.model`, its weights in `init_from`, and images as it was trained on in `data`. Without
`init_from` the network that is inverted is a random one.
"""

from configs.digits_cnn import on_digits
from visionlab.config import is_smoke
from visionlab.sweeps.settings import grid


def get_config(variant=''):
  small = dict(hidden=(32,), start=8, widths=(16, 8), convs=1)
  return on_digits(
      variant,
      task=dict(name='invert', model=dict(name='cnn'), at='pool1',
                up=small if is_smoke(variant) else dict(hidden=(256,), start=32,
                                                        widths=(64, 32))),
      optim=dict(name='adamw', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=1e-3, weight_decay=0.),
      checkpoint=dict(best='-val/relative_error'))


def sweep():
  """Each layer."""
  yield from grid({'task.at': ('conv0', 'pool0', 'conv1', 'pool1', 'dense', 'head')})
