"""Measures finished runs: python -m visionlab.evaluate --workdir=runs/digits --split=test

Several workdirs, separated by commas, are averaged as an ensemble. Weights that another library
trained may stand for a workdir. --root names other data of the same kind to measure on, and --data
another source, whose options are --data.KEY=VALUE; weights alone are measured on folders of images:

python -m visionlab.evaluate --workdir=resnet50.pth --root=imagenet --split=val
python -m visionlab.evaluate --workdir=resnet20.th --data=cifar10 --root=cifar --split=test
"""

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from flax.errors import ScopeParamShapeError
from jax.sharding import NamedSharding, PartitionSpec as P

from visionlab import commandline
from visionlab.config import ConfigError
from visionlab.data.pipeline import eval_batches
from visionlab.data.source import Source
from visionlab.facts import Facts
from visionlab.measures.class_table import class_table
from visionlab.ops.views import WHOLE, View, rescaled, ten_crops
from visionlab.parallel.sharding import data_mesh
from visionlab.paths import output_file
from visionlab.runs.load import load
from visionlab.runs.other_data import data_flags, given_data, open_data
from visionlab.runs.records import as_csv, names_of_examples, records_of
from visionlab.runs.run import Run
from visionlab.storage.workdir import check_words, save_figures
from visionlab.task import Results, Task, Variables
from visionlab.training.evaluation import compile_evaluation, predictions
from visionlab.training.log import scalars
from visionlab.training.own_metrics import metrics_of
from visionlab.training.progress import Progress

ROWS = 40                   # of the table of classes, before it is shortened
Watch = Callable[[Iterable], Iterable]
ENTRIES = ('label', 'objects', 'label_map', 'caption', 'target', 'flow')  # what may be missing


def evaluate(runs: Sequence[Run], split: str = '', *, domain: str = '', root: str = '',
             data: Mapping | None = None, views: Sequence[View] = (WHOLE,), batch: int = 0,
             figures: bool = False) -> tuple[Results, dict[str, np.ndarray]]:
  """(results, pictures) of the runs' average on a split of the first one's data, or of other data.

  Args:
    split, domain, root, data: see `visionlab.runs.other_data.open_data`.
    views: pictures of each image to average over, from `visionlab.ops.views`.

  Raises:
    ConfigError: runs that do not fit together or to the data, or a task whose predictions have no
      average.
  """
  source, _ = open_data(runs[0], split, domain=domain, root=root, data=data)
  return measure(runs, source, views=views, batch=batch, figures=figures)


