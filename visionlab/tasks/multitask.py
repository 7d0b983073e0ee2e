"""Several things learnt of an image at once: labels, numbers and landmarks, each of which may stop
early."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from visionlab.config import ConfigError, bind, check_choice
from visionlab.data.file_warnings import warn_once
from visionlab.data.source import Info
from visionlab.figures import charts, landmarks
from visionlab.measures.landmarks import normalised_errors
from visionlab.metrics import Ratio
from visionlab.ops.early_stopping import stopping_measure
from visionlab.ops.image import Standardise
from visionlab.task import Aux, Evaluator
from visionlab.tasks.forward import forward, fresh
from visionlab.tasks.own_loss import OwnLoss, hyperparameters_of, own_loss
from visionlab.tasks.targets import Target, check_target, columns, names_of

WRITTEN = 5                     # landmarks that a line of text has room for

@dataclasses.dataclass(frozen=True)
class Stopping:
  """Task-wise early stopping (Zhang et al. 2014, section 3.2).

  Attributes:
    main: the task that never stops.
    every: updates in a strip of training, over which errors are averaged; one is one however
      many microbatches it is computed in.
    strips: k of the criterion, which is looked at from the k-th strip on.
  """
  main: str
  every: int = 50
  strips: int = 5


@dataclasses.dataclass(frozen=True)
class MultiTask:
  """batch: `image` (b h w c), `valid` (b,), an entry for each target, and `held_out` (b,) bool of
  examples that are watched and not learnt from, if tasks are to stop early.

  A term for each target, under its name, with the weight `hp.<name>_weight` (1). A task stops for
  good once its `visionlab.ops.early_stopping.stopping_measure` exceeds `hp.stop_above`: its term is
  0 from then on, and the metric `<name>_stopped` 1. An evaluation measures all tasks.

  The collection `tasks` has, in the order of the names: `train` and `held_out`, sums and counts
  (n 2) of losses in this strip; `history` (n k) and `best` (n,) of training losses; `stopped` (n,)
  0 or 1; `updates` () int32.

  What is not known of an example (see `Target`) is neither learnt nor measured; nor, in an
  evaluation, are targets that its data do not have at all.

  predict: by name, probabilities (b k), numbers (b d) in their own units or landmarks (b k 2); and
  `prediction` (b,), the main label or that of the first 'softmax', if there is one.
  """
  model: Any
  targets: tuple[Target, ...]
  names: tuple[tuple[str, ...], ...]         # of each target's values, where it is a label
  stopping: Stopping | None
  preprocess: Standardise
  own: tuple[OwnLoss | None, ...] = ()       # of each target, where it has one
  open_set: bool = False                     # none of the targets is the class of an image

  def hyperparameters(self):
    stop = dict(stop_above=1.) if self.stopping else {}
    return hyperparameters_of(self.own, {f'{t.entry}_weight': 1. for t in self.targets} | stop)

  def init(self, key, batch):
    first = fresh(self.model, key, self.preprocess(batch['image']))
    if not self.stopping:
      return first
    n, k = len(self.targets), self.stopping.strips
    return {**first, 'tasks': dict(
        train=jnp.zeros((n, 2)), held_out=jnp.zeros((n, 2)), history=jnp.zeros((n, k)),
        best=jnp.full(n, jnp.inf), stopped=jnp.zeros(n), updates=jnp.int32(0))}

  def outputs(self, variables, batch, key=None, *, train=False):
    """{name: (b width) float32}, and the model's collections after this batch."""
    of_model = {k: v for k, v in variables.items() if k != 'tasks'}
    return forward(self.model, of_model, self.preprocess(batch['image']), key, train=train)

  def loss(self, variables, batch, key, hp, *, train):
    outputs, collections = self.outputs(variables, batch, key, train=train)
    losses = {}
    there = self.targets if train else self.there(batch)
    for t, own in zip(self.targets, self.own, strict=True):
      if t not in there:
        continue
      output, truth = outputs[t.entry], batch[t.entry]
      known = batch['valid'] & t.known(truth)
      found = t.own_losses(own, output, truth, known, hp) if own else t.losses(output, truth)
      losses[t.entry] = found, known

    def over(examples):
      return {name: Ratio.of(loss, examples & known) for name, (loss, known) in losses.items()}
    if not (train and self.stopping):
      return over(batch['valid']), Aux({**collections, **_tasks(variables)}, {})
    terms = over(batch['valid'] & ~batch['held_out'])
    held_out = over(batch['valid'] & batch['held_out'])
    stopped = variables['tasks']['stopped']
    state = self._after(variables['tasks'], terms, held_out, hp)
    metrics = {f'{name}_held_out': ratio for name, ratio in held_out.items()}
    metrics |= {f'{name}_stopped': Ratio(stopped[i], jnp.float32(1))
                for i, name in enumerate(terms)}
    alive = {name: Ratio((1 - stopped[i]) * term.sum, term.count)
             for i, (name, term) in enumerate(terms.items())}
    return alive, Aux({**collections, 'tasks': state}, metrics)

  def _after(self, state, terms, held_out, hp):
    """The collection `tasks` after a batch, or after a part of one: nothing stops within."""
    axis = getattr(self.model, 'axis_name', None)
    ends = jnp.asarray(hp.get('update_ends', True))
    train, watched = (jnp.stack([jnp.stack([r.sum, r.count]) for r in ratios.values()])
                      for ratios in lax.stop_gradient((terms, held_out)))
    train, watched = lax.psum((train, watched), axis) if axis else (train, watched)
    state = {**state, 'train': state['train'] + train, 'held_out': state['held_out'] + watched,
             'updates': state['updates'] + ends}
    weights = jnp.stack([hp[f'{t.entry}_weight'] for t in self.targets])
    return lax.cond(ends & (state['updates'] % self.stopping.every == 0),
                    lambda: self._judged(state, weights, hp['stop_above']), lambda: state)

  def _judged(self, state, weights, threshold):
    """At the end of a strip: what has stopped, and empty sums."""
    error, watched = (sums[:, 0] / jnp.maximum(sums[:, 1], 1)
                      for sums in (state['train'], state['held_out']))
    history = jnp.roll(state['history'], 1, 1).at[:, 0].set(error)
    best = jnp.minimum(state['best'], error)
    main = [t.entry for t in self.targets].index(self.stopping.main)
    past = stopping_measure(history, best, watched, weights / weights[main]) > threshold
    full = state['updates'] >= self.stopping.every * self.stopping.strips
    past &= full & (jnp.arange(len(past)) != main)
    return {**state, 'history': history, 'best': best, 'train': jnp.zeros_like(state['train']),
            'held_out': jnp.zeros_like(state['held_out']),
            'stopped': jnp.maximum(state['stopped'], past)}

  def predict(self, variables, batch):
    outputs, _ = self.outputs(variables, batch)
    predictions = {t.entry: t.predicted(outputs[t.entry]) for t in self.targets}
    label = self._label()
    return predictions | ({'prediction': outputs[label].argmax(-1)} if label else {})

  def answer(self, variables, batch, given=None):
    outputs, _ = self.outputs(variables, batch)
    label = self._label()
    return outputs | ({'logits': outputs[label]} if label else {})

  def evaluators(self):
    return {'targets': Evaluator(self._rows, self._finish, kind='collect')}

  def describe(self, predictions, top):
    """A line for each image, of what is predicted: for the command line."""
    return ['  '.join(f'{name} {text}' for name, text in self._words(predictions, i).items())
            for i in range(len(next(iter(predictions.values()))))]

  def picture(self, images, predictions, captions, title):
    """What is predicted of images, drawn into them where it is landmarks: for the command line."""
    points = next((t.entry for t in self.targets if t.kind == 'landmarks'), None)
    images = np.stack(images) if points is None else landmarks.drawn(images, predictions[points])
    return charts.image_grid(images, captions, None, title)

  def figures(self, batch, predictions, results):
    words = [self._words(predictions, i) for i in range(min(24, len(batch['image'])))]
    captions = ['\n'.join(f'{name} {text}' for name, text in one.items()) for one in words]
    label = self._label()
    right = predictions['prediction'] == batch[label] if label in batch else None
    pictures = {'samples': charts.image_grid(batch['image'][:24], captions, right, 'Predictions')}
    for t in self.there(batch):
      truth = batch[t.entry]
      if t.kind == 'l2':
        pictures[t.entry] = charts.scatter(columns(truth), predictions[t.entry])
      if t.kind == 'landmarks':
        pictures[t.entry] = landmarks.found(batch['image'], truth, predictions[t.entry], t.between)
        errors = normalised_errors(predictions[t.entry], truth, t.between)
        pictures[f'{t.entry}_errors'] = landmarks.cumulative(errors)
    return pictures

  def _label(self):
    """The name of the label that stands for the image, or None."""
    labels = [t.entry for t in self.targets if t.kind == 'softmax']
    main = self.stopping.main if self.stopping else None
    return main if main in labels else next(iter(labels), None)

  def _words(self, predictions, i):
    words = {}
    for t, names in zip(self.targets, self.names, strict=True):
      row = predictions[t.entry][i]
      if t.kind == 'softmax':
        words[t.entry] = f'{names[row.argmax()]} {row.max():.0%}'
      if t.kind == 'l2':
        words[t.entry] = ' '.join(f'{v:.2f}' for v in row)
      if t.kind == 'landmarks' and len(row) <= WRITTEN:
        words[t.entry] = ' '.join(f'{x:.0f},{y:.0f}' for x, y in row)
    return words

  def there(self, batch) -> tuple[Target, ...]:
    """The targets that a batch has; all, so that what is missing is named, if it has none."""
    there = tuple(t for t in self.targets if t.entry in batch)
    missing = [t.entry for t in self.targets if t not in there]
    if there and missing:
      warn_once(f'these data have no {", ".join(missing)}, and only the rest is measured')
    return there or self.targets

  def _rows(self, variables, batch, hp):
    outputs, _ = self.outputs(variables, batch)
    return {t.entry: t.rows(outputs[t.entry], batch[t.entry]) for t in self.there(batch)}

  def _finish(self, rows):
    results = {}
    for t in self.there(rows):
      results |= t.scores(rows[t.entry])
    return results


