"""Published weights of VGG's convolutions alone, such as those that style transfer uses."""

from pathlib import Path

import jax
import numpy as np

from visionlab.config import ConfigError
from visionlab.models.vgg_features import VGGFeatures, convolutions
from visionlab.weights.arrays import read_arrays

FIRST = 'rgb_to_bgr'


def vgg_features(path: str | Path, depth: int = 19) -> tuple[VGGFeatures, dict]:
  """The network of a file 'rgb_to_bgr/kernel', 'conv1_1/kernel', ..., and its variables.

  These are weights rescaled so that each channel's mean activation is 1 (Gatys et al. 2016), made
  for RGB images in [0, 1] and convolutions that pad by reflection. `Subject.of` takes what this
  gives, with the shape of the images:

  >>> vgg = Subject.of(vgg_features('vgg19.npz'), (256, 256, 3))              # doctest: +SKIP

  Raises:
    ConfigError: no such file, or arrays of another network.
  """
  arrays = read_arrays(Path(path))
  layers = {name.rpartition('/')[0] for name in arrays}
  known = convolutions(depth)
  there = [name for name in known if name in layers]
  if FIRST not in layers or not there or layers - {FIRST, *known}:
    raise ConfigError(f'{path}: expected layers {FIRST}, conv1_1, conv1_2, ... of VGG-{depth}, '
                      f'not {", ".join(sorted(layers)[:8])}')
  model = VGGFeatures(depth, there[-1])
  x = jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
  shapes = jax.eval_shape(model.init, jax.random.key(0), x)
  params = {}
  for layer, leaves in shapes['params'].items():
    for leaf, expected in leaves.items():
      array = arrays.get(f'{layer}/{leaf}')
      if array is None or array.shape != expected.shape:
        found = 'absent' if array is None else array.shape
        raise ConfigError(f'{path}: {layer}/{leaf} is {found}, expected {expected.shape}')
      params.setdefault(layer, {})[leaf] = array.astype(np.float32)
  return model, jax.device_put(dict(params=params))
