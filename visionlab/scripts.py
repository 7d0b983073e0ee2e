"""The commands that an installation puts on the path: visionlab-train is python -m visionlab.train,
and so on."""

import os
import runpy
import sys

from visionlab.paths import shipped


def train():
  run('visionlab.train')


def evaluate():
  run('visionlab.evaluate')


def predict():
  run('visionlab.predict')


def understand():
  run('visionlab.understand')


def sample():
  run('visionlab.sample')


def verify():
  run('visionlab.verify')


def alerts():
  run('visionlab.alerts')


def align():
  run('visionlab.align')


def drive():
  run('visionlab.drive')


def export():
  run('visionlab.exports')


def sweep():
  run('launch.sweep')


def results():
  run('launch.results')


def visionlab():
  run('visionlab')


def run(module: str):
  """python -m module, from the current folder, whose modules may be named in configs."""
  for folder in (str(shipped()), os.getcwd()):
    if folder not in sys.path:
      sys.path.insert(0, folder)
  if module.startswith('launch.'):            # jobs of a cluster unpickle what is defined there
    paths = dict.fromkeys([str(shipped()), *os.environ.get('PYTHONPATH', '').split(os.pathsep)])
    os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, paths))
  runpy.run_module(module, run_name='__main__', alter_sys=True)
