"""Measures finished runs: python -m visionlab.evaluate --workdir=runs/digits --split=test

Several workdirs, separated by commas, are averaged as an ensemble. Weights that another library
trained may stand for a workdir; --root then names the data to measure on:

python -m visionlab.evaluate --workdir=resnet50.pth --root=imagenet --split=val
"""

import json
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from flax.errors import ScopeParamShapeError
from jax.sharding import NamedSharding, PartitionSpec as P

from visionlab import commandline
from visionlab.config import ConfigError, check_choice
from visionlab.data.imagenet import synsets
from visionlab.data.pipeline import eval_batches, open_sources
from visionlab.data.source import Relabelled
from visionlab.measures.class_table import class_table
from visionlab.ops.views import WHOLE, View, rescaled, ten_crops
from visionlab.run import Run, load
from visionlab.sharding import data_mesh
from visionlab.storage.workdir import check_words, save_figures
from visionlab.task import Results
from visionlab.training.evaluation import compile_evaluation, predictions
from visionlab.training.log import scalars


def evaluate(runs: Sequence[Run], split: str, *, domain: str = '', root: str = '',
             views: Sequence[View] = (WHOLE,), batch: int = 0,
             figures: bool = False) -> tuple[Results, dict[str, np.ndarray]]:
  """(results, pictures) of the runs' average on a split of the first one's data.

  Args:
    split: as in a config, e.g. 'test' or 'train[90%:]'.
    domain: which of the data's sources, where there are several.
    root: instead of the data's own root; its classes may be some of those the network knows, by
      their names or, for ImageNet's, their WordNet ids.
    views: pictures of each image to average over, from `visionlab.ops.views`.

  Raises:
    ConfigError: runs that do not fit together, or a task whose predictions have no average.
  """
  task, variables = runs[0].task, runs[0].variables
  if list(views) != [WHOLE] or len(runs) > 1:
    if not hasattr(task, 'averaged'):
      raise ConfigError(f'{type(task).__name__} has no average over runs or views')
    if any(r.facts.info != runs[0].facts.info for r in runs):
      raise ConfigError('these runs were trained on different classes: '
                        + ', '.join(str(r.workdir) for r in runs))
    task = task.averaged([r.task for r in runs], views)
    variables = {'params': [r.variables for r in runs]}
  mesh = data_mesh(jax.devices())
  batch = -(-(batch or runs[0].batch) // mesh.size) * mesh.size
  data = runs[0].config.data.to_dict()
  if 'name' not in data:
    check_choice(domain, tuple(data), '--domain')
    data = data[domain]
  source = open_sources({**data, 'root': root} if root else data, split)
  if words := runs[0].facts.info.words:
    check_words(source.info.words, *(r.workdir for r in runs))
  if root and not words and getattr(source, 'info', runs[0].facts.info) != runs[0].facts.info:
    source = Relabelled(source, runs[0].classes, synsets())

  def batches():
    return eval_batches(source, batch, runs[0].config.pipeline.workers)
  hp = {**runs[0].hp, 'progress': jnp.float32(1)}
  everywhere = jax.device_put((variables, hp), NamedSharding(mesh, P()))
  try:
    results = compile_evaluation(task, mesh)(*everywhere, batches())
  except ScopeParamShapeError as e:
    raise ConfigError('this network takes images of the size it was trained on; neither --scales '
                      f'nor other data can change that ({e})') from e
  pictures = {}
  if figures:
    seen = predictions(jax.jit(task.predict), variables, batches(), 2000)
    pictures = task.figures(*seen, results)
  return results, pictures


def chosen_views():
  """Those of the flags."""
  options = flags.FLAGS
  if options.ten_crop:
    if options.mirror or options.scales:
      raise ConfigError('--ten_crop: has mirror images and a scale of its own; leave out --mirror '
                        'and --scales')
    return ten_crops()
  if not (options.mirror or options.scales):
    return [WHOLE]
  try:
    scales = [float(s) for s in options.scales or ['1']]
  except ValueError as e:
    raise ConfigError(f'--scales={",".join(options.scales)}: expected numbers with commas between '
                      'them, such as .75,1,1.25') from e
  return rescaled(scales, options.mirror)


def main(_):
  options = flags.FLAGS
  step, views = commandline.chosen_step(), chosen_views()
  runs = [load(w, step=step) for w in options.workdir]
  results, pictures = evaluate(runs, options.split, domain=options.domain, root=options.root,
                               views=views, figures=options.figures is not None)
  values = scalars(results)
  wide = max(map(len, values))
  print(f'{", ".join(options.workdir)} on {options.split}, step '
        f'{", ".join(str(r.step) for r in runs)}'
        f'{", ten crops" if options.ten_crop else ""}'
        f'{"".join(f", at {s} times its size" for s in options.scales or [])}'
        f'{", mirrored too" if options.mirror else ""}')
  for name, value in values.items():
    print(f'{name:<{wide}}  {value:.4f}')
  if any(name.startswith('class_') for name in results):
    print(f'\n{class_table(results, runs[0].task.classes)}')
  if options.json:
    Path(options.json).write_text(json.dumps(
        {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in results.items()}, indent=2))
  if options.figures:
    save_figures(Path(options.figures), pictures)


if __name__ == '__main__':
  flags.DEFINE_list('workdir', None, 'A run, or several to average: a,b,c.', required=True)
  flags.DEFINE_string('split', 'test', 'What to measure on, e.g. test or train[90%:].')
  flags.DEFINE_string('domain', '', 'Which source, where a run has several, e.g. target.')
  flags.DEFINE_string('root', '', 'Other data of the same kind to measure on.')
  commandline.step_flag()
  flags.DEFINE_bool('ten_crop', False, 'Average over ten crops of each image.')
  flags.DEFINE_list('scales', None, 'Average over the image at these scales: .75,1,1.25.')
  flags.DEFINE_bool('mirror', False, 'Average over the image and its mirror image.')
  flags.DEFINE_string('json', None, 'Write all results, arrays too, to this file.')
  flags.DEFINE_string('figures', None, 'Write pictures to figures/ in this folder.')
  commandline.run(main)
