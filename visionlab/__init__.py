"""visionlab: vision experiments in JAX and Flax, from a config to a run you can reload.

`visionlab.load(workdir)` reloads a run, or weights that another library trained;
`visionlab.export(workdir, folder)` writes it for others. Nothing else is imported until it is asked
for.
"""

__version__ = '0.1.0'


def __getattr__(name: str):
  # Importing visionlab stays cheap.
  if name == 'load':
    from visionlab.runs.load import load  # noqa: PLC0415
    return load
  if name == 'Run':
    from visionlab.runs.run import Run  # noqa: PLC0415
    return Run
  if name == 'export':
    from visionlab.exports import export  # noqa: PLC0415
    return export
  raise AttributeError(f'module "visionlab" has no attribute "{name}"')
