"""The whole chain by its command: faces found, cut out, aligned, embedded, compared."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from configs import crowds_faster_rcnn, faces_landmarks, faces_verify
from experiments.study import changed
from visionlab import exports
from visionlab.build import build_task
from visionlab.data.source import Arrays, Info
from visionlab.facts import Facts
from visionlab.ops.landmarks import FIVE
from visionlab.runs.run import Run


def made(folder, config, entries, info, alter=lambda variables: variables):
  """A run that has learnt nothing, of data that nobody has drawn."""
  entries = dict(image=np.zeros((2, *entries.pop('size')), np.uint8)) | entries
  facts = Facts.of(Arrays(entries, info))
  task = build_task(config, facts)
  batch = jax.tree.map(lambda x: jnp.zeros((1, *x.shape[1:]), x.dtype), facts.example)
  variables = alter(jax.device_get(jax.jit(task.init)(jax.random.key(0), batch)))
  hp = {k: jnp.float32(v) for k, v in task.hyperparameters().items()}
  return exports.save(Run(folder, config, task, variables, hp, 0, facts), folder)


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
  """By name: a detector to which all is a face, one to which nothing is, and the others."""
  top, single = tmp_path_factory.mktemp('runs'), Info(classes=('face',))
  objects = dict(boxes=np.zeros((2, 1, 4), np.float32), classes=np.zeros((2, 1), np.int32),
                 valid=np.ones((2, 1), bool))

  def sure(bias):
    def alter(variables):
      variables['params']['box']['logits']['bias'] = np.float32(bias)
      return variables
    return alter
  detector = crowds_faster_rcnn.get_config('smoke')
  found = {name: made(top / name, detector, dict(size=(48, 48, 3), objects=objects), single, alter)
           for name, alter in (('finds', sure([-9, 9])), ('misses', sure([9, -9])))}
  landmarks = changed(faces_landmarks.get_config('smoke'),
                      task__targets=dict(landmarks=dict(kind='landmarks', mean=20., std=8.)))
  found['landmarks'] = made(top / 'landmarks', landmarks, dict(
      size=(40, 40, 1), landmarks=np.zeros((2, 5, 3), np.float32)), Info(joints=FIVE))
  found['verify'] = made(top / 'verify', faces_verify.get_config('smoke'), dict(
      size=(40, 40, 1), label=np.arange(2, dtype=np.int32)), Info(classes=('a', 'b')))
  return found


def test_the_chain(runs, tmp_path):
  rng = np.random.default_rng(0)
  for name in 'ab':
    Image.fromarray(rng.integers(0, 256, (50, 70, 3), np.uint8)).save(tmp_path / f'{name}.png')

  def said(detector, *more):
    return subprocess.run(
        [sys.executable, '-m', 'visionlab.verify', f'--workdir={runs["verify"]}', '--threshold=0',
         f'--detector={runs[detector]}', f'--landmarks={runs["landmarks"]}',
         tmp_path / 'a.png', tmp_path / 'b.png', *more], capture_output=True, text=True)
  found = said('finds', f'--output={tmp_path}/pair.jpg')
  assert found.returncode == 0, found.stderr
  lines = found.stdout.splitlines()
  assert sum(' faces; what is compared is the surest (100%)' in line for line in lines) == 2
  assert lines[-2].endswith(('one person', 'two people')) and (tmp_path / 'pair.jpg').exists()
  none = said('misses')
  assert none.returncode == 2 and none.stdout.count('no face is found in it; it is left out') == 2
  assert none.stderr.strip().endswith('finds a face in 0 of 2 photographs, and two are needed to '
                                      'compare')
  wrong = said('landmarks')
  assert wrong.returncode == 2 and 'does not find faces: multitask' in wrong.stderr
