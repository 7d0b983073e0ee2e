"""How networks drive by themselves, and what they know of where they are.

python -m experiments.driving [closed places moments] [--folder=...] [--run=runs/roads_drive]
"""

from pathlib import Path

import numpy as np
from PIL import Image

from configs import roads_drive
from experiments import study
from experiments.driving.places import BEGIN, EVERY, METRES, known
from visionlab.data.roads.simulator import SECONDS
from visionlab.drive import WAYS, Driver, frames, row_of, scores
from visionlab.figures.drawing import below, beside
from visionlab.runs.load import load

KINDS = dict(camera='no map', all='map of all roads', route='map with the route',
             driver='the route, forks near and far', middle='the same, never off the middle',
             one='all roads, one component',
             recurrent='the route, clips, a memory', memoryless='the same clips, no memory')
FEW = ('camera', 'driver')             # with --quick
OPEN = dict(r2='R^2', r2_at_forks='at forks', nll='nats', nll_at_forks='nats at forks',
            coverage='within 90 %')
MOST = 120                             # commands until a car has met its first fork, and left it
AROUND = (-50, -16, -9, -3, 5, 25)     # commands before and behind that are drawn
BEFORE_TURN = 10.                      # metres before a fork: as far as pursuit looks


def config_of(kind: str, quick: bool):
  config = roads_drive.get_config('smoke' if quick else {'middle': 'driver', 'one': 'all'}.get(
      kind, kind))
  if quick:
    config.task.chart = 'none' if kind == 'camera' else 'route'
  if kind == 'middle':
    config.data.shift = config.data.turn = 0.
  if kind == 'one':
    config.task.components = 1
  return config


def trained(given, folder: Path, kinds) -> dict[str, list[Path]]:
  configs = {}
  for seed in range(given.seeds):
    for kind in kinds:
      steps = study.steps_of(given)
      configs[f'{kind}/{seed}'] = study.changed(config_of(kind, given.quick), seed=seed,
                                                data_seed=seed, **steps)
  return study.by_kind(study.run(configs, folder))


def closed(given, folder: Path):
  """Errors on the test's views, and how each drives by the mean of its distribution"""
  rows = []
  for kind, paths in trained(given, folder, FEW if given.quick else KINDS).items():
    drivers = [Driver(load(path), given.commands) for path in paths]
    opened = {title: study.spread([study.last(path, f'test/{key}') for path in paths], 3, 1)
              for key, title in OPEN.items()}
    for way in WAYS:
      found = [scores(driver.drive(np.arange(given.roads), way)) for driver in drivers]
      mean = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
      rows.append({'network': KINDS[kind], **opened, **row_of(way, mean)})
  return rows


def places(given, folder: Path):
  """What is known of the car's place, by a network that sees the camera alone"""
  path = given.run or trained(given, folder, ['camera'])['camera'][0]
  turns, calm, metres = known(load(path), given.roads, given.commands)
  before = int((BEGIN - BEFORE_TURN) / (EVERY * METRES))
  if given.figure:
    study.draw(given.figure.with_name('places.png'), [
        study.Panel(title, f'metres behind {where}', unit, {
            'a turn at a fork': (-np.array(metres), getattr(turns, name).mean(0)),
            'no fork': (-np.array(metres), getattr(calm, name).mean(0))})
        for title, unit, name, where in (
            ('How uncertain the pose is', 'nats', 'entropy', 'the fork'),
            ('Error along the road', 'metres', 'ahead', 'the fork'))])
  stages = {"the receiver's word": (turns, 0), f'{BEFORE_TURN:g} m before a fork': (turns, before),
            f'{-metres[-1]:g} m behind it': (turns, -1),
            'as far, where nothing forks': (calm, -1)}
  return [{'of the car': stage, 'stretches': len(values.entropy),
           'entropy, nats': f'{values.entropy[:, i].mean():.2f}',
           'm off along': f'{values.ahead[:, i].mean():.2f}',
           'm off across': f'{values.aside[:, i].mean():.2f}',
           'm of spread': f'{values.spread[:, i].mean():.2f}'}
          for stage, (values, i) in stages.items()]


def moments(given, folder: Path):
  """What is seen, known and done around the first fork of a road, by a network without the route"""
  path = given.run or trained(given, folder, ['all'])['all'][0]
  driver = Driver(load(path), given.commands)
  found = driver.drive(np.array([given.road]), 'mode', MOST, views=True)
  forks = np.flatnonzero(found['at_fork'][:, 0])
  fork = int(forks[0]) if len(forks) else MOST // 2
  shown = [min(max(fork + by, 0), MOST - 1) for by in AROUND]
  drawn = list(frames(found, driver.run.task.chart))
  if given.figure:
    rows = [beside([drawn[i] for i in part], gap=8) for part in (shown[:3], shown[3:])]
    Image.fromarray(below(rows)).save(given.figure)
    study.picture(given.figure, given.figure)
    print(given.figure)
  return [{'moment, s': f'{i * SECONDS:.1f}', 'command, 1/m': f'{found["command"][i, 0]:.3f}',
           'densest, 1/m': ', '.join(f'{m:.3f}' for m in modes(found['kept'], i))} for i in shown]


def modes(mixture, i: int) -> list[float]:
  """The means of the components that have a tenth of the probability or more, from left to right.
  """
  weights, means = (mixture[name][i, 0] for name in ('weights', 'means'))
  return sorted(means[weights >= .1].tolist(), reverse=True)


PARTS = dict(closed=closed, places=places, moments=moments)


def main(argv=None):
  options = study.parser('driving', __doc__, seeds=3)
  study.add_parts(options, PARTS, tuple(PARTS))
  options.add_argument('--steps', type=int, help='updates of each network')
  options.add_argument('--roads', type=int, default=16, help='that are driven; %(default)s')
  options.add_argument('--commands', type=int, default=600,
                       help='on each, ten a second; %(default)s')
  options.add_argument('--road', type=int, default=0, help='of moments, which one; %(default)s')
  options.add_argument('--run', type=Path, help='of places and moments: one that is there')
  given = study.parse(options, argv, __file__)
  if given.quick:
    given.roads, given.commands = 2, 300
  return study.run_parts(PARTS, given)


if __name__ == '__main__':
  study.start(main)
