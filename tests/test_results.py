"""What is made of a sweep's runs: tables, pictures, the page."""

import csv
import itertools
import json
import os
import re
import shutil
import statistics

import numpy as np
import pytest
from made_up import finish
from PIL import Image

from launch import page, pictures, results, tables
from launch.tables import as_latex
from launch.trials import Sweep, grouped, read_trials
from visionlab.figures.charts import new_axes
from visionlab.storage.workdir import conclude
from visionlab.sweeps.settings import grid, named

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome', 'chrome', 'chrome-headless-shell')
VALUES = {.1: (.90, .92, .97), .2: (.99, .95), .3: (.5,)}


@pytest.fixture
def finished(tmp_path):
  """The folder of a sweep whose results are made up; (.2, seed 2) has diverged."""
  settings = named(grid({'hp.lr': VALUES, 'seed': range(3)}))
  record = Sweep('configs/digits_cnn.py', {'steps': '30'}, 'test/accuracy', settings)
  record.save(tmp_path)
  for name, setting in settings.items():
    values = dict(enumerate(VALUES[setting['hp.lr']]))
    if setting['seed'] in values:
      finish(tmp_path / name, values[setting['seed']])
    elif setting['hp.lr'] == .2:
      (tmp_path / name).mkdir()
      conclude(tmp_path / name, 'diverged', 7)
  return tmp_path


def test_results_have_means_and_standard_deviations_over_seeds(finished):
  text = results.report(finished)
  lines = [re.split(r'  +', line) for line in text.splitlines()[:4]]
  assert lines[0] == ['lr', 'test/accuracy ± sd', 'seeds', 'minutes', 'not done']
  assert lines[1] == ['0.2', f'0.97 ± {statistics.stdev((.99, .95)):.2g}', '2', '1.5',
                      '1 diverged']
  assert lines[2] == ['0.1', f'0.93 ± {statistics.stdev(VALUES[.1]):.2g}', '3', '1.5']
  assert lines[3] == ['0.3', '0.5', '1', '1.5', '2 waiting']
  assert 'best setting: lr 0.2: test/accuracy 0.97 ± 0.028 (sd over 2 seeds)\n' in text
  assert (finished / 'best.txt').read_text() == (
      'python -m visionlab.train --config=configs/digits_cnn.py --workdir=runs/best '
      '--config.steps=30 --config.hp.lr=0.2 --config.seed=0\n')
  rows = list(csv.DictReader(
      (finished / 'results.csv').read_text().splitlines()))
  assert len(rows) == 9 and rows[3]['test/loss'] == str(1 - .99)
  smaller = results.report(finished, '-test/loss', pictures=False)
  assert smaller.splitlines()[1].startswith('0.2  0.03')


def test_settings_are_tables_for_spreadsheets_readmes_and_papers(finished):
  results.report(finished)
  rows = list(csv.reader((finished / 'settings.csv').read_text().splitlines()))
  assert [row[0] for row in rows] == ['lr', '0.2', '0.1', '0.3']
  lines = (finished / 'settings.md').read_text().splitlines()
  assert lines[1] == '|---|---|---|---|---|' and lines[2].startswith('| 0.2 | 0.97 ± 0.028 | 2 |')
  paper = (finished / 'settings.tex').read_text()
  assert paper.startswith(r'\begin{tabular}{lllll}') and r'0.2 & $0.97 \pm 0.028$ & 2' in paper
  assert r'test/accuracy $\pm$ sd' in paper


def test_signs_of_latex_are_written_as_such():
  assert as_latex([['a_b'], ['50%']]).splitlines()[2:5:2] == [r'a\_b \\', r'50\% \\']


def test_pictures(finished):
  results.report(finished)
  for name in ('curves', 'hyperparameters', 'parallel'):
    with Image.open(finished / 'figures' / f'{name}.png') as picture:
      assert picture.width > 400 and len(picture.convert('RGB').getcolors(2**20)) > 20
  heights, ticks = pictures.unit([1e-3, 1e-2, 1e-1])
  assert heights.tolist() == pytest.approx([0, .5, 1]) and len(ticks) == 3
  assert pictures.scale(['sgd', 'adam', 'sgd']) == ([0, 1, 0], ['sgd', 'adam'], False)


def test_ticks_are_the_values_tried():
  _, axes = new_axes(1, 3, (13, 3.3))
  for axis, values in zip(axes[0], ((3e-4, 6e-4, 1e-3, 2e-3, 4e-3, 8e-3), (0., 1e-4, 2e-4, 1e-2),
                                    ('sgd', 'adamw', 'sgd')), strict=True):
    places, names, log = pictures.scale(values)
    axis.plot(places, range(len(places)))
    axis.set_xscale('log' if log else 'linear')
    pictures.tick_tried(axis, places, names)
    shown = [label.get_text() for label in axis.get_xticklabels()]
    tried = dict.fromkeys(v if isinstance(v, str) else f'{v:.3g}' for v in values)
    assert shown == list(tried) and not len(axis.get_xticks(minor=True))


