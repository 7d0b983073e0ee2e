"""Images that lie as bytes in a column of Arrow or parquet files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from visionlab.data.images.decode import Canvas
from visionlab.data.source import Info
from visionlab.data.sources.arrow import Cells
from visionlab.data.sources.encoded import Encoded


class ArrowImages(Encoded):
  """A source of the images in rows of `cells`.

  Args:
    cells: the column: bytes; a name of a file; or, as `datasets` writes it, a dict of both.
    rows: (n,), which of the cells.
    files: names for records.
    where: what messages call a cell, before its number.
    folder: that names of files are relative to.
    targets, info, canvas, on_broken: see `visionlab.data.sources.encoded.Encoded`.
  """

  def __init__(self, cells: Cells, rows: np.ndarray, files: Sequence[str],
               targets: Mapping[str, np.ndarray], info: Info, canvas: Canvas, on_broken: str,
               where: str, folder: Path = Path()):
    super().__init__(files, targets, info, canvas, on_broken)
    self.cells, self.rows, self.where, self.folder = cells, np.asarray(rows), where, folder

  def content(self, index: int) -> bytes:
    return content_of(self.cells[int(self.rows[index])], self.folder)

  def called(self, index: int) -> str:
    return f'{self.where} {self.rows[index]}'


def content_of(cell: Any, folder: Path) -> bytes:
  """The bytes of a file that a cell holds or names.

  Raises:
    ValueError: it does neither.
    OSError: the file that it names cannot be read.
  """
  path = None
  if isinstance(cell, Mapping):
    cell, path = cell.get('bytes'), cell.get('path')
  if isinstance(cell, bytes):
    return cell
  path = cell if isinstance(cell, str) else path
  if not path:
    raise ValueError('there is no image in it')
  return (folder / path).read_bytes()
