"""What alignment brings to verification, on faces that are drawn and on real ones.

python -m experiments.faces [alignment real sheet tasks chain embeddings] [--orl=orl_faces.npz]
    [--folder=runs/faces]
"""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from configs import crowds_faster_rcnn, faces_landmarks, faces_verify
from experiments import study
from experiments.faces.auxiliary import tasks
from experiments.faces.chain import stages
from experiments.faces.embeddings import EACH, PEOPLE, maps, near_own
from visionlab.config import ConfigError
from visionlab.data.faces.crowds import crowds
from visionlab.data.faces.faces import faces
from visionlab.data.pipeline import open_sources
from visionlab.figures import charts, landmarks
from visionlab.measures.verification import folded_accuracy, random_pairs, verification_scores
from visionlab.ops.hog import hog
from visionlab.runs.aligned import finder, moved
from visionlab.runs.face_crops import face_finder
from visionlab.runs.load import load
from visionlab.runs.run import Run

PAIRS = 10                      # of either kind, for each person
SHOWN = 24
CROWD = 600                     # photographs with one face each


def runs(given, folder) -> dict[str, Path]:
  """A run that finds landmarks; and runs that verify faces as they are, aligned by the true
  landmarks, and by those found."""
  smoke = 'smoke' if given.quick else ''
  steps = study.steps_of(given)
  made = {}
  for seed in range(given.seeds):
    seeds = dict(seed=seed, data_seed=seed)
    made |= study.run({f'landmarks/{seed}': study.changed(
        faces_landmarks.get_config(smoke), **steps, **seeds)}, folder)
    config = faces_verify.get_config(smoke)
    plain = faces_verify.get_config('smoke' if given.quick else 'unaligned')
    found = study.changed(config, data__landmarks=str(made[f'landmarks/{seed}']))
    if given.quick:
      plain = study.changed(plain, data=config.data.of.to_dict())
    made |= study.run({
        f'{name}/{seed}': study.changed(own, **steps, **seeds)
        for name, own in (('unaligned', plain), ('true', config), ('found', found))}, folder)
  return made


def judged(rows: np.ndarray, labels: np.ndarray) -> dict[str, float]:
  """What pairs of photographs score whose likeness is the cosine of rows (n d)."""
  pairs, same = random_pairs(labels, PAIRS)
  rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
  scores = (rows[pairs[:, 0]] * rows[pairs[:, 1]]).sum(-1)
  return folded_accuracy(scores, same) | verification_scores(scores, same)


def pixels(images: np.ndarray) -> np.ndarray:
  """Each image's own pixels, their mean taken away: (n d)."""
  rows = images.reshape(len(images), -1).astype(np.float64)
  return rows - rows.mean(1, keepdims=True)


def gradients(images: np.ndarray) -> np.ndarray:
  """HOG without its mean over all images, (n d)."""
  rows = np.asarray(jax.jit(hog)(jnp.asarray(images))).reshape(len(images), -1)
  return rows - rows.mean(0)


def compared(images: dict[str, np.ndarray], labels: np.ndarray,
             embeddings: dict[str, Callable]) -> list[dict]:
  """A row for each way in which the same photographs are shown: the baselines, and the runs, with
  the mean of the embeddings of all taken away, too, as it is from HOG."""
  rows = []
  for name, shown in images.items():
    row = {'faces': name}
    for title, features in (('pixels', pixels), ('HOG', gradients)):
      row[f'{title}, %'] = study.spread([judged(features(shown), labels)['accuracy']], 1)
    said = [embed(shown) for embed in embeddings[name]]
    own = [judged(embedded, labels) for embedded in said]
    row['embedding, %'] = study.spread([one['accuracy'] for one in own], 1)
    row['centred, %'] = study.spread(
        [judged(embedded - embedded.mean(0), labels)['accuracy'] for embedded in said], 1)
    row['AUC'] = study.spread([one['auc'] for one in own], 3, 1)
    row['equal error, %'] = study.spread([one['eer'] for one in own], 1)
    rows.append(row)
  return rows


def embedder(run: Run) -> Callable:
  return lambda images: run.predict(images)['embedding']


def alignment(given, folder):
  """Verification of drawn people nobody was trained on (ten folds)"""
  made = study.by_kind(runs(given, folder))
  kinds = {'as photographed': 'unaligned', 'aligned by true landmarks': 'true',
           'aligned by found landmarks': 'found'}
  loaded = {title: [load(path) for path in made[kind]] for title, kind in kinds.items()}
  sources = {title: open_sources(some[0].config.data.to_dict(), 'test')
             for title, some in loaded.items()}
  labels = sources['as photographed'].arrays['label']
  rows = compared({title: source.arrays['image'] for title, source in sources.items()}, labels,
                  {title: [embedder(run) for run in some] for title, some in loaded.items()})
  found = [study.last(path, 'test/landmarks_nme') for path in made['landmarks']]
  print(f'mean error of the landmarks: {study.spread(found, 1)} % of the distance of the eyes\n')
  return rows


