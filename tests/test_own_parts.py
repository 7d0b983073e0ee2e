"""README's own parts: each snippet is put into a file, trained with, measured and reloaded."""

import re
import shlex
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import visionlab
from visionlab.config import ConfigError
from visionlab.evaluate import evaluate
from visionlab.flags.arguments import ConfigFile
from visionlab.sweeps.together import train_together
from visionlab.train import train

ROOT = Path(__file__).parents[1]
SHORT = ('--config.steps=4', '--config.log.tensorboard=false', '--config.parallel.devices=1',
         '--config.checkpoint.best=', '--config.evals.test.first=false',
         '--config.evals.test.every=100%')
SMALL = ('--config.task.model.widths=4,', '--config.task.model.hidden=8')
SECTION = re.search(r'\n## Own parts\n(.*?)\n## ', (ROOT / 'README.md').read_text(), re.DOTALL)[1]
SNIPPETS = dict(zip(('model', 'optimizer', 'drawn', 'loss', 'metric'),
                    re.findall(r'```python\n(.*?)```', SECTION, re.DOTALL), strict=True))


@pytest.fixture
def mine(tmp_path, monkeypatch):
  """Writes mine.py into a folder where Python looks for modules."""
  def write(text):
    (tmp_path / 'mine.py').write_text(text)
    sys.modules.pop('mine', None)
  monkeypatch.syspath_prepend(tmp_path)
  monkeypatch.setattr(sys, 'dont_write_bytecode', True)    # which would serve the next mine.py
  yield write
  sys.modules.pop('mine', None)


def typed(*flags):
  """The config of what is typed after the command."""
  parser = ConfigFile()
  assert not parser.split([f'--config={ROOT}/configs/digits_cnn.py:smoke', *SHORT, *flags])[1:]
  return parser.config


def flags_of(snippet):
  return [word for line in re.findall(r'# .*?(--.*)', snippet) for word in shlex.split(line)]


@pytest.mark.parametrize('name', SNIPPETS)
def test_a_snippet_of_the_readme_runs_and_reloads(name, tmp_path, mine, warned):
  mine(SNIPPETS[name])
  flags = flags_of(SNIPPETS[name])
  assert flags
  changes = [flags] if name != 'optimizer' else [flags[:1], flags[1:]]     # optax's, and one's own
  for i, some in enumerate(changes):
    config = typed(*([] if name == 'model' else SMALL), *some)
    state = train(config, tmp_path / f'run{i}')
    run = visionlab.load(tmp_path / f'run{i}')
    assert int(state.step) == run.step == 4
    jax.tree.map(np.testing.assert_array_equal, state.params, run.variables['params'])
    last = at_the_end(run)
    if name == 'model':
      assert len(run.predict(np.zeros((3, 8, 8, 1), np.uint8))['prediction']) == 3
    if name == 'metric':
      measured, _ = evaluate([run], 'test')
      assert measured['kappa'] == pytest.approx(last['test/kappa'])
    if name == 'loss':
      assert last['test/poly'] == last['test/loss'] and 'label_smoothing' in warned[0]


def at_the_end(run):
  """All that the last step's lines say."""
  return {k: v for line in run.metrics if line['step'] == run.step for k, v in line.items()}


ALL = '\n'.join(SNIPPETS.values())


def test_own_parts_in_one_program_of_a_sweep(tmp_path, mine):
  mine(ALL)
  def config(limit, epsilon):
    return typed('--config.optim.name=mine:careful_lion', f'--config.hp.limit={limit}',
                 '--config.task.loss=mine:poly', f'--config.hp.epsilon={epsilon}',
                 '--config.task.model.name=mine:Tiny', '--config.augment.dark=mine:dim',
                 '--config.optim.schedule.name=mine:halves',
                 '--config.evals.test.metrics=mine:kappa')
  configs = {f'{limit},{epsilon}': config(limit, epsilon) for limit, epsilon in ((1e-3, 1), (9, 3))}
  train_together(configs, tmp_path / 'sweep')
  for member, own in configs.items():
    alone = train(own, tmp_path / member)
    run = visionlab.load(tmp_path / 'sweep' / member)
    for a, b in zip(jax.tree.leaves(alone.params), jax.tree.leaves(run.variables['params'])):
      np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert {'test/kappa', 'test/poly'} <= at_the_end(run).keys()


def test_a_run_goes_on_and_names_the_module_that_is_not_there(tmp_path, mine, monkeypatch):
  mine(ALL)
  words = ('--config.task.model.name=mine:Tiny', '--config.optim.name=mine:careful_lion',
           '--config.optim.schedule.name=constant')
  train(typed(*words), tmp_path / 'run')
  state = train(typed(*words, '--config.steps=6'), tmp_path / 'run', change_config=True)
  whole = train(typed(*words, '--config.steps=6'), tmp_path / 'whole')
  jax.tree.map(np.testing.assert_array_equal, state.opt_state, whole.opt_state)
  (tmp_path / 'mine.py').unlink()
  sys.modules.pop('mine')
  monkeypatch.chdir(tmp_path / 'run')
  said = f"config.task.model.name: cannot load 'mine:Tiny': No module named 'mine' in {Path.cwd()}"
  with pytest.raises(ConfigError, match=said):
    visionlab.load(tmp_path / 'run')
