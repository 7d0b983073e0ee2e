"""Driving: a probability distribution of how to steer, from a camera's view and perhaps a map."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError, check_choice
from visionlab.data.file_warnings import warn_once
from visionlab.figures import driving as figures
from visionlab.measures.driving import driving_scores
from visionlab.metrics import Ratio
from visionlab.ops.image import Standardise, to_float
from visionlab.ops.mixtures import cumulative, log_density, mode
from visionlab.task import Aux, Evaluator
from visionlab.tasks.forward import check_output, forward, fresh

CHARTS = dict(none=(), all=(0,), route=(1,))     # the channels of `map` that are seen
NARROWEST = .03                  # standard deviation of a component, in units of target_std
NEAR = .02                       # curvature, in 1/m, beside a branch that counts as taking it
BRANCH = ('admissible', 'there', 'fork')
PER_FRAME = ('map', 'steering', *BRANCH)
MANY, AGAINST = 100, -.3         # examples, and a correlation, that say that signs are wrong
ALIKE = .05, 3.                  # of target_std, by how much steering usually varies


@dataclasses.dataclass(frozen=True)
class Drive:
  """batch: `image` (b h w c), `steering` (b,), `valid` (b,); for a task that sees a map `map`
  (b m m 2), of all roads and of the route; where branches are known `admissible` (b 3), `there`
  (b 3) and `fork` (b,), and of recordings `previous` (b,), the last command before, which
  evaluations compare with, and a network that is `told` it begins from: its components lie about
  that command, which it sees as one more channel, too. Of clips there is `video` (b t h w c) in
  place of `image`, and all but `valid` is said of each frame: (b t ...).

  predict: a mixture of normal distributions, `weights`, `means` and `sigmas` (b k), `prediction`
  (b,), its mean, and `mode` (b,), where it is densest; in 1/m; of clips of their last frame.
  """
  model: Any
  components: int
  chart: str
  target_std: float
  preprocess: Standardise
  told: bool = False

  def hyperparameters(self):
    return {}

  @property
  def beside(self) -> tuple[str, ...]:
    """What is seen beside the image."""
    return (('map',) if CHARTS[self.chart] else ()) + (('previous',) if self.told else ())

  def seen(self, batch):
    """What the network is given."""
    image = self.preprocess(batch['video'] if 'video' in batch else batch['image'])
    if self.told:
      last = self.last_command(batch)[:, None, None, None]
      image = jnp.concatenate([image, jnp.broadcast_to(last, (*image.shape[:-1], 1))], -1)
    channels = CHARTS[self.chart]
    if channels and 'map' not in batch:
      raise ConfigError('this run sees a map beside the image, and there is none')
    return (image, to_float(batch['map'])[..., channels]) if channels else image

  def last_command(self, batch):
    """(b,), in units of target_std."""
    if 'previous' not in batch:
      raise ConfigError('this run is told the last command beside the image, and there is no '
                        '`previous`, as "driving_log" has it')
    return batch['previous'] / self.target_std

  def init(self, key, batch):
    return fresh(self.model, key, self.seen(batch))

  def mixture(self, variables, batch, key=None, *, train=False):
    """Logarithms of weights, means and standard deviations (b k), or of clips (b t k), in units of
    target_std, and the collections after this batch."""
    out, collections = forward(self.model, variables, self.seen(batch), key, train=train)
    times = batch['video'].shape[:2] if 'video' in batch else batch['image'].shape[:1]
    check_output(out, (*times, 3 * self.components), self.model, 'three numbers of each component')
    log_weights, means, sigmas = self.components_of(out)
    if self.told:
      means = means + self.last_command(batch)[:, None]
    return log_weights, means, sigmas, collections

  def components_of(self, out):
    """Logarithms of weights, means and standard deviations (... k) of a network's (... 3k).

    Components begin side by side, a standard deviation apart, so that each finds a branch of its
    own; none becomes narrower than `NARROWEST`, for a density has no upper bound.
    """
    logits, means, widths = jnp.split(out.astype(jnp.float32), 3, -1)
    begin = np.arange(self.components, dtype=np.float32) - (self.components - 1) / 2
    return jax.nn.log_softmax(logits), means + begin, NARROWEST + jax.nn.softplus(widths)

  def loss(self, variables, batch, key, hp, *, train):
    *mixture, collections = self.mixture(variables, batch, key, train=train)
    steering, valid = batch['steering'], batch['valid']
    known = valid.reshape(-1, *[1] * (steering.ndim - 1))
    nll = -log_density(jnp.where(known, steering, 0) / self.target_std, *mixture)
    return {'nll': Ratio.of(nll.reshape(len(nll), -1).mean(-1), valid)}, Aux(collections, {})

  def predict(self, variables, batch):
    *mixture, _ = self.mixture(variables, batch)
    return self.said(*(last(part, 2) for part in mixture))

  def said(self, log_weights, means, sigmas):
    """What `predict` says of a mixture (b k)."""
    weights = jnp.exp(log_weights)
    means, sigmas = means * self.target_std, sigmas * self.target_std
    return dict(prediction=(weights * means).sum(-1), mode=mode(log_weights, means, sigmas),
                weights=weights, means=means, sigmas=sigmas)

  def begin(self, b: int):
    """What a network with a memory knows before b drives; None of one without."""
    return self.model.begin(b) if hasattr(self.model, 'begin') else None

  def step(self, variables, seen, memory):
    """What `predict` says of the next frame of each of b drives, and what is known afterwards.

    Args:
      seen: `image` (b h w c) and what else is seen; `fresh` (b,) bool, where a drive begins anew.
      memory: as `begin`, or this before, gave it.
    """
    memory = jax.tree.map(lambda x: jnp.where(seen['fresh'][:, None], 0, x), memory)

    def along(model, x, train):
      return model(x, memory, train=train)
    (out, memory), _ = forward(self.model, variables, self.seen(seen), None, train=False,
                               method=along)
    return self.said(*self.components_of(out)), memory

  def answer(self, variables, batch, given=None):
    return dict(outputs=self.predict(variables, batch)['prediction'][:, None])

  def evaluators(self):
    def update(variables, batch, hp):
      mixture = [last(part, 2) for part in self.mixture(variables, batch)[:3]]
      batch = last_frames(batch)
      target = batch['steering'] / self.target_std
      found = dict(prediction=self.said(*mixture)['prediction'],
                   target=batch['steering'], nll=-log_density(target, *mixture),
                   below=cumulative(target, *mixture))
      found |= {name: batch[name] for name in ('previous', 'age') if name in batch}
      if all(name in batch for name in BRANCH):
        near = [cumulative((batch['admissible'] + by) / self.target_std,
                           *(x[:, None] for x in mixture)) for by in (-NEAR, NEAR)]
        found |= dict(taken=near[1] - near[0], there=batch['there'], fork=batch['fork'])
      return found
    return {'driving': Evaluator(update, self._finish, kind='collect')}

  def _finish(self, found):
    spread = float(np.std(found['target']))
    least, most = (times * self.target_std for times in ALIKE)
    if len(found['target']) > 1 and not least <= spread <= most:
      warn_once(f'steering varies by {spread:.3g} in these data, and this network was made for '
                f'about {self.target_std:.3g}: its units may be others; see the options scale, '
                'unit, ratio and wheelbase of "driving_log"')
    with np.errstate(all='ignore'):          # of what never changes
      alike = np.corrcoef(found['prediction'], found['target'])[0, 1]
    if len(found['target']) >= MANY and alike < AGAINST:
      warn_once('what is predicted and what was driven go against each other: these data may be '
                'positive to the right where they are taken to be to the left; see the option '
                'scale of "driving_log"')
    return driving_scores(**found)

  def figures(self, batch, predictions, results):
    return {'samples': figures.distributions(last_frames(batch), predictions)}


def last(x, ndim: int):
  """Of what is said of each frame (b t ...) the last; what has no more than `ndim` axes is said of
  images."""
  return x[:, -1] if x.ndim > ndim else x


def last_frames(batch):
  """A batch of clips as one of images, their last ones; one of images as it is."""
  if 'video' not in batch:
    return batch
  each = {name: batch[name][:, -1] for name in (*PER_FRAME, 'previous') if name in batch}
  return {**batch, **each, 'image': batch['video'][:, -1]}


def drive(*, make_model: Callable, example: Mapping, components: int = 3, chart: str = 'none',
          target_std: float = .04, told: bool = False, steering_std: float = 0., mean: tuple = (),
          std: tuple = (), channel_order: str = 'RGB') -> Drive:
  """A mixture of normal distributions of steering (Bishop 1994, "Mixture density networks"), by its
  negative log-likelihood, in nats of steering / target_std.

  Args:
    components: of the mixture; 1 is a normal distribution, whose mean is a command.
    chart: what is seen of the map, 'none', 'all' roads or the 'route'.
    target_std: about the standard deviation of steering; 0: that of what is learnt from.
    told: whether the last command is seen beside the image (see `Drive`), which a car knows. What
      is measured then beats it if there is more in the image than to go on as before.
    steering_std: that standard deviation, where it is known; given by the data.
    mean, std, channel_order: what is done to images before the network sees them, see
      `visionlab.ops.image.standardise`.

  Raises:
    ConfigError: an unknown `chart`, data without steering or without the map, or numbers out of
      range.
  """
  check_choice(chart, CHARTS, 'config.task.chart')
  for name in ('steering', *(['map'] if CHARTS[chart] else [])):
    if name not in example:
      raise ConfigError(f'config.task: "drive" needs data with {name!r}, such as "roads"; there '
                        f'are {", ".join(example)}')
  if components < 1 or target_std < 0:
    raise ConfigError('config.task: components must be at least 1 and target_std 0 or more, not '
                      f'{components} and {target_std}')
  if not target_std and not steering_std:
    raise ConfigError('config.task.target_std: 0 stands for the standard deviation of the data\'s '
                      'steering, which is not known before they are read, or is 0; give a number')
  if told and 'video' in example:
    raise ConfigError('config.task.told: is for images, and these data are clips')
  if told and 'previous' not in example:
    raise ConfigError('config.task.told: needs data with the last command, `previous`, such as '
                      f'"driving_log"; there are {", ".join(example)}')
  return Drive(make_model(classes=3 * components), components, chart, target_std or steering_std,
               Standardise(mean, std, channel_order), told)
