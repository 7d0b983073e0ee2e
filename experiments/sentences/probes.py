"""Small tasks on sentences, and what is compared on them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from visionlab.data.sources.docstrings import documents
from visionlab.data.text.vocabulary import tokenise


class Task(NamedTuple):
  """Sentences, or pairs of them, with labels.

  Attributes:
    texts: n sentences of each column, one or two.
    labels: (n,).
    groups: (n,) int, of which stretch of the text each is: what is near may be nearly alike, so
      that a probe is chosen by other stretches.
  """
  texts: tuple[list[str], ...]
  labels: np.ndarray
  groups: np.ndarray


STRETCH = 25                    # docstrings, mostly of one file or a few


def package(split: str, packages: Sequence[str], n: int, rng: np.random.Generator) -> Task:
  """Which package a sentence is from: none that two packages have, of each at most as many."""
  owner: dict[str, set] = {}
  place = {}
  for i, (name, said) in enumerate(documents(split, packages)):
    for text in said:
      owner.setdefault(text, set()).add(name)
      place[text] = i
  own = {name: [text for text, names in owner.items() if names == {name}] for name in packages}
  chosen = [(text, i, place[text]) for i, name in enumerate(packages)
            for text in rng.permutation(own[name])[:n // len(packages)].tolist()]
  return shuffled(chosen, rng)


def neighbours(split: str, packages: Sequence[str], n: int, rng: np.random.Generator) -> Task:
  """Whether a sentence follows another in the text, or is from another docstring of the same
  package."""
  chosen = []
  for name in packages:
    own = [said for owner, said in documents(split, packages) if owner == name]
    pairs = [(i, a, b) for i, said in enumerate(own) for a, b in zip(said, said[1:], strict=False)]
    for k in rng.permutation(len(pairs))[:n // (2 * len(packages))]:
      i, a, b = pairs[k]
      other = own[(i + rng.integers(1, len(own))) % len(own)]
      chosen += [(a, b, 1, i), (a, other[rng.integers(len(other))], 0, i)]
  return shuffled(chosen, rng)


def order(split: str, packages: Sequence[str], n: int, rng: np.random.Generator) -> Task:
  """Whether two words beside each other have changed places ("bigram shift", Conneau et al. 2018).
  """
  every = [(text, k) for k, (_, said) in enumerate(documents(split, packages)) for text in said]
  chosen = []
  for row in rng.permutation(len(every))[:n]:
    text, k = every[row]
    words = tokenise(text)
    i = rng.integers(len(words) - 2)           # the full stop stays where it is
    swapped = rng.random() < .5 and words[i] != words[i + 1]
    if swapped:
      words[i:i + 2] = words[i + 1], words[i]
    chosen.append((' '.join(words), int(swapped), k))
  return shuffled(chosen, rng)


TASKS = dict(package=package, neighbours=neighbours, order=order)


def shuffled(rows: Sequence[tuple], rng: np.random.Generator) -> Task:
  """A task of rows (text, or two, label, document)."""
  rows = [rows[i] for i in rng.permutation(len(rows))]
  *texts, labels, places = (list(column) for column in zip(*rows, strict=True))
  stretch = min(STRETCH, max(len(set(places)) // 6, 1))            # in a short text, six of them
  return Task(tuple(texts), np.array(labels), np.array(places) // stretch)


def features(task: Task, vectors: Callable[[list[str]], np.ndarray]):
  """Of single sentences their vectors; of pairs |u - v| and u * v side by side (Tai et al. 2015, as
  Kiros et al. 2015 use them). vectors: texts -> (n d), also sparse."""
  from scipy.sparse import hstack, issparse  # noqa: PLC0415
  if len(task.texts) == 1:
    return vectors(task.texts[0])
  u, v = map(vectors, task.texts)
  if issparse(u):
    return hstack([abs(u - v), u.multiply(v)]).tocsr()
  return np.concatenate([abs(u - v), u * v], 1)


def bag_of_words(texts: Sequence[str], tfidf: bool) -> Callable[[list[str]], np.ndarray]:
  """texts -> counts of all words of the texts given here, or tf-idf, sparse."""
  from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer  # noqa: PLC0415
  kind = TfidfVectorizer if tfidf else CountVectorizer
  return kind(tokenizer=tokenise, token_pattern=None).fit(texts).transform
