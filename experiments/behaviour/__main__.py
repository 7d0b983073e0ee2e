"""Whose week is it? CNNs beside classical baselines, on incidents that they have never seen.

python -m experiments.behaviour [people devices delays drift] [--seeds=3] [--folder=...]
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

import visionlab
from configs import behaviour as people_config, devices as devices_config
from experiments import study
from experiments.behaviour.baselines import scores_of
from experiments.behaviour.networks import (
  BESIDE,
  CODED,
  RUNS,
  WHOSE,
  evenings,
  network_scores,
  sliding,
  whose_scores,
)
from experiments.behaviour.weeks import draw_weeks
from visionlab.data.behaviour.behaviour import behaviour, examples
from visionlab.data.behaviour.populations import POPULATIONS, Timeline, timelines
from visionlab.measures.alerts import alert_scores, auroc_over_time, detection_delays

WEEKS, LATER = 6, 12                   # after the history: of the tables, and of drift
DRIFTS = (0., .1)
SHOWN = (1, 2, 4, 8, 12)               # weeks after the history
BEST = dict(people='Poisson deviance', devices='z of totals, own history')
CONFIGS = dict(disturbed=(people_config, ''), whose=(people_config, 'whose'),
               autoencoder=(people_config, 'autoencoder'), devices=(devices_config, ''),
               devices_autoencoder=(devices_config, 'autoencoder'))


def config_of(given, name: str, seed: int):
  """Of a network; the seed is that of the people, too."""
  module, variant = CONFIGS[name]
  steps = dict(steps=4, batch=16) if given.quick else study.steps_of(given)
  own = study.changed(module.get_config(variant), seed=seed, data_seed=seed, **steps)
  for data in (own.data, own.evals.test.data):
    data.update(dict(users=16, history=3) if given.quick else {})
    data.seed = seed
  return own


def trained(given, folder, population: str, methods: Sequence[str]) -> dict[str, visionlab.Run]:
  names = [RUNS[population, method] for method in methods]
  configs = {f'{name}/{seed}': config_of(given, name, seed)
             for seed in range(given.seeds) for name in names}
  return {name: visionlab.load(path) for name, path in study.run(configs, folder).items()}


def tested(given, population: str, weeks: int = WEEKS, drift: float = 0.
           ) -> Iterator[tuple[int, list[Timeline]]]:
  """Each seed, and what the users of its test did."""
  users, history = (16, 3) if given.quick else (240, 8)
  for seed in range(given.seeds):
    yield seed, timelines('test', users, history, weeks, .15, seed, population, drift)


def labels(lines: Sequence[Timeline], name: str) -> np.ndarray:
  return np.concatenate([getattr(t, name) for t in lines])


def row_of(method: str, found: list[Mapping[str, float]], population: str) -> dict[str, object]:
  """Means over seeds. By kind: AUROC, and in brackets what is found at one false alarm a day."""
  row = {'method': method}
  for title, key in (('AUROC', 'auroc'), ('AP', 'average_precision'), ('found, %', 'found')):
    percent = title.endswith('%')
    row[title] = study.spread([f[key] for f in found], 1 if percent else 3, 100 if percent else 1)
  for kind in POPULATIONS[population].incidents:
    area, share = (mean_of([f.get(f'{key} of {kind}', np.nan) for f in found])
                   for key in ('auroc', 'found'))
    row[kind] = f'{area:.3f} ({100 * share:.0f})'
  return row


def mean_of(values) -> float:
  """Of those that are numbers."""
  known = [v for v in values if np.isfinite(v)]
  return float(np.mean(known)) if known else np.nan


def judged(given, folder, population: str, methods: Sequence[str]) -> list[dict]:
  runs = trained(given, folder, population, methods)
  kept: dict[str, list] = {}
  for seed, lines in tested(given, population):
    found = scores_of(lines, population)
    if WHOSE in methods:
      own = dict(users=len(lines), history=len(lines[0].history), weeks=WEEKS, seed=seed)
      found[WHOSE] = whose_scores(runs[f'whose/{seed}'], behaviour('test', whose=True, **own))
    found |= network_scores(runs, seed, lines, population)
    for method, values in found.items():
      kept.setdefault(method, []).append(alert_scores(
          values, labels(lines, 'kinds'), POPULATIONS[population].kinds, days=7 * WEEKS))
  if given.figure:
    path = given.figure if population == 'people' else given.figure.with_name('devices.png')
    _, lines = next(tested(given, population))
    draw_weeks(path, runs[f'{RUNS[population, BESIDE]}/0'], examples(lines, population), lines,
               population)
    study.picture(path, path)
    print(path)
  return [row_of(method, found, population) for method, found in kept.items()]


def people(given, folder):
  """People's weeks, with five kinds of incidents"""
  return judged(given, folder, 'people', (WHOSE, CODED, BESIDE))


