"""Tables of the VGG Image Annotator: each row a region, as JSON in two of its fields."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from visionlab.data.sources.fields import number
from visionlab.data.sources.table_rows import Rows, read_table
from visionlab.data.table import FILE, Names

SHAPE, ATTRIBUTES = 'region_shape_attributes', 'region_attributes'
_ROLES = dict(image=(('#filename',), *FILE), shape=((SHAPE,),), attributes=((ATTRIBUTES,),))


def is_via(path: Path) -> bool:
  """Whether a file is such a table."""
  if path.suffix.lower() not in ('.csv', '.txt', '.tsv'):
    return False
  try:
    with open(path, 'rb') as file:
      return SHAPE.encode() in file.readline(4096)
  except OSError:
    return False                        # whoever reads it will say what is wrong


def via_rows(path: Path, attribute: str, corners: Sequence[str], optional: Mapping[str, Names]
             ) -> Rows:
  """Its rows with the roles `image`, `label` and those of four corners.

  Args:
    attribute: the one that is the class; '' for the only one.
    corners: the roles of x1, y1, x2, y2: those around a rectangle, circle, ellipse or polygon;
      empty where a row has no region, and what stands there where that is none of these.
    optional: as in `read_table`.
  """
  rows = read_table(path, _ROLES, optional)
  boxes = [_around(shape) for shape in rows.columns['shape']]
  columns = {role: [box[i] for box in boxes] for i, role in enumerate(corners)}
  labels = [_class(text, attribute) for text in rows.columns['attributes']]
  return Rows(path, {**rows.columns, **columns, 'label': labels}, rows.places)


def _around(text: str) -> tuple:
  shape = _object(text)
  if shape == {}:
    return '', '', '', ''
  of = {key: number(value) for key, value in (shape or {}).items()}
  try:
    match shape and shape.get('name'):
      case 'rect':
        return of['x'], of['y'], of['x'] + of['width'], of['y'] + of['height']
      case 'circle' | 'ellipse':
        rx, ry = of.get('rx', of.get('r')), of.get('ry', of.get('r'))
        return of['cx'] - rx, of['cy'] - ry, of['cx'] + rx, of['cy'] + ry
      case 'polygon' | 'polyline':
        xs, ys = (list(map(number, shape[f'all_points_{axis}'])) for axis in 'xy')
        return min(xs), min(ys), max(xs), max(ys)
  except (KeyError, TypeError, ValueError):
    pass
  return text, '', '', ''


def _class(text: str, attribute: str) -> Any:
  """The value of an attribute; of a box that is ticked, its name."""
  said = _object(text) or {}
  value = said.get(attribute, '') if attribute else next(iter(said.values()), '')
  if not attribute and len(said) > 1:
    return text                         # which is no class, and is shown
  if isinstance(value, dict):
    ticked = [name for name, is_set in value.items() if is_set]
    return ticked[0] if len(ticked) == 1 else text
  return value


def _object(text: str) -> dict | None:
  try:
    value = json.loads(text or '{}')
  except (ValueError, RecursionError):
    return None
  return value if isinstance(value, dict) else None
