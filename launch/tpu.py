"""A Cloud TPU: one VM, or a slice of many.

python -m launch.tpu --config=configs/digits_cnn.py --workdir=/mnt/shared/runs/digits \
    --tpu.name=t --tpu.zone=us-west4-a --tpu.type=v5litepod-16 [--tpu.steps=copy,train] [--dry_run]

Makes the machine, copies the newest commit to every host of it, installs it there, and starts the
same command on all hosts, which find each other (JAX reads the TPU's metadata). The command stays
attached; when it is lost, or a spot machine is, `--tpu.steps=train` goes on from the workdir, which
all hosts must see. Nothing here was run on a TPU; each command was compared with

  https://docs.cloud.google.com/tpu/docs/jax-pods               (create, ssh --worker=all)
  https://cloud.google.com/sdk/gcloud/reference/compute/tpus/tpu-vm/create, .../scp, .../ssh
  https://docs.astral.sh/uv/concepts/python-versions            (uv venv --python)
"""

import shlex
from collections.abc import Sequence
from typing import NamedTuple

from absl import flags

from launch import commands, options
from launch.commands import Command
from visionlab import commandline
from visionlab.config import ConfigError, check_choice

STEPS = ('create', 'copy', 'install', 'train', 'delete')
ARCHIVE = 'visionlab.tar.gz'
PYTHON = '~/env/bin/python'


class Options(NamedTuple):
  name: str = ''
  zone: str = ''
  project: str = ''
  type: str = 'v5litepod-8'
  version: str = 'v2-alpha-tpuv5-lite'
  spot: bool = False
  steps: str = 'create,copy,install,train'


MEANINGS = dict(
    name='Of the TPU.', zone='Where it is.', project='Default: gcloud\'s.',
    type='--accelerator-type of gcloud.', version='The machine\'s software; see gcloud compute '
    'tpus tpu-vm versions list.', spot='Cheaper, and may be taken away.',
    steps=f'Which of {", ".join(STEPS)} to do.')


def plan(given: Options, train: Sequence[str]) -> list[Command]:
  """The commands, in order.

  Args:
    train: what follows `python`.

  Raises:
    ConfigError: an option is missing, or a step unknown.
  """
  for key in ('name', 'zone'):
    if not getattr(given, key):
      raise ConfigError(f'--tpu.{key}: missing')
  steps = given.steps.split(',')
  for step in steps:
    check_choice(step, STEPS, '--tpu.steps')
  place = [f'--zone={given.zone}', *([f'--project={given.project}'] if given.project else [])]

  def gcloud(*words: str) -> Command:
    return Command(['gcloud', 'compute', 'tpus', 'tpu-vm', *words, *place])

  def everywhere(line: str) -> Command:
    return gcloud('ssh', given.name, '--worker=all', f'--command={line}')

  kinds = dict(
      create=[gcloud('create', given.name, f'--accelerator-type={given.type}',
                     f'--version={given.version}', *(['--spot'] if given.spot else []))],
      copy=[Command(['git', 'archive', '--prefix=visionlab/', f'--output={ARCHIVE}', 'HEAD']),
            gcloud('scp', ARCHIVE, f'{given.name}:', '--worker=all'),
            everywhere(f'tar -xzf {ARCHIVE}')],
      # The machines' own Python is too old.
      install=[everywhere('python3 -m pip install --user uv && ~/.local/bin/uv venv --python 3.12 '
                          '~/env && cd visionlab && ~/.local/bin/uv pip install --python '
                          f'{PYTHON} -e ".[tpu]"')],
      train=[everywhere(f'cd visionlab && {PYTHON} {shlex.join([*train, "--distributed"])}')],
      delete=[gcloud('delete', given.name, '--quiet')])
  return [command for step in STEPS if step in steps for command in kinds[step]]


def main(_):
  given = options.read('tpu', Options)
  commands.run(plan(given, options.run().command), dry_run=flags.FLAGS.dry_run,
               where='it comes with the Google Cloud CLI')


if __name__ == '__main__':
  options.define_run()
  options.define('tpu', Options(), MEANINGS)
  commandline.run(main)
