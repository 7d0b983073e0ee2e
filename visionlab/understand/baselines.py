"""What stands where nothing is to be seen: the ends of paths, and what covers pixels."""

import numpy as np

from visionlab.config import ConfigError, nearest
from visionlab.understand.subject import floats

LEVELS = dict(black=0., grey=.5, white=1.)
NAMES = (*LEVELS, 'mean', 'blur')


def baseline(images: np.ndarray, kind) -> np.ndarray:
  """Images (b ... h w c) in [0, 1] without what is in them, of their shape.

  Args:
    images: (b ... h w c), uint8 or in [0, 1].
    kind: 'black', 'grey' or 'white'; 'mean', each image's mean colour; 'blur', the image blurred by
      a Gaussian whose deviation is a tenth of its shorter side; a number in [0, 1]; a colour (c,);
      or images that broadcast to those given.

  Raises:
    ConfigError: another name, or an array of another shape.

  >>> baseline(np.array([[[[0.], [1.]]]]), 'mean')[0, 0, :, 0].tolist()
  [0.5, 0.5]
  """
  images = floats(np.asarray(images))
  if not isinstance(kind, str):
    try:
      return np.broadcast_to(floats(np.asarray(kind)), images.shape).astype(np.float32)
    except ValueError as e:
      raise ConfigError(f'baseline: its shape is {np.shape(kind)}, and that of the images '
                        f'{images.shape}') from e
  if kind in LEVELS:
    return np.full_like(images, LEVELS[kind])
  if kind == 'mean':
    return np.broadcast_to(images.mean((-3, -2), keepdims=True), images.shape)
  if kind == 'blur':
    from scipy.ndimage import gaussian_filter  # noqa: PLC0415 - a tenth of a second
    sigma = np.zeros(images.ndim)
    sigma[-3:-1] = min(images.shape[-3:-1]) / 10
    return gaussian_filter(images, sigma, mode='nearest')
  raise ConfigError(f'baseline: {kind!r} is none{nearest(kind, NAMES)}; there are: '
                    f'{", ".join(NAMES)}, a number, a colour, or images')
