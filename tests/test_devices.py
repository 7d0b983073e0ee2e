"""Drawn devices: what is counted is what their events say, and incidents are where they should be.
"""

from collections import Counter

import numpy as np
import pytest

from experiments.behaviour.baselines import Weeks, scores_of, z_of_own_totals
from visionlab.config import ConfigError
from visionlab.data.behaviour import device_incidents
from visionlab.data.behaviour.behaviour import behaviour, examples
from visionlab.data.behaviour.device_incidents import DISTURBANCES, INCIDENTS, MB, disturbance
from visionlab.data.behaviour.devices import HOME, INSIDE, OUTSIDE, ROLES, draw_device, draw_flows
from visionlab.data.behaviour.encode import GROUPS, of_groups, so_far
from visionlab.data.behaviour.flows import CHANNELS, COUNTED, counts_of, met
from visionlab.data.behaviour.populations import POPULATIONS, first_change, timelines
from visionlab.measures.alerts import alert_scores

KINDS = POPULATIONS['devices'].kinds


@pytest.fixture(scope='module')
def lines():
  return timelines('test', 24, 4, 4, .3, 0, 'devices')


def device_of(role: str):
  return next(d for d in map(draw_device, map(np.random.default_rng, range(60)))
              if d.role == role)


def by_hand(flows, before):
  """The channels, event by event, of a week after the weeks `before`."""
  places = {int(d) for week in before for d in week.destination}
  countries = {int(c) for week in before for c, s in zip(week.country, week.sent, strict=True)
               if s > 0}
  cells, new = Counter(), set()
  for hour, resource, destination, country, sent, received, failed in zip(*flows, strict=True):
    where = 'inside' if country == INSIDE else 'outside'
    cells[hour, 'connections'] += 1
    cells[hour, 'failures'] += int(failed)
    cells[hour, 'logons'] += int(resource == 0)
    cells[hour, f'sent {where}'] += int(sent)
    cells[hour, f'received {where}'] += int(received)
    if before and destination not in places:
      new.add((hour, destination))
    if before and where == 'outside' and int(country) not in countries:
      cells[hour, 'sent to new countries'] += int(sent)
  cells.update(Counter((hour, 'new destinations') for hour, _ in new))
  return [[cells[hour, name] for name in CHANNELS] for hour in range(168)]


@pytest.mark.parametrize('role', ['laptop', 'camera'])
def test_channels_are_what_the_events_say(role):
  rng = np.random.default_rng(3)
  device, known, before = device_of(role), None, []
  for _ in range(3):
    flows = draw_flows(device, rng)
    counts = counts_of(flows, known)
    assert counts.dtype == np.int64 and counts.shape == (7, 24, 9)
    np.testing.assert_array_equal(counts.reshape(168, 9), by_hand(flows, before))
    known, before = met(flows, known), [*before, flows]
  assert counts[..., CHANNELS.index('new destinations')].any() == (role == 'laptop')


def test_roles_have_habits_of_their_own():
  weeks = {role: counts_of(draw_flows(device_of(role), np.random.default_rng(0)), None)
           for role in ROLES}
  total = {role: dict(zip(CHANNELS, week.sum((0, 1)), strict=True)) for role, week in weeks.items()}
  assert total['camera']['sent inside'] > 1e3 * total['camera']['sent outside']
  assert total['printer']['received inside'] > 50 * total['printer']['sent outside']
  assert total['sensor']['connections'] > 400 and total['sensor']['sent inside'] < 2 * MB
  night = weeks['server'][:, 2:4, CHANNELS.index('sent inside')].sum()
  assert night > .5 * total['server']['sent inside']                     # the backup
  assert weeks['laptop'][:5, 10:16, 0].sum() > .5 * total['laptop']['connections']
  one = draw_flows(device_of('laptop'), np.random.default_rng(1))
  assert ((one.destination < OUTSIDE) == (one.country == INSIDE)).all()
  assert (one.country == HOME).any() and .01 < one.failed.mean() < .05


def test_a_week_is_a_function_of_its_device_and_number(lines):
  few = timelines('test', 24, 4, 2, .3, 0, 'devices')
  for whole, part in zip(lines, few, strict=True):
    np.testing.assert_array_equal(whole.history, part.history)
    np.testing.assert_array_equal(whole.weeks[:2], part.weeks)
    np.testing.assert_array_equal(whole.severity[:2], part.severity)


@pytest.mark.parametrize('population', ['people', 'devices'])
def test_an_incident_begins_where_the_week_is_no_longer_what_it_would_have_been(population):
  wrong, right = (timelines('test', 12, 3, 4, share, 0, population) for share in (.5, 0.))
  for one, same in zip(wrong, right, strict=True):
    np.testing.assert_array_equal(one.history, same.history)
    for kind, begins, severity, week, clean in zip(one.kinds, one.begins, one.severity, one.weeks,
                                                   same.weeks, strict=True):
      hours = np.flatnonzero((week != clean).reshape(168, -1).any(1))
      assert begins == (hours[0] if kind else -1) and (severity > 0) == (kind > 0)
      if population == 'people':
        assert severity == np.abs(week - clean).sum()
  assert sum((t.kinds > 0).sum() for t in wrong) > 12 and not any(t.kinds.any() for t in right)
  assert first_change(week, week) == -1


@pytest.mark.parametrize('kind, channel, least, most', [
    ('scan', 'failures', 8 / 2, 320), ('download', '', 30 * MB, 9e9),
    ('exfiltration', 'sent to new countries', 5 * MB, 1.5e9),
    ('upload', 'sent outside', .2 * MB * 18, 20 * MB * 168 * 1.4),
    ('stolen credentials', 'received inside', 2 * MB, 60 * 5 * MB)])
