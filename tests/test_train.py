"""The loop as its users meet it: runs, resumes, stops, and leaves what it promises."""

import contextlib
import gc
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np
import pytest
from tiny import TinyNet, aligned_stories, clips, compared, config, players, poses

from visionlab import build, step as steps, train as train_module
from visionlab.config import ConfigError, TrainingError, to_json
from visionlab.parallel.sharding import data_mesh
from visionlab.runs.load import load
from visionlab.storage import checkpoint
from visionlab.storage.workdir import outcome
from visionlab.train import train
from visionlab.training.log import OF_THE_MACHINE, read_metrics
from visionlab.training.resume import schedule_line

pytestmark = pytest.mark.usefixtures('optimised')


def equal(a, b):
  a, b = (jax.tree.leaves(jax.device_get(jax.tree.map(
      lambda x: jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
      else x, t))) for t in (a, b))
  return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


class Killed(Exception):
  pass


def killed_at(step, monkeypatch):
  """Makes the loop die after `step`, saving nothing more, as if its process had been killed."""
  real = train_module.land

  def land(chunk, *rest):
    if chunk is not None and chunk.stop >= step:
      raise Killed
    return real(chunk, *rest)
  monkeypatch.setattr(train_module, 'land', land)


@pytest.mark.parametrize('at, resident', [(4, 'always'), (5, 'never'), (13, 'always')])
def test_resume_is_bit_exact(tmp_path, monkeypatch, at, resident):
  """Lines of the log too, which fall between checkpoints."""
  settings = config(log=dict(every='7', tensorboard=False),
                    pipeline=dict(resident=resident), model=dict(dropout=.3),
                    optim=dict(name='adamw', schedule=dict(name='cosine'), ema=True),
                    hp=dict(lr=1e-2, weight_decay=1e-3))
  whole = train(settings, tmp_path / 'whole')
  with monkeypatch.context() as patch:
    killed_at(at, patch)
    with pytest.raises(Killed):
      train(settings, tmp_path / 'parts')
  parts = train(settings, tmp_path / 'parts')
  assert equal(whole, parts)
  assert logged(tmp_path / 'whole') == logged(tmp_path / 'parts')


def test_two_players_resume_bit_for_bit(tmp_path, monkeypatch):
  """In turns, with their moments, the average and the vectors of the power iteration."""
  settings = players(steps=30, evals={}, checkpoint=dict(every='10'))
  whole = train(settings, tmp_path / 'whole')
  with monkeypatch.context() as patch:
    killed_at(17, patch)
    with pytest.raises(Killed):
      train(settings, tmp_path / 'parts')
  assert equal(whole, train(settings, tmp_path / 'parts'))
  assert logged(tmp_path / 'whole') == logged(tmp_path / 'parts')


def test_clips_resume_bit_for_bit(tmp_path, monkeypatch):
  check_resume(clips, tmp_path, monkeypatch)


@pytest.mark.parametrize('made', [poses, compared, aligned_stories])
def test_poses_pairs_and_stories_resume_bit_for_bit(tmp_path, monkeypatch, made):
  """Of poses the errors too that later stages learn from."""
  check_resume(made, tmp_path, monkeypatch)


def check_resume(made, tmp_path, monkeypatch):
  whole = train(made(), tmp_path / 'whole')
  with monkeypatch.context() as patch:
    killed_at(13, patch)
    with pytest.raises(Killed):
      train(made(), tmp_path / 'parts')
  assert equal(whole, train(made(), tmp_path / 'parts'))
  assert logged(tmp_path / 'whole') == logged(tmp_path / 'parts')


def logged(workdir):
  """Every metric that was logged, but for the speed."""
  return [{k: v for k, v in line.items() if k not in OF_THE_MACHINE}
          for line in read_metrics(workdir)]


PROGRAM = """
import sys
import tiny
from visionlab.train import train
made = getattr(tiny, sys.argv[3])
train(made(steps=300, checkpoint=dict(every='10'), log=dict(every='10', tensorboard=False),
           evals={}, pipeline=dict(resident=sys.argv[2])), sys.argv[1])
"""


