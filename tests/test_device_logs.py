"""Logs of devices' connections: counted as drawn ones are, whatever the format, part by part."""

import csv
import json
import tracemalloc
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from visionlab import alerts
from visionlab.config import ConfigError
from visionlab.data.behaviour import events
from visionlab.data.behaviour.devices import INSIDE, RESOURCES, Flows, draw_device, draw_flows
from visionlab.data.behaviour.encode import beside_history, device_levels
from visionlab.data.behaviour.event_logs import event_logs
from visionlab.data.behaviour.events import read_log
from visionlab.data.behaviour.flows import CHANNELS, counts_of, met
from visionlab.data.behaviour.tallies import DeviceTally, PeopleTally, whole_number
from visionlab.data.sources import table_stream
from visionlab.data.sources.table_rows import read_table
from visionlab.data.sources.table_stream import stream_table
from visionlab.runs.load import load
from visionlab.train import train

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)                   # a Monday
HEAD = 'time,device,destination,country,sent,received,outcome,service\n'
WEEKS = 5


@pytest.fixture(scope='module')
def weeks():
  """(devices, weeks) of connections, every fifth of those drawn."""
  rngs = [np.random.default_rng(i) for i in (0, 1, 2)]
  devices = [draw_device(rng) for rng in rngs]
  return [[Flows(*(x[::5] for x in draw_flows(d, rng))) for _ in range(WEEKS)]
          for d, rng in zip(devices, rngs, strict=True)]


def rows_of(weeks):
  """As a log has them, one device after the other, each in the order of hours."""
  for i, each in enumerate(weeks):
    for week, flows in enumerate(each):
      for k in np.argsort(flows.hour, kind='stable'):
        when = BEGIN + timedelta(weeks=week, hours=int(flows.hour[k]), seconds=int(k) % 3600)
        yield dict(time=when.isoformat(), device=f'device {i}',
                   destination=f'h{flows.destination[k]}',
                   country='' if flows.country[k] == INSIDE else f'country {flows.country[k]}',
                   sent=int(flows.sent[k]), received=int(flows.received[k]),
                   outcome='failed' if flows.failed[k] else 'ok',
                   service=RESOURCES[flows.resource[k]])


def written(path, weeks):
  rows = list(rows_of(weeks))
  if path.suffix == '.jsonl':
    path.write_text('\n'.join(map(json.dumps, rows)))
  elif path.suffix == '.parquet':
    pa = pytest.importorskip('pyarrow')
    pa.parquet.write_table(pa.Table.from_pylist(rows), path)
  else:
    with path.open('w', newline='') as file:
      out = csv.DictWriter(file, list(rows[0]))
      out.writeheader()
      out.writerows(rows)
  return path


@pytest.mark.parametrize('name', ['log.csv', 'log.jsonl', 'log.parquet'])
def test_a_log_gives_the_channels_of_the_events_it_was_written_of(weeks, tmp_path, name, monkeypatch
                                                                  ):
  if name.endswith('parquet'):
    pytest.importorskip('pyarrow.parquet')
  monkeypatch.setattr(table_stream.stream_table, '__defaults__', (200,))
  found = event_logs('test', root=str(written(tmp_path / name, weeks)), population='devices',
                     history=3)
  assert found.info.attributes['user'] == ('device 0', 'device 1', 'device 2')
  for i, each in enumerate(weeks):
    known, counts = None, []
    for flows in each:
      counts.append(counts_of(flows, known))
      known = met(flows, known)
    counts = np.stack(counts)
    np.testing.assert_array_equal(found.counts[2 * i:2 * i + 2], counts[3:])
    np.testing.assert_array_equal(found.arrays['image'][2 * i + 1], beside_history(
        counts[4:], counts[1:4], device_levels)[0])


def test_the_order_of_rows_changes_nothing(weeks, tmp_path):
  rows = list(rows_of(weeks))
  np.random.default_rng(0).shuffle(rows)
  (tmp_path / 'a.jsonl').write_text('\n'.join(map(json.dumps, rows)))
  shuffled, sorted_ = (read_log(path, DeviceTally()) for path in (
      tmp_path / 'a.jsonl', written(tmp_path / 'b.csv', weeks)))
  assert shuffled.weeks == sorted_.weeks
  for user, each in sorted_.counts.items():
    for week, counts in each.items():
      np.testing.assert_array_equal(shuffled.counts[user][week], counts)


