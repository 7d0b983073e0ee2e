"""The contract a task fulfils: one file of pure functions, and the loop needs nothing else.

A task is a frozen dataclass of static choices (its model, its loss's form). It is checked here on
paper against what it must carry:

* classification, regression: `batch = {'image', 'label', 'valid'}`; one loss term.
* segmentation: `label_map` (b h w) instead of `label`; a term that counts labelled pixels.
* detection: `objects = {'boxes' (b n 4), 'classes' (b n), 'valid' (b n), ...}` padded to n; five
  terms, each with its own count (sampled anchors, positive boxes, ...), so each is normalised
  globally; `predict` gives fixed numbers of boxes with `valid`; evaluators of kind 'collect' take
  those to the host, where COCO's matching is done.
* captioning: `caption` (b r t) tokens with `valid` (b r t); a term that counts tokens; `predict`
  decodes step by step under jit.
* two domains: `{'source': {...}, 'target': {...}}`; the loss reads `hp['progress']` for its
  schedules and weighs its terms by hp.

`valid` at a level of the batch says which entries of that level are real: padding and unusable
examples are False, and count nowhere; in training BatchNorm alone sees their pixels, as it does not
know. What is drawn of an example in an evaluation hangs on the example alone
(`visionlab.tasks.draws`), so that results are the same whatever the batch.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

import jax
import numpy as np

from visionlab.metrics import Ratio

Batch = Mapping[str, Any]          # arrays, or dicts of arrays, with the examples on axis 0
Variables = Mapping[str, Any]      # {'params': ..., and what is updated without gradients: ...}
Results = Mapping[str, Any]        # name -> float, or an array too big for a line in the log


class Aux(NamedTuple):
  """What a loss returns beside its terms."""
  collections: Variables           # the variables other than params, after this batch
  metrics: Mapping[str, Ratio]     # worth watching, not optimised


class Evaluator(NamedTuple):
  """A measurement over a whole split.

  update(variables, batch, hp) is traced and gives this batch's statistics, a tree of arrays.
  With kind 'sum' these are added up on the device; with 'collect' they are brought to the host and
  concatenated on axis 0, padded examples left out. finish(statistics) turns what came of it into
  named results on the host. The updates of one task's evaluators are compiled as one program, so a
  forward pass that several of them ask for is computed once.
  """
  update: Callable[[Variables, Batch, Mapping[str, jax.Array]], Any]
  finish: Callable[[Any], Results]
  kind: Literal['sum', 'collect'] = 'sum'


class Task(Protocol):

  # A task whose loss reads `label_mixed` and `mix_weight`, which mixup and cutmix make, says so:
  # mixable: tuple[str, ...] = ('label',). To any other these augmentations are refused.

  # A task whose loss draws numbers of each example says draws = True: in training its batches have
  # `draw` (b,), typed keys that hang on the step and the example's place in the batch alone, so
  # that devices and microbatches change nothing.

  # A task whose network sees more of an example than its image or clip names it: beside = ('map',).

  # A task whose network may start from one that sees fewer channels makes its kernels:
  # widened(kernel (h w i o), channels) -> kernel (h w channels o), or None where it cannot.

  def hyperparameters(self) -> Mapping[str, float]:
    """The scalars of config.hp that the loss reads, with their defaults.

    A loss term `x` is weighed by `hp['x_weight']` where there is one.
    """

  def init(self, key: jax.Array, batch: Batch) -> Variables:
    """Fresh variables; only the shapes of `batch` matter."""

  def loss(self, variables: Variables, batch: Batch, key: jax.Array,
           hp: Mapping[str, jax.Array], *, train: bool) -> tuple[dict[str, Ratio], Aux]:
    """The named loss terms. `hp` holds config.hp and `progress`, the part of training done (0..1);
    in training also `update_ends`, False where more microbatches of the same update follow.

    The same function gives the validation loss (train=False).
    """

  def predict(self, variables: Variables, batch: Batch) -> dict[str, jax.Array]:
    """What the network says, with static shapes; evaluation, notebooks and export use it."""

  # Seeing into a network (`visionlab.understand`) needs one more method, and where an answer is
  # about something in the image a second, which says what it is about by default:
  # answer(variables, batch, given=None) -> dict[str, Array]: what the network says, differentiably,
  #   in [0, 1] float images: `logits` (b k) or (b h w k), `outputs` (b d), or others by name;
  # found(variables, batch) -> dict[str, Array]: such as `boxes` (b 4) or `tokens` (b t); `given`.

  def evaluators(self) -> dict[str, Evaluator]:
    """Measurements beside the loss."""

  def figures(self, batch: Batch, predictions: Mapping[str, np.ndarray],
              results: Results) -> dict[str, np.ndarray]:
    """What a person looks at: name -> picture (h w 3) uint8, drawn on the host from some examples
    of the evaluated split and its results."""
