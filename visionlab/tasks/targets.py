"""What is learnt of an image beside others: a label, numbers, or landmarks; where it is known."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError, check_choice
from visionlab.data.file_warnings import warn_once
from visionlab.data.source import Info
from visionlab.measures.classification import topk_correct
from visionlab.measures.landmarks import check_between, landmark_scores, normalised_errors
from visionlab.measures.regression import regression_scores
from visionlab.tasks.own_loss import OwnLoss

KINDS = ('softmax', 'l2', 'landmarks')


@dataclasses.dataclass(frozen=True)
class Target:
  """One of the tasks: an entry of the batch, and how it is learnt.

  Attributes:
    entry: its name, and that of its head and of its term.
    kind: 'softmax', of a label (b,) int, which is not known where it is below 0; 'l2', of numbers
      (b,) or (b d), not known where one is nan; or 'landmarks' (b k 3), x and y in pixels, not
      known where the third is 0.
    mean, std: what numbers, or x and y, are standardised by.
    between: of landmarks, see `visionlab.measures.landmarks.normalised_errors`.
    loss: '' for that of its kind, or one's own, 'package.module:function' of logits (b k) and
      labels (b,), or of standardised numbers (b d), said and true; it gives losses (b,).
  """
  entry: str
  kind: str = 'l2'
  mean: float = 0.
  std: float = 1.
  between: tuple[int, ...] = ()
  loss: str = ''

  def losses(self, output: jax.Array, truth: jax.Array) -> jax.Array:
    """(b,): the cross-entropy, or the mean of squared errors in units of `std`, over what is known;
    finite where nothing is."""
    if self.kind == 'softmax':
      return -jnp.take_along_axis(jax.nn.log_softmax(output), jnp.maximum(truth, 0)[:, None],
                                  -1)[:, 0]
    if self.kind == 'l2':
      return ((output - self.standardised(jnp.nan_to_num(truth))) ** 2).mean(-1)
    known = truth[..., 2:] > 0
    off = jnp.where(known, output.reshape(*truth.shape[:2], 2)
                    - (truth[..., :2] - self.mean) / self.std, 0)
    return (off ** 2).sum((1, 2)) / jnp.maximum(2 * known.sum((1, 2)), 1)

  def own_losses(self, own: OwnLoss, output: jax.Array, truth: jax.Array, known: jax.Array,
                 hp: Mapping) -> jax.Array:
    """(b,) by a loss of one's own, which is shown zeros where an example is not known (b,)."""
    shown = jnp.where(known[:, None], output, 0)
    if self.kind == 'softmax':
      return own.of_each(shown, jnp.maximum(truth, 0), hp)
    return own.of_each(shown, self.standardised(jnp.nan_to_num(truth)), hp)

  def known(self, truth: jax.Array) -> jax.Array:
    """(b,) bool: whether there is anything to learn, or to measure, of an example."""
    if self.kind == 'softmax':
      return truth >= 0
    if self.kind == 'l2':
      return ~jnp.isnan(columns(truth)).any(-1)
    return (truth[..., 2] > 0).any(-1)

  def standardised(self, truth: jax.Array) -> jax.Array:
    return (columns(truth) - self.mean) / self.std

  def predicted(self, output: jax.Array) -> jax.Array:
    """Of a head's output (b width): probabilities (b k), numbers (b d) in their own units, or
    landmarks (b k 2) in pixels."""
    if self.kind == 'softmax':
      return jax.nn.softmax(output)
    numbers = output * self.std + self.mean
    return numbers.reshape(len(output), -1, 2) if self.kind == 'landmarks' else numbers

  def rows(self, output: jax.Array, truth: jax.Array) -> dict:
    """What `scores` needs of a batch."""
    if self.kind == 'softmax':
      return dict(right=topk_correct(output, jnp.maximum(truth, 0), 1), known=self.known(truth))
    truth = truth if self.kind == 'landmarks' else columns(truth)
    return dict(prediction=self.predicted(output), target=truth, known=self.known(truth))

  def scores(self, rows: Mapping[str, np.ndarray]) -> dict[str, float]:
    """`accuracy`; `rmse` and `r2`; or `nme`, `failures` and `auc`; under the entry's name."""
    known = np.asarray(rows['known'], bool)
    if self.kind == 'softmax':
      right = rows['right'][known]
      found = dict(accuracy=float(right.mean()) if len(right) else np.nan)
    else:
      prediction, target = rows['prediction'][known], rows['target'][known]
      if self.kind == 'landmarks':
        found = landmark_scores(prediction, target, self.between)
        no_unit = int(np.isnan(normalised_errors(prediction, target, self.between)).sum())
        if no_unit:
          a, b = check_between(self.between, target.shape[1])
          warn_once(f'{self.entry}: {no_unit} of {len(target)} images count in no error, since '
                    f'landmark {a} or {b}, whose distance is the unit, is not known')
      else:
        scores = regression_scores(prediction, target)
        found = {name: scores[name] for name in ('rmse', 'r2')}
    return {f'{self.entry}_{name}': value for name, value in found.items()}


def names_of(target: Target, info: Info) -> tuple[str, ...]:
  """What the values of a label stand for."""
  return tuple(info.attributes.get(target.entry, ())) or info.classes


def check_target(target: Target, spec: jax.ShapeDtypeStruct, info: Info, where: str) -> int:
  """The width of the head that a target needs.

  Raises:
    ConfigError: an unknown kind, or an entry that is of another.
  """
  check_choice(target.kind, KINDS, f'{where}.kind')
  if target.std <= 0:
    raise ConfigError(f'{where}.std: must be above 0, not {target.std}')
  if target.kind == 'landmarks':
    if len(spec.shape) != 3 or spec.shape[2] != 3:
      raise ConfigError(f'{where}.kind: landmarks are x, y and whether they are known (k 3), and '
                        f'these are {spec.shape[1:]}')
    if target.loss:
      raise ConfigError(f'{where}.loss: landmarks take none of one\'s own')
    try:
      check_between(target.between, spec.shape[1])
    except ConfigError as e:
      raise ConfigError(f'{where}.between: {e}') from e
    return 2 * spec.shape[1]
  if target.kind == 'l2':
    return int(np.prod(spec.shape[1:]))
  names = names_of(target, info)
  if not (names and spec.ndim == 1 and np.issubdtype(spec.dtype, np.integer)):
    raise ConfigError(f'{where}.kind: softmax is for a label, one class of each image')
  return len(names)


def columns(truth):
  return truth.reshape(len(truth), -1)
