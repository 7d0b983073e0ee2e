"""Adversarial networks: images made of numbers that are drawn, by two players in one objective."""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jax import lax

from visionlab.config import ConfigError, check_choice
from visionlab.data.source import Info
from visionlab.figures import charts
from visionlab.measures.frechet import likeness
from visionlab.metrics import Ratio
from visionlab.ops.diff_augment import POLICIES, diff_augment
from visionlab.ops.image import to_float
from visionlab.ops.spectral import first_vectors, normalised
from visionlab.task import Aux, Evaluator
from visionlab.tasks.draws import draw_of, keys_of

SPECTRAL = 'spectral'       # the collection of the vectors of the power iteration
COLLAPSED = .8             # of the real images, that nothing made is near
LOSSES = ('relativistic', 'non_saturating', 'hinge', 'wasserstein')


@dataclasses.dataclass(frozen=True)
class Generate:
  """batch: `image` (b h w c), uint8 or in [0, 1], `valid` (b,), with `conditional` `label` (b,);
  in training also `draw` (b,), a key for each example.

  The gradient of each term reaches its own player alone: the critic sees images that do not change
  with the generator, and the generator is judged by a critic that stands still, so that one
  backward pass serves both. Whose turn it is `config.optim.turns` says; without turns both are
  trained at once, as by two optimisers side by side.

  Terms: `critic` and `generator`; the squared slope of the critic by an image, over 2, at real ones
  (`r1`, weight hp.r1_weight) and at made ones (`r2`); with 'wasserstein' `penalty`, of its slope in
  between (hp.penalty_weight). A term whose weight is 0 from the start is left out.

  predict: `image` (b h w c) in [0, 1], made of numbers that hang on each example.
  """
  model: Any
  loss_form: str
  penalties: tuple[str, ...]
  conditional: bool
  classes: tuple[str, ...]
  spectral_norm: bool = False
  diff_augment: tuple[str, ...] = ()

  draws = True                  # `make_step` gives batches a `draw`
  generative = True             # of normal numbers it makes images

  @property
  def open_set(self) -> bool:
    """Whether it may be measured on images of other classes than it has learnt from."""
    return not self.conditional

  def hyperparameters(self):
    return {f'{name}_weight': 10. if name == 'penalty' else 1. for name in self.penalties}

  def init(self, key, batch):
    n = len(batch['image'])
    label = jnp.zeros(n, jnp.int32) if self.conditional else None
    variables = self.model.init(key, jnp.zeros((n, self.model.latent)), label)
    if not self.spectral_norm:
      return variables
    vectors = first_vectors(jax.random.fold_in(key, 1), critic_of(variables['params']))
    return {**variables, SPECTRAL: vectors}

  def loss(self, variables, batch, key, hp, *, train):
    real, valid, keys = to_float(batch['image']), batch['valid'], draw_of(batch, key)
    label = batch['label'] if self.conditional else None
    params, vectors = self.normalised(variables)
    state = {k: v for k, v in variables.items() if k not in ('params', SPECTRAL)}

    def play(method, x, state, params):
      mutable = list(state) if train else False
      said = self.model.apply({'params': params, **state}, x, label, train=train, method=method,
                              mutable=mutable)
      return said if train else (said, state)
    fake, state = play('generate', self.latent(keys), state, params)
    real, fake = self.disturbed(real, keys, 2), self.disturbed(fake, keys, 3)
    held = lax.stop_gradient(fake)
    on_real, state = play('judge', real, state, params)
    on_fake, state = play('judge', held, state, params)
    # The generator's own pass leaves no trace in the critic's statistics.
    judged, _ = play('judge', fake, state, lax.stop_gradient(params))
    critic, generator = adversarial_losses(self.loss_form, on_real, on_fake, judged)
    terms = dict(critic=Ratio.of(critic, valid), generator=Ratio.of(generator, valid))

    def judge(x):
      return play('judge', x, state, params)[0]
    places = dict(r1=real, r2=held, penalty=between(real, held, keys))
    for name in self.penalties:
      slope = squared_slope(judge, places[name])
      terms[name] = Ratio.of((jnp.sqrt(slope + 1e-12) - 1) ** 2 if name == 'penalty'
                             else .5 * slope, valid)
    if self.spectral_norm:       # one step of the power iteration for an update, however it is cut
      ends = train and hp.get('update_ends', True)
      state = {**state, SPECTRAL: jax.tree.map(partial(jnp.where, ends), vectors,
                                               variables[SPECTRAL])}
    watched = dict(said_of_real=on_real, said_of_made=on_fake, told_apart=on_real > on_fake)
    return terms, Aux(lax.stop_gradient(state),
                      {k: Ratio.of(v, valid) for k, v in watched.items()})

  def normalised(self, variables):
    """The parameters as the networks are given them, and the vectors of their power iteration."""
    params = variables['params']
    if not self.spectral_norm:
      return params, {}
    critic, vectors = normalised(critic_of(params), variables[SPECTRAL])
    return {**params, **critic}, vectors

  def disturbed(self, images, keys, draw):
    """What the critic sees of images, made or real: a different draw of the same."""
    if not self.diff_augment:
      return images
    keys = jax.vmap(jax.random.fold_in, (0, None))(keys, draw)
    return diff_augment(keys, images, self.diff_augment)

  def latent(self, keys):
    """Normal numbers (b d), an example's by its key."""
    return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, 0),
                                                  (self.model.latent,)))(keys)

  def images(self, variables, codes, label=None):
    """The images (b h w c) in [0, 1] that the generator makes of numbers (b d)."""
    if self.conditional and label is None:
      label = jnp.arange(len(codes)) % len(self.classes)
    return self.model.apply(variables, codes, label, method='generate')

  def predict(self, variables, batch):
    label = batch.get('label') if self.conditional else None
    latent = self.latent(keys_of(jax.random.key(0), batch['image']))
    return dict(image=self.images(variables, latent, label))

  def evaluators(self):
    return {'pixels': Evaluator(self._collect, self._finish, kind='collect')}

  def made(self, variables, batch):
    """As many images as there are in a batch, and the classes (b,) that were asked for, or None."""
    return (self.predict(variables, batch)['image'],
            batch['label'] if self.conditional else None)

  def _collect(self, variables, batch, hp):
    seen = (small(images).reshape(len(images), -1)
            for images in (batch['image'], self.made(variables, batch)[0]))
    return dict(zip(('real', 'made'), seen, strict=True))

  def _finish(self, rows):
    """By their pixels, which says little but whether they are all alike."""
    found = likeness(rows['real'], rows['made'])
    if found['collapse'] > COLLAPSED:
      logging.warning('the generator has collapsed, or not learnt yet: what it makes is near '
                      '%.0f %% of the real images', 100 * found['coverage'])
    return {f'pixel_{name}': value for name, value in found.items()}

  def figures(self, batch, predictions, results):
    some = np.asarray(predictions['image'][:64])
    names = [self.classes[k] for k in batch['label'][:64]] if self.conditional else [''] * len(some)
    near = f'; it is near {results["pixel_coverage"]:.0%} of the real images' if results else ''
    return {'samples': charts.image_grid(some, names, None, f'What the generator makes{near}')}

  def describe(self, predictions, top):
    return ['an image is made, whatever this one is; see python -m visionlab.sample'
            for _ in predictions['image']]