@pytest.mark.parametrize('count', [2, 9, 40])
def test_labels_of_many_values_do_not_overlap(count):
  figure, axes = new_axes(1, 1, (4.4, 3.3))
  axis, values = axes[0, 0], 10 ** np.random.default_rng(count).uniform(-4, -1, count)
  places, names, log = pictures.scale(values.tolist())
  axis.plot(places, places)
  axis.set_xscale('log' if log else 'linear')
  pictures.tick_tried(axis, places, names)
  figure.canvas.draw()
  boxes = [label.get_window_extent() for label in axis.get_xticklabels()]
  assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes)) and len(boxes) >= 2
  assert {label.get_text() for label in axis.get_xticklabels()} <= {f'{v:.3g}' for v in values}
  heights = [height for height, _ in pictures.unit(values.tolist())[1]]
  assert min(np.diff(heights)) >= pictures.LINE and heights[0] == 0 and heights[-1] == 1


def test_the_best_setting_quotes_what_it_was_not_chosen_by(finished):
  sweep = Sweep.read(finished)
  trials = [t._replace(last={'val/accuracy': t.last['test/accuracy'], 'test/accuracy': .5 + i / 100,
                             'test/loss': 1.}) if t.last else t
            for i, t in enumerate(read_trials(finished, sweep))]
  groups = grouped(trials, 'val/accuracy')
  said = tables.best_setting(groups, 'val/accuracy')
  quoted = [t.last['test/accuracy'] for t in groups[0].trials if t.status == 'done']
  assert said == (f'lr 0.2: val/accuracy 0.97 ± 0.028 (sd over 2 seeds); test/accuracy '
                  f'{statistics.mean(quoted):.4g} ± {statistics.stdev(quoted):.2g}')


def test_the_page_needs_nothing_but_itself(finished):
  results.report(finished)
  text = (finished / 'results.html').read_text()
  assert not re.search(r'(src|href)=|@import|url\(|fetch\(|import\(', text)
  (data,) = re.findall(r'^const data = (.*);$', text, re.M)
  data = json.loads(data)
  assert len(data['trials']) == 9 and data['groups'][0]['mean'] == pytest.approx(.97)
  assert data['best'].startswith('lr 0.2: test/accuracy')


@pytest.fixture
def browser():
  """A headless Chromium: Playwright's, $VISIONLAB_BROWSER or one on the path."""
  playwright = pytest.importorskip('playwright.sync_api')
  found = os.environ.get('VISIONLAB_BROWSER') or next(filter(None, map(shutil.which, BROWSERS)),
                                                      None)
  with playwright.sync_playwright() as p:
    try:
      started = p.chromium.launch(executable_path=found, args=['--no-sandbox'])
    except playwright.Error as e:
      pytest.skip(f'no Chromium here (set VISIONLAB_BROWSER): {str(e).splitlines()[0]}')
    yield started
    started.close()


def test_the_page_in_a_browser(finished, browser):
  record = json.loads((finished / 'sweep.json').read_text())
  record['settings']['odd'] = {'hp.lr': '</script><b>'}
  (finished / 'sweep.json').write_text(json.dumps(record))
  results.report(finished)
  tab, wrong = browser.new_page(), []
  tab.on('pageerror', lambda error: wrong.append(str(error)))
  tab.on('request', lambda request: request.url.startswith('file:') or wrong.append(request.url))
  tab.goto((finished / 'results.html').as_uri())

  def column(table, i):
    cells = tab.locator(f'#{table} tbody td:nth-child({i})')
    return [text.strip() for text in cells.all_inner_texts()]
  tab.locator('#trials th:nth-child(4)').click()
  down = column('trials', 4)
  tab.locator('#trials th:nth-child(4)').click()
  numbers = [float(v) for v in down if v]
  assert numbers == sorted(numbers, reverse=True) and len(numbers) == 6 and down[6:] == [''] * 4
  assert [float(v) for v in column('trials', 4) if v] == numbers[::-1]
  assert column('groups', 3)[0].startswith('0.97 ± 0.02') and tab.locator('td b').count() == 0
  assert '--config.hp.lr=0.2 --config.seed=0' in tab.locator('#command').inner_text()
  assert tab.locator('#curves .line').count() == 3 and tab.locator('#parallel .line').count() == 6
  tab.locator('#trials tbody tr').first.hover()
  assert tab.locator('#parallel .line.on').count() == 1
  tab.locator('#copy').click()
  tab.get_by_text('Copied').wait_for()
  assert not wrong


def test_the_page_is_written_before_anything_is_done(tmp_path):
  record = Sweep('c.py', {}, 'test/accuracy', {'a': {'seed': 0}})
  record.save(tmp_path)
  trials = read_trials(tmp_path, record)
  page.save(tmp_path, record, trials, grouped(trials, 'test/accuracy'), 'test/accuracy')
  assert '"status": "waiting"' in (tmp_path / 'results.html').read_text()
  assert 'a' not in results.report(tmp_path).split('best')[0].split()
