"""Words that a network of sentences has never read, by vectors of words from elsewhere.

run = expand(visionlab.load('runs/skip_thoughts'), read_word_vectors('vectors.txt'))
"""

import dataclasses

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.text.vocabulary import Vocabulary
from visionlab.data.text.word_vectors import WordVectors
from visionlab.runs.run import Run


def linear_map(x: np.ndarray, y: np.ndarray, ridge: float = 0.) -> np.ndarray:
  """The W (d e) of least |x W - y|^2 + ridge |W|^2, of rows x (n d) and y (n e).

  >>> linear_map(np.array([[1.], [2.]]), np.array([[2.], [4.]])).round(6).tolist()
  [[2.0]]
  """
  x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
  if not ridge:
    return np.linalg.lstsq(x, y, rcond=None)[0]
  return np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ y)


def expand(run: Run, vectors: WordVectors, ridge: float = 0.) -> Run:
  """A run that also reads all words of `vectors`: what stands for one that it did not know is a
  linear function of its vector, fitted to those that both know (Kiros et al. 2015, section 2.2).

  `run.embed` then knows them; its decoders still tell the words they were trained on. What the run
  knew stays as it was to the bit.

  Args:
    ridge: how much the map is held small; 0 as in the paper.

  Raises:
    ConfigError: a run that reads no sentences; or fewer words in common than the vectors have
      numbers, so that without a ridge the map is not determined.
  """
  model, vocabulary = run.task.model, getattr(run.task, 'vocabulary', None)
  if not hasattr(model, 'more'):
    raise ConfigError(f'{run!r}: its network has no table of words that could be expanded')
  table, token = np.asarray(run.variables['params']['table']), {
      word: i for i, word in enumerate(vocabulary.words)}
  common = [i for i, word in enumerate(vectors.words) if word in token]
  new = [i for i, word in enumerate(vectors.words) if word not in token]
  if len(common) < (1 if ridge else vectors.vectors.shape[1]):
    raise ConfigError(f'{len(common)} words of the vectors are among those that this run knows, '
                      f'which makes no map from {vectors.vectors.shape[1]} numbers; its words are '
                      'in lower case, and ridge=1 makes do with fewer')
  known = table[[token[vectors.words[i]] for i in common]]
  mapped = vectors.vectors[new] @ linear_map(vectors.vectors[common], known, ridge)
  params = {**run.variables['params'], 'table': np.concatenate([table, mapped.astype(table.dtype)])}
  words = (*vocabulary.words, *(vectors.words[i] for i in new))
  task = dataclasses.replace(run.task, vocabulary=Vocabulary(words, vocabulary.punctuation),
                             model=model.clone(more=model.more + len(new)))
  return dataclasses.replace(run, task=task, variables={**run.variables, 'params': params})