def critic_of(params: Mapping) -> dict:
  """Of the parameters of both players, the critic's."""
  return {name: own for name, own in params.items() if name.startswith('critic')}


def adversarial_losses(form: str, on_real: jax.Array, on_fake: jax.Array,
                       judged: jax.Array) -> tuple[jax.Array, jax.Array]:
  """What the critic and the generator minimise, (b,) each.

    relativistic    softplus(-(D(x) - D(G))), and the reverse (Jolicoeur-Martineau 2018; Huang et
                    al. 2024, https://arxiv.org/abs/2501.05441, equation 2)
    non_saturating  cross-entropies, the generator's of what should be taken for real (Goodfellow
                    et al. 2014, section 3)
    hinge           (Lim and Ye 2017)
    wasserstein     differences (Arjovsky et al. 2017), for use with `penalty`

  Args:
    on_real, on_fake: what the critic says of real and of made images.
    judged: of the made ones, by a critic that stands still.
  """
  softplus = jax.nn.softplus
  if form == 'relativistic':
    return softplus(on_fake - on_real), softplus(lax.stop_gradient(on_real) - judged)
  if form == 'non_saturating':
    return softplus(-on_real) + softplus(on_fake), softplus(-judged)
  if form == 'hinge':
    return jax.nn.relu(1 - on_real) + jax.nn.relu(1 + on_fake), -judged
  return on_fake - on_real, -judged


