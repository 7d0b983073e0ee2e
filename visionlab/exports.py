"""A run for others to use: python -m visionlab.exports --workdir=runs/digits --output=digits_model

The folder holds `model.safetensors`, the weights by path; `config.json` and `data.json`, from which
`visionlab.load` makes the run again; `model.stablehlo`, the whole of `predict` as a program, which
is given the weights and images and needs jax, but neither this library nor the network's code; and
a README that says how to use them.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from absl import flags
from jax import export as jax_export
from safetensors.numpy import save as to_bytes

from visionlab import __version__, commandline, config as configs
from visionlab.config import ConfigError
from visionlab.runs.load import load
from visionlab.runs.run import Run
from visionlab.weights.files import EXPORT, flat, nested

PLATFORMS = ('cpu', 'cuda', 'tpu')
PROGRAM = 'model.stablehlo'
CLASSES = 40                # named in the README


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
  return write(load(workdir, step=step, member=member), folder, platforms)


def write(run: Run, folder: str | Path, platforms: Sequence[str] = PLATFORMS) -> Path:
  """`export` of a run that is loaded."""
  program = stablehlo(run, platforms)          # first: what cannot be compiled leaves no folder
  folder = save(run, folder)
  (folder / PROGRAM).write_bytes(program)
  (folder / 'README.md').write_text(readme(run, platforms), encoding='utf-8')
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
  # A file that safetensors makes itself may be read by its owner alone.
  (folder / EXPORT).write_bytes(to_bytes(weights, {'step': str(run.step), 'hp': json.dumps(hp)}))
  (folder / 'config.json').write_text(configs.to_json(run.config))
  (folder / 'data.json').write_text(run.facts.to_json())
  return folder


def stablehlo(run: Run, platforms: Sequence[str] = PLATFORMS) -> bytes:
  """`predict` as a serialised program: (the weights by path, images (b h w c) of the run's size and
  any b) -> its dict. The weights are given and not part of it, or they would be stored twice."""
  (kind, image), = run.facts.shown.items()
  b, = jax_export.symbolic_shape('b')
  weights = {name: jax.ShapeDtypeStruct(x.shape, x.dtype)
             for name, x in flat(run.variables).items()}
  program = jax.jit(lambda weights, image: run.task.predict(nested(weights), {kind: image}))
  spec = jax.ShapeDtypeStruct((b, *image.shape[1:]), image.dtype)
  try:
    return bytes(jax_export.export(program, platforms=platforms)(weights, spec).serialize())
  except TypeError as e:              # len(x) wants an int, and here it is 'b'
    raise ConfigError(f'{run.workdir}: its model cannot be compiled for any size of batch ({e}); '
                      'write x.shape[0] for len(x)') from e


README = """# {name}

{what}, step {step}. Written by visionlab {version}.

| file | what |
|---|---|
| `model.safetensors` | {count:,} weights, by path; any library that reads safetensors opens it |
| `model.stablehlo` | the network with its preprocessing, for {platforms}; it holds no weights |
| `config.json`, `data.json` | how it was trained, and the names of its classes, for visionlab |

## Without visionlab

It needs `pip install jax safetensors`; it was written with jax {jax}, and newer ones read it.

```python
from pathlib import Path

import numpy as np
from jax import export
from safetensors.numpy import load_file

program = export.deserialize(bytearray(Path('model.stablehlo').read_bytes()))
weights = load_file('model.safetensors')
images = np.zeros((2, {shape}), np.{dtype})          # yours: (n, {axes}height, width, channels)
answers = program.call(weights, images)
```

Images are {dtype} of {height} x {width} pixels and {channels} channel{s}, any number of them.
{placing}What is done to their values is in the program. The answers, for n images:

{answers}
{classes}
## With visionlab

```python
import visionlab

run = visionlab.load('.')                 # this folder
run.predict(['photo.jpg'])                # images of any size, files, arrays
```
"""


def readme(run: Run, platforms: Sequence[str]) -> str:
  """How to use an export, for whoever is given the folder alone."""
  (_, image), = run.facts.shown.items()
  said = jax.eval_shape(run.task.predict, run.variables, run.facts.shown)
  answers = [f'* `{jax.tree_util.keystr(path, simple=True, separator=".")}`: '
             f'{str(("n", *x.shape[1:])).replace(chr(39), "")} {x.dtype}'
             for path, x in jax.tree.leaves_with_path(said)]
  names = ', '.join(f'{i}: {name}' for i, name in enumerate(run.classes[:CLASSES]))
  more = ', ... (all are in data.json)' if len(run.classes) > CLASSES else ''
  height, width, channels = image.shape[-3:]
  placing = run.placing.get('resize')
  return README.format(
      name=run.workdir.name, what=run.kind, step=run.step, version=__version__,
      count=sum(x.size for x in jax.tree.leaves(run.variables)), platforms=', '.join(platforms),
      jax=jax.__version__, shape=', '.join(map(str, image.shape[1:])), dtype=image.dtype,
      axes='frames, ' if run.facts.frames else '',
      height=height, width=width, channels=channels, s='s' * (channels != 1),
      placing=f'They were brought to that size by `{placing}`. ' if placing else '',
      answers='\n'.join(answers), classes=f'\nClasses: {names}{more}.\n' if names else '')


def main(_):
  options = flags.FLAGS
  run = load(options.workdir, step=commandline.chosen_step(), member=options.member)
  folder = write(run, options.output)
  print(f'{run.workdir}: {run.which}')
  for path in sorted(folder.iterdir()):
    print(f'{path}  {path.stat().st_size / 1e6:,.1f} MB')


if __name__ == '__main__':
  flags.DEFINE_string('workdir', None, 'The run, or weights.', required=True)
  flags.DEFINE_string('output', None, 'The folder to write.', required=True)
  flags.DEFINE_string('member', None, 'Of a sweep, whose folder --workdir then is: the name of a '
                      'setting or its number.')
  commandline.step_flag()
  commandline.run(main)
