"""Drawn people's weeks: functions of their index, with incidents where the truth says so."""

import numpy as np
import pytest
from scipy.stats import poisson

from experiments.behaviour.baselines import poisson_deviance, scores_of
from visionlab.config import ConfigError
from visionlab.data.behaviour.behaviour import behaviour
from visionlab.data.behaviour.encode import beside_history
from visionlab.data.behaviour.habits import RESOURCES, Habits, draw_week, working_hours
from visionlab.data.behaviour.incidents import DISTURBANCES, INCIDENTS, disturbance, incident
from visionlab.data.behaviour.populations import POPULATIONS, timelines
from visionlab.measures.alerts import alert_scores, threshold, weekly_alerts

KINDS = POPULATIONS['people'].kinds


@pytest.fixture(scope='module')
def lines():
  return timelines('test', 60, 8, 6, .15, 0)


def test_a_week_is_a_function_of_its_user_and_number(lines):
  few = timelines('test', 60, 3, 2, .15, 0)
  for whole, part in zip(lines, few, strict=True):
    np.testing.assert_array_equal(whole.history[:3], part.history)
    np.testing.assert_array_equal(whole.weeks[:2], part.weeks)
    np.testing.assert_array_equal(whole.kinds[:2], part.kinds)
  other, train = (timelines(split, 2, 3, 2, 0., seed)
                  for split, seed in (('test', 1), ('train', 0)))
  for strangers in other, train:
    assert not np.array_equal(strangers[0].history, few[0].history)


def test_examples_say_what_they_show(lines):
  source = behaviour('test', users=60)
  assert len(source) == 360 and source.info.classes == ('usual', 'unusual')
  kinds, user = source.arrays['incident'], source.arrays['user']
  np.testing.assert_array_equal(source.arrays['label'], kinds > 0)
  assert set(np.unique(kinds)) <= {KINDS.index(k) for k in ('none', *INCIDENTS)}
  assert .1 < source.arrays['label'].mean() < .2
  i = 6 * 7 + 2                                          # the third week of user 7
  assert user[i] == 7
  week, known = lines[7].weeks[2], lines[7].history
  expected = np.concatenate([16 * np.sqrt(week), 16 * np.sqrt(known.mean(0)),
                             64 * np.sqrt(known).std(0),
                             128 + 16 * (np.sqrt(week) - np.sqrt(known.mean(0)))], -1)
  np.testing.assert_allclose(source.arrays['image'][i], np.minimum(expected, 255), atol=.5)
  assert set(np.unique(behaviour('train', users=30).arrays['incident'])) == {
      KINDS.index(k) for k in ('none', *DISTURBANCES)}


def test_of_whose_weeks_those_known_are_learnt_from(lines):
  train, test = (behaviour(split, users=60, whose=True) for split in ('train', 'test'))
  assert train.info.classes == test.info.classes and len(test.info.classes) == 60
  assert len(train) == 60 * 8 and not train.arrays['incident'].any()
  np.testing.assert_array_equal(train.arrays['image'][8 * 5 + 3],
                                np.round(16 * np.sqrt(lines[5].history[3])))
  np.testing.assert_array_equal(test.arrays['incident'], behaviour('test', users=60).arrays[
      'incident'])


def test_weeks_are_poisson_numbers_of_habits():
  habits = Habits(np.array([3., 0, 0, 0, 0, 0]), working_hours(9, 8), np.array([1.] * 5 + [0, 0]))
  rng = np.random.default_rng(0)
  weeks = np.stack([draw_week(habits, rng) for _ in range(400)])
  noon = weeks[:, :5, 11:15, 0]
  assert noon.mean() == pytest.approx(3.01 * np.exp(.25 ** 2 / 2), rel=.03)   # busy days' mean
  assert weeks[:, 5:].mean() == pytest.approx(.01, rel=.1) and weeks[..., 1:].max() <= 2
  night = working_hours(22, 8)                           # ten at night to six
  assert night[[23, 0, 5]].min() > .85 and night[[8, 12, 20]].max() < .01