def multitask(*, make_model: Callable, info: Info, example: Mapping, targets: Mapping,
              stopping: Mapping | None = None, mean: tuple = (), std: tuple = (),
              channel_order: str = 'RGB') -> MultiTask:
  """Several targets of one image, each with a head; those of no more use stop.

  Args:
    targets: entry of the batch -> dict(kind=, mean=, std=, loss=), see
      `visionlab.tasks.targets.Target`.
    stopping: dict(main=, every=, strips=), see `Stopping`; without it no task stops.
    mean, std, channel_order: what is done to images before the network sees them, see
      `visionlab.ops.image.standardise`.

  Raises:
    ConfigError: a target that the data do not have or that is of another kind, nothing held out to
      stop by, or a model without heads.
  """
  if not targets:
    raise ConfigError('config.task.targets: at least one is needed, e.g. dict(label=dict('
                      'kind="softmax"))')
  if 'labelled' in example and 'label' in targets:
    raise ConfigError('config.task.targets.label: is hidden in part by this source, and multitask '
                      'would learn 0 in its place; name the source itself in config.data')
  there = [k for k in example if k not in ('image', 'valid', 'held_out')]
  made, widths = [], {}
  for name, options in targets.items():
    where = f'config.task.targets.{name}'
    check_choice(name, there, 'config.task.targets')
    made.append(bind(Target, options, where, entry=name))
    widths[name] = check_target(made[-1], example[name], info, where)
  stop = bind(Stopping, stopping, 'config.task.stopping') if stopping else None
  if stop:
    check_choice(stop.main, tuple(widths), 'config.task.stopping.main')
    if min(stop.every, stop.strips) < 1:
      raise ConfigError('config.task.stopping: every and strips must be at least 1')
    if 'held_out' not in example:
      raise ConfigError('config.task.stopping: the data have no `held_out` to stop by, as '
                        'dict(name="digit_measures", ...) has')
  model = make_model(outputs=widths, classes=0)
  if not hasattr(model, 'outputs'):
    raise ConfigError('config.task.model: multitask needs a network with a head for each target, '
                      'such as dict(name="multitask", backbone=dict(name="cnn")), not '
                      f'{type(model).__name__}')
  names = tuple(names_of(t, info) if t.kind == 'softmax' else () for t in made)
  open_set = not any(t.kind == 'softmax' and t.entry not in info.attributes for t in made)
  own = tuple(t.loss and own_loss(t.loss, (), f'config.task.targets.{t.entry}.loss') or None
              for t in made)
  return MultiTask(model, tuple(made), names, stop, Standardise(mean, std, channel_order), own,
                   open_set)


def _tasks(variables):
  return {k: v for k, v in variables.items() if k == 'tasks'}