def real(given, folder):
  """The same runs, as they are, on photographs of 20 real people (AT&T's faces)"""
  if not given.orl:
    raise ConfigError('real: --orl must name the file of AT&T\'s faces, an .npz with x and y')
  made = study.by_kind(runs(given, folder))
  with np.load(given.orl) as archive:
    photographs, labels = archive['x'], archive['y']
  plain = [load(path) for path in made['unaligned']]
  images = {'as photographed': plain[0].fit(photographs)}
  embeddings = {'as photographed': [embedder(run) for run in plain]}
  size = images['as photographed'].shape[1]
  images['aligned by found landmarks'] = moved(
      *finder(str(made['landmarks'][0]))(photographs), size)
  embeddings['aligned by found landmarks'] = [embedder(load(path)) for path in made['found']]
  config = faces_verify.get_config('smoke' if given.quick else 'gradients')
  steps = study.steps_of(given)
  own = study.run({f'gradients/{seed}': study.changed(config, **steps, seed=seed, data_seed=seed)
                   for seed in range(given.seeds)}, folder)
  images['to a network of gradients'] = images['as photographed']
  embeddings['to a network of gradients'] = [embedder(load(path)) for path in own.values()]
  return compared(images, labels, embeddings)


def sheet(given, folder):
  """Drawn people, four photographs of each, and the landmarks of half of them"""
  del folder
  source = faces('train', size=96, people=6, each=4, points=68, keep=False)
  some = source[np.arange(SHOWN)]
  plain = landmarks.drawn(some['image'], np.zeros((SHOWN, 0, 2)))
  dotted = landmarks.drawn(some['image'], some['landmarks'][..., :2])
  shown = np.where((np.arange(SHOWN) % 4 > 1)[:, None, None, None], dotted, plain)
  captions = [', '.join(source.info.attributes[k][some[k][i]] for k in ('pose', 'smile'))
              for i in range(SHOWN)]
  if given.figure:
    picture = Image.fromarray(charts.image_grid(shown, captions, None,
                                                'faces: six people, four moments each'))
    path = given.figure.with_suffix('.jpg')          # photographs are large as PNGs
    picture.resize((800, 800 * picture.height // picture.width)).save(path, quality=70)
    print(path)
  return [{'people': 6, 'photographs of each': 4}]


def chain(given, folder):
  """Photographs in which one face is small, and somewhere: the parts of the chain, one by one"""
  config = crowds_faster_rcnn.get_config('smoke' if given.quick else '')
  detector = given.detector or study.run({'detector/0': config}, folder)['detector/0']
  made = {} if given.landmarks and given.verify else study.by_kind(runs(given, folder))
  own = dict(people=6, examples=24) if given.quick else dict(examples=CROWD)
  source = crowds('test', faces=(1, 1), **own)
  rows, found = stages(source.arrays, face_finder(str(detector)),
                       load(given.landmarks or made['landmarks'][0]),
                       load(given.verify or made['true'][0]), judged)
  print(f'faces: {study.table([found])}\n')
  return rows


def embeddings(given, folder):
  """Of the five photographs next to each, how many are of the same person"""
  run = load(given.verify or study.by_kind(runs(given, folder))['unaligned'][0])
  options = run.config.data.to_dict()
  size = dict(of=options['of'] | dict(people=PEOPLE, each=EACH)) if 'of' in options else dict(
      people=PEOPLE, each=EACH)
  some = open_sources(options | size, 'test').arrays
  labels = some['label']
  rows = {'pixels': pixels(some['image']), 'embedding': run.predict(some['image'])['embedding']}
  if given.figure:
    Image.fromarray(maps(rows, labels)).save(given.figure)
    study.picture(given.figure, given.figure)
    print(given.figure)
  return [{'': name, 'of the same person, %': study.spread([near_own(own, labels)], 1)}
          for name, own in rows.items()]


PARTS = {f.__name__: f for f in (alignment, real, sheet, tasks, chain, embeddings)}


def main(argv=None):
  options = study.parser('faces', __doc__, seeds=1)
  study.add_parts(options, PARTS, ('alignment', 'sheet'))
  options.add_argument('--steps', type=int, help='updates of each run; default: the configs\'')
  options.add_argument('--orl', type=Path, help='AT&T\'s faces, an .npz with x (n h w) and y (n,)')
  for name, kind in (('verify', 'verifies'), ('landmarks', 'finds landmarks'),
                     ('detector', 'finds faces')):
    options.add_argument(f'--{name}', type=Path, help=f'a run that {kind}, for chain and '
                         'embeddings; default: one is trained')
  given = study.parse(options, argv, __file__)
  return study.run_parts(PARTS, given)


if __name__ == '__main__':
  study.start(main)
