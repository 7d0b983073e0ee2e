"""Logs of events: counted where they belong, and what is odd in them is said, not dropped."""

import csv
import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from visionlab import alerts
from visionlab.config import ConfigError
from visionlab.data.behaviour.encode import beside_history
from visionlab.data.behaviour.event_logs import event_logs
from visionlab.data.behaviour.events import monday, place_of, read_log
from visionlab.data.behaviour.habits import RESOURCES
from visionlab.data.behaviour.populations import timelines
from visionlab.data.behaviour.tallies import PeopleTally
from visionlab.data.clocks import names_zone, parse_time
from visionlab.runs.load import load
from visionlab.train import train

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)                   # a Monday


def written(path, lines, first=BEGIN):
  """The weeks of users as a log, an event an row but for counts above 1."""
  with path.open('w', newline='') as file:
    out = csv.writer(file)
    out.writerow(['Time', 'User', 'Resource', 'Count'])
    for i, line in enumerate(lines):
      weeks = np.concatenate([line.history, line.weeks])
      for week, day, hour, kind in zip(*np.nonzero(weeks), strict=True):
        when = first + timedelta(weeks=int(week), days=int(day), hours=int(hour), minutes=30)
        out.writerow([when.isoformat(), f'user {i}', RESOURCES[kind], weeks[week, day, hour, kind]])
  return path


@pytest.fixture(scope='module')
def lines():
  return timelines('test', 3, 3, 2, 0., 0)


def test_a_log_gives_the_weeks_that_it_was_written_of(lines, tmp_path):
  found = event_logs('test', root=str(written(tmp_path / 'log.csv', lines)), history=3)
  assert found.info.attributes['user'] == ('user 0', 'user 1', 'user 2')
  assert found.arrays['user'].tolist() == [0, 0, 1, 1, 2, 2]
  assert found.mondays[:2] == ('2024-01-22', '2024-01-29')
  for i, line in enumerate(lines):
    whole = np.concatenate([line.history, line.weeks])
    for j in range(2):
      np.testing.assert_array_equal(found.counts[2 * i + j], line.weeks[j])
      np.testing.assert_array_equal(found.arrays['image'][2 * i + j],
                                    beside_history(line.weeks[j][None], whole[j:j + 3])[0])


def test_hours_are_those_of_the_zone_and_formats_are_read(tmp_path):
  rows = [dict(time='2024-03-30T23:30:00+00:00', user='a', resource='File'),
          dict(time='2024-03-31 12:00', user='a', resource='file', count=3),      # of the zone
          dict(time=1711886400, user='a', resource='web')]                       # 12:00 UTC
  (tmp_path / 'log.jsonl').write_text('\n'.join(map(json.dumps, rows)))
  log = read_log(tmp_path, PeopleTally(RESOURCES), 'Europe/Berlin')
  (counts,) = log.counts['a'].values()
  cells = {(int(d), int(h), RESOURCES[k]): int(counts[d, h, k])
           for d, h, k in np.argwhere(counts)}
  # Summer time begins on that Sunday: 23:30 UTC is 0:30 of it, 12:00 UTC is 14:00.
  assert cells == {(6, 0, 'file'): 1, (6, 12, 'file'): 3, (6, 14, 'web'): 1}
  utc = read_log(tmp_path, PeopleTally(RESOURCES)).counts['a']
  assert next(iter(utc.values()))[5, 23, 1] == 1


