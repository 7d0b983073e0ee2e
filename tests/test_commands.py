"""The commands as typed: what they print, what they leave, how they fail."""

import importlib
import json
import logging
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image

import visionlab
from visionlab import commandline
from visionlab.config import ConfigError
from visionlab.train import train

ROOT = Path(__file__).parents[1]


def command(module, *arguments, cwd=ROOT, **environment):
  return subprocess.run([sys.executable, '-m', f'visionlab.{module}', *map(str, arguments)],
                        cwd=cwd, capture_output=True, text=True, timeout=300,
                        env={**os.environ, 'PYTHONPATH': str(ROOT), **environment})


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
  path = tmp_path_factory.mktemp('runs') / 'digits'
  done = command('train', '--config=configs/digits_cnn.py:smoke', f'--workdir={path}')
  assert done.returncode == 0, done.stderr
  return path


def test_train_says_what_it_does(workdir):
  again = command('train', '--config=configs/digits_cnn.py:smoke', f'--workdir={workdir}')
  assert again.returncode == 0, again.stderr
  assert 'resumed from step 60' in again.stdout
  assert re.search(r'parameters +292,234\n', again.stdout)
  assert re.search(r'a forward pass is \d+\.\d MFLOPs', (workdir / 'log.txt').read_text())
  assert '\r' not in again.stdout and '\x1b' not in again.stdout       # not a terminal


@pytest.mark.parametrize('arguments, said', [
    (('--config=configs/digits_cn.py',), 'did you mean "configs/digits_cnn.py"'),
    (('--config=configs/digits_cnn.py', '--workdr=x'), 'Did you mean: workdir'),
    (('--config=configs/digits_cnn.py', '--config.hp.lrr=1'), 'did you mean "lr"'),
    (('--config=configs/digits_cnn.py', '--config.batch=abc'),
     "config.batch: expected int of at least 1, got 'abc'"),
    (('--config=configs/digits_cnn.py', '--config.data.chanels=3'), 'did you mean "channels"'),
    (('--config=configs/digits_cnn.py:smok',), "'smok' is not one of '', 'smoke'"),
    (('--config=configs/digits_cnn.py', '--config.task.model.name=cnnn'), 'did you mean "cnn"'),
    (('--config=configs/digits_cnn.py', '--config.data.name=digit'), 'did you mean "digits"'),
    (('--config=configs/digits_cnn.py', '--config.optim.name=adamm'), 'did you mean "adam"'),
    (('--config=configs/digits_cnn.py', '--config.split=trian'), 'train'),
    (('--config=configs/digits_cnn.py', '--config.steps=5 epoch s'), 'is no duration'),
    (('--config=configs/mnist_cnn.py', '--config.data.root=/nowhere'), '/nowhere'),
])
def test_mistakes_are_answered_without_a_traceback(tmp_path, arguments, said):
  done = command('train', f'--workdir={tmp_path / "run"}', *arguments)
  assert done.returncode == 2
  assert said in done.stderr and done.stderr.startswith('error: ')
  assert 'Traceback' not in done.stderr
  assert not (tmp_path / 'run').exists()                 # nothing was begun


@pytest.mark.parametrize('module, words, said', [
    ('train', ['--config=configs/digits_cnn.py', 'config.hp.lr=.5'], 'write --config.hp.lr=.5'),
    ('train', ['--config=configs/digits_cnn.py', '--config.log.tensorboard', 'false'],
     'write --config.log.tensorboard=false'),
    ('evaluate', ['split=train'], 'write --split=train'),
    ('predict', ['top=5'], 'write --top=5'),
    ('exports', ['output=x'], 'write --output=x'),
])
def test_stray_words_are_refused(tmp_path, module, words, said):
  done = command(module, f'--workdir={tmp_path / "run"}', *words)
  assert done.returncode == 2 and 'Traceback' not in done.stderr
  assert 'stray word' in done.stderr and said in done.stderr
  assert not (tmp_path / 'run').exists()


def test_evaluate_repeats_the_last_evaluation_of_training(workdir, tmp_path):
  done = command('evaluate', f'--workdir={workdir}', '--split=test', f'--figures={tmp_path}',
                 f'--json={tmp_path / "r.json"}')
  assert done.returncode == 0, done.stderr
  results = json.loads((tmp_path / 'r.json').read_text())
  last = next(line for line in reversed(visionlab.load(workdir).metrics) if 'test/loss' in line)
  assert results['accuracy'] == pytest.approx(last['test/accuracy'], abs=1e-7)
  assert results['loss'] == pytest.approx(last['test/loss'], rel=1e-5)
  assert np.sum(results['confusion']) == 359
  assert re.search(rf'accuracy +{results["accuracy"]:.4f}', done.stdout)
  assert (tmp_path / 'figures' / 'confusion.png').exists()


