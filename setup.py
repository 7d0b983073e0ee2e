"""What pyproject.toml cannot say: configs/ and launch/ lie beside the package, and go into wheels
within it, where `visionlab/shipped.py` finds them. As packages of their own they would take two
common names from whoever installs this."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithConfigsAndLaunchers(build_py):
  def run(self):
    super().run()
    if not self.editable_mode:                  # there they are found where they are
      for name in ('configs', 'launch'):
        shutil.copytree(name, Path(self.build_lib, 'visionlab', '_shipped', name),
                        dirs_exist_ok=True, ignore=shutil.ignore_patterns('__pycache__', 'colab'))


setup(cmdclass={'build_py': WithConfigsAndLaunchers})
