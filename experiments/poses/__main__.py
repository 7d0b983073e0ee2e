"""What each stage of a cascade of regressors brings to poses.

python -m experiments.poses [--seeds=1] [--folder=runs/poses]
"""

import jax
import numpy as np
from PIL import Image

from configs import scenes_poses
from experiments import study
from visionlab.data.pipeline import open_sources
from visionlab.figures import poses as figures
from visionlab.measures.poses import PARTS, pose_scores
from visionlab.ops.joints import TORSO
from visionlab.runs.load import load
from visionlab.tasks.pose import frames

BATCH = 50


def found(run, examples) -> np.ndarray:
  """The poses after each stage, (n s k 2), of the one person in each image."""
  predict = jax.jit(run.task.predict)
  parts = [predict(run.variables, jax.tree.map(lambda x, i=i: x[i:i + BATCH], examples))['stages']
           for i in range(0, len(examples['image']), BATCH)]
  return np.concatenate(parts)[:, :, 0]


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
  names = {'pcp': 'mean'} | {f'pcp_{part}': part.replace('_', ' ') for part in PARTS} | {
      'pdj': 'PDJ .2', 'pck': 'PCK .2'}
  return {'': name} | {title: study.spread([one[key] for one in scores], 1)
                       for key, title in names.items()}


def main(argv=None):
  options = study.parser('poses', __doc__, seeds=1)
  options.add_argument('--steps', type=int, help='updates of each run; default: the config\'s')
  given = study.parse(options, argv, __file__)
  config = scenes_poses.get_config('smoke' if given.quick else 'three')
  steps = study.steps_of(given)
  with study.kept_in(given.folder) as folder:
    made = study.run({f'cascade/{seed}': study.changed(
        config, seed=seed, data_seed=seed, evals={}, **steps) for seed in range(given.seeds)},
                     folder)
    runs = [load(path) for path in made.values()]
    test, train = (open_sources(config.data.to_dict(), split) for split in ('test', 'train'))
    examples = test[np.arange(len(test))]
    there = examples['objects']['valid'][:, 0]
    examples = jax.tree.map(lambda x: x[there], examples)
    true, boxes = (examples['objects'][k][:, 0] for k in ('keypoints', 'boxes'))

    def judged(poses):
      return pose_scores(poses, true, boxes, PARTS, TORSO)
    stages = [found(run, examples) for run in runs]
    scores = {'mean pose': [judged(mean_pose(examples, train[np.arange(len(train))]))]}
    for s in range(stages[0].shape[1]):
      scores[f'stage {s + 1}'] = [judged(own[:, s]) for own in stages]
    rows = [row(name, own) for name, own in scores.items()]
    print(study.table(rows))
    if given.figure:
      info = runs[0].facts.info
      sheet = figures.stages(examples['image'], examples['objects'], stages[0][:, :, None],
                             info.joints, info.limbs, most=4)
      path = given.figure.with_suffix('.jpg')        # photographs are large as PNGs
      picture = Image.fromarray(sheet)
      picture.resize((600, 600 * picture.height // picture.width)).save(path, quality=65)
      print(path)
      curves = figures.curves({name: own[0]['pdj_curve'] for name, own in scores.items()})
      Image.fromarray(curves).save(given.figure)
      study.picture(given.figure, given.figure)
      print(given.figure)
    return rows


if __name__ == '__main__':
  study.start(main)
