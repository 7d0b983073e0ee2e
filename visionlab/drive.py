"""Drives a run on roads that it has not seen: python -m visionlab.drive --workdir=runs/roads_drive

Prints how far it comes between interventions, beside policies that see nothing and one that knows
the road. --output=drive.gif (or .mp4) films one of the roads: view, map, and how probable each way
to steer is.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from visionlab import commandline
from visionlab.config import ConfigError, bind
from visionlab.data.roads import simulator
from visionlab.data.roads.render import MAP_BEHIND, MAP_METRES
from visionlab.data.roads.roads import Roads, roads
from visionlab.figures import driving as figures
from visionlab.figures.films import check_film, write_film
from visionlab.measures.class_table import in_columns
from visionlab.measures.driving import closed_loop_scores
from visionlab.runs.load import load
from visionlab.runs.run import Run
from visionlab.tasks.drive import CHARTS, Drive

WAYS = ('mean', 'mode')
MIXTURE = ('weights', 'means', 'sigmas')
COLUMNS = dict(metres='m between interventions', autonomy='autonomy, %', off='off the road, %',
               offset='m off the middle', jerk='jerk, m/s^3')
Policy = Callable[[Mapping], tuple[jax.Array, Any]]


def constant(seen: Mapping) -> tuple[jax.Array, Any]:
  """Straight on, always."""
  return jnp.zeros_like(seen['last']), ()


def last_command(seen: Mapping) -> tuple[jax.Array, Any]:
  """What was right where the car was put on the road, from there on."""
  return jnp.where(seen['fresh'], seen['steering'], seen['last']), ()


def pursuit(seen: Mapping) -> tuple[jax.Array, Any]:
  """Pure pursuit along the route, that knows the road."""
  return seen['steering'], ()


BASELINES = {'straight on': constant, 'last command': last_command,
             'pure pursuit, told the road': pursuit}


def network(task: Drive, variables, by_mode: jax.Array) -> Policy:
  """The mean of a run's distribution or, where `by_mode`, where it is densest; keeps the mixture.
  """
  def policy(seen):
    said = task.predict(variables, seen)
    command = jnp.where(by_mode, said['mode'], said['prediction'])
    return command, {name: said[name] for name in MIXTURE}
  return policy


def world_of(run: Run) -> Roads:
  """The roads of a run's data, drawn as they are needed.

  Raises:
    ConfigError: a run of another task, or of other data than `roads`.
  """
  data = run.config.data
  if not isinstance(run.task, Drive) or data.get('name') != 'roads':
    raise ConfigError(f'{run.workdir}: {run.kind} on {data.get("name", "several sources")}; to be '
                      'driven takes a run of the task "drive" on "roads", such as of '
                      'configs/roads_drive.py')
  options = {k: v for k, v in data.to_dict().items() if k not in ('name', 'examples', 'keep')}
  return bind(roads, options, 'config.data', split='test', keep=False, examples=1)


class Driver:
  """A run, and the roads it is driven on; one program for both ways to decide."""

  def __init__(self, run: Run, commands: int):
    self.run, self.world, self.commands = run, world_of(run), commands
    self.routed = run.task.chart == 'route'
    self._by_network = jax.jit(lambda variables, by_mode, *given: self._simulated(
        network(run.task, variables, by_mode), *given), static_argnums=(4, 5))

  def drive(self, indices: np.ndarray, way: str, commands: int = 0, *, views: bool = False
            ) -> dict[str, Any]:
    """What happens on some roads; way: 'mean', 'mode' or a name of `BASELINES`."""
    given = self.world.arrays, indices, commands or self.commands, views
    if way in WAYS:
      return jax.device_get(self._by_network(self.run.variables, way == 'mode', *given))
    simulated = jax.jit(partial(self._simulated, BASELINES[way]), static_argnums=(2, 3))
    return jax.device_get(simulated(*given))

  def _simulated(self, policy: Policy, arrays: Mapping, indices: jax.Array, commands: int,
                 views: bool) -> dict[str, Any]:
    return simulator.simulate(policy, arrays, indices, size=self.world.size,
                              chart_size=self.world.chart_size, commands=commands,
                              routed=self.routed, views=views)


def scores(found: Mapping[str, Any]) -> dict[str, float]:
  """`closed_loop_scores` of what `Driver.drive` found."""
  return closed_loop_scores(*(found[k] for k in ('intervention', 'off', 'offset', 'curvature')),
                            speed=simulator.SPEED, seconds=simulator.SECONDS)


def row_of(name: str, found: Mapping[str, float]) -> dict[str, str]:
  """Of a table: distances without any intervention are lower bounds."""
  more = '' if found['interventions'] else '> '
  return {'policy': name, COLUMNS['metres']: f'{more}{found["metres"]:,.0f}',
          COLUMNS['autonomy']: f'{found["autonomy"]:.1f}',
          COLUMNS['off']: f'{100 * found["off"]:.1f}',
          COLUMNS['offset']: f'{found["offset"]:.2f}', COLUMNS['jerk']: f'{found["jerk"]:.1f}'}


def frames(found: Mapping[str, Any], chart: str) -> Iterator[np.ndarray]:
  """The pictures of a film of the first road that was driven with `views`; of the map what a
  network with this `chart` sees, or all of what it does not see."""
  count = 0
  size = found['map'].shape[2]
  here = 1 - MAP_BEHIND / MAP_METRES / size
  for i in range(len(found['command'])):
    lost = bool(found['intervention'][i, 0])
    count += lost
    text = (f'{i * simulator.SECONDS:5.1f} s  {i * simulator.SECONDS * simulator.SPEED:4.0f} m  '
            f'interventions: {count}')
    seen = found['map'][i, 0] * np.array([1, chart != 'all'], np.uint8)
    yield figures.driven(found['image'][i, 0], seen,
                         {k: found['kept'][k][i, 0] for k in MIXTURE},
                         float(found['command'][i, 0]), here,
                         text + ('' if CHARTS[chart] else '  (the map is not seen)'), lost)


def main(argv):
  del argv
  options = flags.FLAGS
  output = check_film(options.output) if options.output else None
  run = load(options.workdir, step=commandline.chosen_step())
  driver = Driver(run, round(options.seconds / simulator.SECONDS))
  metres = options.roads * driver.commands * simulator.SECONDS * simulator.SPEED
  print(f'{run.workdir}: {run.which}; {options.roads} roads of the test, {metres:,.0f} m at '
        f'{simulator.SPEED:g} m/s' + (', along a route' if driver.routed else ', any branch'))
  indices = np.arange(options.roads)
  ways = {f"the network's {way}": way for way in WAYS} | {name: name for name in BASELINES}
  rows = [row_of(name, scores(driver.drive(indices, way))) for name, way in ways.items()]
  print(in_columns([[*rows[0]], *([*row.values()] for row in rows)]))
  if output:
    found = driver.drive(np.array([options.road]), options.by,
                         round(options.film_seconds / simulator.SECONDS), views=True)
    write_film(output, frames(found, run.task.chart), simulator.SECONDS)
    print(f'film: {output}')


if __name__ == '__main__':
  flags.DEFINE_string('workdir', None, 'Folder of a run of configs/roads_drive.py.', required=True)
  flags.DEFINE_string('output', '', 'Where a film goes, a .gif or, with PyAV, an .mp4.')
  flags.DEFINE_integer('roads', 16, 'How many are driven.', 1, 4096)
  flags.DEFINE_float('seconds', 60., 'That each is driven.', 1., 3600.)
  flags.DEFINE_integer('road', 0, 'Which one is filmed.', 0)
  flags.DEFINE_float('film_seconds', 20., 'Of the film.', .2, 600.)
  flags.DEFINE_enum('by', 'mode', WAYS, 'How the filmed car decides: by the mean of the '
                    'distribution, or where it is densest.')
  commandline.step_flag()
  commandline.run(main)