def test_evaluate_averages_runs_and_crops(workdir):
  alone = command('evaluate', f'--workdir={workdir}')
  twice = command('evaluate', f'--workdir={workdir},{workdir}')
  value = lambda text, name: float(re.search(rf'^{name} +([\d.]+)$', text, re.M)[1])
  for name in ('accuracy', 'loss', 'calibration_error'):
    assert value(twice.stdout, name) == pytest.approx(value(alone.stdout, name), abs=2e-4)
  crops = command('evaluate', f'--workdir={workdir}', '--ten_crop')
  assert crops.returncode == 0 and value(crops.stdout, 'accuracy') > .3
  flipped = command('evaluate', f'--workdir={workdir}', '--mirror')
  assert ', mirrored too' in flipped.stdout and .1 < value(flipped.stdout, 'accuracy') < 1


def test_evaluate_mistakes(workdir, tmp_path):
  assert 'no run here' in command('evaluate', f'--workdir={tmp_path}').stderr
  assert 'there are: ' in command('evaluate', f'--workdir={workdir}', '--step=7').stderr
  assert 'test' in command('evaluate', f'--workdir={workdir}', '--split=tset').stderr
  for options, said in ((['--scales=1;2'], 'expected numbers with commas'),
                        (['--scales=2'], 'takes images of the size it was trained on; neither'),
                        (['--ten_crop', '--mirror'], 'leave out --mirror')):
    done = command('evaluate', f'--workdir={workdir}', *options)
    assert done.returncode == 2 and said in done.stderr and 'Traceback' not in done.stderr


@pytest.mark.parametrize('module, arguments', [
    ('evaluate', ()), ('predict', ('--output={0}/o.png', '{1}/figures/test_samples.png')),
    ('evaluate', ('--help',))])
def test_a_reader_that_has_gone_is_no_error(workdir, tmp_path, module, arguments):
  """As with `| head`, which reads some lines and ends."""
  arguments = [a.format(tmp_path, workdir) for a in arguments]
  started = subprocess.Popen(
      [sys.executable, '-m', f'visionlab.{module}', f'--workdir={workdir}', *arguments], cwd=ROOT,
      stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, 'PYTHONPATH': str(ROOT)})
  started.stdout.close()
  assert started.stderr.read() == b'' and started.wait() == 141
  started.stderr.close()


def odd_images(folder):
  grey = np.tile(np.arange(8, dtype=np.uint8) * 30, (8, 1))
  Image.fromarray(grey).save(folder / 'grey.png')
  Image.fromarray(np.dstack([grey] * 3 + [np.full_like(grey, 128)])).save(folder / 'rgba.png')
  Image.fromarray(grey[:1, :1]).save(folder / 'pixel.png')
  Image.fromarray(np.tile(grey, (40, 25))).save(folder / 'large.jpg')
  (folder / 'broken.png').write_bytes(b'\x89PNG\r\n\x1a\n broken')
  (folder / 'notes.txt').write_text('not a picture')
  return sorted(folder.iterdir())


def test_predict_names_what_it_sees_and_what_it_cannot_read(workdir, tmp_path):
  files = odd_images(tmp_path)
  done = command('predict', f'--workdir={workdir}', f'--output={tmp_path / "said.png"}', *files)
  assert done.returncode == 0, done.stderr
  lines = done.stdout.splitlines()
  assert sum('skipped' in line for line in lines) == 2
  assert [line.split()[0] for line in lines if '%' in line] == [
      str(f) for f in files if f.name not in ('broken.png', 'notes.txt')]
  with Image.open(tmp_path / 'said.png') as picture:
    assert picture.mode == 'RGB' and picture.width > 400
  nothing = command('predict', f'--workdir={workdir}', files[0])
  assert nothing.returncode == 2 and 'Traceback' not in nothing.stderr


def test_predict_draws_the_first_of_many_and_says_so(workdir, tmp_path):
  """In a terminal that has no letters for one of the names."""
  grey = Image.fromarray(np.tile(np.arange(8, dtype=np.uint8) * 30, (8, 1)))
  for i in range(30):
    grey.save(tmp_path / f'{i:02}_\u732b.png')
  output = tmp_path / 'said.png'
  for _ in range(2):                          # the second time its own picture is in the folder
    done = command('predict', f'--workdir={workdir}', f'--output={output}', tmp_path,
                   PYTHONIOENCODING='ascii')
    assert done.returncode == 0 and not done.stderr, done.stderr
    first, *lines, last = done.stdout.splitlines()
    assert first == f'{workdir}: step 60, the best by val/accuracy'
    assert len(lines) == 30 and all('_\\u732b.png' in line for line in lines)
    assert last == f'picture: {output}, the first 24 of 30 images'
  with Image.open(output) as picture:
    assert picture.size[0] == 1200 and 550 < picture.size[1] < 650     # three rows of eight


def test_a_full_disk_is_one_line(tmp_path):
  """Of the threads that write the other arrays nothing is heard."""
  train = [sys.executable, '-m', 'visionlab.train', '--config=configs/digits_cnn.py:smoke',
           f'--workdir={tmp_path / "run"}', '--config.steps=6', '--config.log.tensorboard=false']
  done = subprocess.run(
      ['bash', '-c', f'ulimit -f 20; exec {shlex.join(train)}'], cwd=ROOT, capture_output=True,
      text=True, timeout=300,
      env={**os.environ, 'PYTHONPATH': str(ROOT), 'JAX_ENABLE_COMPILATION_CACHE': 'false'})
  assert done.returncode == 1
  assert re.fullmatch(r'error: cannot write a checkpoint in .*/run/(best|checkpoints): File too '
                      r'large\n', done.stderr)


