"""JPEG files that end early: finding out what a file says takes most of the time of decoding it.

Where simplejpeg (pip install simplejpeg) is installed it decodes what it can, in two thirds of
Pillow's time: both ask libjpeg-turbo, and Pillow puts what it is given into a form of its own.
"""

import numpy as np

try:
  import simplejpeg as fast
except ImportError:
  fast = None

FORMATS = ('JPEG', 'MPO')        # as Pillow calls them; an MPO is a JPEG with others behind it
SPACES = {'RGB': 'RGB', 'L': 'GRAY'}      # of Pillow's modes
BEYOND = 'extraneous bytes before marker'
SMALL = 64               # pixels of the longer side, below which sizes do not tell scales apart


def decoded(data: bytes, size: tuple[int, int], modes: tuple[str, str], k: int, *,
            short: bool = False) -> np.ndarray | None:
  """The pixels (h/k w/k c) uint8 of a JPEG at 1/k of its size, the very ones that Pillow gives.

  Args:
    size: width and height, as its header has them.
    modes: Pillow's, of the file and wanted: 'RGB' or 'L'.
    k: 1, 2, 4 or 8.
    short: it is shortened, and that it goes on behind its last row is nothing amiss.

  Returns:
    None where it takes Pillow: simplejpeg is not installed, the file is of another mode, or there
    is anything the matter with it.
  """
  if not fast or not {*modes} <= {*SPACES} or max(size) < SMALL:
    return None
  width, height = (-(-side // k) for side in size)
  pixels = np.empty((height, width, len(modes[1])), np.uint8)
  # Least sizes of 0 ask for the whole, which 7/8 of it could pass for.
  least = dict(min_width=width, min_height=height) if k > 1 else {}
  try:
    fast.decode_jpeg(data, SPACES[modes[1]], buffer=pixels, **least)
  except ValueError as error:       # which comes last: the pixels are there
    if not (short and BEYOND in str(error)):
      return None
  return pixels


def shorten(data: bytes, rows: int) -> bytes:
  """The JPEG with a header that knows only of its first `rows` rows, where that is possible.

  A decoder then stops after them, and they are as they were, but for up to two rows at the end
  (where colour is interpolated). It takes a baseline or extended sequential image in one scan
  (ITU T.81, B.2) that ends with the end-of-image marker, as it would not be noticed any more that
  a file is cut off; others are left as they are.
  """
  at = 2
  while data.endswith(b'\xff\xd9') and at + 9 < len(data) and data[at] == 0xff:
    marker, length = data[at + 1], int.from_bytes(data[at + 2:at + 4], 'big')
    if marker in (0xc0, 0xc1):               # the frame: precision, height, width, components
      height, components = int.from_bytes(data[at + 5:at + 7], 'big'), data[at + 9]
      if 0 < rows < height and components == _first_scan(data, at + 2 + length):
        return data[:at + 5] + rows.to_bytes(2, 'big') + data[at + 7:]
      return data
    if marker == 0xda or 0xc0 <= marker <= 0xcf and marker not in (0xc4, 0xc8, 0xcc):
      return data                            # a scan, or a frame of another kind
    at += 2 + length
  return data


def _first_scan(data: bytes, at: int) -> int:
  """How many components are in the first scan behind `at`; 0 where there is none."""
  while at + 4 < len(data) and data[at] == 0xff:
    if data[at + 1] == 0xda:
      return data[at + 4]
    at += 2 + int.from_bytes(data[at + 2:at + 4], 'big')
  return 0
