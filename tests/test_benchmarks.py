import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))            # experiments are not installed; they run from the root

from experiments.benchmarks import (  # noqa: E402
  decoding,
  detector,
  films,
  harness,
  processes,
  steps,
)
from experiments.benchmarks.__main__ import BENCHMARKS, main  # noqa: E402
from experiments.benchmarks.harness import Row, Skip, Skipped  # noqa: E402
from visionlab.augmentation.augment import make_augment  # noqa: E402


def fake(repeats):
  yield Row('fake/speed', [.010, .020, .012][:repeats], [.024, .020, .030][:repeats], 'a note')
  yield Row('fake/memory', [2e8] * repeats, [1e8] * repeats, unit='B')
  yield Row('fake/alone', [1.5] * repeats, note='no peer')


def lacking(repeats):
  yield Row('lacking/before', [1.] * repeats)
  raise Skip('needs a thing')


def test_ratio_is_of_medians_and_spread_of_pairs():
  speed, memory, alone = fake(3)
  assert speed.ratio == pytest.approx(.024 / .012)        # not 2.5, the median of the ratios
  assert speed.spread == pytest.approx((1., 2.5))
  assert memory.ratio == pytest.approx(.5)                # twice the memory is half as good
  assert alone.ratio is None and alone.spread is None


def test_pairs_alternate():
  calls = []
  first, second = harness.in_turn(3, lambda: calls.append('A') or len(calls),
                                  lambda: calls.append('B') or len(calls))
  assert ''.join(calls) == 'ABABAB'
  assert (first, second) == ([1, 3, 5], [2, 4, 6])


def test_table_is_aligned():
  text = harness.table([*fake(3), Skipped('other', 'needs a thing')])
  heading, speed, memory, alone, skipped = text.splitlines()
  assert heading.split() == ['name', 'ours', 'peer', 'ratio', 'spread', 'note']
  assert speed.split() == ['fake/speed', '12', 'ms', '24', 'ms', '2.00', '1.00-2.50', 'a', 'note']
  assert memory.split() == ['fake/memory', '200', 'MB', '100', 'MB', '0.50', '0.50-0.50']
  assert alone.split() == ['fake/alone', '1.5', 's', 'no', 'peer']
  assert skipped == 'other: skipped: needs a thing'
  assert heading.index('note') == speed.index('a note') == alone.index('no peer')
  for column in ('ours', 'peer', 'ratio'):                # right-aligned
    end = heading.index(column) + len(column)
    assert speed[end - 1] != ' ' and memory[end - 1] != ' ' and speed[end] == ' '


def test_command_prints_a_table_and_writes_a_record(tmp_path, capsys):
  path = tmp_path / 'out.json'
  main(['fake', 'lacking', '--repeats=2', f'--json={path}'], dict(fake=fake, lacking=lacking))
  printed = capsys.readouterr().out
  assert 'fake/speed' in printed and 'lacking: skipped: needs a thing' in printed
  saved = json.loads(path.read_text())
  assert saved['repeats'] == 2
  assert [row['name'] for row in saved['rows']] == [
      'fake/speed', 'fake/memory', 'fake/alone', 'lacking/before']
  assert saved['rows'][0] == dict(name='fake/speed', unit='s', ours=[.010, .020], peer=[.024, .020],
                                  ratio=pytest.approx(.022 / .015), spread=[1., 2.4], note='a note')
  assert saved['skipped'] == {'lacking': 'needs a thing'}
  assert saved['machine']['jax'] == jax.__version__
  assert saved['machine']['cores'] >= 1
  assert {'date', 'device', 'python', 'torch', 'load'} <= set(saved['machine'])


def test_one_that_fails_takes_no_others_with_it(tmp_path, capsys):
  def failing(repeats):
    raise RuntimeError('broken')
  with pytest.raises(RuntimeError, match='broken'):
    main(['fake', 'failing', '--repeats=1', f'--json={tmp_path}/out.json'],
         dict(fake=fake, failing=failing))
  assert 'fake/speed' in capsys.readouterr().out
  assert len(json.loads((tmp_path / 'out.json').read_text())['rows']) == 3


@pytest.mark.parametrize('argv, message', [
    (['conv_stp'], 'did you mean "conv_step"'), (['load', '--repeats=0'], 'at least 1')])
def test_wrong_arguments(argv, message, capsys):
  with pytest.raises(SystemExit) as e:
    main(argv)
  assert e.value.code == 2
  assert message in capsys.readouterr().err


@pytest.mark.parametrize('name', ['digits_job', 'conv_step'])
def test_without_torch_its_rows_are_skipped(name, monkeypatch):
  monkeypatch.setitem(sys.modules, 'torch', None)          # importing it is now an ImportError
  results = list(harness.measure(BENCHMARKS, [name], 1))
  assert results == [Skipped(name, 'needs torch, which is not installed')]
  assert harness.table(results).splitlines()[-1] == (
      f'{name}: skipped: needs torch, which is not installed')


def test_memory_is_the_childs_own():
  ballast = np.ones(40_000_000)                           # 320 MB that the child does not have
  small = processes.run('-c', 'print("small")')
  large = processes.run('-c', 'x = bytearray(b"1") * 150_000_000')
  assert small.output == 'small\n'
  assert small.peak < 60e6 < ballast.nbytes
  assert 100e6 < large.peak - small.peak < 200e6


def test_a_command_that_fails_says_why():
  with pytest.raises(RuntimeError, match='its own words'):
    processes.run('-c', 'raise SystemExit("its own words")')


def test_a_command_gets_its_environment_and_is_waited_for(tmp_path):
  path = tmp_path / 'out.txt'
  code = 'import os, time, sys; time.sleep(.2); open(sys.argv[1], "w").write(os.environ["WORD"])'
  assert processes.wait_for(path, 'hello', '-c', code, str(path), WORD='hello') > .2
  with pytest.raises(RuntimeError, match='ended before'):
    processes.wait_for(path, 'never', '-c', 'pass')