def devices(given, folder):
  """Devices' weeks, with five kinds of incidents"""
  return judged(given, folder, 'devices', (CODED, BESIDE))


def delays(given, folder):
  """How long after its first hour an incident is found, at one false alarm a day"""
  rows = []
  for population in POPULATIONS:
    runs = trained(given, folder, population, (CODED, BESIDE))
    kept: dict[str, list] = {}
    for seed, lines in tested(given, population):
      kinds, begins = labels(lines, 'kinds'), labels(lines, 'begins')
      known = [evenings(lines, day) for day in range(1, 8)]
      said = [scores_of(seen, population, [BEST[population]])
              | network_scores(runs, seed, seen, population) for seen in known]
      for method in said[0]:
        hours = detection_delays(np.stack([one[method] for one in said], 1), begins,
                                 24 * np.arange(1, 8), false=WEEKS).hours
        kept.setdefault(method, []).append((kinds[begins >= 0], hours))
    rows += [delay_row(population, method, found) for method, found in kept.items()]
  return rows


def delay_row(population: str, method: str, found) -> dict[str, object]:
  """Of each kind the median in hours of what is found, and in brackets the share found in %."""
  shares = [[np.mean(hours <= limit) for _, hours in found] for limit in (24, 72, 168)]
  row = dict(users=population, method=method)
  row |= {f'within {title}, %': study.spread(share, 1)
          for title, share in zip(('24 h', '72 h', 'the week'), shares, strict=True)}
  kinds, hours = (np.concatenate(parts) for parts in zip(*found, strict=True))
  row['median, h'] = median_of(hours)
  names = POPULATIONS[population].kinds
  each = [f'{names[kind]} {median_of(own)} h ({100 * np.isfinite(own).mean():.0f} %)'
          for kind, own in ((kind, hours[kinds == kind]) for kind in np.unique(kinds))]
  return row | {'by kind': ', '.join(each)}


def median_of(hours: np.ndarray) -> str:
  found = hours[np.isfinite(hours)]
  return f'{np.median(found):.0f}' if len(found) else '-'


def drift(given, folder):
  """AUROC by weeks since the history ended, where habits change"""
  rows, curves = [], {}
  for population in POPULATIONS:
    runs = trained(given, folder, population, (CODED, BESIDE))
    for by in DRIFTS:
      kept: dict[str, list] = {}
      for seed, lines in tested(given, population, LATER, by):
        kinds, when = labels(lines, 'kinds'), np.tile(np.arange(LATER) + 1, len(lines))
        on = sliding(lines)
        found = scores_of(lines, population, [BEST[population]]) | network_scores(
            runs, seed, lines, population)
        found |= {f'{name}, sliding': values for name, values in (
            scores_of(on, population, [BEST[population]]) | network_scores(
                runs, seed, on, population)).items() if name != CODED}
        for method, values in found.items():
          kept.setdefault(method, []).append(auroc_over_time(values, kinds, when))
      for method, found in kept.items():
        each = np.array([[one[week] for week in range(1, LATER + 1)] for one in found])
        curves[population, by, method] = each
        rows.append({'users': population, 'drift a week': by, 'method': method} | {
            f'week {week}': study.spread(each[:, week - 1], 3, 1) for week in SHOWN})
  if given.figure:
    weeks = np.arange(1, LATER + 1)
    study.draw(given.figure.with_name('drift.png'), [
        study.Panel(population, 'weeks since the history ended', 'AUROC', {
            f'{method}, drift {by}': (weeks, curves[population, by, method].mean(0))
            for by in DRIFTS for method in (BESIDE, f'{BESIDE}, sliding', BEST[population])
            if by or method != f'{BESIDE}, sliding'})
        for population in POPULATIONS])
  return rows


PARTS = dict(people=people, devices=devices, delays=delays, drift=drift)


def main(argv=None):
  options = study.parser('behaviour', __doc__, seeds=3)
  study.add_parts(options, PARTS, tuple(PARTS))
  options.add_argument('--steps', type=int, help='updates of each network; 2,000')
  given = study.parse(options, argv, __file__)
  return study.run_parts(PARTS, given)


if __name__ == '__main__':
  study.start(main)
