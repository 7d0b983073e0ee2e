"""Inversion of features: from what a layer of a network says, back to the image."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError, bind, nearest
from visionlab.data.source import Info
from visionlab.figures import charts
from visionlab.metrics import Ratio
from visionlab.models.layers import POINT
from visionlab.models.up_convolutional import UpConvolutional
from visionlab.ops.image import Standardise, to_float
from visionlab.task import Aux, Evaluator

FROZEN = 'frozen'              # the collection of the weights that are looked into


@dataclasses.dataclass(frozen=True)
class Invert:
  """batch: `image` (b h w c), `valid` (b,).

  Dosovitskiy and Brox 2016 (https://arxiv.org/abs/1506.02753): the network `up` learns to give
  back the image in [0, 1], by squared error, from what the layer `at` of `model` says of it. What
  it draws is the mean of the images with these features, so what is blurred in it the layer has
  forgotten.

  `params` are those of `up` alone, under that name. Those of `model` are the collection `frozen`,
  where nothing trains them: `config.init_from` puts a trained network's there. Its BatchNorm takes
  its saved statistics.

  predict: `image` (b h w c) in [0, 1].
  """
  model: Any
  at: str
  up: UpConvolutional
  preprocess: Standardise

  def hyperparameters(self):
    return {}

  def init(self, key, batch):
    subject, learner = jax.random.split(key)
    frozen = dict(self.model.init(subject, self.preprocess(batch['image']), train=False))
    frozen[FROZEN] = frozen.pop('params')
    features = self.features(frozen, batch)
    fresh = self.up.init(learner, features, batch['image'].shape[1:3])['params']
    # Under a name of their own, so that they are not taken for layers that weights were trained of.
    return {'params': {'up': fresh}, **frozen}

  def features(self, variables, batch):
    """What the layer says, (b n) or (b h' w' n)."""
    own = {k: v for k, v in variables.items() if k not in ('params', FROZEN)}
    own['params'] = variables[FROZEN]
    return jax.lax.stop_gradient(
        read_layers(self.model, own, self.preprocess(batch['image']))[self.at])

  def outputs(self, variables, batch):
    """(b h w c), not cut to [0, 1]."""
    return self.up.apply({'params': variables['params']['up']}, self.features(variables, batch),
                         batch['image'].shape[1:3])

  def loss(self, variables, batch, key, hp, *, train):
    # Masked before it is squared: 0 times the gradient of NaN would be NaN.
    off = jnp.where(_rows(batch['valid']), self.outputs(variables, batch)
                    - to_float(batch['image']), 0)
    collections = {k: v for k, v in variables.items() if k != 'params'}
    return {'l2': Ratio.of((off ** 2).mean((1, 2, 3)), batch['valid'])}, Aux(collections, {})

  def predict(self, variables, batch):
    return dict(image=jnp.clip(self.outputs(variables, batch), 0, 1))

  def evaluators(self):
    def update(variables, batch, hp):
      image, valid = to_float(batch['image']), _rows(batch['valid'])
      off = jnp.where(valid, self.predict(variables, batch)['image'] - image, 0)
      centred = jnp.where(valid, image - .5, 0)        # of smaller sums less is lost
      return dict(error=(off ** 2).sum(), count=batch['valid'].sum(), total=centred.sum(0),
                  square=(centred ** 2).sum())
    return {'inversion': Evaluator(update, _finish)}

  def figures(self, batch, predictions, results):
    images = np.asarray(to_float(batch['image']))[:16]
    inverses = np.asarray(predictions['image'])[:16]
    errors = np.sqrt(((images - inverses) ** 2).mean((1, 2, 3)))
    pairs = np.stack([images, inverses], 1).reshape(-1, *images.shape[1:])
    captions = [text for error in errors for text in ('image', f'off by {error:.3f}')]
    return {'samples': charts.image_grid(pairs, captions, None, f'Images from {self.at}')}


def invert(*, make_model: Callable, info: Info, example: Mapping, at: str = '',
           up: Mapping | None = None, mean: tuple = (), std: tuple = (),
           channel_order: str = 'RGB') -> Invert:
  """Images from the features of a frozen network: `task.model`, whose weights `config.init_from`
  names; without these it is a random one.

  Args:
    at: the layer, by its path of modules or the name of a map, such as 'pool1' or 'fc6'; by
      default the last map. A classifier's own last layer is as trained where the data has as many
      classes.
    up: options of `visionlab.models.up_convolutional.UpConvolutional`, the network that learns.
    mean, std, channel_order: what is done to images before the network sees them, see
      `visionlab.ops.image.standardise`; weights bring their own.
  """
  if 'image' not in example:
    raise ConfigError('config.data: to invert features takes one source with images, not several')
  model = make_model(classes=len(info.classes) or 1)
  preprocess = Standardise(mean, std, channel_order)
  there = _layers_of(model, preprocess, example['image'])
  maps = [name for name, shape in there.items() if len(shape) == 4]
  at = at or (maps[-1] if maps else '')
  if at not in there:
    raise ConfigError(f'config.task.at: {type(model).__name__} has no layer {at!r}'
                      f'{nearest(at, there)}; it has: {", ".join(there)}')
  network = bind(UpConvolutional, up or {}, 'config.task.up', channels=example['image'].shape[-1],
                 dtype=getattr(model, 'dtype', jnp.float32))
  return Invert(model, at, network, preprocess)


def read_layers(model: Any, variables: Mapping, x: jax.Array) -> dict[str, jax.Array]:
  """By name what the modules of a network, and its named maps, say of preprocessed images: vectors
  (b n) and maps (b h w n). Of a map and a module of one name the map."""
  _, state = model.apply(variables, x, train=False, capture_intermediates=True,
                         mutable=['intermediates'])
  found = {}
  for path, outs in jax.tree_util.tree_leaves_with_path(state['intermediates'],
                                                        is_leaf=lambda x: isinstance(x, tuple)):
    *names, call = (str(key.key) for key in path)
    name, out = '/'.join(names), outs[0]
    is_map = POINT in name
    if call == '__call__' and names and hasattr(out, 'ndim') and out.ndim in (2, 4):
      plain = name.replace(POINT, '')
      if is_map or plain not in found:
        found[plain] = out
  return found


def _layers_of(model, preprocess, image):
  """name -> shape, in the order of the names as numbers count."""
  def said(key, image):
    x = preprocess(image)
    return read_layers(model, model.init(key, x, train=False), x)
  shapes = jax.eval_shape(said, jax.random.key(0), image)
  area = lambda shape: np.prod(shape[1:3]) if len(shape) == 4 else 0
  return dict(sorted(((k, v.shape) for k, v in shapes.items()),
                     key=lambda item: -area(item[1])))


def _rows(valid):
  return valid[:, None, None, None]


def _finish(stats):
  """`pixel_error`, the root of the mean square, of pixels in [0, 1]; and `relative_error`: the root
  mean square distance of an image and its inverse over that of two images of the split, so that 0
  is perfect and what knows nothing (the mean image) has .71. The paper divides means of distances
  in place of squares."""
  count = float(stats['count'])
  if not count:
    return dict(pixel_error=float('nan'), relative_error=float('nan'))
  mean = np.asarray(stats['total'], np.float64) / count
  variance = float(stats['square']) / count - float((mean ** 2).sum())
  error = float(stats['error']) / count
  return dict(pixel_error=(error / mean.size) ** .5,
              relative_error=(error / (2 * max(variance, 1e-12))) ** .5)