def test_what_is_odd_is_said_with_its_places(tmp_path, warned):
  (tmp_path / 'log.csv').write_text(
      'time,user,resource,count\n'
      '2024-01-01T10:00,a,file,1\n'
      'yesterday,a,file,1\n'
      '2024-01-01T11:00,,file,1\n'
      '2024-01-01T12:00,a,fiel,1\n'
      '2024-01-01T12:00,a,file,-3\n'
      '2099-01-01T12:00,a,file,1\n'
      '2024-01-01T13:00,a,web,1\n'
      '2024-01-01T13:00,a,web,1\n'
      '2024-01-01T09:00,a,mail,\n'
      '2024-01-01T14:00,b,print,1000000\n')
  log = read_log(tmp_path / 'log.csv', PeopleTally(RESOURCES))
  said = '\n'.join(warned)
  for text in ('no time that can be read (line 3)', 'no user (line 4)', 'no count (line 6)',
               'another resource (did you mean "file"?) (line 5)', 'the future (line 7)',
               'there more than once, and counted each time (line 9)',
               "earlier than the user's row before (line 10)"):
    assert text in said
  (a,), (b,) = (log.counts[user].values() for user in 'ab')
  assert a.sum() == 4 and a[0, 13, RESOURCES.index('web')] == 2 and b.sum() == 10 ** 6


def test_weeks_count_from_the_first_whole_one(lines, tmp_path, warned):
  late = BEGIN + timedelta(days=2)                         # a Wednesday: its week is not whole
  with pytest.raises(ConfigError, match=r'more than 5 whole weeks of a user, and knows 4'):
    event_logs('test', root=str(written(tmp_path / 'a.csv', lines, late)), history=5)
  found = event_logs('test', root=str(tmp_path / 'a.csv'), history=3)
  assert set(found.mondays) == {'2024-01-29'}
  with (tmp_path / 'a.csv').open('a') as file:
    file.write('2024-01-30T10:00,new,file,1000\n')
  assert len(event_logs('test', root=str(tmp_path / 'a.csv'), history=3)) == 3
  assert any('1 of 4 users are left out, known for 3 weeks or less: new' in w for w in warned)


def test_huge_counts_and_silent_weeks_are_said(tmp_path, warned):
  rows = [f'{(BEGIN + timedelta(weeks=w, days=d)).isoformat()},a,file,{300 if w == 3 else 2}'
          for w in (0, 1, 3) for d in range(7)]
  (tmp_path / 'log.csv').write_text('time,user,resource,count\n' + '\n'.join(rows))
  found = event_logs('test', root=str(tmp_path / 'log.csv'), history=2)
  assert found.counts.sum() == 7 * 300 and found.arrays['image'].max() == 255
  assert any('no events at all in 1 weeks' in w and '2024-01-15' in w for w in warned)
  assert any('7 counts, the largest 300, are above what images can show' in w for w in warned)


@pytest.mark.parametrize('name, text, options, said', [
    ('log.csv', 'when,who\n', {}, 'has no column "user"'),
    ('log.csv', 'time,user,resource\n', {}, 'no event of logon'),
    ('log.csv', 'time,user,resource\n', dict(zone='Berlin/Europe'), 'expected one such as'),
    ('log.csv', 'time,user,resource\n', dict(history=1), 'history must be at least 2'),
    ('log.csv', 'time,user,resource\n', dict(resources=('a', 'a')), 'resources'),
    ('log.txt.gz', '', {}, 'expected a table')])
def test_mistakes_are_named(tmp_path, name, text, options, said):
  (tmp_path / name).write_text(text)
  with pytest.raises(ConfigError, match=said):
    event_logs('test', root=str(tmp_path / name), **options)
  with pytest.raises(ConfigError, match='does not exist'):
    event_logs('test', root=str(tmp_path / 'nowhere'))


def test_weeks_are_numbered_from_a_monday():
  assert monday(0) == '1970-01-05'
  assert place_of(datetime(1970, 1, 11, 23, 59)) == (0, 6, 23)
  assert place_of(datetime(1970, 1, 12)) == (1, 0, 0)


