"""Where configs/ and launch/ are: beside the package in a checkout, within an installed one."""

from pathlib import Path

from visionlab.config import nearest


def shipped() -> Path:
  """The folder that holds both."""
  package = Path(__file__).parent
  within = package / '_shipped'
  return within if within.is_dir() else package.parent


def config_file(name: str) -> Path | None:
  """The config that comes with the library: of 'digits_cnn', or 'configs/digits_cnn.py'."""
  if not Path(name).name:
    return None
  path = shipped() / 'configs' / Path(name).with_suffix('.py').name
  here = name in (path.stem, path.name, f'configs/{path.name}')
  return path if here and path.is_file() else None


def similar(name: str) -> str:
  """A hint at the config that comes with the library and was probably meant; '' if none is near."""
  return nearest(name, [path.stem for path in (shipped() / 'configs').glob('*.py')])
