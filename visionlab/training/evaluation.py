"""Evaluation: a split measured by a task's evaluators and its loss, exactly, in one pass."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

from visionlab.build import batch_of
from visionlab.config import ConfigError, whole
from visionlab.data.pipeline import eval_batches, open_sources, put
from visionlab.facts import Facts
from visionlab.metrics import Ratio
from visionlab.parallel.distributed import agreed, gathered
from visionlab.parallel.sharding import DATA, local_rows
from visionlab.state import State
from visionlab.step import each_member
from visionlab.storage.saving import at_least_one, value_of
from visionlab.task import Evaluator, Results, Task
from visionlab.training.meanings import check_meanings
from visionlab.training.member_warnings import of_members
from visionlab.training.own_metrics import check_asked, metrics_of_one
from visionlab.training.pictures import drawn

FRAME = 64                     # images in a frame of the film of training
FIGURES_BYTES = 2**28          # of examples and predictions kept on the host to draw pictures from


def loss_evaluator(task: Task) -> Evaluator:
  """The validation loss: its terms and the task's own metrics, each over the whole split. Where a
  task has no terms, as for people whom it does not know, there is no loss."""
  def update(variables, batch, hp):
    # A fixed key: what a loss samples (anchors, masks) is the same at every evaluation.
    terms, aux = task.loss(variables, batch, jax.random.key(0), hp, train=False)
    weights = {k: hp.get(f'{k}_weight', 1.) for k in terms}
    return dict(terms=terms, metrics=aux.metrics,
                weights={k: Ratio(w, 1.) for k, w in weights.items()})

  def finish(stats):
    terms = {k: float(v.value) for k, v in stats['terms'].items()}
    loss = sum(float(stats['weights'][k].value) * v for k, v in terms.items())
    own = dict(loss=loss) if terms else {}
    return dict(**own, **terms, **{k: float(v.value) for k, v in stats['metrics'].items()})
  return Evaluator(update, finish)


def compile_evaluation(task: Task, mesh: Mesh, *, swept: bool = False,
                       metrics: Mapping[str, Evaluator] | None = None) -> Callable[..., Results]:
  """evaluate(variables, hp, batches) -> results, compiled once for every split and call.

  variables, hp: as the task's loss takes them. batches: this process's rows as host arrays.
  swept: variables and hp are those of several members, stacked; the results are a list. metrics:
  beside the task's own (see `visionlab.training.own_metrics`).
  """
  metrics = metrics or {}
  evaluators = {'loss': loss_evaluator(task), **task.evaluators(), **metrics}

  @jax.jit                 # traced once, for the form of the sums and for the sums
  def statistics(variables, hp, batch):
    stats = {k: e.update(variables, batch, hp) for k, e in evaluators.items()}
    rows = {k: s for k, s in stats.items() if evaluators[k].kind == 'collect'}
    sums = {k: s for k, s in stats.items() if evaluators[k].kind == 'sum'}
    return sums, (rows, batch['valid'] if rows else None)

  def statistics_of_members(variables, hp, batch):
    def one(member, batch):
      return statistics(*member, batch)
    return each_member(one, mesh)((variables, hp), batch)
  measure = statistics_of_members if swept else statistics

  def add(sums, variables, hp, batch):
    new, collected = measure(variables, hp, batch)
    return jax.tree.map(lambda a, b: a + b, sums, new), collected

  # Sums are added where they are; only what is collected comes to the host with each batch.
  shared = NamedSharding(mesh, P())
  placed = NamedSharding(mesh, P(mesh.axis_names[0])) if swept else shared
  compiled = jax.jit(add, donate_argnums=0, out_shardings=placed)

  def evaluate(variables, hp, batches: Iterable[Any]):
    sums, collected = None, []
    for batch in batches:
      batch = jax.device_put(batch, shared) if swept else put(batch, mesh)
      if sums is None:
        form, _ = jax.eval_shape(measure, variables, hp, batch)
        sums = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), form)
        sums = jax.device_put(sums, placed)            # as they come back: one program, not two
      sums, (rows, valid) = compiled(sums, variables, hp, batch)
      if rows:
        collected.append(_kept(rows, np.asarray(valid), swept))
    stats = jax.device_get(sums)
    if collected:
      stats |= jax.tree.map(lambda *x: np.concatenate(x, int(swept)), *collected)
    if not swept:
      return finished(stats)
    count = len(hp['lr'])
    with of_members(count):
      return [finished(jax.tree.map(lambda x, k=k: x[k], stats)) for k in range(count)]

  def finished(stats):
    results = {}
    for name, evaluator in evaluators.items():
      found = evaluator.finish(stats[name])
      twice = name in metrics and results.keys() & found.keys()
      if twice:
        raise ConfigError(f'config.evals: {name} gives {min(twice)!r}, which is measured already; '
                          'give it another name')
      results |= found
    return results
  return evaluate


def _kept(rows, valid, swept: bool):
  """What is collected without padding; the same examples are padding for every member."""
  if swept:
    return jax.tree.map(lambda x: np.asarray(x)[:, valid[0]], rows)
  return jax.tree.map(lambda x: np.asarray(x)[valid], rows)


class Evaluations:
  """config.evals: name -> dict(split=, every=, first=, batch=, data=, metrics=, features=), each
  with its own schedule.

  `data` is by default what is trained on; another source may be named as in config.data.
  `every` is a duration, by default the whole training: once at the start and once at the end.
  `first=False` leaves out the start: a detector that has learnt nothing may take longer to measure
  than to train for its first hundred steps.
  `batch` is by default the training batch, rounded up to divide over the devices.
  `metrics` are one's own, as ('package.module:function',): see `visionlab.training.own_metrics`.
  `features`: a run or weights, in whose features the images that a task makes are compared with
  the split's: see `visionlab.runs.likeness`.
  """

  def __init__(self, config: Mapping, task: Task, mesh: Mesh, total: int, steps: Callable, *,
               swept: bool = False):
    config = whole(config)
    self.task, self.mesh, self.total, self.config = task, mesh, total, config
    self.swept = swept
    self.make = jax.jit(partial(_made, task), out_shardings=NamedSharding(mesh, P()))
    self.sources, self.every, self.first, self.batch, self.results = {}, {}, {}, {}, {}
    self.runs, compiled = {}, {}          # by name; by what is measured: one program for many
    cut = 1 if swept else mesh.shape[DATA]
    for name, options in config['evals'].items():
      where = f'config.evals.{name}'
      if 'data' not in options and 'name' not in config['data']:
        raise ConfigError(f'{where}.data: missing; there are several sources, and one is measured '
                          'at a time')
      self.sources[name] = (open_sources(options['data'], options['split'], f'{where}.data')
                            if 'data' in options else
                            open_sources(config['data'], options['split']))
      measured = options.get('metrics', ()), options.get('features', '')
      if measured not in compiled:
        own = metrics_of_one(options, task, where)
        compiled[measured] = compile_evaluation(task, mesh, swept=swept, metrics=own)
      self.runs[name] = compiled[measured]
      self.every[name] = at_least_one(steps, options.get('every', '100%'), f'{where}.every')
      self.first[name] = options.get('first', True)
      self.batch[name] = -(-options.get('batch', config['batch']) // cut) * cut

  def check_facts(self, facts: Facts):
    """Raises `ConfigError` where a number stands for something else in a split that is measured
    than in the data that is trained on, whose facts these are, or where one's own metric asks for
    what there is not."""
    for name, source in self.sources.items():
      check_meanings(source.info, facts.info, f'config.evals.{name}',
                     open_set=getattr(self.task, 'open_set', False))
      metrics = self.config['evals'][name].get('metrics', ())
      if metrics:
        check_asked(metrics, self.task, source, f'config.evals.{name}.metrics')

  def check_metric(self, metric: str, state: State):
    """Raises `ConfigError` unless config.checkpoint.best is a number that is measured: of the first
    batch or, since COCO's averages are only of the sizes of objects that there are, of all."""
    name, _, key = metric.removeprefix('-').partition('/')
    if not metric:
      return
    # One's own may not make sense of a few examples.
    for count in (None,) if self.config['evals'][name].get('metrics') else (1, None):
      batches = itertools.islice(self.batches(name), count)
      results = self.runs[name](state.variables, self._hp(state), batches)
      results = results[0] if self.swept else results
      if isinstance(results.get(key), float):
        return
    value_of(metric, name, results)

  def due(self, step: int, last: int) -> list[str]:
    return [k for k, n in self.every.items()
            if step == last or step % n == 0 and (step > 0 or self.first[k])]

  def batches(self, name: str):
    rows = None if self.swept else local_rows(self.mesh, self.batch[name])
    return eval_batches(self.sources[name], self.batch[name], self.config['pipeline']['workers'],
                        rows=rows)

  def form(self, facts: Facts):
    """Of a batch that is measured, where a network that has one source is; or of one example."""
    own = [k for k in self.sources if 'data' not in self.config['evals'][k]]
    return batch_of(facts.example, self.batch[own[0]]) if own else facts.example

  def evaluate(self, name: str, state: State):
    """Measures the state, with its averaged weights where it has them: results, or a list of them
    where the state is that of several members."""
    self.results[name] = self.runs[name](state.variables, self._hp(state), self.batches(name))
    return self.results[name]

  def _hp(self, state: State):
    progress = jnp.broadcast_to(state.step / self.total, state.hp['lr'].shape)
    return {**state.hp, 'progress': progress}

  def frame(self, state: State) -> np.ndarray | None:
    """Images (n h w c) that the state makes of the same numbers at every step, for a film; None of
    a task that makes none, and of several members."""
    if self.swept or not getattr(self.task, 'generative', False):
      return None
    return np.asarray(self.make(state.variables))

  def figures(self, state: State, limit: int = 2000) -> dict[str, np.ndarray]:
    """The task's pictures of the first examples of every split that was measured, on process 0;
    none on the others, one of which may hold nothing but padding. What cannot be drawn is named in
    a warning."""
    pictures = {}
    whole = jax.device_put(state.variables, NamedSharding(self.mesh, P()))
    variables = jax.tree.map(lambda x: x.addressable_data(0), whole)
    for name, results in self.results.items():
      own = drawn(f'the pictures of {name}', lambda name=name: first_rows(
          self.task.predict, variables, self.batches(name), limit))
      if agreed(not own):            # or the others would wait for it
        continue
      seen = gathered(own, self._places(name, len(own[0]['valid'])))
      if jax.process_index() == 0:
        found = drawn(f'the pictures of {name}', lambda seen=seen, results=results: (
            self.task.figures(*valid_rows(*seen, limit), results)))
        pictures |= {f'{name}_{k}': v for k, v in found.items()}
    return pictures

  def _places(self, name: str, count: int) -> np.ndarray:
    """Of this process's first `count` rows, their places in the split."""
    rows = local_rows(self.mesh, self.batch[name])
    batch, row = np.divmod(np.arange(count), len(rows))
    return batch * self.batch[name] + rows[row]