def test_incidents_are_as_large_as_is_said_and_grow(kind, channel, least, most):
  device, totals = device_of('camera'), []
  known = met(draw_flows(device, np.random.default_rng(0)))
  for severity in (.01, 1.):
    for seed in range(6):
      flows = device_incidents.incident(kind, device, severity, np.random.default_rng(seed))
      counts = counts_of(flows, known)
      by = dict(zip(CHANNELS, counts.sum((0, 1)), strict=True))
      totals.append(by[channel] if channel else by['received inside'] + by['received outside'])
      assert by['connections'] == len(flows.hour) and flows.hour.max() < 168
      assert kind == 'upload' or np.ptp(flows.hour) < 12
      if kind == 'upload':
        assert len(np.unique(flows.hour)) == 168 - flows.hour.min() >= 24
      if kind in ('scan', 'exfiltration', 'upload'):
        assert by['new destinations'] > 0
      if kind == 'stolen credentials':
        assert 2 <= by['logons'] <= 6 and by['failures'] >= 0
  assert .9 * least <= min(totals) and max(totals) <= 1.1 * most
  assert np.mean(totals[6:]) > 5 * np.mean(totals[:6])


@pytest.mark.parametrize('kind', DISTURBANCES)
def test_disturbances_keep_what_they_do_not_touch(kind):
  rng = np.random.default_rng(2)
  week, other = (counts_of(draw_flows(device_of(role), rng), None) for role in ('laptop', 'sensor'))
  before = week.copy()
  for _ in range(20):
    new = disturbance(kind, week, other, rng)
    assert new.dtype == np.int64 and new.min() >= 0 and new.shape == week.shape
    if kind == 'added':
      added = new - week
      assert added.min() >= 0 and (added[..., 0] > 0)[added[..., len(COUNTED):].any(-1)].all()
    elif kind == 'moved':
      np.testing.assert_array_equal(new.sum(1), week.sum(1))
    else:
      assert (new <= week + other).all()
  np.testing.assert_array_equal(week, before)


def test_examples_show_levels_of_counts_and_of_bytes(lines):
  source = behaviour('test', population='devices', users=24, history=4, weeks=4, unusual=.3)
  assert source.info.attributes['incident'] == KINDS == ('none', *DISTURBANCES, *INCIDENTS)
  image, kinds = source.arrays['image'], source.arrays['incident']
  assert image.shape == (96, 7, 24, 4 * 9)
  np.testing.assert_array_equal(kinds, np.concatenate([t.kinds for t in lines]))
  line = lines[5]
  week = line.weeks[2].astype(float)
  expected = np.concatenate([16 * np.sqrt(week[..., :4]), 12 * np.log2(1 + week[..., 4:] / 1000)],
                            -1)
  np.testing.assert_allclose(image[5 * 4 + 2][..., :9], np.minimum(expected, 255), atol=.51)
  apart = examples(lines, 'devices', ('apart',)).arrays['image']
  np.testing.assert_array_equal(apart, image[..., 27:])
  np.testing.assert_array_equal(of_groups(image, GROUPS[::-1])[..., :9], apart)


def test_what_is_to_come_is_as_usual(lines):
  line = lines[0]
  for days in (0, 3, 7):
    seen = so_far(line.weeks, line.history, days)
    np.testing.assert_array_equal(seen[:, :days], line.weeks[:, :days])
    np.testing.assert_allclose(seen[:, days:], np.broadcast_to(
        line.history.mean(0)[days:], seen[:, days:].shape))


@pytest.mark.parametrize('population', ['people', 'devices'])
def test_habits_drift_after_the_history_and_further_each_week(population):
  still, moving = (timelines('test', 20, 2, 6, 0., 0, population, drift) for drift in (0., .2))
  apart = []
  for one, other in zip(still, moving, strict=True):
    np.testing.assert_array_equal(one.history, other.history)
    apart.append([np.abs(np.log1p(a.sum()) - np.log1p(b.sum()))
                  for a, b in zip(one.weeks[..., 0], other.weeks[..., 0], strict=True)])
  first, *_, last = np.mean(apart, 0)
  assert 0 < first < .35 and last > 2 * first


def test_baselines_of_devices_find_what_is_unusual(lines):
  kinds = np.concatenate([t.kinds for t in lines])
  weeks = Weeks.of(lines, 'devices')
  found = scores_of(lines, 'devices', ['z of totals, own history', 'Poisson deviance of counts'])
  assert alert_scores(z_of_own_totals(weeks), kinds, days=28)['auroc'] > .8
  assert all(len(scores) == len(kinds) for scores in found.values())
  total, known = np.log1p(weeks.weeks[3, 2].sum((0, 1))), np.log1p(weeks.history[3].sum((1, 2)))
  z = np.abs(total - known.mean(0)) / (known.std(0) + .05)
  assert found['z of totals, own history'][3 * 4 + 2] == pytest.approx(z.max())


@pytest.mark.parametrize('options, said', [
    (dict(population='device'), 'did you mean "devices"'), (dict(drift=2.), 'drift must lie'),
    (dict(groups=('apart', 'apart')), 'each once'), (dict(groups=()), 'must be some of week'),
    (dict(groups=('appart',)), 'did you mean "apart"')])
def test_options_out_of_range(options, said):
  with pytest.raises(ConfigError, match=said):
    behaviour('test', **options)
