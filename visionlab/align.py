"""Which paragraph tells which shot? python -m visionlab.align film.mp4 film.srt book.epub

Writes a page, one .html file, with a still of each shot beside the paragraph that it was matched
to, how sure that is, and what each measure thought. The film is a file or a folder of stills (see
`visionlab.data.films.shots.read_shots`), subtitles are .srt or .vtt, the book is .epub or .txt.
--workdir names a run of configs/stories_align.py; without, measures are weighed as is usual.
--truth names MovieQA's annotations, of which the book is the plot, a line a paragraph: then it is
said how many paragraphs are right.
"""

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from absl import flags

from visionlab import commandline
from visionlab.config import ConfigError
from visionlab.data.films.film import frame_rate
from visionlab.data.films.shots import Shots, read_shots
from visionlab.data.stories.stories import Story
from visionlab.data.text import books, subtitles
from visionlab.data.text.plot_alignments import lines_of_shots, read_plot_alignments
from visionlab.figures.alignment import matrices
from visionlab.ops.story_chain import NOWHERE
from visionlab.paths import output_file
from visionlab.runs.alignment_page import Match, page
from visionlab.runs.load import load
from visionlab.runs.run import Run
from visionlab.runs.similarities import channels, measures_of, similarities
from visionlab.storage.workdir import write_atomically
from visionlab.tasks.align import Align, Steps

WEIGHTS = dict(tfidf=1., bleu_1=.5, bleu_2=.5)
"""By which measures count, in units of their standard deviations, where no run says better."""


def read_story(film: Path, spoken: Path, book: Path, every: float) -> tuple[Story, Shots]:
  """A film and its book, whose truth nobody knows."""
  shots = read_shots(film, every)
  said = subtitles.by_shot(subtitles.read_subtitles(spoken), shots.begins.tolist())
  told = books.read_book(book)
  return Story(shots.stills, tuple(said), told.sentences, told.paragraph), shots


def scores_of(tensor: np.ndarray, names: Sequence[str], run: Run | None) -> np.ndarray:
  """How much likelier each pair is than if any sentence might tell a shot (s m), of its measures.

  Raises:
    ConfigError: the run has learnt from other measures.
  """
  if run is None:
    x = tensor[..., [names.index(name) for name in WEIGHTS]]
    x = (x - x.mean((0, 1))) / np.maximum(x.std((0, 1)), 1e-3)
    return x @ np.array([*WEIGHTS.values()], np.float32)
  if run.config.task.name != 'align' or run.task.measures != tuple(names):
    raise ConfigError(f'{run.workdir}: expected a run of configs/stories_align.py that has learnt '
                      f'from {", ".join(names)}, and it is {run.kind}'
                      + (f' from {", ".join(run.task.measures)}; see --seen'
                         if run.config.task.name == 'align' else ''))
  return np.asarray(jax.jit(run.task.scores)(run.variables, dict(image=tensor[None]))[0][0])


def matches(story: Story, begins: np.ndarray, tensor: np.ndarray, names: Sequence[str],
            found: np.ndarray, confidence: np.ndarray) -> list[Match]:
  """What the page says of each shot."""
  made = []
  for i, (j, sure) in enumerate(zip(found.tolist(), confidence.tolist(), strict=True)):
    if j == NOWHERE:
      made.append(Match(begins[i], story.shots[i], story.subtitles[i], (), 0, sure, {}))
      continue
    own = np.flatnonzero(story.paragraph == story.paragraph[j])
    # The rank, ties counted before it: a measure that says nothing found nothing.
    thought = {name: (float(tensor[i, j, k]), int((tensor[i, :, k] >= tensor[i, j, k]).sum()))
               for k, name in enumerate(names)}
    made.append(Match(begins[i], story.shots[i], story.subtitles[i],
                      tuple(story.sentences[k] for k in own), int(j - own[0]), sure, thought))
  return made


