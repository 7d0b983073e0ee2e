"""What is trained, and how: a table of parameters."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from visionlab import build
from visionlab.optim.optimiser import Optimizer
from visionlab.optim.parameter_groups import paths
from visionlab.parallel.sharding import bytes_per_device, is_cut
from visionlab.state import State
from visionlab.training.evaluation import Evaluations

ROWS = 40                        # of the table, before it is shortened


def parameter_table(params, settings: list[str] | None = None) -> str:
  """The parameters by name, shape and count; where some are cut over devices, also the bytes on a
  device, were they not and as they are.

  A table of more than `ROWS` is shortened to a line for each module of the first level and each
  setting in it.

  Args:
    settings: of each parameter, what else is to be said of it.
  """
  leaves = jax.tree.leaves(params)
  settings = settings or [''] * len(leaves)
  entries = [(name, 'x'.join(map(str, p.shape)) or '()', [p], setting)
             for name, p, setting in zip(paths(params), leaves, settings, strict=True)]
  if len(entries) > ROWS:
    modules = {}
    for name, _, (p,), setting in entries:
      modules.setdefault((name.split('/')[0], setting), []).append(p)
    entries = [(f'{name}/*', f'{len(ps)} arrays', ps, setting)
               for (name, setting), ps in modules.items()]
  entries.append(('parameters', '', leaves, ''))
  counts = [f'{sum(p.size for p in ps):,}' for _, _, ps, _ in entries]
  wide = [max(len(e[i]) for e in entries) for i in range(2)] + [max(13, *map(len, counts))]
  spread = [''] * len(entries)
  if is_cut(params):
    spread = ['  {:>13,} -> {:,} bytes'.format(*bytes_per_device(ps)) for _, _, ps, _ in entries]
  lines = [f'{name:<{wide[0]}}  {shape:>{wide[1]}}  {count:>{wide[2]}}{more}  {setting}'.rstrip()
           for (name, shape, _, setting), count, more in zip(entries, counts, spread, strict=True)]
  return '\n'.join(lines)


def cost_line(job: build.Job, evaluations: Evaluations, state: State) -> str:
  """The FLOPs of an example's forward pass, as `visionlab.build.flops` counts them."""
  flops = build.flops(job.task, state.variables, evaluations.form(job.facts))
  if flops is None:
    return 'what a forward pass costs is not counted on this platform'
  return f'a forward pass is {flops / 1e6:,.1f} MFLOPs an example'


def settings_of(optimizer: Optimizer, params: Any, hp: Mapping[str, Any]) -> list[str]:
  """Of each parameter its group (the regex), learning rate before the schedule, and decay.

  Args:
    hp: of a run, or arrays of those of several.

  >>> from visionlab.optim.optimiser import make_optimizer
  >>> optimizer = make_optimizer('sgd', total=9, steps=lambda duration, key: int(duration),
  ...                            groups=(dict(match='head', lr=2.), dict(match='.', frozen=True)))
  >>> settings_of(optimizer, {'body': {'kernel': 0}, 'head': {'bias': 0, 'kernel': 0}},
  ...             dict(lr=.1, weight_decay=[.01, .1]))
  ["'.' frozen", "'head' lr 0.2 decay 0", "'head' lr 0.2 decay 0.01..0.1"]
  """
  def scaled(name, factor, rate=''):
    values = np.unique(np.asarray(hp[name], np.float32) * (hp[rate] if rate else 1)) * factor
    return '..'.join(f'{v:g}' for v in dict.fromkeys([values[0], values[-1]]))

  def say(path):
    own = optimizer.setting(path)
    group = f'{own.match!r} ' if own.match else ''
    if own.frozen:
      return f'{group}frozen'
    start = f' from step {own.start}' if own.start else ''
    return (f'{group}lr {scaled("lr", own.lr, own.rate)} '
            f'decay {scaled("weight_decay", own.decay)}{start}')
  return [say(path) for path in paths(params)]
