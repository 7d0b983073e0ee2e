"""What each stage of a cascade of regressors brings to poses, and heat maps beside it.

python -m experiments.poses [cascade] [heat_maps] [--seeds=3] [--folder=runs/poses]
"""

import jax
import numpy as np
from PIL import Image

from configs import scenes_keypoints, scenes_poses
from experiments import study
from visionlab.data.pipeline import open_sources
from visionlab.figures import poses as figures
from visionlab.measures import poses as measures
from visionlab.ops.joints import TORSO
from visionlab.runs.load import load
from visionlab.tasks.pose import frames

BATCH = 50


def predicted(run, examples) -> dict[str, np.ndarray]:
  """What the run says of all examples."""
  parts = [run.task.predict(run.variables, jax.tree.map(lambda x, i=i: x[i:i + BATCH], examples))
           for i in range(0, len(examples['image']), BATCH)]
  return jax.tree.map(lambda *x: np.concatenate(x), *parts)


def surest(run, examples) -> np.ndarray:
  """The joints (n k 2) of the surest box in each image; nan where there is none."""
  said = predicted(run, examples)
  scores = np.where(said['valid'], said['scores'], -np.inf)
  every, best = np.arange(len(scores)), scores.argmax(1)
  some = np.isfinite(scores[every, best])
  return np.where(some[:, None, None], said['keypoints'][every, best, :, :2], np.nan)


def mean_pose(examples, train) -> np.ndarray:
  """The mean of the training set's poses in their squares, put into the squares of others (n k 2).
  """
  centre, side = (np.asarray(x)[:, 0] for x in frames(train))
  points = train['objects']['keypoints'][:, 0]
  known = (points[..., 2:] > 0) & train['objects']['valid'][:, :1, None]
  own = (points[..., :2] - centre[:, None]) / side[:, None, None]
  mean = np.where(known, own, 0).sum(0) / known.sum(0)
  centre, side = (np.asarray(x)[:, 0] for x in frames(examples))
  return centre[:, None] + mean * side[:, None, None]


def row(name: str, scores: list[dict]) -> dict[str, str]:
  """Of the same stage of several runs."""
  names = {'pcp': 'mean'} | {f'pcp_{part}': part.replace('_', ' ') for part in measures.PARTS} | {
      'pdj': 'PDJ .2', 'pck': 'PCK .2'}
  return {'': name} | {title: study.spread([one[key] for one in scores], 1)
                       for key, title in names.items()}


def people_of(data) -> dict:
  """The test's images with a person in them."""
  test = open_sources(data.to_dict(), 'test')
  examples = test[np.arange(len(test))]
  there = examples['objects']['valid'][:, 0]
  return jax.tree.map(lambda x: x[there], examples)


def judged(poses, examples) -> dict:
  true, boxes = (examples['objects'][k][:, 0] for k in ('keypoints', 'boxes'))
  return measures.pose_scores(poses, true, boxes, measures.PARTS, TORSO)


def seeds_of(name, config, given, folder, steps) -> list:
  """The runs of every seed, loaded."""
  made = study.run({f'{name}/{seed}': study.changed(
      config, seed=seed, data_seed=seed, evals={}, **steps) for seed in range(given.seeds)}, folder)
  return [load(path) for path in made.values()]


def cascade(given, folder):
  """Each stage, from true boxes."""
  config = scenes_poses.get_config('smoke' if given.quick else 'three')
  runs = seeds_of('cascade', config, given, folder, study.steps_of(given))
  examples, train = people_of(config.data), open_sources(config.data.to_dict(), 'train')
  stages = [predicted(run, examples)['stages'][:, :, 0] for run in runs]       # of the one person
  scores = {'mean pose': [judged(mean_pose(examples, train[np.arange(len(train))]), examples)]}
  for s in range(stages[0].shape[1]):
    scores[f'stage {s + 1}'] = [judged(own[:, s], examples) for own in stages]
  if given.figure:
    draw(given.figure, runs[0].facts.info, examples, stages[0], scores)
  return [row(name, own) for name, own in scores.items()]


def heat_maps(given, folder):
  """Mask R-CNN's head on the same images, which finds its boxes itself."""
  smoke = 'smoke' if given.quick else ''
  config = study.changed(scenes_keypoints.get_config(smoke),
                         data=scenes_poses.get_config(smoke).data.to_dict())
  runs = seeds_of('heat_maps', config, given, folder, {})
  examples = people_of(config.data)
  return [row('heat maps', [judged(surest(run, examples), examples) for run in runs])]


def draw(path, info, examples, stages, scores):
  """Some people after each stage, and the curves of joints found."""
  sheet = Image.fromarray(figures.stages(examples['image'], examples['objects'],
                                         stages[:, :, None], info.joints, info.limbs, most=4))
  photographs = path.with_suffix('.jpg')             # which are large as PNGs
  sheet.resize((600, 600 * sheet.height // sheet.width)).save(photographs, quality=65)
  print(photographs)
  Image.fromarray(figures.curves({name: own[0]['pdj_curve'] for name, own in scores.items()})
                  ).save(path)
  study.picture(path, path)
  print(path)


PARTS = dict(cascade=cascade, heat_maps=heat_maps)


def main(argv=None):
  options = study.parser('poses', __doc__, seeds=3)
  study.add_parts(options, PARTS, list(PARTS))
  options.add_argument('--steps', type=int, help='updates of each cascade; default: the config\'s')
  given = study.parse(options, argv, __file__)
  return study.run_parts(PARTS, given)


if __name__ == '__main__':
  study.start(main)
