"""Which sentence tells which shot? A CNN that reads measures in context, beside what is simpler.

python -m experiments.stories [--seeds=3] [--captioner=runs/scenes_captioner]
    [--thoughts=runs/quick_thoughts] [--folder=...]
"""

from collections.abc import Mapping

import jax
import numpy as np
from PIL import Image

import visionlab
from configs import stories_align as config
from experiments import study
from experiments.stories.baselines import logistic, warped_sentences
from experiments.stories.sheet import draw_sheet
from experiments.stories.tensors import kept
from visionlab.figures import alignment
from visionlab.measures.story_alignment import alignment_scores

FILMS = dict(train=120, test=20)
QUICK = dict(films=2, shots=8, sentences=20, known=4)
COLUMNS = {
    'recall, ±1: alone': ('alone', 'recall_at_1'), 'DTW': ('DTW', 'recall_at_1'),
    'chain': ('chain', 'recall_at_1'), 'best path': ('path', 'recall_at_1'),
    'chain, ±0': ('chain', 'recall_at_0'), '±3': ('chain', 'recall_at_3'),
    'paragraph': ('chain', 'recall_paragraph'), 'AP, ±1: alone': ('alone', 'ap_at_1'),
    'chain ': ('chain', 'ap_at_1'), 'AP, paragraph': ('chain', 'ap_paragraph')}
"""Title of a column -> how sentences are chosen, and what is measured."""


def data_of(given, folder, split: str, seed: int) -> dict:
  """The options of the study's films of a split."""
  return dict(name='experiments.stories.tensors:kept', folder=str(folder / 'films'), seed=seed,
              runs=tuple(filter(None, (given.captioner, given.thoughts))),
              **(QUICK if given.quick else dict(films=FILMS[split] * given.films // 100)))


def films(given, folder, split: str, seed: int):
  """The films themselves."""
  options = data_of(given, folder, split, seed)
  options.pop('name')
  return kept(split, **options)


def configs(given, folder) -> dict:
  """By 'cnn/seed'; the seed is that of the films, too."""
  made = {}
  for seed in range(given.seeds):
    own = config.get_config('smoke' if given.quick else '')
    own.seed = own.data_seed = seed
    own.data = data_of(given, folder, 'train', seed)
    own.evals = dict(test=dict(split='test', every='50%', batch=own.batch,
                               data=data_of(given, folder, 'test', seed)))
    own.steps = given.steps or own.steps
    made[f'cnn/{seed}'] = own
  return made


def scores_of(given, folder, seed: int, run: visionlab.Run) -> dict[str, np.ndarray]:
  """By method, how much likelier each pair is than if any sentence might tell a shot: (n s m)."""
  train, test = (films(given, folder, split, seed) for split in ('train', 'test'))
  names = train.info.attributes['image']
  found = {name: logistic(train.arrays, test.arrays, [k]) for k, name in enumerate(names)}
  for seen in (name for name in ('likelihood', 'thoughts') if name in names):
    found[f'linear, without {seen}'] = logistic(
        train.arrays, test.arrays, [k for k, name in enumerate(names) if name != seen])
  found['linear, all measures'] = logistic(train.arrays, test.arrays, range(len(names)))
  found['context CNN'] = np.asarray(jax.jit(run.task.scores)(run.variables, test.arrays)[0])
  return found


def measured(scores: np.ndarray, arrays: Mapping, task) -> dict[str, dict[str, float]]:
  """Of the matches by pairs' scores alone, by the chain, by its best path and by warping."""
  truth = arrays['sentence'], arrays['paragraph']
  alone = jax.jit(task.alone)(scores)
  sentence, confidence, path = jax.jit(task.chained)(scores)
  warped = warped_sentences(scores)
  at = np.take_along_axis(scores, warped[..., None], -1)[..., 0]
  ways = {'alone': alone, 'chain': (sentence, confidence), 'path': (path, confidence),
          'DTW': (warped, at)}
  return {way: alignment_scores(found, truth[0], sure, truth[1])
          for way, (found, sure) in ways.items()}


def save(picture: np.ndarray, path) -> None:
  """Writes a picture as a PNG of 64 colours, by octree: where nearly all is grey, other ways leave
  none of the others."""
  Image.fromarray(picture).quantize(64, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
      path, optimize=True)


def main(argv=None):
  options = study.parser('stories', __doc__, seeds=3)
  options.add_argument('--steps', type=int, help='updates of the CNN; 600')
  options.add_argument('--captioner', default='', help='a run of '
                       'configs/scenes_captioner.py, whose opinion is a measure more')
  options.add_argument('--thoughts', default='', help='a run of configs/docs_quick_thoughts.py, '
                       'likewise')
  options.add_argument('--films', type=int, default=100, help='so many per cent of the films')
  given = study.parse(options, argv, __file__)
  with study.kept_in(given.folder) as folder:
    runs = {name: visionlab.load(path)
            for name, path in study.run(configs(given, folder), folder).items()}
    found: dict[str, list] = {}
    for seed in range(given.seeds):
      run = runs[f'cnn/{seed}']
      test = films(given, folder, 'test', seed).arrays
      for method, scores in scores_of(given, folder, seed, run).items():
        found.setdefault(method, []).append(measured(scores, test, run.task))
    rows = [dict(method=method, **{title: study.spread([v[way][key] for v in values], 1)
                                   for title, (way, key) in COLUMNS.items()})
            for method, values in found.items()]
    print(study.table(rows))
    if given.figure:
      run = runs['cnn/0']
      arrays = films(given, folder, 'test', 0).arrays
      said = jax.jit(run.task.predict)(run.variables, arrays)
      save(alignment.film(arrays, said, run.task.measures), given.figure)
      sheet = given.figure.with_name('film.png')
      draw_sheet(sheet)
      print(given.figure, sheet, sep='\n')
  return rows


if __name__ == '__main__':
  study.start(main)
