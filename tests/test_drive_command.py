"""visionlab.drive: who is driven, what is said of it, and the film."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image

from configs import roads_drive
from visionlab import drive
from visionlab.build import build_task
from visionlab.config import ConfigError
from visionlab.data.films.film import frame_rate
from visionlab.data.roads.roads import roads
from visionlab.facts import Facts
from visionlab.figures.films import check_film, write_film


@pytest.fixture(scope='module')
def driver():
  """Of a network of few weights that has learnt nothing, which sees the route."""
  config = roads_drive.get_config('smoke')
  config.task.chart = 'route'
  config.data = dict(name='roads', height=16, width=20, chart_size=16, examples=4, noise=.1)
  source = roads('train', **{k: v for k, v in config.data.items() if k != 'name'})
  task = build_task(config, Facts.of(source))
  variables = jax.jit(task.init)(jax.random.key(0), source[np.arange(1)])
  return drive.Driver(SimpleNamespace(config=config, task=task, variables=variables), 30)


def test_a_run_drives_the_roads_of_its_data(driver):
  assert driver.routed and driver.world.size == (16, 20) and driver.world.arrays['noise'] == .1
  found = driver.drive(np.arange(2), 'mode', 30, views=True)
  assert found['image'].shape == (30, 2, 16, 20, 3) and found['map'].shape == (30, 2, 16, 16, 2)
  said = driver.run.task.predict(driver.run.variables,
                                 dict(image=found['image'][7], map=found['map'][7]))
  np.testing.assert_allclose(found['command'][7], said['mode'], atol=1e-6)
  by_mean = driver.drive(np.arange(2), 'mean', 30, views=True)
  np.testing.assert_array_equal(by_mean['image'][0], found['image'][0])
  assert not np.allclose(by_mean['command'][0], found['command'][0])


def test_a_film_shows_each_command(driver, tmp_path):
  found = driver.drive(np.arange(2), 'mode', 30, views=True)
  found['intervention'] = np.arange(30)[:, None] == [3, 9]
  pictures = list(drive.frames(found, 'route'))
  assert len(pictures) == 30 and len({p.shape for p in pictures}) == 1
  red = [(p[:20].astype(int) @ [1, -1, 0] > 100).any() for p in pictures]
  assert red == [i == 3 for i in range(30)]
  write_film(check_film(tmp_path / 'a.gif'), pictures[:5], .1)
  with Image.open(tmp_path / 'a.gif') as film:
    assert film.n_frames == 5 and film.size == pictures[0].shape[1::-1]
  pytest.importorskip('av')
  write_film(check_film(tmp_path / 'a.mp4'), pictures[:5], .1)
  assert frame_rate(tmp_path / 'a.mp4') == pytest.approx(10)


def test_distances_without_an_intervention_are_bounds():
  found = dict(interventions=0, metres=1234.5, autonomy=100., off=0., offset=.2, jerk=1.)
  assert drive.row_of('one', found)['m between interventions'] == '> 1,234'
  assert drive.row_of('one', found | dict(interventions=1))['m between interventions'] == '1,234'


@pytest.mark.parametrize('task, data', [('classify', 'digits'), ('drive', 'udacity')])
def test_other_runs_are_not_driven(driver, task, data):
  run = SimpleNamespace(workdir='runs/other', kind=f'{task} by resnet', config=SimpleNamespace(
      data=dict(name=data)), task=driver.run.task if task == 'drive' else object())
  with pytest.raises(ConfigError, match=f'runs/other: {task} by resnet on {data}; to be driven'):
    drive.world_of(run)


@pytest.mark.parametrize('name, said', [
    ('a.gof', r'\.gof is no format of films .did you mean "\.gif"'), ('film', 'without an ending'),
    ('none/a.gif', 'there is no folder'), ('sub.gif', 'is a folder')])
def test_films_that_cannot_be_written(tmp_path, name, said):
  (tmp_path / 'sub.gif').mkdir()
  with pytest.raises(ConfigError, match=said):
    check_film(tmp_path / name)
