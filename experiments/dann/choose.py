"""What would be chosen without labels of the target, beside the oracle's choice."""

import collections

import numpy as np

import visionlab
from experiments import study
from experiments.dann import runs
from experiments.dann.model_selection import reverse_config, target_entropy

# Other methods, and DANN at several strengths.
CANDIDATES = {'source only': ('source only', {}), 'MMD': ('MMD', {}), 'CORAL': ('CORAL', {}),
              'confusion': ('confusion', {}),
              **{f'DANN, lambda {x:g}': ('DANN', dict(hp__lambda_max=x) if x != 1 else {})
                 for x in (.1, .3, 1)}}
SCORES = {'the oracle': 'error', 'entropy': 'entropy', 'reverse validation': 'risk'}


def candidates(given, folder):
  """Settings to choose from; the two criteria see no label of the target."""
  return [{'setting': name, 'target accuracy, %': study.spread(1 - scores['error'], 1),
           'entropy, nats': study.spread(scores['entropy'], 3, 1.),
           'reverse risk, %': study.spread(scores['risk'], 1)}
          for name, scores in measured(given, folder).items()]


def selection(given, folder):
  """What each criterion chooses, seed by seed."""
  found, rows = measured(given, folder), []
  names = list(found)
  for criterion, score in SCORES.items():
    best = np.argmin([found[name][score] for name in names], 0)
    chosen = [1 - found[names[i]]['error'][seed] for seed, i in enumerate(best)]
    counts = collections.Counter(names[i] for i in best)
    rows.append({'chosen by': criterion, 'target accuracy, %': study.spread(chosen, 1),
                 'what': ', '.join(f'{name} ({n})' for name, n in counts.most_common())})
  return rows


def measured(given, folder):
  """name -> {'error', 'entropy', 'risk'}: (seeds,) each."""
  chosen = dict([*CANDIDATES.items()][::6] if given.quick else CANDIDATES)
  found = {}
  for name, (method, changes) in chosen.items():
    paths = runs.trained(given, folder, method, **changes)
    if len(paths) < given.seeds:
      raise SystemExit(f'{name}: of {given.seeds} runs {len(paths)} did not diverge; choose by '
                       'seeds needs all')
    loaded = [visionlab.load(path) for path in paths.values()]
    found[name] = dict(error=1 - runs.accuracies(paths),
                       entropy=np.array([target_entropy(run) for run in loaded]),
                       risk=np.array([reverse_risk(run) for run in loaded]))
  return found


def reverse_risk(run):
  """The error on the source of a network that learns its labels back from the target's."""
  back = run.workdir / 'back'
  config = study.changed(reverse_config(run, back))
  path = study.run({f'{run.workdir.parent.name}-{run.workdir.name}': config}, back)
  return study.last(next(iter(path.values())), 'source/top1_error')
