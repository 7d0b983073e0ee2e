"""How like real images those are that a network makes, as another network sees them."""

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from visionlab.config import ConfigError
from visionlab.measures import frechet
from visionlab.ops.image import to_float
from visionlab.runs.load import load
from visionlab.runs.run import Run
from visionlab.task import Evaluator, Task
from visionlab.tasks.generate import small
from visionlab.understand.features import features_of

FITTED = 2000         # images that the normal distribution is fitted to, of MOST pixels a side
MOST = 32


def likeness(task: Task, place: str, where: str) -> Evaluator:
  """Compares what a task makes (`task.made`) with a split's images, in the features of the run, the
  export or the weights at `place` (see `visionlab.load`), which are read now.

  Results: those of `visionlab.measures.frechet.likeness`, and `frechet_of_gaussian`, of images
  drawn from the normal distribution of the real ones' pixels, which a generator should beat. Of a
  classifier also `classes_made`, how many it sees in what is made, and `entropy_of_classes`, which
  is 1 where it sees all as often; and where images of a class were asked for `named_right`, the
  share that it takes for it, beside that of the real images, `real_named_right`.

  where: the key or flag, for messages.

  Raises:
    ConfigError: a task that makes no images, or what is there has no features.
  """
  if not hasattr(task, 'made'):
    raise ConfigError(f'{where}: for tasks that make images, such as generate, not '
                      f'{type(task).__name__}')
  judge = load(place)
  see = seen_by(judge)

  def update(variables, batch, hp):
    made, asked = task.made(variables, batch)
    rows = dict(real=see(batch['image']), made=see(made), pixels=small(batch['image'], MOST))
    if asked is not None and judge.classes == task.classes:
      rows |= dict(asked=asked, label=batch['label'])
    return rows

  def finish(rows):
    real, made = rows['real'], rows['made']
    results = frechet.likeness(real['features'], made['features'])
    gaussian = frechet.like_in_two_moments(rows['pixels'][:FITTED], len(made['features']))
    results['frechet_of_gaussian'] = frechet.frechet_distance(
        real['features'], np.asarray(jax.jit(see)(gaussian)['features']))
    if np.isnan(results['frechet_of_gaussian']):
      logging.warning('%s: no Frechet distance: the %d images are no more than the %d features; '
                      'name a network with fewer', where, *real['features'].shape)
    if 'class' in made:
      results |= classes_made(made['class'], len(judge.classes))
    if 'asked' in rows:
      results |= dict(named_right=float((made['class'] == rows['asked']).mean()),
                      real_named_right=float((real['class'] == rows['label']).mean()))
    return results
  return Evaluator(update, finish, kind='collect')


def seen_by(judge: Run):
  """A function of images (b h w c), of any size, to what a run says of them: `features` (b d) and,
  where it tells classes, `class` (b,)."""
  ask, _ = features_of(judge.task)
  shape = judge.facts.image.shape[1:]

  def see(images: jax.Array) -> dict[str, jax.Array]:
    batch = dict(image=fitted(images, shape))
    said = judge.task.predict(judge.variables, batch)
    found = said.get('prediction')
    classes = {'class': found} if 'probabilities' in said and found.ndim == 1 else {}
    return dict(features=ask(judge.variables, batch), **classes)
  return see


def fitted(images: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
  """Images (b h w c), uint8 or in [0, 1], of another size and with as many colours."""
  images = to_float(images)
  if images.shape[-1] != shape[-1]:
    grey = images.mean(-1, keepdims=True)
    images = jnp.broadcast_to(grey, (*images.shape[:-1], shape[-1]))
  return jax.image.resize(images, (len(images), *shape), 'linear')


def classes_made(found: np.ndarray, k: int) -> dict[str, float]:
  """How many of k classes are among those found (n,), and the entropy of their shares over log k.

  >>> classes_made(np.array([0, 0, 2, 2]), 4)
  {'classes_made': 2.0, 'entropy_of_classes': 0.5}
  """
  share = np.bincount(found, minlength=k) / len(found)
  there = share[share > 0]
  return dict(classes_made=float(len(there)),
              entropy_of_classes=float(-(there * np.log(there)).sum() / np.log(k)) if k > 1 else 0.)