def test_loop_and_bare_step_give_seconds(tmp_path, monkeypatch):
  monkeypatch.setattr(steps, 'SECONDS', .01)
  monkeypatch.setattr(steps, 'LINES', 2)
  monkeypatch.setitem(steps.CASES, 'tiny', (dict(name='mlp', hidden=(4,)), 8, 8, 1))
  config = steps.case_config('tiny', tmp_path)
  config.parallel.devices = 1
  for resident in (True, False):
    row = steps.loop_row('x', config, 1, resident=resident)
    assert len(row.ours) == len(row.peer) == 1
    assert row.ours[0] > 0 and row.peer[0] > 0


@pytest.mark.parametrize('name', list(steps.CASES))
def test_torch_models_are_the_same(name):
  torch_models = pytest.importorskip('experiments.benchmarks.torch_models')
  from visionlab import models
  from visionlab.config import resolve
  options, _, side, channels = steps.CASES[name]
  options = dict(options)
  model = resolve(options.pop('name'), models.MODELS, 'model')(classes=10, **options)
  shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, side, side, channels)))
  theirs = torch_models.cnn(channels, side) if name.endswith('cnn') else torch_models.resnet20()
  assert sorted(p.numel() for p in theirs.parameters()) == sorted(
      p.size for p in jax.tree.leaves(shapes['params']))


def test_torch_digits_augments_and_schedules_as_the_config_does():
  torch = pytest.importorskip('torch')
  from experiments.benchmarks import torch_digits
  from visionlab.optim.schedule import make_schedule
  ours = make_schedule(dict(name='cosine', warmup=75), 1500, lambda d, _: int(d))
  theirs = [torch_digits.multiplier(i, 75, 1500) for i in range(1500)]
  np.testing.assert_allclose(ours(jnp.arange(1500)), theirs, atol=1e-6)

  # The same distribution of pictures: their mean and spread agree pixel by pixel. Not so at the
  # border, where grid_sample fades to black and ours does not.
  image = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1) * 4
  options = dict(degrees=10., translate=.12, scale=(.9, 1.1), shear=8.)
  many = np.repeat(image, 4000, 0)
  ours = jax.jit(make_augment(dict(affine=options)))(jax.random.key(0), {'image': many})['image']
  torch.manual_seed(0)
  theirs = torch_digits.affine(torch.from_numpy(many / np.float32(255)).permute(0, 3, 1, 2),
                               **options).permute(0, 2, 3, 1).numpy()
  inner = np.s_[:, 2:-2, 2:-2]
  np.testing.assert_allclose(ours[inner].mean(0), theirs[inner].mean(0), atol=.015)
  np.testing.assert_allclose(ours[inner].std(0), theirs[inner].std(0), atol=.015)


def test_torch_digits_runs(tmp_path, monkeypatch, capsys):
  torch = pytest.importorskip('torch')
  from experiments.benchmarks import torch_digits
  torch.set_num_threads(1)
  torch_digits.main(tmp_path / 'run', 'smoke')
  lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
  assert [line['step'] for line in lines if 'accuracy' in line] == [0, 15, 30, 45, 60, 60]
  assert lines[-1]['loss'] < lines[0]['loss']
  assert torch.load(tmp_path / 'run/checkpoint.pt')['step'] == 60


def test_beam_search_and_its_peer_find_the_same():
  pytest.importorskip('torch')
  for words in (7, 1500):
    weights, features = decoding.random_weights(words, 16), decoding.random_features(4, 16)
    (tokens, log_p), (peers, peers_log_p) = (
        search(weights, beams=3, length=6)(features) for search in (
            decoding.jax_search, decoding.torch_search))
    assert tokens.shape == (4, 3, 6) and not (tokens == decoding.END).any()
    np.testing.assert_array_equal(tokens, peers)
    np.testing.assert_allclose(log_p, peers_log_p, atol=1e-3)


def test_clips_and_those_of_plain_pyav_are_the_same(tmp_path, monkeypatch):
  av = pytest.importorskip('av')
  for name, value in dict(SECONDS=1, FRAMES=5, SIZE=32).items():
    monkeypatch.setattr(films, name, value)
  films.write_films(av, tmp_path / 'a', 1, 1)
  for sampling, peer in dict(uniform=films.whole, dense=films.dense).items():
    source = films.videos('train', root=str(tmp_path), size=32, frames=5, sampling=sampling,
                          random=False)
    ours = source[np.arange(1)]['video'][0].astype(int)
    assert abs(ours - peer(av, *films.source_files(source))).mean() < 1
    assert abs(ours[0] - ours[-1]).mean() > 3


def test_parts_of_a_detector_are_all_there_and_finite():
  from configs.scenes_mask_rcnn import get_config
  config = get_config('smoke')
  config.parallel.devices = 1
  found = detector.parts(config)
  assert list(found) == ['training', 'inference']
  assert list(found['training']) == [
      'whole', 'backbone', 'pyramid', 'rpn', 'proposals', 'rpn_losses', 'draw', 'roi_align',
      'heads', 'head_losses', 'update']
  assert list(found['inference']) == [
      'whole', 'backbone', 'pyramid', 'rpn', 'proposals', 'box_roi_align', 'box_head',
      'detections', 'mask_roi_align', 'mask_head']
  for calls in found.values():
    for name, call in calls.items():
      floats = [x for x in jax.tree.leaves(call()) if jnp.issubdtype(x.dtype, jnp.floating)]
      assert floats and all(jnp.isfinite(x).all() for x in floats) or name == 'draw'
