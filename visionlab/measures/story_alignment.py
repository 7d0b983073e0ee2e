"""How well the shots of films are matched to the sentences of their books."""

import numpy as np

from visionlab.config import ConfigError
from visionlab.measures.average_precision import Curve, area_under
from visionlab.ops.story_chain import NOWHERE

TOLERANCES = (0, 1, 3)           # sentences by which a match may be off


def alignment_scores(found, sentence, confidence, paragraph, known=None) -> dict[str, float]:
  """How often a shot's sentence is found.

  Args:
    found: (n s) int, the sentence that each shot of n films is matched to, -1 where to none.
    sentence: (n s) int, the true one, -1 where none tells the shot.
    confidence: (n s), how sure each match is; only its order counts.
    paragraph: (n m) int, that of each sentence.
    known: (n s) bool, shots that count; None: all.

  Returns:
    in [0, 1] `recall_at_0`, `_at_1` and `_at_3`, the share of the told shots whose sentence is
    found, or one at most so many sentences beside it; `ap_at_0` and so on, the average precision,
    which is the area under the envelope of precision over recall as ever less sure matches count;
    both in the same `paragraph`; and `accuracy_untold`, the share of untold shots that are matched
    to none, if there are any.

  Raises:
    ConfigError: no shot is told.

  >>> scores = alignment_scores([[0, 3, -1, 2]], [[0, 2, 1, -1]], [[.9, .8, .1, .2]],
  ...                           [[0, 0, 1, 1]])
  >>> scores['recall_at_0'], scores['recall_at_1'], scores['ap_at_1']
  (0.33..., 0.66..., 0.66...)
  """
  found, sentence, confidence, paragraph = map(np.asarray, (found, sentence, confidence, paragraph))
  known = np.ones(sentence.shape, bool) if known is None else np.asarray(known, bool)
  told, matched = known & (sentence != NOWHERE), known & (found != NOWHERE)
  if not told.any():
    raise ConfigError('alignment: there is no shot whose sentence is known')
  both = told & matched
  off = np.where(both, np.abs(found - sentence), np.iinfo(np.int32).max)
  same = np.take_along_axis(paragraph, np.maximum(found, 0), 1) == np.take_along_axis(
      paragraph, np.maximum(sentence, 0), 1)
  scores = {}
  for name, right in (*((f'at_{t}', off <= t) for t in TOLERANCES), ('paragraph', both & same)):
    scores[f'recall_{name}'] = float(right[told].mean())
    scores[f'ap_{name}'] = _area(right[matched], confidence[matched], told.sum())
  untold = known & ~told
  if untold.any():
    scores['accuracy_untold'] = float((~matched)[untold].mean())
  return scores


def _area(right: np.ndarray, confidence: np.ndarray, positives: int) -> float:
  true = np.cumsum(right[np.argsort(-confidence, kind='stable')])
  precision = true / np.arange(1, len(true) + 1)
  return area_under(Curve(true / positives, precision, confidence, int(positives)))

