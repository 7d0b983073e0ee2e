"""How like each shot of a film is to each sentence of a book, in as many ways as there are: the
tensor that an alignment is made of (Zhu et al. 2015, https://arxiv.org/abs/1506.06724, section 4).
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError
from visionlab.data.source import Arrays, Info, check_ranges
from visionlab.data.stories.stories import Story, Words, tell_stories
from visionlab.data.text.vocabulary import tokenise
from visionlab.measures.retrieval import centred, unit_rows
from visionlab.measures.text_likeness import ORDERS, bleu_of_pairs, tfidf_cosines
from visionlab.runs.load import load
from visionlab.runs.run import Run
from visionlab.tasks.caption_losses import log_likelihoods

TEXT = (*(f'bleu_{n}' for n in range(1, ORDERS + 1)), 'tfidf')
SENTENCES = 32                   # that one call of a captioner reads
Measure = Callable[[Story], np.ndarray]          # -> (s m) float32


def stories(split: str, *, root: str = '', films: int = 0, shots: int = 40, sentences: int = 120,
            untold: float = .15, unfilmed: float = .3, swapped: float = .15, plain: float = .3,
            allusive: float = .2, repeated: float = .15, silent: float = .15, strayed: float = .1,
            frames: int = 1, known: int = 8, runs: tuple[str, ...] = (), seed: int = 0) -> Arrays:
  """Films of drawn scenes and the books they were made from: which sentence tells which shot?

  Args:
    split: 'train', 'validation' or 'test', which share no scene, photograph or glyph.
    root: unused.
    films, shots, sentences, untold, unfilmed, swapped, frames, seed: see
      `visionlab.data.stories.stories.tell_stories`.
    plain, allusive, repeated, silent, strayed: see `visionlab.data.stories.stories.Words`.
    known: of each film of 'train', so many of the shots are known; 0: all, as in other splits.
    runs: workdirs of runs that see or read, each a channel more; see `seen_by`.

  Returns:
    A source of films: `image` (n shots sentences k) float32, the tensor of `similarities`, whose
    channels `info.attributes['image']` names; `sentence` (n shots) int32, that which tells a shot,
    -1 where none does; `known` (n shots) bool; `paragraph` (n sentences) int32.

  Raises:
    ConfigError: an option out of its range; a run that compares no shots and sentences.

  >>> film = stories('test', films=1, shots=8, sentences=20)[np.arange(1)]
  >>> film['image'].shape, film['sentence'].shape
  ((1, 8, 20, 7), (1, 8))
  """
  del root
  check_ranges('stories', known=(known, 0, shots))
  measures = measures_of(runs)
  told = tell_stories(split, films, shots=shots, sentences=sentences, untold=untold,
                      unfilmed=unfilmed, swapped=swapped, frames=frames, seed=seed,
                      words=Words(plain, allusive, repeated, silent, strayed))
  chosen = np.ones((len(told), shots), bool)
  if split == 'train' and known:
    chosen = _some(len(told), shots, known, seed)
  return Arrays(dict(image=np.stack([similarities(story, measures) for story in told]),
                     sentence=np.stack([story.sentence for story in told]), known=chosen,
                     paragraph=np.stack([story.paragraph for story in told])),
                Info(attributes=dict(image=channels(measures))))


def channels(measures: Sequence[str] = ()) -> tuple[str, ...]:
  """What the channels of the tensor are called."""
  return (*TEXT, 'time', *measures)


def similarities(story: Story, measures: dict[str, Measure] | None = None) -> np.ndarray:
  """The tensor (shots sentences k) float32, with the `channels`.

  BLEU-1..5 and the cosine of tf-idf weights compare what is said in a shot with the sentence; time
  is 1 where both are as far on, and 0 between the one's beginning and the other's end; after them
  the `measures`.
  """
  s, m = len(story.subtitles), len(story.sentences)
  time = 1 - np.abs(np.linspace(0, 1, s)[:, None] - np.linspace(0, 1, m))
  own = [measure(story) for measure in (measures or {}).values()]
  return np.concatenate([bleu_of_pairs(story.subtitles, story.sentences), np.stack(
      [tfidf_cosines(story.subtitles, story.sentences), time, *own], -1)], -1).astype(np.float32)


def measures_of(runs: Sequence[str]) -> dict[str, Measure]:
  """The measures of runs, by their workdirs; see `seen_by`.

  Raises:
    ConfigError: two of them give the same.
  """
  found: dict[str, Measure] = {}
  for place in runs:
    name, measure = seen_by(load(place))
    if name in found:
      raise ConfigError(f'stories: runs: {place} gives "{name}", as a run before it does; '
                        'expected at most one of a kind')
    found[name] = measure
  return found


def seen_by(run: Run) -> tuple[str, Measure]:
  """A run as a measure with its name: 'likelihood' of a task 'caption', 'space' of 'match', and
  'thoughts' of 'quick_thoughts' and 'skip_thoughts'.

  Raises:
    ConfigError: it does not compare shots and sentences.
  """
  if run.config.task.name not in SEEN:
    raise ConfigError(f'stories: runs: {run.workdir} is {run.kind}, and compares no shots and '
                      f'sentences; a run of {", ".join(SEEN)} does')
  name, make = SEEN[run.config.task.name]
  return name, make(run)


def shots_for(run: Run, story: Story) -> np.ndarray:
  """The shots as a run sees them: clips, or of each the first frame, whose scene a book tells.

  Raises:
    ConfigError: a run of clips, and shots that are stills.
  """
  clips = story.shots.ndim == 5
  if run.facts.frames and not clips:
    raise ConfigError(f'stories: {run.workdir} sees clips of {run.facts.frames} frames, and these '
                      f'shots are stills; of drawn films frames={run.facts.frames} gives clips')
  return run.fit(story.shots[:, 0] if clips and not run.facts.frames else story.shots)


def likelihood_by(run: Run) -> Measure:
  """By how much a sentence is likelier of a shot than of the film's shots on average, in nats: to a
  captioner that sees the shot; in units of the standard deviation within the film.

  Words that the captioner does not know are left out.
  """
  vocabulary, length = run.task.vocabulary, run.task.length + 1

  @jax.jit
  def compare(images, tokens):
    memory, _ = run.task.encode(run.variables, dict(image=images))
    rows = jnp.tile(tokens, (len(images), 1))
    said = log_likelihoods(run.task.teach(run.variables, memory, rows[:, :-1]).logits, rows[:, 1:])
    return jnp.where(rows[:, 1:] > 0, said, 0).sum(1).reshape(len(images), len(tokens))

  def measure(story: Story) -> np.ndarray:
    known = [' '.join(w for w in tokenise(text, vocabulary.punctuation) if w in vocabulary.words)
             for text in story.sentences]
    different = list(dict.fromkeys(text for text in known if text))
    tokens = np.zeros((-(-max(len(different), 1) // SENTENCES) * SENTENCES, length), np.int32)
    if different:
      tokens[:len(different)] = vocabulary.encode(different, length).tokens
    images = shots_for(run, story)
    each = np.concatenate([compare(images, part)
                           for part in tokens.reshape(-1, SENTENCES, length)], 1)
    there = np.array([bool(text) for text in known])
    found = each[:, [different.index(text) if text else 0 for text in known]]
    found = np.where(there, found - found.mean(0), 0)
    return found / max(found.std(), 1e-6)
  return measure


def space_by(run: Run) -> Measure:
  """The cosine of a shot and a sentence in the space of a run that puts both into one."""
  def measure(story: Story) -> np.ndarray:
    return run.predict(shots_for(run, story))['embedding'] @ run.embed(story.sentences).T
  return measure


def thoughts_by(run: Run) -> Measure:
  """The cosine of what is said in a shot and a sentence, of vectors less the mean of those of the
  film and its book; 0 where one of both has no words."""
  def measure(story: Story) -> np.ndarray:
    texts = dict.fromkeys((*story.subtitles, *story.sentences))
    told = [text for text in texts if tokenise(text, punctuation=False)]
    if not told:
      return np.zeros((len(story.subtitles), len(story.sentences)), np.float32)
    vectors = dict(zip(told, unit_rows(centred(run.embed(told))), strict=True))
    nothing = np.zeros_like(vectors[told[0]])
    said, told = (np.stack([vectors.get(text, nothing) for text in rows])
                  for rows in (story.subtitles, story.sentences))
    return said @ told.T
  return measure


SEEN = dict(caption=('likelihood', likelihood_by), match=('space', space_by),
            quick_thoughts=('thoughts', thoughts_by), skip_thoughts=('thoughts', thoughts_by))
"""By the name of a run's task, what its measure is called, and what makes it of the run."""


def _some(films: int, shots: int, count: int, seed: int) -> np.ndarray:
  """(films shots) bool, so many of each True."""
  # Numbers apart from those of the stories, whose keys are a split and an index.
  rng = np.random.default_rng(np.random.SeedSequence(seed % 2**32, spawn_key=(7,)))
  return np.argsort(np.argsort(rng.random((films, shots)), 1), 1) < count