def started(workdir, resident='auto', kind='config'):
  return subprocess.Popen([sys.executable, '-c', PROGRAM, str(workdir), resident, kind],
                          env={**os.environ, 'PYTHONPATH': str(Path(__file__).parent)},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize('resident, kind', [('always', 'config'), ('never', 'config'),
                                            ('always', 'players')])
def test_sigkill_at_random_moments(tmp_path, resident, kind):
  """The real signal, at any moment, several times; then the run is what it would have been."""
  rng = random.Random(0)
  for _ in range(3):
    process = started(tmp_path / 'killed', resident, kind)
    before = max(checkpoint.steps_of(tmp_path / 'killed' / 'checkpoints'), default=0)
    while process.poll() is None and max(
        checkpoint.steps_of(tmp_path / 'killed' / 'checkpoints'), default=0) <= before:
      time.sleep(.02)
    time.sleep(rng.uniform(0, .1))
    process.kill()
    process.communicate()
  said = {}
  for name in ('killed', 'whole'):
    process = started(tmp_path / name, resident if name == 'killed' else 'auto', kind)
    said[name], _ = process.communicate(timeout=300)
    assert process.returncode == 0, said[name]
  assert 'resumed from step' in said['killed'] and 'from scratch' in said['whole']
  whole, run = load(tmp_path / 'whole'), load(tmp_path / 'killed')
  assert run.step == 300
  assert equal(whole.variables, run.variables)


def test_sigterm_saves_and_exits_cleanly(tmp_path):
  process = started(tmp_path)
  while not checkpoint.steps_of(tmp_path / 'checkpoints') and process.poll() is None:
    time.sleep(.02)
  process.send_signal(signal.SIGTERM)
  output, _ = process.communicate(timeout=60)
  assert process.returncode == 0, output
  step = max(checkpoint.steps_of(tmp_path / 'checkpoints'))
  assert step == 300 or f'holds step {step}' in output
  assert load(tmp_path).step == step


@pytest.fixture
def failed_restores():
  """For tests whose restores fail: what orbax's coroutines then leave behind is collected within
  the test, where its complaints are let pass, and not in whichever test comes after."""
  yield
  gc.collect()


def failing(test):
  test = pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')(test)
  return pytest.mark.usefixtures('failed_restores')(test)


@failing
@pytest.mark.parametrize('damage', ['truncated', 'flipped', 'removed'])
def test_a_damaged_newest_checkpoint_falls_back(tmp_path, damage, caplog):
  settings = config(evals={})
  whole = train(settings, tmp_path)
  newest = tmp_path / 'checkpoints' / '20' / 'model'
  data = max(newest.rglob('*'), key=lambda p: p.stat().st_size if p.is_file() else 0)
  content = data.read_bytes()
  if damage == 'truncated':
    data.write_bytes(content[:len(content) // 2])
  elif damage == 'removed':
    (newest / 'manifest.ocdbt').unlink()
  else:       # an incompressible part of a file: a bit of a number
    middle = len(content) // 2
    data.write_bytes(content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1:])
  again = train(settings, tmp_path)
  assert 'is damaged, trying the one before it' in caplog.text
  assert equal(whole, again)
  assert [p.name.split('-')[0] for p in (tmp_path / 'damaged').iterdir()] == ['20']
  assert load(tmp_path).step == 20


@failing
def test_no_readable_checkpoint_is_an_error_and_not_a_fresh_start(tmp_path):
  settings = config(checkpoint=dict(every='20', keep=1), evals={})
  train(settings, tmp_path)
  for path in (tmp_path / 'checkpoints' / '20' / 'model').rglob('*'):
    if path.is_file():
      path.write_bytes(b'')
  for _ in range(2):             # nor at the second try
    with pytest.raises(ConfigError, match='none of the checkpoints'):
      train(settings, tmp_path)


@failing
def test_a_config_that_cannot_go_on_leaves_the_run_as_it_was(tmp_path):
  first = train(config(steps=10), tmp_path)
  with pytest.raises(ConfigError, match='none of the checkpoints'):
    train(config(steps=10, model=dict(norm=False)), tmp_path, change_config=True)
  assert equal(first, train(config(steps=10), tmp_path))

  with pytest.raises(ConfigError, match='config.init_from: .*nowhere: no such weights'):
    train(config(steps=5, init_from=str(tmp_path / 'nowhere')), tmp_path / 'new')
  assert int(train(config(steps=5), tmp_path / 'new').step) == 5


def test_another_config_is_refused_with_a_diff(tmp_path):
  train(config(steps=5, evals={}), tmp_path)
  with pytest.raises(ConfigError, match=r'hp.lr: 0.1 -> 0.2'):
    train(config(steps=5, evals={}, hp=dict(lr=.2, momentum=.9, weight_decay=1e-3)), tmp_path)
  state = train(config(steps=10, evals={}), tmp_path, change_config=True)
  assert int(state.step) == 10


def test_hp_that_is_changed_holds_from_the_step_of_the_checkpoint_on(tmp_path, capsys):
  train(config(steps=10), tmp_path / 'run')
  changed = config(steps=20, hp=dict(lr=.001, momentum=.9, weight_decay=1e-3))
  state = train(changed, tmp_path / 'run', change_config=True)
  assert 'resumed from step 10; hp.lr: 0.1 -> 0.001 from step 10' in capsys.readouterr().out
  assert float(state.hp['lr']) == np.float32(.001)
  other = train(config(steps=20, resume=str(tmp_path / 'run'), hp=dict(lr=.5, momentum=.9)),
                tmp_path / 'other')
  assert float(other.hp['lr']) == .5 and float(other.hp['weight_decay']) == 0
  # The optimiser's state stays: its momentum goes on, with which one step at rate 0 moves nothing.
  still = train(config(steps=21, hp=dict(lr=0., momentum=.9, weight_decay=1e-3)),
                tmp_path / 'run', change_config=True)
  assert equal(still.params, state.params) and not equal(still.opt_state, state.opt_state)


def test_another_length_says_what_it_does_to_the_rate(tmp_path):
  longer = config(steps=40)
  job = build.assemble(longer)
  assert schedule_line(tmp_path, longer, job, 10) == ''
  (tmp_path / 'config.json').write_text(to_json(config(steps=10)))
  line = schedule_line(tmp_path, longer, job, 10)            # (1 + cos(pi / 4)) / 2 = .854
  assert line.startswith('steps: 10 -> 40; at step 10 the schedule now gives 0.854 of hp.lr, and 0')
  assert 'schedule.name=constant' in line
  assert schedule_line(tmp_path, longer, job, 0) == ''
  assert schedule_line(tmp_path, config(steps=10), job, 10) == ''


def test_resume_and_init_from_another_workdir(tmp_path):
  first = train(config(steps=10), tmp_path / 'a')
  whole = train(config(), tmp_path / 'whole')
  state = train(config(steps=10, resume=str(tmp_path / 'a')), tmp_path / 'b')
  assert equal(first, state)
  fresh = train(config(steps=1, hp=dict(lr=0.), init_from=str(tmp_path / 'whole'), evals={}),
                tmp_path / 'c')
  assert int(fresh.step) == 1 and equal(fresh.params, whole.params)
  with pytest.raises(ConfigError, match='config.init_from: .*nowhere: no such weights'):
    train(config(init_from=str(tmp_path / 'nowhere')), tmp_path / 'd')
  with pytest.raises(ConfigError, match=r'another model \(tiny:TinyNet\)\n  batch_stats/norm'):
    train(config(init_from=str(tmp_path / 'whole'), model=dict(norm=False)), tmp_path / 'e')


def test_nan_stops_with_the_step_and_keeps_the_last_good_checkpoint(tmp_path):
  settings = config(hp=dict(lr=1e25))
  with pytest.raises(TrainingError, match=r'not finite at step \d+: .*cross_entropy nan') as caught:
    train(settings, tmp_path)
  step = int(str(caught.value).split('at step ')[1].split(':')[0])
  assert all(s <= step for s in checkpoint.steps_of(tmp_path / 'checkpoints'))
  for line in read_metrics(tmp_path):
    assert np.isfinite(float(line.get('train/loss', 0)))


def test_nan_ignored_trains_on(tmp_path):
  state = train(config(hp=dict(lr=1e25), on_nan='ignore'), tmp_path)
  assert int(state.step) == 20 and not np.isfinite(float(
      read_metrics(tmp_path)[-1]['test/loss']))


def test_nan_skip_leaves_such_updates_out(tmp_path):
  job = build.assemble(config(on_nan='skip', augment={}))
  state = job.init()
  batch = {**job.batches.sources[np.arange(32)], 'valid': np.ones(32, bool)}
  from visionlab.step import make_step
  step = jax.jit(make_step(job.task, job.optimizer, total=20, skip_nonfinite=True))
  poisoned = {**batch, 'image': np.full((32, 8, 8, 1), np.nan, np.float32)}
  after, metrics = step(state, poisoned)
  assert equal(after.params, state.params) and equal(after.opt_state, state.opt_state)
  assert equal(after.collections, state.collections)
  assert int(after.step) == 1 and float(metrics['skipped'].value) == 1
  assert float(metrics['loss'].count) == 0
  after, metrics = step(state, {**batch, 'image': batch['image'].astype(np.float32) / 255})
  assert not equal(after.params, state.params) and float(metrics['skipped'].value) == 0


def test_one_batch_can_be_overfitted(tmp_path):
  state = train(config(steps=150, split='train[:32]', augment={}, evals=dict(
      seen=dict(split='train[:32]', every='100%')), hp=dict(lr=.05, momentum=.9)), tmp_path)
  assert int(state.step) == 150
  assert read_metrics(tmp_path)[-1]['seen/accuracy'] == 1


def test_what_a_run_leaves(tmp_path, capsys):
  settings = config(log=dict(every='5', tensorboard=True), checkpoint=dict(
      every='5', keep=2, best='test/accuracy'), profile=(3, 6))
  train(settings, tmp_path)
  said = capsys.readouterr().out.splitlines()[-1]
  names = {p.name for p in tmp_path.iterdir()}
  assert {'config.json', 'versions.json', 'data.json', 'metrics.jsonl', 'checkpoints', 'best',
          'figures', 'profile'} <= names
  assert {p.name for p in (tmp_path / 'figures').iterdir()} == {
      'learning_curves.png', 'test_samples.png', 'test_most_confused.png', 'test_confusion.png'}
  assert checkpoint.steps_of(tmp_path / 'checkpoints') == [15, 20]
  assert any((tmp_path / 'profile').rglob('*.xplane.pb'))
  assert 'jax' in json.loads((tmp_path / 'versions.json').read_text())
  lines = read_metrics(tmp_path)
  assert [line['step'] for line in lines if 'train/loss' in line] == [5, 10, 15, 20]
  assert [line['step'] for line in lines if 'test/loss' in line] == [0, 10, 20]
  best = max(line['test/accuracy'] for line in lines if 'test/loss' in line)
  run = load(tmp_path, step='best')
  assert best == next(line['test/accuracy'] for line in lines
                      if line['step'] == run.step and 'test/loss' in line)
  assert said == (f'done: step 20, best test/accuracy {best:.4f} at step {run.step}; figures in '
                  f'{tmp_path / "figures"}')
  assert [line['train/data_wait_seconds'] for line in lines if 'train/loss' in line] == [0.] * 4


def test_no_step_waits_for_what_a_forward_pass_costs(tmp_path, monkeypatch):
  """It is counted once, after the first line; the chunk beside it counts as untimed."""
  counted = []
  monkeypatch.setattr(build, 'flops', lambda *_: counted.append(read_metrics(tmp_path)) or 2.5e6)
  train(config(log=dict(every='1', tensorboard=False)), tmp_path)
  ((first,),) = [[line for line in lines if 'train/loss' in line] for lines in counted]
  assert first['step'] == 1
  said = (tmp_path / 'log.txt').read_text().splitlines()
  place = said.index('a forward pass is 2.5 MFLOPs an example')
  assert [line.split()[1] for line in said[place - 1:place + 2:2]] == ['1/20', '2/20']
  timed = {line['step'] for line in read_metrics(tmp_path) if 'train/examples_per_second' in line}
  assert timed == set(range(3, 21))


def test_tensorboard_reads_back_every_scalar_and_image(tmp_path):
  reader = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
  train(config(log=dict(every='5', tensorboard=True)), tmp_path)
  events = reader.EventAccumulator(str(tmp_path), size_guidance=dict(scalars=0, images=0))
  events.Reload()
  expected = {}
  for line in read_metrics(tmp_path):
    for key, value in line.items():
      if '/' in key:
        expected.setdefault(key, []).append((line['step'], np.float32(value)))
  assert set(events.Tags()['scalars']) == set(expected)
  for key, points in expected.items():
    assert [(e.step, np.float32(e.value)) for e in events.Scalars(key)] == points
  metadata = events.SummaryMetadata('_hparams_/session_start_info').plugin_data
  assert metadata.plugin_name == 'hparams' and b'momentum' in metadata.content
  assert 'TinyNet' in events.Tensors('config/text_summary')[0].tensor_proto.string_val[0].decode()
  images = events.Tags()['images']
  assert set(images) == {p.stem for p in (tmp_path / 'figures').iterdir()}
  from PIL import Image
  for name in images:
    picture = events.Images(name)[0]
    with Image.open(tmp_path / 'figures' / f'{name}.png') as saved:
      assert (picture.width, picture.height) == saved.size


def test_changing_a_hyperparameter_does_not_recompile(tmp_path):
  job = build.assemble(config())
  state, other = job.init(), build.assemble(config(hp=dict(lr=.5, momentum=.1))).init()
  stream = job.batches.start(0, 20)
  for s in (state, other):
    for data, n in stream.take(2):
      job.run(s, job.empty(s), data, n)
  assert job.run._cache_size() == 1


class Traced(TinyNet):
  """Notes each time that Python goes through it, and whether for training."""
  noted = []

  @nn.compact
  def __call__(self, x, *, train=False):
    Traced.noted.append(train)
    return super().__call__(x, train=train)


def test_a_network_is_traced_for_training_once_and_for_evaluation_not_by_split(tmp_path):
  def noted(name, resident, splits):
    Traced.noted.clear()
    train(config(task=dict(name='classify', model=dict(name='test_train:Traced')),
                 pipeline=dict(resident=resident),
                 evals={split: dict(split=split, every='100%', batch=32) for split in splits}),
          tmp_path / name)
    return Traced.noted.count(True), Traced.noted.count(False)
  assert noted('a', 'always', ['test'])[0] == 1
  # Beside training: its variables; the loss that is measured; what the evaluators are told; what
  # the count of FLOPs and the pictures are.
  assert noted('b', 'never', ['test']) == noted('c', 'never', ['test', 'train']) == (1, 4)


def test_the_untrained_network_is_measured_unless_first_says_no(tmp_path):
  settings = config(steps=6, evals={name: dict(split='test', every=3, first=name == 'early')
                                    for name in ('early', 'late')})
  train(settings, tmp_path)
  steps = {name: [line['step'] for line in read_metrics(tmp_path) if f'{name}/loss' in line]
           for name in ('early', 'late')}
  assert steps == dict(early=[0, 3, 6], late=[3, 6])


def test_mixed_precision_keeps_float32_parameters(tmp_path):
  state = train(config(steps=5, precision='bfloat16'), tmp_path)
  assert {x.dtype for x in jax.tree.leaves(state.params)} == {np.dtype('float32')}
  text = jax.jit(load(tmp_path).task.predict).lower(
      state.variables, {'image': np.zeros((1, 8, 8, 1), np.uint8)}).as_text()
  assert 'bf16' in text and 'stablehlo.convolution' in text


@pytest.fixture
def compiled_as_asked():
  """Tests leave most optimisations out, and so would `config.compile`."""
  before = jax.config.read('jax_disable_most_optimizations')
  jax.config.update('jax_disable_most_optimizations', False)
  yield
  jax.config.update('jax_disable_most_optimizations', before)


def test_a_step_that_is_compiled_quickly_is_the_same_step(compiled_as_asked, tmp_path, warned):
  for how in ('full', 'quick'):
    train(config(steps=5, compile=how, evals={}), tmp_path / how)
  full, quick = ({k: v for row in read_metrics(tmp_path / name) for k, v in row.items()
                  if k.startswith('train/')} for name in ('full', 'quick'))
  same = full.keys() - {*OF_THE_MACHINE}
  assert {'train/loss', 'train/grad_norm'} <= same and not warned
  for key in same:
    assert quick[key] == pytest.approx(full[key], rel=1e-4), key


def test_quick_is_what_this_xla_knows_and_an_option_that_it_does_not_is_no_error(
    compiled_as_asked, monkeypatch, warned):
  mesh = data_mesh(jax.devices()[:1])
  assert steps.quick_options(mesh) == steps.QUICK and not warned
  monkeypatch.setattr(steps, 'QUICK', dict(xla_cpu_no_such_option=True))
  assert steps.quick_options(mesh) == {}
  assert len(warned) == 1 and 'config.compile' in warned[0] and 'no_such_option' in warned[0]


def test_how_to_compile_is_one_of_two_words():
  with pytest.raises(ConfigError, match=r"config.compile: .*'quik'.*quick"):
    build.assemble(config(compile='quik'))


def test_an_unwritable_workdir_is_one_clear_error(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(OSError, match='file'):
    train(config(steps=5), tmp_path / 'file' / 'run')


def test_a_full_disk_is_one_clear_error_and_the_run_goes_on_later(tmp_path, monkeypatch):
  with monkeypatch.context() as patch:
    usage, free = checkpoint.shutil.disk_usage, iter([10**9])          # enough once
    patch.setattr(checkpoint.shutil, 'disk_usage',
                  lambda path: usage(path)._replace(free=next(free, 100)))
    with pytest.raises(OSError, match=r'takes 0.0 MB, and 0.0 MB are free'):
      train(config(), tmp_path)
  assert checkpoint.steps_of(tmp_path / 'checkpoints') == [5]
  assert int(train(config(), tmp_path).step) == 20


def test_log_line_counts():
  """What the design promises of its own size."""
  root = Path(train_module.__file__).parent
  assert len((root / 'train.py').read_text().splitlines()) <= 200


def test_early_stopping_follows_from_the_disk(tmp_path):
  """A rate of zero never improves: the best is the first, at step 10, and is 30 old at 40."""
  options = dict(steps=200, hp=dict(lr=0.), optim=dict(name='sgd'), model=dict(norm=False),
                 evals=dict(test=dict(split='test', every=10, batch=120)),
                 checkpoint=dict(every=7, best='-test/loss', patience=30))
  state = train(config(**options), tmp_path / 'a')
  assert int(state.step) == 40
  again = train(config(**options), tmp_path / 'a')         # finished is finished
  assert equal(state, again)
  assert load(tmp_path / 'a', step='best').step == 10
  assert (tmp_path / 'a' / 'figures' / 'learning_curves.png').exists()
  with pytest.raises(ConfigError, match='config.checkpoint.patience: needs a metric'):
    train(config(checkpoint=dict(patience='10%')), tmp_path / 'b')


@pytest.mark.parametrize('at_once', [1, 7, 40, 90])
def test_early_stopping_is_at_the_same_step_on_any_machine(tmp_path, monkeypatch, at_once):
  """However many steps it dispatches at a time. The best is the first, at 10."""
  monkeypatch.setattr(train_module, 'next_size', lambda last, rate: at_once)
  state = train(config(steps=200, hp=dict(lr=0.), optim=dict(name='sgd'), model=dict(norm=False),
                       evals=dict(test=dict(split='test', every=10, batch=120)),
                       log=dict(every='100', tensorboard=False),
                       checkpoint=dict(every='100', best='-test/loss', patience=23)), tmp_path)
  assert int(state.step) == load(tmp_path, step='newest').step == 33


def test_an_interrupted_runs_lines_are_those_of_an_unbroken_one(tmp_path, monkeypatch):
  """Told to stop at a step at which nothing is due."""
  settings = config(log=dict(every='7', tensorboard=False), checkpoint=dict(every='20'))
  monkeypatch.setattr(train_module, 'next_size', lambda last, rate: 1)
  train(settings, tmp_path / 'whole')
  with monkeypatch.context() as patch:
    asked = iter([False] * 3 + [True])
    patch.setattr(train_module, 'interruptible', lambda: contextlib.nullcontext(
        lambda: next(asked)))
    assert int(train(settings, tmp_path / 'parts').step) == 3
  train(settings, tmp_path / 'parts')
  assert logged(tmp_path / 'whole') == logged(tmp_path / 'parts')
  train(settings, tmp_path / 'older')
  for tally in (tmp_path / 'older' / 'checkpoints').glob('*/tally'):
    shutil.rmtree(tally)                             # as checkpoints were written before
  assert int(train(settings, tmp_path / 'older').step) == 20


@pytest.mark.parametrize('failing', ['figures', 'predict', 'curves'])
def test_a_picture_that_fails_is_named_and_fails_no_run(tmp_path, monkeypatch, caplog, failing):
  def broken(*arguments):
    raise ZeroDivisionError('no examples')
  if failing == 'curves':
    monkeypatch.setattr(train_module.charts, 'curves', broken)
  elif failing == 'figures':
    monkeypatch.setattr('visionlab.tasks.classify.Classify.figures', broken)
  else:
    monkeypatch.setattr('visionlab.training.evaluation.first_rows', broken)
  train(config(steps=2), tmp_path)
  named = 'the learning curves' if failing == 'curves' else 'the pictures of test'
  assert f'{named} could not be drawn: ZeroDivisionError: no examples' in caplog.text
  assert outcome(tmp_path) == dict(status='done', step=2)
  left = {path.name for path in (tmp_path / 'figures').iterdir()}
  assert ('learning_curves.png' in left) == (failing != 'curves')
  assert ('test_samples.png' in left) == (failing == 'curves')


@pytest.mark.parametrize('file, content, said', [
    ('config.json', b'{', 'config.json is no JSON: .* --change_config goes on'),
    ('config.json', b'[]', 'config.json is damaged: it holds no object but'),
    ('config.json', '{"a": "é"}'.encode('cp1252'), 'config.json: line 1 is not UTF-8')])
def test_a_damaged_config_is_named_and_can_be_replaced(tmp_path, file, content, said):
  settings = config(steps=1, evals={})
  train(settings, tmp_path)
  (tmp_path / file).write_bytes(content)
  with pytest.raises(ConfigError, match=said):
    train(settings, tmp_path)
  train(settings, tmp_path, change_config=True)
  assert load(tmp_path).step == 1


@pytest.mark.parametrize('options, key', [
    (dict(log=dict(every='0')), 'config.log.every'),
    (dict(checkpoint=dict(every=0)), 'config.checkpoint.every'),
    (dict(evals=dict(test=dict(split='test', every='0 epochs'))), 'config.evals.test.every')])
def test_no_steps_between_two_is_no_schedule(tmp_path, options, key):
  with pytest.raises(ConfigError, match=rf'{key}: .* is no time between two; "1" is every step'):
    train(config(**options), tmp_path)


@pytest.mark.parametrize('at', [6, 13])
def test_resume_is_bit_exact_on_both_sides_of_a_groups_start(tmp_path, monkeypatch, at):
  groups = (dict(match='head'), dict(match='.*', start=10))
  settings = config(optim=dict(name='adam', groups=groups), hp=dict(lr=.01), evals={})
  whole = train(settings, tmp_path / 'whole')
  with monkeypatch.context() as patch:
    killed_at(at, patch)
    with pytest.raises(Killed):
      train(settings, tmp_path / 'parts')
  assert equal(whole, train(settings, tmp_path / 'parts'))
  early = load(tmp_path / 'whole', step=10).variables['params']
  assert not equal(early['conv'], whole.params['conv'])
  fresh = train(config(steps=1, optim=dict(name='adam'), hp=dict(lr=0.), evals={}),
                tmp_path / 'fresh').params
  assert equal(early['conv'], fresh['conv']) and not equal(early['head'], fresh['head'])