def raised(error, file):
  """(type, error, traceback) of an error raised by a function of that file."""
  names = {}
  exec(compile('def fail(error): raise error', file, 'exec'), names)
  try:
    names['fail'](error)
  except Exception:
    return sys.exc_info()


def test_what_is_silenced_is_orbaxs_alone():
  def record(name, path, exc_info=None):
    return logging.LogRecord(name, logging.ERROR, path, 1, 'text', (), exc_info)
  theirs = raised(ValueError('x'), '/lib/orbax/checkpoint/serialization.py')
  ours = raised(ValueError('x'), '/home/me/mine.py')
  assert commandline.of_orbax(record('absl', '/lib/orbax/checkpoint/a.py'))
  assert commandline.of_orbax(record('asyncio', '/lib/asyncio/base_events.py', theirs))
  native = (ValueError, ValueError('OUT_OF_RANGE: Error writing "params.x"'), None)
  assert commandline.of_orbax(record('asyncio', '/lib/asyncio/base_events.py', native))
  assert not commandline.of_orbax(record('asyncio', '/lib/asyncio/base_events.py', ours))
  assert not commandline.of_orbax(record('asyncio', '/lib/asyncio/base_events.py'))
  assert not commandline.of_orbax(record('absl', '/lib/visionlab/x.py', theirs))

  heard = []
  hook = commandline.unless_after_failed_save(heard.append)
  for error, thing in ((RuntimeError('Event loop is closed'), None), (RuntimeError('x'), None),
                       (ValueError('Event loop is closed'), None),
                       (RuntimeError('Event loop is closed'), 'mine')):
    hook(SimpleNamespace(exc_value=error, object=thing))
  assert [str(u.exc_value) for u in heard] == ['x', 'Event loop is closed', 'Event loop is closed']


def test_load_and_predict(workdir):
  run = visionlab.load(workdir)
  source = np.arange(5 * 64).reshape(5, 8, 8, 1).astype(np.uint8)
  said = run.predict(source)
  assert said['probabilities'].shape == (5, 10)
  np.testing.assert_allclose(said['probabilities'].sum(-1), 1, rtol=1e-5)
  for same in (source[..., 0], list(source), [Image.fromarray(x[..., 0]) for x in source]):
    np.testing.assert_allclose(run.predict(same)['logits'], said['logits'], atol=1e-5)
  np.testing.assert_allclose(run.predict(source[0])['logits'], said['logits'][:1], atol=1e-5)
  np.testing.assert_allclose(run.predict(source, batch=2)['logits'], said['logits'], atol=1e-5)
  assert run.predict(np.zeros((3, 40, 30, 3), np.uint8))['prediction'].shape == (3,)
  np.testing.assert_array_equal(run.predict(source / 255.)['logits'], said['logits'])
  with pytest.raises(ConfigError, match='floats must lie in 0..1'):
    run.predict(source * 1.)
  with pytest.raises(ConfigError, match='no images'):
    run.predict([])
  with pytest.raises(ConfigError, match='no run here'):
    visionlab.load(workdir / 'figures')


def test_importing_visionlab_imports_nothing_heavy():
  program = 'import sys, visionlab; print([m for m in ("jax", "numpy") if m in sys.modules])'
  done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, cwd=ROOT)
  assert done.stdout.strip() == '[]', done.stderr


@pytest.mark.parametrize('name', sorted(p.stem for p in (ROOT / 'configs').glob('*.py')))
def test_every_config_runs_in_its_smoke_form(name, tmp_path):
  """In this process, which spares starting forty; above, one is started as it is typed."""
  config = importlib.import_module(f'configs.{name}').get_config('smoke')
  config.parallel.devices = 1
  config.checkpoint.every = '100%'              # hundreds of megabytes a step would take longest
  train(config, tmp_path / 'run')
  run = visionlab.load(tmp_path / 'run')
  if run.facts.sentences:
    assert len(run.embed(['One sentence.', 'And another.'])) == 2
    return jax.clear_caches()
  clip = (run.facts.frames,) if run.facts.frames else ()
  beside = {name: np.zeros((2, *form.shape[1:]), form.dtype)
            for name, form in run.facts.example.items() if name in getattr(run.task, 'beside', ())}
  said = run.predict(np.zeros((2, *clip, *run.facts.image.shape[1:]), np.uint8),
                     **dict(beside=beside) if beside else {})
  assert said and all(len(answers) == 2 for answers in jax.tree.leaves(
      said, is_leaf=lambda x: isinstance(x, list)))
  assert (tmp_path / 'run/figures/training.gif').exists() == getattr(run.task, 'generative', False)
  jax.clear_caches()               # forty programs of this size would fill the memory


def test_help_shows_all_flags_of_a_command():
  said = command('train', '--help').stdout
  for flag in ('--config:', '--workdir:', '--[no]distributed:', '--[no]change_config:'):
    assert flag in said