def squared_slope(judge: Callable, images: jax.Array) -> jax.Array:
  """The squared length (b,) of the gradient of what is said of each image by its pixels."""
  said, pull = jax.vjp(judge, images)
  return (pull(jnp.ones_like(said))[0] ** 2).sum((1, 2, 3))


def between(real: jax.Array, made: jax.Array, keys: jax.Array) -> jax.Array:
  """Images on the way from a real to a made one, as far as each example's key says (Gulrajani et
  al. 2017, https://arxiv.org/abs/1704.00028, algorithm 1)."""
  share = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, 1)))(keys)
  return made + share[:, None, None, None] * (real - made)


def small(images: jax.Array, most: int = 16) -> jax.Array:
  """Images (b h w c) in [0, 1], of at most `most` x `most` pixels."""
  b, h, w, c = images.shape
  size = (min(h, most), min(w, most))
  images = to_float(images)
  return images if size == (h, w) else jax.image.resize(images, (b, *size, c), 'linear')


def generate(*, make_model: Callable, info: Info, example: Mapping, loss: str = 'relativistic',
             penalties: tuple[str, ...] = ('r1', 'r2'), conditional: bool = False,
             spectral_norm: bool = False, diff_augment: tuple[str, ...] = ()) -> Generate:
  """Adversarial networks.

  hp: `r1_weight` and `r2_weight` (1), gamma of the squared slopes; `penalty_weight` (10) of the
  slope in between.

  Args:
    loss: see `adversarial_losses`.
    penalties: those of 'r1', 'r2' (Mescheder et al. 2018, https://arxiv.org/abs/1801.04406) and
      'penalty' that are in the objective.
    conditional: whether images of a class are asked for.
    spectral_norm: whether the critic's weights are divided by their largest singular values
      (`visionlab.ops.spectral`).
    diff_augment: those of 'colour', 'translation' and 'cutout' that the critic's images go through,
      for few data (`visionlab.ops.diff_augment`).

  Raises:
    ConfigError: an unknown loss, penalty or augmentation, classes that the data have not, or a
      model that is none.
  """
  check_choice(loss, LOSSES, 'config.task.loss')
  for i, name in enumerate(penalties):
    check_choice(name, ('r1', 'r2', 'penalty'), f'config.task.penalties[{i}]')
  for i, name in enumerate(diff_augment):
    check_choice(name, POLICIES, f'config.task.diff_augment[{i}]')
  if conditional and (not info.classes or 'label' not in example):
    raise ConfigError('config.task.conditional: these data have no classes')
  model = make_model(shape=tuple(example['image'].shape[1:]),
                     classes=len(info.classes) if conditional else 0)
  if not (hasattr(model, 'generate') and hasattr(model, 'judge')):
    raise ConfigError('config.task.model: generate needs a generator and a critic, such as '
                      f'dict(name="gan"), not {type(model).__name__}')
  return Generate(model, loss, tuple(penalties), conditional, info.classes, spectral_norm,
                  tuple(diff_augment))
