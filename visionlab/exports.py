"""A run for others to use: python -m visionlab.exports --workdir=runs/digits --output=digits_model

The folder holds `model.safetensors` (the weights, by path) with `config.json` and `data.json`, from
which `visionlab.load` makes the run again, and `model.stablehlo`: the whole of `predict`, weights
included, which needs jax but neither this library nor the network's code:

    jax.export.deserialize(bytearray(Path('model.stablehlo').read_bytes())).call(images)
"""

import json
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from absl import flags
from jax import export as jax_export
from safetensors.numpy import save_file

from visionlab import commandline, config as configs
from visionlab.config import ConfigError
from visionlab.run import Run, load
from visionlab.weights.files import EXPORT, flat

PLATFORMS = ('cpu', 'cuda', 'tpu')


def export(workdir: str | Path, folder: str | Path, *, step: int | str | None = None,
           member: int | str | None = None, platforms: Sequence[str] = PLATFORMS) -> Path:
  """Writes an export of a run and returns its folder.

  Args:
    workdir: whatever `visionlab.load` takes; step, member: as there.
    folder: made if need be; files of an earlier export in it are replaced.
    platforms: that the compiled program is for.

  Raises:
    ConfigError: no such run, or `folder` is a run's workdir.
  """
  run = load(workdir, step=step)
  folder = save(run, folder)
  (folder / 'model.stablehlo').write_bytes(stablehlo(run, platforms))
  return folder


def save(run: Run, folder: str | Path) -> Path:
  """Writes a run as `visionlab.load` reads it: its variables, its config, its data's facts.

  Raises:
    ConfigError: `folder` is a run's workdir.
  """
  folder = Path(folder).expanduser()
  if (folder / 'checkpoints').exists():
    raise ConfigError(f'{folder} is the workdir of a run; export to another folder')
  folder.mkdir(parents=True, exist_ok=True)
  # What lies in memory in another order safetensors would write in that order.
  weights = {name: np.ascontiguousarray(array) for name, array in flat(run.variables).items()}
  hp = {name: float(value) for name, value in run.hp.items()}
  save_file(weights, folder / EXPORT, metadata={'step': str(run.step), 'hp': json.dumps(hp)})
  (folder / 'config.json').write_text(configs.to_json(run.config))
  (folder / 'data.json').write_text(run.facts.to_json())
  return folder


def stablehlo(run: Run, platforms: Sequence[str] = PLATFORMS) -> bytes:
  """`predict` as a serialised program: images (b h w c) of the run's size, any b -> its dict."""
  image = run.facts.image
  b, = jax_export.symbolic_shape('b')
  program = jax.jit(lambda image: run.task.predict(run.variables, {'image': image}))
  spec = jax.ShapeDtypeStruct((b, *image.shape[1:]), image.dtype)
  try:
    return bytes(jax_export.export(program, platforms=platforms)(spec).serialize())
  except TypeError as e:              # len(x) wants an int, and here it is 'b'
    raise ConfigError(f'{run.workdir}: its model cannot be compiled for any size of batch ({e}); '
                      'write x.shape[0] for len(x)') from e


def main(_):
  options = flags.FLAGS
  folder = export(options.workdir, options.output, step=commandline.chosen_step())
  for path in sorted(folder.iterdir()):
    print(f'{path}  {path.stat().st_size / 1e6:,.1f} MB')


if __name__ == '__main__':
  flags.DEFINE_string('workdir', None, 'The run, or weights.', required=True)
  flags.DEFINE_string('output', None, 'The folder to write.', required=True)
  commandline.step_flag()
  commandline.run(main)