def test_a_run_ranks_the_weeks_of_a_log(lines, tmp_path):
  from configs import behaviour
  config = behaviour.get_config('smoke')
  config.parallel.devices = 1
  config.steps = 2
  config.data.history = config.evals.test.data.history = 3
  train(config, tmp_path / 'run')
  weeks = event_logs('test', root=str(written(tmp_path / 'log.csv', lines)), history=3)
  found = alerts.alerts(load(tmp_path / 'run'), weeks)
  assert len(found) == 6 and {one['user'] for one in found} == {'user 0', 'user 1', 'user 2'}
  unusual = [one['unusual'] for one in found]
  assert unusual == sorted(unusual, reverse=True)
  assert all(r.endswith(')') and 'usually' in r for one in found for r in one['reasons'])
  table = list(csv.reader(alerts.as_csv(found).splitlines()))
  assert table[0] == ['rank', 'user', 'week', 'unusual', 'reasons'] and len(table) == 7
  other = event_logs('test', root=str(tmp_path / 'log.csv'), history=3, resources=RESOURCES[:2])
  with pytest.raises(ConfigError, match='weeks of 2 resources'):
    alerts.alerts(load(tmp_path / 'run'), other)


def test_reasons_are_of_the_cells_that_speak_most():
  why = np.zeros((7, 24, 6))
  why[1, 22, 1], why[0, 3, 4], why[2, 2, 2] = 5., 3., -9.
  counts = np.zeros((7, 24, 6), int)
  counts[1, 22, 1], counts[0, 3, 4] = 70, 1
  assert alerts.reasons(why, counts, counts / 7) == [
      'Tue 22:00 file 70 (usually 10.0)', 'Mon 3:00 usb 1 (usually 0.1)']


@pytest.mark.parametrize('text', [
    '2024-03-31 12:00:05 UTC', '2024-03-31T12:00:05.000Z', '2024-03-31T14:00:05+0200', '1711886405',
    '1711886405.0', '1711886405000', '1711886405000000', '1711886405000000000',
    'Sun, 31 Mar 2024 12:00:05 GMT', '31/Mar/2024:14:00:05 +0200'])
def test_times_in_many_forms(text):
  found = parse_time(text, ZoneInfo('Europe/Berlin'))
  assert found == datetime(2024, 3, 31, 12, 0, 5, tzinfo=UTC) and names_zone(text)


def test_days_and_months_in_numbers_need_a_form():
  for text in ('03/04/2024 12:00', '', None, 'soon', '1e400', '31/Foo/2024:14:00:05 +0200'):
    assert parse_time(text, UTC) is None
  assert parse_time('03/04/2024 12:00', UTC, '%m/%d/%Y %H:%M') == datetime(2024, 3, 4, 12,
                                                                           tzinfo=UTC)
  assert parse_time('2024-03-04', UTC, '%m/%d/%Y') is None
  assert not names_zone('03/04/2024', '%m/%d/%Y')


def test_columns_may_have_names_of_their_own(tmp_path, caplog):
  rows = ['When;Who;What'] + [f'{day:02}.01.2024;ann;file' for day in range(1, 30)]
  (tmp_path / 'own.csv').write_text('\n'.join([*rows, '29.01.2024;Ann;file']))
  named = dict(columns=dict(time='When', user='Who', resource='What'), time_format='%d.%m.%Y')
  log = read_log(tmp_path / 'own.csv', PeopleTally(RESOURCES), **named)
  assert {user: sum(int(week.sum()) for week in weeks.values())
          for user, weeks in log.counts.items()} == dict(ann=29, Ann=1)
  assert '"Ann" and "ann" differ in capitals or blanks alone' in caplog.text
  with pytest.raises(ConfigError, match='no column "user".* the option columns says'):
    read_log(tmp_path / 'own.csv', PeopleTally(RESOURCES))
  with pytest.raises(ConfigError, match='no event of .*; the options columns, time_format and'):
    read_log(tmp_path / 'own.csv', PeopleTally(RESOURCES), columns=named['columns'])
  with pytest.raises(ConfigError, match='did you mean "resource"'):
    read_log(tmp_path / 'own.csv', PeopleTally(RESOURCES), columns=dict(ressource='What'))


def test_objects_within_lines_of_json(tmp_path):
  (tmp_path / 'a.jsonl').write_text(json.dumps({
      '@timestamp': '2024-01-01T00:00:00Z', 'user': {'name': 'ann'},
      'event': {'category': 'file'}}) + '\n')
  log = read_log(tmp_path / 'a.jsonl', PeopleTally(RESOURCES))
  assert list(log.counts) == ['ann']