@pytest.mark.parametrize('row, said', [
    ('2024-01-03T10:00,,host,,1,1,ok,web', 'left out, no user'),
    ('2024-01-03T10:00,a,,,1,1,ok,web', 'left out, no destination'),
    ('2024-01-03T10:00,a,host,,-5,1,ok,web', 'left out, no number of bytes'),
    ('2024-01-03T10:00,a,host,,5,1.5,ok,web', 'left out, no number of bytes'),
    ('soon,a,host,,5,1,ok,web', 'left out, no time that can be read'),
    ('1970-01-01T00:00:07,a,host,,5,1,ok,web', 'a time before 2000, of a clock that was not set'),
    ('0,a,host,,5,1,ok,web', 'a time before 2000'),
    ('2124-01-03T10:00,a,host,,5,1,ok,web', 'a time in the future'),
    ('4070908800000,a,host,,5,1,ok,web', 'a time in the future'),        # 2099, in milliseconds
    ('2024-01-03T10:00,a,host,,5,1,perhaps,web', 'no word for success or failure, and counted'),
    ('2024-01-02T09:00,a,one,,5,1,ok,web', 'there more than once, and counted each time'),
    ('2024-01-01T02:00,a,host,,5,1,ok,web', "earlier than the user's row before"),
    ('2024-01-03T10:00+02:00,a,host,,5,1,ok,web', '2 of 3 times name no zone, and are read as of')])
def test_what_is_odd_is_said(tmp_path, warned, row, said):
  first = '2024-01-01T08:00,a,one,,5,1,ok,web\n2024-01-02T09:00,a,one,,5,1,ok,web\n'
  (tmp_path / 'log.csv').write_text(HEAD + first + row + '\n')
  log = read_log(tmp_path / 'log.csv', DeviceTally())
  assert any(said in w for w in warned) and len(warned) == 1
  (counts,) = log.counts['a'].values()
  assert counts[..., 0].sum() == (2 if 'left out' in warned[0] else 3)


def test_a_gap_is_said_and_a_file_that_is_there_twice(weeks, tmp_path, warned):
  gone = [[flows for j, flows in enumerate(each) if j != 2] for each in weeks]
  rows = [row for row in rows_of(weeks) if not '2024-01-15' <= row['time'][:10] <= '2024-01-21']
  assert len(rows) == sum(len(flows.hour) for each in gone for flows in each)
  text = '\n'.join(map(json.dumps, rows))
  for name in ('a.jsonl', 'b.jsonl'):
    (tmp_path / name).write_text(text)
  found = event_logs('test', root=str(tmp_path), population='devices', history=2)
  assert any('b.jsonl: the same as a.jsonl, and counted again' in w for w in warned)
  assert any('no events at all in 1 weeks' in w and '2024-01-15' in w for w in warned)
  assert not found.counts[0].any() and found.counts[1].any()
  one = read_log(tmp_path / 'a.jsonl', DeviceTally())
  np.testing.assert_array_equal(found.counts[1][..., :3],
                                2 * one.counts['device 0'][one.weeks[0] + 3][..., :3])