def main(argv):
  options = flags.FLAGS
  film, spoken, book = _sorted(argv[1:])
  output = output_file(options.output, '--output')
  run = load(options.workdir, step=commandline.chosen_step()) if options.workdir else None
  seen = measures_of(options.seen)
  story, shots = read_story(film, spoken, book, options.every)
  names, tensor = channels(seen), similarities(story, seen)
  scores = scores_of(tensor, names, run)
  task = run.task if run else Align(None, names, 1, Steps())
  found, confidence, _ = (np.asarray(x[0]) for x in jax.jit(task.chained)(scores[None]))
  named = dict(zip(names, np.moveaxis(tensor, -1, 0), strict=True))
  named['scores'] = np.maximum(scores, np.quantile(scores, .5))
  picture = matrices(named, 3, dict(scores=dict(found=found)))
  how = f'by {run.workdir} ({run.which})' if run else 'by ' + ', '.join(WEIGHTS)
  told = int((found != NOWHERE).sum())
  lines = [f'{len(found)} shots, {len(story.sentences)} sentences in {story.paragraph[-1] + 1} '
           f'paragraphs; {told} shots are told, {how}, with the chain',
           *(_judged(options, story, shots, film, found) if options.truth else ())]
  write_atomically(output, page(f'{Path(film).name} and {Path(book).name}', lines, picture, matches(
      story, shots.begins, tensor, names, found, confidence), len(story.sentences)))
  print(*lines, f'page: {output}', sep='\n')


def _judged(options, story: Story, shots: Shots, film: Path, found: np.ndarray) -> list[str]:
  """How many of the shots whose paragraphs --truth knows were matched to one of them."""
  aligned = read_plot_alignments(options.truth, options.film)
  try:
    rate = options.rate or frame_rate(film, 1 / options.every)
  except (ValueError, OSError) as error:
    raise ConfigError(f'--rate: needed, for {film} does not tell: {error}') from error
  known = lines_of_shots(aligned, shots.begins, rate)
  right = [j != NOWHERE and int(story.paragraph[j]) in lines
           for j, lines in zip(found.tolist(), known, strict=True) if lines]
  return [f'{options.truth}: {sum(right)} of {len(right)} shots are with a paragraph that is right']


def _sorted(words: Sequence[str]) -> tuple[Path, Path, Path]:
  """The film, the subtitles and the book, in whatever order they are named."""
  by = dict(subtitles=[], book=[], film=[])
  for word in words:
    suffix = Path(word).suffix.lower()
    kind = ('subtitles' if suffix in subtitles.SUFFIXES else
            'book' if suffix in books.SUFFIXES else 'film')
    by[kind].append(Path(word).expanduser())
  for kind, paths in by.items():
    if len(paths) != 1:
      raise ConfigError(f'expected one film, its subtitles ({", ".join(subtitles.SUFFIXES)}) and '
                        f'its book ({", ".join(books.SUFFIXES)}); {kind}: '
                        f'{", ".join(map(str, paths)) or "none"}')
  return by['film'][0], by['subtitles'][0], by['book'][0]


if __name__ == '__main__':
  flags.DEFINE_string('output', 'alignment.html', 'Where the page goes.')
  flags.DEFINE_string('workdir', '', 'Folder of a run of configs/stories_align.py.')
  flags.DEFINE_list('seen', [], 'Folders of runs that see or read, such as those of '
                    'configs/scenes_captioner.py and docs_quick_thoughts.py; each is a measure '
                    'more.')
  flags.DEFINE_string('truth', '', "A JSON file of MovieQA's questions, with lines and clips.")
  flags.DEFINE_string('film', '', 'Which film of --truth it is, such as tt0120815.')
  flags.DEFINE_float('rate', 0., 'Frames a second in --truth; 0: as the film file says.', 0.)
  flags.DEFINE_float('every', 4., 'Seconds that a shot lasts, where stills have no times.', .04)
  commandline.step_flag()
  commandline.run(main, words='a film, its subtitles and its book')
