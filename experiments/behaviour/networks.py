"""What networks say of weeks, beside the baselines."""

from collections.abc import Mapping, Sequence

import numpy as np

from visionlab.data.behaviour.behaviour import examples
from visionlab.data.behaviour.encode import so_far
from visionlab.data.behaviour.populations import Timeline
from visionlab.runs.run import Run

WHOSE, CODED, BESIDE = 'CNN, improbable user', "autoencoder's error", 'CNN, beside history'
RUNS = {('people', WHOSE): 'whose', ('people', CODED): 'autoencoder',
        ('people', BESIDE): 'disturbed', ('devices', CODED): 'devices_autoencoder',
        ('devices', BESIDE): 'devices'}
"""Of which population and method -> the name of the run."""


def network_scores(runs: Mapping[str, Run], seed: int, lines: Sequence[Timeline], population: str
                   ) -> dict[str, np.ndarray]:
  """How unusual each week is, (users * weeks,), by the networks that see weeks beside history."""
  coded, beside = (runs[f'{RUNS[population, name]}/{seed}'] for name in (CODED, BESIDE))
  apart = examples(lines, population, ('apart',)).arrays['image']
  logits = beside.predict(examples(lines, population).arrays['image'])['logits']
  return {CODED: coded.predict(apart)['error'], BESIDE: logits[:, 1] - logits[:, 0]}


def whose_scores(run: Run, split) -> np.ndarray:
  """How improbable it is that weeks are those of whom they are said to be, in nats."""
  said = run.predict(split.arrays['image'])['probabilities']
  claimed = said[np.arange(len(said)), split.arrays['label']]
  return -np.log(np.maximum(claimed, 1e-30))


def evenings(lines: Sequence[Timeline], days: int) -> list[Timeline]:
  """Timelines as they are known on the evening of each week's day `days`."""
  return [t._replace(weeks=so_far(t.weeks, t.history, days)) for t in lines]


def sliding(lines: Sequence[Timeline]) -> list[Timeline]:
  """Each week as a timeline of its own, with as many weeks before it as history has, whatever
  happened in them; in the order of examples."""
  found = []
  for t in lines:
    whole, n = np.concatenate([t.history, t.weeks]), len(t.history)
    found += [t._replace(history=whole[j:j + n], **{
        name: getattr(t, name)[j:j + 1] for name in ('weeks', 'kinds', 'begins', 'severity')})
        for j in range(len(t.weeks))]
  return found
