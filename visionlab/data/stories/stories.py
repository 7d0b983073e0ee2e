"""Stories: films of drawn scenes, and the books that they were made from, in other words."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.scenes import assets
from visionlab.data.scenes.captions import Group
from visionlab.data.scenes.digits import CLASSES
from visionlab.data.scenes.scenes import scenes
from visionlab.data.source import check_ranges, check_seed, check_split
from visionlab.data.stories.plot import draw_plot
from visionlab.data.stories.telling import CHATTER, FILLERS, FORMS, spoken, told

FILMS = dict(train=240, validation=16, test=32)
SCENES = dict(size=32, objects=(2, 2), visible=.8, scale=(.35, .75))
"""Those of configs/scenes_captioner.py, so that a run of it knows what it is shown."""


class Story(NamedTuple):
  """A film and its book; the truth is None where nobody knows it.

  Attributes:
    shots: (s h w 3) uint8, or of clips (s t h w 3).
    subtitles: what is said in each shot, in lower case, '' where nothing is.
    sentences: those of the book.
    paragraph: (m,) int32, rising from 0, that of each sentence.
    sentence: (s,) int32, that which tells a shot, -1 where none does.
    form: (m,), the form of `visionlab.data.stories.telling` that a sentence which tells a shot is
      in, '' of the others.
  """
  shots: np.ndarray
  subtitles: tuple[str, ...]
  sentences: tuple[str, ...]
  paragraph: np.ndarray
  sentence: np.ndarray | None = None
  form: tuple[str, ...] = ()


class Words(NamedTuple):
  """How a book and its film put things: shares of 1.

  Attributes:
    plain, allusive: of the sentences that tell a shot, in these forms; the others are retold.
    repeated: of the other sentences, they are of a scene of the film too, at the wrong place.
    silent: of the shots, nothing is said in them.
    strayed: of what is said, it has nothing to do with what is to be seen.
  """
  plain: float = .3
  allusive: float = .2
  repeated: float = .15
  silent: float = .15
  strayed: float = .1


WORDS = Words()


def tell_stories(split: str, films: int = 0, *, shots: int = 40, sentences: int = 120,
                 untold: float = .15, unfilmed: float = .3, swapped: float = .15,
                 words: Words = WORDS, frames: int = 1, seed: int = 0) -> list[Story]:
  """Films and books. Story i is a function of (seed, split, i) and of the options that follow
  `films`.

  A film's shots are scenes of one or two digits, as `scenes` has them, and somebody may say of them
  what is to be seen. The book tells most of them, in order but for some neighbours that have
  changed places, each in a sentence of the grammar of captions, in other words, or by nicknames;
  between these it tells of other things, and of the same again; two chapters were not filmed.

  Args:
    split: 'train', 'validation' or 'test', which share no scene, photograph or glyph.
    films: 0 stands for 240 of 'train', 16 of 'validation' and 32 of 'test'.
    untold, unfilmed, swapped: see `visionlab.data.stories.plot.draw_plot`.
    frames: of each shot; 1 for stills, more for clips.

  Raises:
    ConfigError: an option out of its range, or more shots to tell than sentences for them.
  """
  check_split(split, assets.SPLITS, 'stories')
  check_seed(seed, 'stories')
  films = films or FILMS[split]
  check_ranges('stories', films=(films, 1, 1 << 16), shots=(shots, 2, 1 << 12),
               sentences=(sentences, 2, 1 << 14), untold=(untold, 0, 1), unfilmed=(unfilmed, 0, 1),
               swapped=(swapped, 0, 1), frames=(frames, 1, 64),
               **{name: (share, 0, 1) for name, share in words._asdict().items()},
               **{'plain + allusive': (words.plain + words.allusive, 0, 1)})
  if shots - round(untold * shots) > sentences - round(unfilmed * sentences):
    raise ConfigError(f'stories: {shots} shots, but for {untold:g} of them, are to be told by '
                      f'{sentences} sentences, but for {unfilmed:g} of those; give more sentences')
  source = scenes(split, examples=films * shots, frames=frames, seed=seed, masks=False, **SCENES)
  drawn = source[np.arange(len(source))]
  objects = {k: v[:, 0] if frames > 1 else v for k, v in drawn['objects'].items()}
  facts = source.facts(objects)
  made = []
  for i in range(films):
    own = slice(i * shots, (i + 1) * shots)
    key = np.random.SeedSequence(seed % 2**32, spawn_key=(assets.SPLITS.index(split), i))
    rng = np.random.default_rng(key)
    plot = draw_plot(shots, sentences, untold, unfilmed, swapped, rng)
    made.append(_story(drawn['image'][own], facts[own], plot, words, rng))
  return made


def _story(images, facts: Sequence[Sequence[Group]], plot, words: Words, rng) -> Story:
  shares = (words.plain, 1 - words.plain - words.allusive, words.allusive)
  shot_of = {int(j): i for i, j in enumerate(plot.sentence) if j >= 0}
  sentences, forms = [], []
  for j in range(len(plot.paragraph)):
    form = FORMS[rng.choice(len(FORMS), p=np.array(shares) / sum(shares))]
    if j in shot_of:
      sentences.append(told(facts[shot_of[j]], form, rng))
    elif rng.random() < words.repeated:
      sentences.append(told(facts[rng.integers(len(facts))], form, rng))
    elif rng.random() < .5:
      sentences.append(FILLERS[rng.integers(len(FILLERS))])
    else:
      sentences.append(told(imagined(rng), form, rng))
    forms.append(form if j in shot_of else '')
  subtitles = [_said(groups, words, rng) for groups in facts]
  return Story(images, tuple(subtitles), tuple(sentences), plot.paragraph, plot.sentence,
               tuple(forms))


def _said(groups: Sequence[Group], words: Words, rng) -> str:
  if rng.random() < words.silent:
    return ''
  if rng.random() >= words.strayed and groups:
    return spoken(groups, rng)
  return (CHATTER[rng.integers(len(CHATTER))] if rng.random() < .5 else spoken(imagined(rng), rng))


def imagined(rng: np.random.Generator) -> tuple[Group, ...]:
  """A scene that nobody has drawn: one digit, two of a kind, or two."""
  names = [CLASSES[k] for k in rng.integers(len(CLASSES), size=2)]
  return tuple(Group(name, ('small', '', 'large')[rng.integers(3)],
                     tuple(map(tuple, rng.uniform(.2, .8, (names.count(name), 2)).tolist())), .1)
               for name in dict.fromkeys(names))