def test_countries_of_addresses_without_one_and_huge_numbers_of_bytes(tmp_path, warned):
  rows = ''.join(f'{(BEGIN + timedelta(days=d)).isoformat()},a,{to},{country},{sent},0,ok,web\n'
                 for d in range(21) for to, country, sent in (
                     ('192.168.0.9', '', 7), ('8.8.8.8', '', 4 * 10**9), ('nas', 'Internal', 5),
                     ('8.8.4.4', 'US', 11)))
  (tmp_path / 'log.csv').write_text(HEAD + rows)
  found = event_logs('test', root=str(tmp_path / 'log.csv'), population='devices', history=2)
  day = dict(zip(CHANNELS, found.counts[0].sum((0, 1)) // 7, strict=True))
  assert day['sent inside'] == 12 and day['sent outside'] == 4 * 10**9 + 11
  assert day['connections'] == 4 and found.arrays['image'].max() == 255
  assert any('7 counts, the largest 4000000011, are above what images can show' in w
             for w in warned)


@pytest.mark.parametrize('value, number', [
    ('', 1), (None, 1), ('-', 1), (float('nan'), 1), ('12', 12), (3., 3), ('0', 0), (-1, None),
    (1.5, None), ('many', None), (float('inf'), None), (2**60, None)])
def test_numbers(value, number):
  assert whole_number(value, 1) == number


@pytest.mark.parametrize('name', ['a.csv', 'a.tsv', 'a.jsonl', 'a.json', 'a.parquet'])
def test_parts_of_a_table_are_the_whole(tmp_path, name):
  rows = [dict(file=f'{i}.jpg', caption=f'line\n"{i}", and more' if i % 3 else 'short', n=i)
          for i in range(30)]
  path, roles = tmp_path / name, dict(file=(('file',),), caption=(('caption',),))
  if name.endswith('.parquet'):
    pa = pytest.importorskip('pyarrow')
    pytest.importorskip('pyarrow.parquet')
    pa.parquet.write_table(pa.Table.from_pylist(rows), path)
  elif 'json' in name:
    lines = map(json.dumps, rows)
    path.write_text('\n'.join(lines) if name.endswith('l') else f'[{",".join(lines)}]')
  else:
    for row in rows if name.endswith('tsv') else ():
      row['caption'] = row['caption'].replace('\n', ' ').replace('"', '')
    with path.open('w', newline='', encoding='utf-16') as file:
      out = csv.DictWriter(file, list(rows[0]), delimiter=',' if name.endswith('csv') else '\t')
      out.writeheader()
      out.writerows(rows)
  whole = read_table(path, roles, dict(n=(('n',),), more=(('more',),)))
  parts = list(stream_table(path, roles, dict(n=(('n',),), more=(('more',),)), 4))
  assert len(parts) >= (1 if name.endswith('.json') else 7)
  for role in whole.columns:
    assert [v for part in parts for v in part.columns[role]] == list(whole.columns[role])
  assert [p for part in parts for p in part.places] == list(whole.places)


@pytest.mark.parametrize('name, row, said', [
    ('a.csv', b'1,2,3', 'line 9: 3 fields, but 2 columns'),
    ('a.csv', b'1,\xff', 'line 9 is not UTF-8'), ('a.csv', b'1,\0', 'bytes of zero'),
    ('a.csv', b'1,"2', 'line 9: a quote that does not end'),
    ('a.jsonl', b'{', 'line 9 is no JSON'), ('a.jsonl', b'[1]', 'line 9: expected an object')])
def test_mistakes_far_down_are_named_by_their_line(tmp_path, name, row, said):
  good = [b'{"x": 1, "y": 2}'] * 8 if 'json' in name else [b'x,y', *[b'1,2'] * 7]
  (tmp_path / name).write_bytes(b'\n'.join([*good, row, b'']))
  with pytest.raises(ConfigError, match=said):
    list(stream_table(tmp_path / name, dict(x=(('x',),), y=(('y',),)), {}, 3))


def test_memory_does_not_grow_with_the_number_of_events(tmp_path, monkeypatch):
  """Of a file ten times as long, all within the same weeks."""
  monkeypatch.setattr(table_stream.stream_table, '__defaults__', (128,))
  monkeypatch.setattr(events, 'RECENT', 128)
  peaks = []
  for n in (400, 4000):
    with (tmp_path / f'{n}.csv').open('w') as file:
      file.write('time,user,resource\n')
      for i in range(n):
        when = BEGIN + timedelta(seconds=i * 14 * 86400 // n)
        file.write(f'{when.isoformat()},u{i % 3},file\n')
    tracemalloc.start()
    log = read_log(tmp_path / f'{n}.csv', PeopleTally(('file',)))
    peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert sum(c.sum() for weeks in log.counts.values() for c in weeks.values()) == n
  assert peaks[1] < 1.3 * peaks[0]


def test_a_run_ranks_devices_with_reasons(weeks, tmp_path):
  from configs import devices
  config = devices.get_config('smoke')
  config.parallel.devices = 1
  config.steps = 2
  config.evals = {}
  train(config, tmp_path / 'run')
  run = load(tmp_path / 'run')
  assert alerts.population_of(run) == 'devices'
  found = alerts.alerts(run, event_logs('test', root=str(written(tmp_path / 'log.csv', weeks)),
                                        population='devices', history=3))
  assert len(found) == 6 and {one['user'] for one in found} == {f'device {i}' for i in range(3)}
  assert all('(usually ' in r for one in found for r in one['reasons'])
  table = list(csv.reader(alerts.as_csv(found).splitlines()))
  assert len(table) == 7 and json.loads(json.dumps(found)) == found
  (tmp_path / 'people.csv').write_text('time,user,resource\n' + ''.join(
      f'{(BEGIN + timedelta(days=d)).isoformat()},a,file\n' for d in range(35)))
  with pytest.raises(ConfigError, match=r'configs/devices\.py for devices, that sees weeks of 6'):
    alerts.alerts(run, event_logs('test', root=str(tmp_path / 'people.csv'), history=3))


def test_reasons_name_bytes():
  why, counts = np.zeros((7, 24, 9)), np.zeros((7, 24, 9), np.int64)
  why[2, 3, CHANNELS.index('sent outside')], why[2, 3, 0], why[4, 4, 0] = 5., 2., 3.
  counts[2, 3, CHANNELS.index('sent outside')], counts[2, 3, 0] = 2_300_000_000, 4
  assert alerts.reasons(why, counts, counts / 1000, alerts.POPULATIONS['devices']) == [
      'Wed 3:00 sent outside 2.3 GB (usually 2.3 MB)', 'Wed 3:00 connections 4 (usually 0.0)']


@pytest.mark.parametrize('options, said', [
    (dict(population='device'), 'did you mean "devices"'),
    (dict(population='devices', resources=('a',)), 'resources are counted of people'),
    (dict(population='devices'), 'has no column "user"')])
def test_mistakes_are_named(tmp_path, options, said):
  (tmp_path / 'log.csv').write_text('time,who,destination\n')
  with pytest.raises(ConfigError, match=said):
    event_logs('test', root=str(tmp_path / 'log.csv'), **options)
