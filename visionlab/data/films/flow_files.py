"""Files of optical flow: Middlebury's .flo and KITTI's 16-bit .png.

Fields are (h w 2) float32, in pixels, x first; `valid` (h w) says where the flow is known.
"""

import struct
import zlib
from pathlib import Path

import numpy as np

from visionlab.config import ConfigError

TAG = 202021.25                 # a float whose bytes read PIEH: the sanity check of .flo files
UNKNOWN = 1e9                   # Middlebury: vectors longer than that are not known
STEPS, ZERO = 64., 2 ** 15      # KITTI: of a pixel, and the number that stands for no motion
MOST = 2 ** 28                  # pixels that a sound header may speak of
_PNG = b'\x89PNG\r\n\x1a\n'


def read_flow(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
  """The flow (h w 2) and where it is known (h w) bool; it is zero elsewhere.

  Args:
    path: a .flo or .png file.

  Raises:
    ConfigError: no such file, or one that is damaged or of another kind.
  """
  path = Path(path)
  readers = {'.flo': _read_flo, '.png': _read_kitti}
  if path.suffix.lower() not in readers:
    raise ConfigError(f'{path}: expected a file of optical flow, .flo (Middlebury) or .png (KITTI)')
  try:
    return readers[path.suffix.lower()](path.read_bytes(), path)
  except OSError as e:
    raise ConfigError(f'{path} cannot be read: {e.strerror}') from e


def write_flow(path: str | Path, flow: np.ndarray, valid: np.ndarray | None = None):
  """Writes a flow (h w 2) in the form that the suffix of the path names.

  KITTI's form holds 1/64 pixels, from -512 up to 511.98.

  Raises:
    ConfigError: another suffix; vectors that are not finite or that KITTI's form does not hold.
  """
  path, flow = Path(path), np.asarray(flow, np.float32)
  valid = np.ones(flow.shape[:2], bool) if valid is None else np.asarray(valid, bool)
  if not np.isfinite(flow[valid]).all():
    raise ConfigError(f'{path}: the flow has vectors that are not finite')
  if path.suffix.lower() == '.flo':
    h, w = flow.shape[:2]
    known = np.where(valid[..., None], flow, 10 * UNKNOWN).astype('<f4')
    path.write_bytes(struct.pack('<fii', TAG, w, h) + known.tobytes())
  elif path.suffix.lower() == '.png':
    steps = np.round(np.where(valid[..., None], flow, 0) * STEPS + ZERO)
    if steps.size and not 0 <= steps.min() <= steps.max() < 2 ** 16:
      raise ConfigError(f'{path}: the longest vectors are beyond the 512 pixels that KITTI\'s form '
                        'holds; write a .flo file')
    path.write_bytes(_png(np.where(valid[..., None], np.dstack([steps, valid]), 0)))
  else:
    raise ConfigError(f'{path}: expected the suffix .flo (Middlebury) or .png (KITTI)')


def _read_flo(data: bytes, path: Path) -> tuple[np.ndarray, np.ndarray]:
  if len(data) < 12 or struct.unpack('<f', data[:4])[0] != TAG:
    raise ConfigError(f'{path} is no .flo file: it does not begin with PIEH')
  w, h = struct.unpack('<ii', data[4:12])
  if w < 1 or h < 1 or w * h > MOST:
    raise ConfigError(f'{path} is damaged: its header says {w} x {h} pixels')
  if len(data) != 12 + 8 * w * h:
    raise ConfigError(f'{path} is damaged: of {w} x {h} pixels there should be {12 + 8 * w * h} '
                      f'bytes, not {len(data)}')
  flow = np.frombuffer(data, '<f4', offset=12).reshape(h, w, 2).astype(np.float32)
  valid = (abs(flow) < UNKNOWN).all(-1)             # false of what is not a number, too
  return np.where(valid[..., None], flow, 0), valid


def _read_kitti(data: bytes, path: Path) -> tuple[np.ndarray, np.ndarray]:
  steps = _pixels(data, path).astype(np.float32)
  valid = steps[..., 2] > 0
  return np.where(valid[..., None], (steps[..., :2] - ZERO) / STEPS, 0), valid


# Pillow reads 16-bit colour as 8 bits, which is 4 pixels of motion: PNG's few parts that KITTI
# needs are read here (https://www.w3.org/TR/png, no interlacing).

def _pixels(data: bytes, path: Path) -> np.ndarray:
  """(h w 3) uint16 of a PNG file with 16 bits a channel."""
  parts = _chunks(data, path)
  w, h, *form = struct.unpack('>IIBBBBB', parts[b'IHDR'])
  if form != [16, 2, 0, 0, 0] or not 0 < w * h <= MOST:
    raise ConfigError(f'{path}: expected 16-bit colour without interlacing, KITTI\'s form of flow; '
                      f'it has {form[0]} bits, and its type of colour is {form[1]}')
  try:
    raw = np.frombuffer(zlib.decompress(parts[b'IDAT']), np.uint8)
  except zlib.error as e:
    raise ConfigError(f'{path} is damaged: {e}') from e
  if raw.size != h * (1 + 6 * w):
    raise ConfigError(f'{path} is damaged: {raw.size} bytes of pixels for {w} x {h}')
  rows = raw.reshape(h, 1 + 6 * w)
  if rows[:, 0].max() > 4:
    raise ConfigError(f'{path} is damaged: no filter of PNG has the number {rows[:, 0].max()}')
  plain = _unfiltered(rows[:, 0], rows[:, 1:].reshape(h, w, 6).astype(np.int16))
  return plain.astype(np.uint8).view('>u2').astype(np.uint16)


def _chunks(data: bytes, path: Path) -> dict[bytes, bytes]:
  """The parts of a PNG file by their names, those of one name joined."""
  if data[:8] != _PNG:
    raise ConfigError(f'{path} is no PNG file')
  parts, at = {b'IHDR': b'', b'IDAT': b''}, 8
  while at + 12 <= len(data):
    (size,), name = struct.unpack('>I', data[at:at + 4]), data[at + 4:at + 8]
    body = data[at + 8:at + 8 + size]
    if data[at + 8 + size:at + 12 + size] != struct.pack('>I', zlib.crc32(name + body)):
      break
    if name in parts:
      parts[name] += body
    if name == b'IEND' and len(parts[b'IHDR']) == 13:
      return parts
    at += 12 + size
  raise ConfigError(f'{path} is damaged: it ends too soon, or a checksum is wrong')


def _unfiltered(kinds: np.ndarray, rows: np.ndarray) -> np.ndarray:
  """Rows (h w 6) of bytes with the PNG filter of each, kinds (h,), undone.

  Diagonal by diagonal: a pixel needs those left of it and above it, so that all on one diagonal
  are found together.
  """
  h, w = rows.shape[:2]
  out = np.zeros((h + 1, w + 1, 6), np.int16)
  for d in range(h + w - 1):
    i = np.arange(max(0, d - w + 1), min(h, d + 1))
    j = d - i
    left, up, corner = out[i + 1, j], out[i, j + 1], out[i, j]
    a, b, c = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    paeth = np.where((a <= b) & (a <= c), left, np.where(b <= c, up, corner))
    guess = np.choose(kinds[i, None], [0 * left, left, up, (left + up) // 2, paeth])
    out[i + 1, j + 1] = (rows[i, j] + guess) & 255
  return out[1:, 1:]


def _png(pixels: np.ndarray) -> bytes:
  """A PNG file of pixels (h w 3), 16 bits each."""
  h, w = pixels.shape[:2]
  rows = np.zeros((h, 1 + 6 * w), np.uint8)
  rows[:, 1:] = np.ascontiguousarray(pixels.astype('>u2')).view(np.uint8).reshape(h, 6 * w)
  parts = ((b'IHDR', struct.pack('>IIBBBBB', w, h, 16, 2, 0, 0, 0)),
           (b'IDAT', zlib.compress(rows.tobytes())), (b'IEND', b''))
  return _PNG + b''.join(struct.pack('>I', len(body)) + name + body
                         + struct.pack('>I', zlib.crc32(name + body)) for name, body in parts)