def _made(task, variables):
  codes = jax.random.normal(jax.random.key(0), (FRAME, task.model.codes))
  return task.images(variables, codes)


def predictions(predict: Callable, variables, batches: Iterable[Mapping], limit: int):
  """The first examples with what is predicted for them, on the host: (batch, predictions).

  Args:
    predict: compiled (variables, batch) -> dict of arrays. What is padding is left out.
    limit: of their number; fewer where they would fill `FIGURES_BYTES`.
  """
  return valid_rows(*first_rows(predict, variables, batches, limit), limit)


def first_rows(predict: Callable, variables, batches: Iterable[Mapping], limit: int):
  """`predictions` of this process's rows, with the padding, which differs between processes."""
  seen, share = [], jax.process_count()
  for batch in batches:
    said = jax.device_get(predict(variables, batch))
    seen.append(jax.tree.map(np.asarray, (dict(batch), said)))
    size = sum(x.nbytes for x in jax.tree.leaves(seen))
    rows = sum(len(b['valid']) for b, _ in seen)
    if rows * share >= limit or size * share >= FIGURES_BYTES:
      break
  return jax.tree.map(lambda *x: np.concatenate(x), *seen)


def valid_rows(batch, said, limit: int):
  """The first of them that are neither padding nor unusable."""
  keep = np.flatnonzero(batch['valid'])[:limit]
  return jax.tree.map(lambda x: x[keep], (batch, said))