def test_incidents_are_where_they_are_said_to_be():
  habits, other = (Habits(np.full(6, rate), working_hours(9, 8), np.array([1.] * 5 + [0, 0]))
                   for rate in (2., 40.))
  week = draw_week(habits, np.random.default_rng(1))
  added = {kind: np.mean([incident(kind, week, habits, other, np.random.default_rng(seed)) - week
                          for seed in range(80)], 0) for kind in INCIDENTS}
  file, usb = RESOURCES.index('file'), RESOURCES.index('usb')
  burst, slow = added['burst'].sum((0, 1)), added['slow leak'].sum((0, 1))
  np.testing.assert_allclose(burst, [0, 60, 0, 0, 4, 0], atol=3)
  np.testing.assert_allclose(slow, [0, 20, 0, 0, 15, 0], atol=1.5)     # 2 hours on 5 days
  assert not added['slow leak'][5:].any() and not added['slow leak'][:, :14].any()
  assert not added['off hours'][:, 10:16].any() and added['off hours'][:, [22, 0, 2]].min() > 0
  assert added['shared account'][:5, 19].mean() == pytest.approx(.6 * 2, rel=.2)
  assert added['swapped user'][:5, 12].mean() > 30 and file != usb


@pytest.mark.parametrize('kind', DISTURBANCES)
def test_disturbances_keep_what_they_do_not_touch(kind):
  habits = Habits(np.full(6, 3.), working_hours(9, 8), np.ones(7))
  rng = np.random.default_rng(2)
  week, other = draw_week(habits, rng), draw_week(habits, rng)
  before = week.copy()
  for _ in range(20):
    new = disturbance(kind, week, other, rng)
    assert new.min() >= 0 and new.shape == week.shape and not np.shares_memory(new, week)
    if kind == 'added':
      assert (new >= week).all()
    elif kind == 'moved':
      np.testing.assert_array_equal(new.sum(1), week.sum(1))
    else:
      assert (new <= week + other).all()
  np.testing.assert_array_equal(week, before)


def test_baselines_find_what_is_unusual(lines):
  kinds = np.concatenate([t.kinds for t in lines])
  found = {name: alert_scores(scores, kinds, days=42)['auroc'] for name, scores in scores_of(
      lines, names=('Poisson deviance', 'z of the total')).items()}
  assert found['Poisson deviance'] > .75 > found['z of the total']      # .897 and .51 of many more
  weeks, mean = (np.stack([t.weeks for t in lines])[:3].astype(float),
                 np.stack([t.history for t in lines]).mean(1)[:3, None])
  own = poisson.logpmf(weeks, np.maximum(weeks, 1e-300)) * (weeks > 0)
  expected = 2 * (own - poisson.logpmf(weeks, mean + .05)).sum((2, 3, 4))
  np.testing.assert_allclose(poisson_deviance(weeks, mean), expected, rtol=1e-9)


def test_alerts_by_hand_and_by_scikit_learn():
  metrics = pytest.importorskip('sklearn.metrics')
  rng = np.random.default_rng(0)
  kinds = rng.choice(3, 300, p=(.8, .1, .1))
  scores = rng.normal(0, 1, 300) + kinds
  found = alert_scores(scores, kinds, ('none', 'weak', 'strong'), days=5)
  assert found['auroc'] == pytest.approx(metrics.roc_auc_score(kinds > 0, scores))
  assert found['average_precision'] == pytest.approx(
      metrics.average_precision_score(kinds > 0, scores))
  weak = kinds < 2
  assert found['auroc of weak'] == pytest.approx(metrics.roc_auc_score(kinds[weak], scores[weak]))
  limit = threshold(scores[kinds == 0], 5)
  assert (scores[kinds == 0] > limit).sum() == 5
  assert found['found of strong'] == (scores[kinds == 2] > limit).mean()
  assert threshold([1., 2.], 2) == -np.inf
  p = np.stack([1 - scores, scores], -1)
  user = np.repeat(np.arange(60), 5)                     # five weeks each: 35 days
  assert weekly_alerts(p, kinds, user) == alert_scores(scores, kinds, days=35)
  with pytest.raises(ConfigError, match='with an incident, and'):
    alert_scores([1, 2], [1, 1], days=1)


def test_a_steady_history_has_no_spread():
  week = np.full((7, 24, 2), 4)
  image = beside_history(week[None], np.stack([week, week]))[0]
  np.testing.assert_array_equal(image[0, 0], [32, 32, 32, 32, 0, 0, 128, 128])


@pytest.mark.parametrize('options, said', [
    (dict(users=1), 'users must lie between 2'), (dict(history=1), 'history must lie'),
    (dict(unusual=2.), 'unusual must lie between 0 and 1'), (dict(weeks=0), 'weeks must lie')])
def test_options_out_of_range(options, said):
  with pytest.raises(ConfigError, match=said):
    behaviour('test', **options)
