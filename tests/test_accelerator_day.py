"""An accelerator's day: order, budget, what survives its end; and the whole list, quickly."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))            # experiments are not installed; they run from the root

from experiments.benchmarks.accelerator import command, report  # noqa: E402
from experiments.benchmarks.accelerator.cases import Case, cases  # noqa: E402
from experiments.benchmarks.accelerator.day import Record, Unable, in_order, make  # noqa: E402
from experiments.benchmarks.accelerator.side import Missing  # noqa: E402


@dataclass(frozen=True)
class Fake:
  name: str
  needs: float


class Clock:
  """Time that passes when a case takes it."""
  now = 100.

  def __call__(self):
    return self.now


FAKES = [Fake('a', 30), Fake('b', 50), Fake('c', 5), Fake('d', 5)]


def day(record, seconds, takes, cases=FAKES):
  """What a day says, whose cases take so many seconds or raise."""
  clock = Clock()

  def attempt(case, left):
    assert left >= case.needs
    outcome = takes.get(case.name, 1)
    if isinstance(outcome, BaseException):
      raise outcome
    clock.now += outcome
    return dict(left=left)
  return dict(make(cases, record, seconds, attempt, clock=clock))


def test_one_without_time_is_named_and_a_shorter_one_made(tmp_path):
  record = Record.of(tmp_path / 'out.json')
  said = day(record, 60, dict(a=25))
  assert said['a'] == dict(left=60) and said['c'] == dict(left=35) and said['d'] == dict(left=34)
  assert said['b'] == 'no time: takes some 50 s, 35 s left'
  assert list(record.results) == ['a', 'c', 'd'] and record.reasons == dict(b=said['b'])


def test_goes_on_after_a_kill_and_begins_with_what_was_never_begun(tmp_path):
  path = tmp_path / 'out.json'
  with pytest.raises(KeyboardInterrupt):
    day(Record.of(path), 1000, dict(b=KeyboardInterrupt()))
  saved = Record.of(path)                             # as the next process finds it
  assert list(saved.results) == ['a'] and saved.begun == dict(b=1)
  assert saved.reasons == dict(b='was begun, and did not end')
  assert [case.name for case in in_order(FAKES, saved)] == ['c', 'd', 'b']
  said = day(saved, 1000, {})
  assert list(said) == ['c', 'd', 'b']                # and nothing that is done again
  assert not Record.of(path).begun and not Record.of(path).reasons
  assert not day(Record.of(path), 1000, {})


def test_one_that_fails_takes_no_others_with_it(tmp_path):
  record = Record.of(tmp_path / 'out.json')
  said = day(record, 1000, dict(a=Missing('needs torch'), b=Unable('needs two'),
                                c=RuntimeError('no memory')))
  assert said == dict(a='needs torch', b='needs two', c='failed: no memory',
                      d=dict(left=1000))
  assert list(Record.of(record.path).results) == ['d']


def test_a_file_is_whole_or_as_it_was(tmp_path, monkeypatch):
  record = Record.of(tmp_path / 'out.json')
  record.finish('a', 1)
  before = record.path.read_text()
  with pytest.raises(TypeError):
    record.finish('b', object())                      # in the middle of writing
  assert record.path.read_text() == before


def test_most_decisive_first():
  names = [case.name for case in cases()]
  assert len(set(names)) == len(names)
  assert names[0] == 'resnet50/training/512' and names[-1] == 'cifar10/resnet56'
  for part in ('training', 'inference'):
    for batch in (2, 8):
      assert {f'faster_rcnn/{part}/{batch}', f'mask_rcnn/{part}/{batch}'} <= set(names)
  assert len(cases(quick=True)) == len(names) - 3     # one length of CIFAR-10 will do


def test_rows_say_how_we_do_beside_the_goal():
  case = Case('x/training/8', '', 1, peers=dict(torchvision=('', {})), examples=8,
              goals=dict(torchvision=2.))
  result = dict(
      seconds=dict(ours=[.01, .02, .01], torchvision=[.03, .03, .06]),
      failed=dict(compiled='no g++'),
      known=dict(ours=dict(facts=dict(flops=5e9, difference=.001), first=12.), torchvision={}),
      memory=dict(ours=2e9, torchvision=None), took=20.)
  record = Record(Path('unused'), dict(x=1, **{case.name: result}), reasons=dict(y='no time'))
  known = dict(ours=dict(result['known']['ours'], facts=dict(
      result['known']['ours']['facts'], machine=dict(date='2026-11-30', device='cpu', cores=2,
                                                     python='3', jax='1', flax='2'))),
               torchvision=dict(facts=dict(torch='2.13')))
  record.results = {case.name: dict(result, known=known)}
  text = report.table([case, Case('y', '', 1)], record).splitlines()
  assert text[0] == '2026-11-30, cpu, 2 CPU cores, Python 3, JAX 1, Flax 2, PyTorch 2.13'
  assert [cell.strip() for cell in text[3].strip('|').split('|')] == [
      'x/training/8', '10 ms', '800 images', '0.5', '2.00 GB', '12 s', 'torchvision', '30 ms', '',
      '3.00', '1.50-6.00', 'at least 2.0']
  assert text[4:] == ['x/training/8: compiled: no g++', 'x/training/8: difference 0.001',
                      'y: no time']


def test_a_process_answers_for_a_side_or_says_why_not(tmp_path):
  bench = command.Bench(tmp_path, (sys.executable,) * 2, repeats=2, seconds=1e-4)
  peers = dict(slow='sleeping', torn='failing', absent='absent', dead='dying')
  case = Case('x', 'tests.fake_sides:sleeping', 1, dict(seconds=1e-4), peers={
      name: (f'tests.fake_sides:{side}', dict(seconds=1e-3)) for name, side in peers.items()})
  try:
    result = bench.make(case, 60.)
  finally:
    bench.end()
  assert result['failed'] == dict(torn='ValueError: in a word', absent='needs no_such_thing, which '
                                  'is not installed', dead='its process ended with 3')
  assert {name: len(s) for name, s in result['seconds'].items()} == dict(ours=2, slow=2)
  assert min(result['seconds']['slow']) > 1e-3 and result['calls']['ours'] >= 1
  with pytest.raises(TimeoutError, match='no answer after'):
    bench.make(case, .01)
  assert not bench.workers


@pytest.mark.parametrize('argv, message', [
    (['resnet51'], 'there are: resnet50/training/512'),
    (['--json=nowhere/x.json'], 'is no folder')])
def test_wrong_arguments(argv, message, capsys):
  with pytest.raises(SystemExit):
    command.main(argv)
  assert message in capsys.readouterr().err


def test_the_whole_list_quickly(tmp_path, monkeypatch, capsys):
  monkeypatch.setenv('JAX_PLATFORMS', 'cpu')
  record = command.main(['--quick', '--minutes=20', f'--json={tmp_path}/out.json'])
  assert not record.reasons
  results = json.loads((tmp_path / 'out.json').read_text())['results']
  assert list(results) == [case.name for case in cases(quick=True)]
  for case in cases(quick=True):
    result = results[case.name]
    if case.command:
      continue
    assert 'ours' in result['known']
    assert all(why == 'needs torchvision, which is not installed' or 'needs torch' in why
               for why in result['failed'].values()), result['failed']
    if result['seconds']:
      assert all(s > 0 for s in result['seconds']['ours'])
  assert results['resnet50/training/4']['known']['ours']['facts']['flops'] > 3 * 4 * 1e7
  for name in ('convolution', 'pmap_is_jit'):
    assert results[name]['known']['ours']['facts']['difference'] < 1e-2
  assert results['processes']['losses'] and results['processes']['difference'] < 1e-4
  printed = capsys.readouterr()
  assert '| resnet50/training/4 | ' in printed.out and 'cifar10/resnet20: error ' in printed.out
