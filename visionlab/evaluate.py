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
from jax.sharding import NamedSharding, PartitionSpec as P

from visionlab import commandline
from visionlab.class_table import class_table
from visionlab.config import ConfigError, check_choice
from visionlab.data.imagenet import synsets
from visionlab.data.pipeline import eval_batches, open_sources
from visionlab.data.source import Relabelled
from visionlab.evals import compile_evaluation, predictions
from visionlab.log import scalars
from visionlab.run import Run, load
from visionlab.step import data_mesh
from visionlab.task import Results
from visionlab.workdir import check_words, save_figures


def evaluate(runs: Sequence[Run], split: str, *, domain: str = '', root: str = '',
             ten_crop: bool = False, batch: int = 0,
             figures: bool = False) -> tuple[Results, dict[str, np.ndarray]]:
  """(results, pictures) of the runs' average on a split of the first one's data.

  Args:
    split: as in a config, e.g. 'test' or 'train[90%:]'.
    domain: which of the data's sources, where there are several.
    root: instead of the data's own root; its classes may be some of those the network knows, by
      their names or, for ImageNet's, their WordNet ids.
    ten_crop: averages over corners, centre and their mirror images (Krizhevsky et al. 2012).

  Raises:
    ConfigError: runs that do not fit together, or a task whose predictions have no average.
  """
  task, variables = runs[0].task, runs[0].variables
  if ten_crop or len(runs) > 1:
    if not hasattr(task, 'averaged'):
      raise ConfigError(f'{type(task).__name__} has no average over runs or crops')
    if any(r.facts.info != runs[0].facts.info for r in runs):
      raise ConfigError('these runs were trained on different classes: '
                        + ', '.join(str(r.workdir) for r in runs))
    views = ten_crops if ten_crop else lambda image: [image]
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
  results = compile_evaluation(task, mesh)(*everywhere, batches())
  pictures = {}
  if figures:
    seen = predictions(jax.jit(task.predict), variables, batches(), 2000)
    pictures = task.figures(*seen, results)
  return results, pictures


def ten_crops(image: jax.Array, fraction: float = .875) -> list[jax.Array]:
  """Four corners and the centre of images (b h w c), each `fraction` of the side, and their mirror
  images; scaled back to h x w, which not every network could do without."""
  b, h, w, c = image.shape
  height, width = round(h * fraction), round(w * fraction)
  tops, lefts = (0, h - height), (0, w - width)
  corners = [(t, u) for t in tops for u in lefts] + [((h - height) // 2, (w - width) // 2)]
  dtype = image.dtype
  crops = [jax.image.resize(image[:, t:t + height, u:u + width].astype(jnp.float32), image.shape,
                            'bilinear') for t, u in corners]
  # Rounded again for uint8, whose range says how pixels are to be read.
  crops = [jnp.round(x).astype(dtype) if dtype == jnp.uint8 else x for x in crops]
  return crops + [x[:, :, ::-1] for x in crops]


def main(_):
  options = flags.FLAGS
  step = commandline.chosen_step()
  runs = [load(w, step=step) for w in options.workdir]
  results, pictures = evaluate(runs, options.split, domain=options.domain, root=options.root,
                               ten_crop=options.ten_crop, figures=options.figures is not None)
  values = scalars(results)
  wide = max(map(len, values))
  print(f'{", ".join(options.workdir)} on {options.split}, step '
        f'{", ".join(str(r.step) for r in runs)}'
        f'{", ten crops" if options.ten_crop else ""}')
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
  flags.DEFINE_string('json', None, 'Write all results, arrays too, to this file.')
  flags.DEFINE_string('figures', None, 'Write pictures to figures/ in this folder.')
  commandline.run(main)
