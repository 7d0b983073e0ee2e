"""Autoencoders: images told by a few numbers, and made again of these."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError, check_choice
from visionlab.figures import charts
from visionlab.measures.codes import probe_accuracy
from visionlab.metrics import Ratio
from visionlab.ops.image import to_float
from visionlab.task import Aux, Evaluator
from visionlab.tasks.draws import draw_of, keys_of
from visionlab.tasks.forward import forward

LIKELIHOODS = ('squared', 'gaussian', 'bernoulli')
ACTIVE = .01                 # the variance of its mean from which a code counts as used


@dataclasses.dataclass(frozen=True)
class Reconstruct:
  """batch: `image` (b h w c), uint8 or in [0, 1], `valid` (b,); in training also `draw` (b,), a key
  for each example.

  predict: `reconstruction` (b h w c) in [0, 1], of what the network saw; `codes` (b d), their means
  where they are drawn; `error` (b,), the mean squared error of the image's pixels; and of a
  variational one `sample` (b h w c), made of a code drawn from the prior.

  What is unlike the images that were learnt from has a large error, so that it tells anomalies:
  `visionlab.evaluate --per_image=rows.csv` and `visionlab.predict --csv` list it.
  """
  model: Any
  variational: bool
  denoising: bool
  likelihood: str
  sigma: float

  draws = True                  # `make_step` gives batches a `draw`

  @property
  def generative(self) -> bool:
    """Whether of normal numbers it makes images."""
    return self.variational

  def hyperparameters(self):
    scalars = dict(kl_weight=1., free_bits=0.) if self.variational else dict(sparsity_weight=0.)
    return scalars | (dict(noise_sigma=.3) if self.denoising else {})

  def init(self, key, batch):
    return self.model.init(key, to_float(batch['image']), train=False)

  def loss(self, variables, batch, key, hp, *, train):
    image, keys = to_float(batch['image']), draw_of(batch, key)
    seen = self.disturbed(image, keys, hp) if self.denoising else image
    codes, kl = self.drawn(self.encoded(variables, seen), keys, hp.get('free_bits', 0.))
    made, valid = self.decoded(variables, codes), batch['valid']
    distance = self.distance(made, image)
    terms = {'reconstruction': Ratio.of(distance, valid)}
    if self.variational:
      terms['kl'] = Ratio.of(kl, valid)
    else:
      terms['sparsity'] = Ratio.of(jnp.abs(codes).sum(-1), valid)
    error = ((self.pixels(made) - image) ** 2).mean((1, 2, 3))
    return terms, Aux({}, {'squared_error': Ratio.of(error, valid)})

  def encoded(self, variables, image):
    """What the encoder says (b d) or (b 2d) of images in [0, 1]."""
    return forward(self.model, variables, image, None, train=False,
                   method=type(self.model).encode)[0].astype(jnp.float32)

  def decoded(self, variables, codes):
    """What the decoder makes of codes (b d): means, or logits."""
    made, _ = forward(self.model, variables, codes, None, train=False,
                      method=type(self.model).decode)
    return made.astype(jnp.float32)

  def drawn(self, moments, keys, free_bits=0.):
    """Codes (b d) and what they cost (b,) beside the prior, in nats.

    A variational code is its mean and its standard deviation times a number drawn with the
    example's key (Kingma and Welling 2013, https://arxiv.org/abs/1312.6114, section 2.4), and each
    costs its divergence from the prior (appendix B), or `free_bits` nats where that is more
    (Kingma et al. 2016, https://arxiv.org/abs/1606.04934, appendix C.8; here of each example).
    """
    if not self.variational:
      return moments, jnp.zeros(len(moments))
    mean, log_variance = jnp.split(moments, 2, -1)
    noise = jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, 0), mean.shape[1:]))(
        keys)
    divergence = .5 * (mean ** 2 + jnp.exp(log_variance) - 1 - log_variance)
    return (mean + jnp.exp(.5 * log_variance) * noise,
            jnp.maximum(divergence, free_bits).sum(-1))

  def disturbed(self, image, keys, hp):
    """Images with normal noise of standard deviation `hp.noise_sigma` on each pixel."""
    noise = jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, 1), image.shape[1:]))(
        keys)
    return image + hp['noise_sigma'] * noise

  def distance(self, made, image):
    """What was made beside the image, (b,): a sum over its pixels, of squared errors or in nats."""
    if self.likelihood == 'bernoulli':
      return (jax.nn.softplus(made) - image * made).sum((1, 2, 3))
    squared = ((made - image) ** 2).sum((1, 2, 3))
    if self.likelihood == 'squared':
      return squared
    pixels = math.prod(image.shape[1:])
    return .5 * squared / self.sigma ** 2 + pixels * (math.log(self.sigma)
                                                      + .5 * math.log(2 * math.pi))

  def pixels(self, made):
    """What the decoder makes, as an image; not yet cut to [0, 1]."""
    return jax.nn.sigmoid(made) if self.likelihood == 'bernoulli' else made

  def predict(self, variables, batch):
    image = to_float(batch['image'])
    codes = self.means(self.encoded(variables, image))
    made = self.pixels(self.decoded(variables, codes))
    predictions = dict(reconstruction=jnp.clip(made, 0, 1), codes=codes,
                       error=((made - image) ** 2).mean((1, 2, 3)))
    if self.variational:
      predictions['sample'] = self.made(variables, batch)[0]
    return predictions

  def made(self, variables, batch):
    """An image for each in a batch, of a code drawn from the prior; and None, for no class is asked
    for.

    Raises:
      ConfigError: an autoencoder that is not variational, whose codes have no distribution.
    """
    self._check_prior()
    prior = jax.vmap(lambda key: jax.random.normal(key, (self.model.codes,)))(
        keys_of(jax.random.key(0), batch['image']))
    return self.images(variables, prior), None

  def means(self, moments):
    return jnp.split(moments, 2, -1)[0] if self.variational else moments

  def images(self, variables, codes):
    """The images (b h w c) in [0, 1] that codes (b d) tell."""
    return jnp.clip(self.pixels(self.decoded(variables, codes)), 0, 1)

  def sample(self, variables, key, n: int):
    """n images of codes drawn from the prior, the standard normal distribution.

    Raises:
      ConfigError: an autoencoder that is not variational, whose codes have no distribution.
    """
    self._check_prior()
    return self.images(variables, jax.random.normal(key, (n, self.model.codes)))

  def _check_prior(self):
    if not self.variational:
      raise ConfigError('sample: this autoencoder is not variational (config.task.variational), so '
                        'nobody knows which codes are likely')

  def answer(self, variables, batch, given=None):
    return dict(outputs=self.means(self.encoded(variables, to_float(batch['image']))))

  def evaluators(self):
    return {'images': Evaluator(self._sums, self._finish),
            'codes': Evaluator(self._codes, self._finish_codes, kind='collect')}

  def _sums(self, variables, batch, hp):
    image, valid, keys = to_float(batch['image']), batch['valid'], draw_of(batch)
    moments = self.encoded(variables, image)
    codes = self.means(moments)
    error = ((self.pixels(self.decoded(variables, codes)) - image) ** 2).mean((1, 2, 3))
    counted = jnp.where(valid[:, None], codes, 0)
    sums = dict(error=Ratio.of(error, valid), code=counted.sum(0),
                code_squared=(counted ** 2).sum(0))
    if self.variational:
      drawn, kl = self.drawn(moments, keys)
      sums['kl'] = Ratio.of(kl, valid)
      sums['distance'] = Ratio.of(self.distance(self.decoded(variables, drawn), image), valid)
    if self.denoising:
      seen = self.disturbed(image, keys, hp)
      cleaned = self.pixels(self.decoded(variables, self.means(self.encoded(variables, seen))))
      sums['noise'] = Ratio.of(((seen - image) ** 2).mean((1, 2, 3)), valid)
      sums['left'] = Ratio.of(((cleaned - image) ** 2).mean((1, 2, 3)), valid)
    return sums

  def _finish(self, stats):
    n = float(stats['error'].count)
    mean = np.asarray(stats['code'], np.float64) / n
    variance = np.asarray(stats['code_squared'], np.float64) / n - mean ** 2
    results = dict(reconstruction_error=float(stats['error'].value),
                   active_codes=float((variance > ACTIVE).sum()), code_variance=variance)
    if self.variational:
      results['kl'] = float(stats['kl'].value)
      results['elbo'] = -float(stats['distance'].value) - results['kl']
    if self.denoising:
      results |= dict(noise=float(stats['noise'].value), denoised=float(stats['left'].value))
    return results

  def _codes(self, variables, batch, hp):
    codes = self.means(self.encoded(variables, to_float(batch['image'])))
    label = batch.get('label')
    known = label is not None and label.ndim == 1 and jnp.issubdtype(label.dtype, jnp.integer)
    return dict(codes=codes, **(dict(label=label) if known else {}))

  def _finish_codes(self, rows):
    return dict(probe_accuracy=probe_accuracy(rows['codes'], rows['label'])) if 'label' in rows \
        else {}

  def describe(self, predictions, top):
    """A line for each image: how much of it the codes do not tell, for the command line."""
    return [f'squared error of a pixel {error:.5f}' for error in predictions['error']]

  def picture(self, images, predictions, captions, title):
    """Images, and below each what was made of its codes."""
    return charts.image_grid(*_paired(np.stack(images), predictions['reconstruction'], captions),
                             None, title)

  def figures(self, batch, predictions, results):
    few = min(16, len(batch['image']))
    names = [f'{error:.4f}' for error in predictions['error'][:few]]
    pictures = {'reconstructions': charts.image_grid(
        *_paired(batch['image'][:few], predictions['reconstruction'][:few], names), None,
        'Images, and below each what its codes tell, with its squared error')}
    if self.variational:
      some = predictions['sample'][:64]
      pictures['samples'] = charts.image_grid(some, [''] * len(some), None,
                                              'Of codes drawn from the prior')
    return pictures


def _paired(images, made, captions):
  """Rows of 8 images, each row above what was made of them, and the captions."""
  images = to_float(jnp.asarray(images))
  rows, names = [], []
  for start in range(0, len(images), 8):
    part = slice(start, start + 8)
    blank = [np.ones(images.shape[1:], np.float32)] * ((-len(images[part])) % 8)
    filled = blank if len(images) > 8 else []
    rows += [*images[part], *filled, *made[part], *filled]
    names += [''] * len(images[part]) + [''] * len(filled) + [*captions[part], *[''] * len(filled)]
  return np.stack(rows), names


def reconstruct(*, make_model: Callable, example: Mapping, variational: bool = False,
                denoising: bool = False, likelihood: str = '', sigma: float = .1) -> Reconstruct:
  """An autoencoder: plain, sparse (hp.sparsity_weight), denoising or variational.

  hp: `sparsity_weight` (0), of the sum of the codes' sizes; of a variational one `kl_weight` (1),
  which is beta (Higgins et al. 2017), and `free_bits` (0), nats of each code that cost nothing
  less; of a denoising one `noise_sigma` (.3).

  Args:
    variational: whether codes are drawn, and held near a normal distribution.
    denoising: whether the network is to make images of such with noise (Vincent et al. 2008).
    likelihood: of the image given what is made: 'squared' error; 'gaussian' of standard deviation
      `sigma`; or 'bernoulli', pixels being probabilities. By default 'squared', and 'bernoulli' of
      a variational one, which needs nats.
    sigma: of 'gaussian', in units of the range of pixels.

  Raises:
    ConfigError: a variational autoencoder of squared errors, or a model that is none.
  """
  likelihood = likelihood or ('bernoulli' if variational else 'squared')
  check_choice(likelihood, LIKELIHOODS, 'config.task.likelihood')
  if variational and likelihood == 'squared':
    raise ConfigError('config.task.likelihood: a variational autoencoder weighs nats; "gaussian" '
                      'or "bernoulli"')
  if sigma <= 0:
    raise ConfigError(f'config.task.sigma: must be above 0, not {sigma}')
  shape = tuple(example['image'].shape[1:])
  model = make_model(shape=shape, moments=2 if variational else 1)
  if not (hasattr(model, 'encode') and hasattr(model, 'decode')):
    raise ConfigError('config.task.model: reconstruct needs a network that encodes and decodes, '
                      f'such as dict(name="autoencoder"), not {type(model).__name__}')
  return Reconstruct(model, variational, denoising, likelihood, sigma)