def measure(runs: Sequence[Run], source: Source, *, views: Sequence[View] = (WHOLE,),
            batch: int = 0, figures: bool = False, features: str = '',
            watch: Watch = iter) -> tuple[Results, dict[str, np.ndarray]]:
  """`evaluate` on a source whose classes are the runs'. features: see `visionlab.runs.likeness`.
  watch: is given the batches and passes them on."""
  task, variables = averaged(runs, views)
  mesh = data_mesh(jax.devices())
  batch = -(-(batch or runs[0].batch) // mesh.size) * mesh.size
  if runs[0].facts.info.words:
    check_words(source.info.words, *(r.workdir for r in runs))

  def batches():
    return eval_batches(source, batch, runs[0].config.pipeline.workers)
  hp = {**runs[0].hp, 'progress': jnp.float32(1)}
  everywhere = jax.device_put((variables, hp), NamedSharding(mesh, P()))
  try:
    metrics = metrics_of(runs[0].config, task, features, source)
    results = compile_evaluation(task, mesh, metrics=metrics)(*everywhere, watch(batches()))
  except ScopeParamShapeError as e:
    raise ConfigError('this network takes images of the size it was trained on; neither --scales '
                      f'nor other data can change that ({e})') from e
  except KeyError as e:
    there = names_of(Facts.of(source).example)
    if e.args[0] in there or e.args[0] not in {*ENTRIES, *names_of(runs[0].facts.example)}:
      raise
    raise ConfigError(f'these data have no "{e.args[0]}", by which {type(task).__name__} is '
                      f'measured; they have {", ".join(sorted(there - {"valid"}))}') from e
  pictures = {}
  if figures:
    seen = predictions(jax.jit(task.predict), variables, batches(), 2000)
    pictures = task.figures(*seen, results)
  return results, pictures


def averaged(runs: Sequence[Run], views: Sequence[View]) -> tuple[Task, Variables]:
  """The task of several runs and views, and its variables; of one run and view its own."""
  task = runs[0].task
  if list(views) == [WHOLE] and len(runs) == 1:
    return task, runs[0].variables
  if not hasattr(task, 'averaged'):
    raise ConfigError(f'{type(task).__name__} has no average over runs or views')
  if any(r.facts.info != runs[0].facts.info for r in runs):
    raise ConfigError('these runs were trained on different classes: '
                      + ', '.join(str(r.workdir) for r in runs))
  return task.averaged([r.task for r in runs], views), {'params': [r.variables for r in runs]}


def per_image(runs: Sequence[Run], source: Source, views: Sequence[View] = (WHOLE,), *,
              batch: int = 0, watch: Watch = iter) -> list[dict]:
  """A record for each image (see `visionlab.runs.records`), with its `label`: the name of its
  class, where it has one. What is wrong comes first, the surest mistake before the others; of an
  autoencoder what it makes again worst, which is least like what it was trained on.

  Raises:
    ConfigError: a task that neither tells classes nor makes images again.
  """
  task, variables = averaged(runs, views)
  names, found = names_of_examples(source), []
  predict = jax.jit(task.predict)
  for rows in watch(eval_batches(source, batch or runs[0].batch, runs[0].config.pipeline.workers)):
    said = jax.device_get(predict(variables, rows))
    labelled = np.ndim(rows.get('label')) == 1 and len(runs[0].classes) > 0
    if not ('probabilities' in said and labelled or 'reconstruction' in said):
      raise ConfigError('--per_image: is for tasks that tell the class of an image, and for '
                        'autoencoders')
    start = len(found)
    records = records_of(runs[0], names[start:start + len(rows['valid'])], said)
    labels = [dict(label=runs[0].classes[int(k)]) for k in rows['label']] if labelled else (
        [{}] * len(records))
    found += [dict(file=one.pop('file'), **label, **one)
              for one, label, valid in zip(records, labels, rows['valid'], strict=False) if valid]
  if found and 'error' in found[0]:
    return sorted(found, key=lambda r: -r['error'])
  return sorted(found, key=lambda r: (r['label'] == r['prediction'],
                                      -r['scores'][r['prediction']]))


def names_of(example: Mapping) -> set[str]:
  """Of the entries of an example, and of theirs."""
  inner = (names_of(value) for value in example.values() if isinstance(value, Mapping))
  return set(example).union(*inner)


def chosen_runs() -> list[Run]:
  """Those that --workdir names; a comma may also be in the name of one that is there."""
  names = flags.FLAGS.workdir
  if not names:
    raise ConfigError('--workdir: is empty; name a run')
  whole = ','.join(names)
  together = len(names) > 1 and Path(whole).expanduser().exists()
  return [load(name, step=commandline.chosen_step(), member=flags.FLAGS.member)
          for name in ([whole] if together else names)]


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


def for_json(value: Any) -> Any:
  """Results as JSON has them: arrays are lists, and what is no finite number is null.

  >>> for_json({'ap': np.array([.5, np.nan]), 'objects': np.int64(3), 'loss': float('inf')})
  {'ap': [0.5, None], 'objects': 3, 'loss': None}
  """
  if isinstance(value, Mapping):
    return {name: for_json(one) for name, one in value.items()}
  if isinstance(value, np.ndarray | np.generic | jax.Array):
    value = np.asarray(value).tolist()
  if isinstance(value, list | tuple):
    return [for_json(one) for one in value]
  return None if isinstance(value, float) and not math.isfinite(value) else value


def watched(source: Source) -> Watch:
  """Batches of a source with a line that says how far they are."""
  def watch(batches):
    progress = Progress(len(source))
    with contextlib.closing(progress):
      yield from progress.over(batches, lambda batch: int(batch['valid'].sum()))
  return watch


def main(_):
  options = flags.FLAGS
  views = chosen_views()
  as_text = output_file(options.json, '--json')
  as_table = output_file(options.per_image, '--per_image')
  runs = chosen_runs()
  source, split = open_data(runs[0], options.split, domain=options.domain, root=options.root,
                                data=given_data())
  results, pictures = measure(runs, source, views=views, batch=options.batch,
                              figures=options.figures is not None, features=options.features,
                              watch=watched(source))
  values = scalars(results)
  wide = max(map(len, values))
  print(f'{", ".join(str(r.workdir) for r in runs)} on {split}'
        f'{", ten crops" if options.ten_crop else ""}'
        f'{"".join(f", at {s} times its size" for s in options.scales or [])}'
        f'{", mirrored too" if options.mirror else ""}')
  for run in runs:
    print(f'{f"{run.workdir}: " if len(runs) > 1 else ""}{run.which}')
  for name, value in values.items():
    print(f'{name:<{wide}}  {value:.4f}')
  if any(name.startswith('class_') for name in results):
    print(f'\n{class_table(results, runs[0].task.classes, most=ROWS)}')
  if as_table:
    rows = per_image(runs, source, views, batch=options.batch, watch=watched(source))
    as_table.write_text(as_csv(rows), encoding='utf-8')
  if as_text:
    as_text.write_text(json.dumps(for_json(results), indent=2, allow_nan=False))
  if options.figures:
    save_figures(Path(options.figures).expanduser(), pictures)


if __name__ == '__main__':
  flags.DEFINE_list('workdir', None, 'A run, or several to average: a,b,c.', required=True)
  flags.DEFINE_string('split', '', 'What to measure on, e.g. test or train[90%:]; by default test, '
                      'or what there is instead.')
  flags.DEFINE_string('domain', '', 'Which source, where a run has several, e.g. target.')
  flags.DEFINE_string('root', '', 'Other data of the same kind to measure on.')
  data_flags(sys.argv)
  commandline.step_flag()
  flags.DEFINE_string('member', None, 'Of a sweep, whose folder --workdir then is: the name of a '
                      'setting or its number.')
  flags.DEFINE_bool('ten_crop', False, 'Average over ten crops of each image.')
  flags.DEFINE_list('scales', None, 'Average over the image at these scales: .75,1,1.25.')
  flags.DEFINE_bool('mirror', False, 'Average over the image and its mirror image.')
  flags.DEFINE_integer('batch', 0, 'Images at a time; default: the largest batch of the run. It '
                       'changes no number.', lower_bound=0)
  flags.DEFINE_string('features', '', 'A run or weights in whose features the images that this one '
                      'makes are compared with the split\'s; default: what its config names.')
  flags.DEFINE_string('json', None, 'Write all results, arrays too, to this file.')
  flags.DEFINE_string('per_image', None, 'Write a row for each image to this .csv: its file, '
                      'label, prediction and scores, mistakes first; of an autoencoder its error '
                      'and codes, the worst first.')
  flags.DEFINE_string('figures', None, 'Write pictures to figures/ in this folder.')
  commandline.run(main)
