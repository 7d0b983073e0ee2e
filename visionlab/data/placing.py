"""How the images of a source are put on a canvas, by the options that name the source."""

import inspect
from collections.abc import Mapping
from typing import Any

from visionlab.config import ConfigError, resolve
from visionlab.data import SOURCES

PLACING = ('size', 'resize', 'crop_fraction')


def placing(data: Mapping) -> dict[str, Any]:
  """`size`, `resize` and `crop_fraction` of the source that `data` names, as far as it has them; of
  one that is made of another, that other's."""
  for key, value in data.items():
    if isinstance(value, Mapping) and 'name' in value and key != 'proposals':
      return placing(value)
  try:
    signature = inspect.signature(resolve(data['name'], SOURCES, 'config.data.name'))
  except ConfigError:               # a source that is not here, which a run needs no more
    defaults = {}
  else:
    defaults = {k: p.default for k, p in signature.parameters.items()}
  return {k: v for k, v in {**defaults, **data}.items() if k in PLACING}
