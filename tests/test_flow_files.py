"""Files of optical flow, against bytes written by hand and OpenCV's own readers and writers."""

import struct

import numpy as np
import pytest
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.films.flow_files import read_flow, write_flow

FLOW = np.array([[[1.5, -2.25], [0, 0], [-100, 31.015625]], [[7, 8], [3, -3], [0, 0]]], np.float32)
KNOWN = np.array([[True, True, True], [True, True, False]])


def test_a_flo_file_written_by_hand(tmp_path):
  values = [1.5, -2.25, 0, 0, -100, 31.015625, 7, 8, 3, -3, 1e10, 1e10]
  (tmp_path / 'a.flo').write_bytes(b'PIEH' + struct.pack('<ii12f', 3, 2, *values))
  flow, valid = read_flow(tmp_path / 'a.flo')
  np.testing.assert_array_equal(flow, FLOW)
  np.testing.assert_array_equal(valid, KNOWN)
  write_flow(tmp_path / 'b.flo', flow, valid)
  assert (tmp_path / 'a.flo').read_bytes() == (tmp_path / 'b.flo').read_bytes()


@pytest.mark.parametrize('suffix', ['.flo', '.png'])
def test_what_is_written_is_read(tmp_path, suffix):
  write_flow(tmp_path / f'a{suffix}', FLOW, KNOWN)
  flow, valid = read_flow(tmp_path / f'a{suffix}')
  np.testing.assert_array_equal(flow, FLOW)                  # all are 1/64 of whole numbers
  np.testing.assert_array_equal(valid, KNOWN)


@pytest.mark.parametrize('smooth', [True, False])
def test_kittis_form_agrees_with_opencv(tmp_path, smooth):
  cv2 = pytest.importorskip('cv2')
  rng = np.random.default_rng(0)
  steps = rng.integers(0, 2 ** 16, (40, 70, 3))
  if smooth:                                                 # OpenCV then takes other filters
    steps = np.cumsum(np.cumsum(rng.integers(0, 3, (40, 70, 3)), 0), 1) + 30_000
  steps[..., 2] = rng.integers(0, 2, (40, 70))
  for i, adaptive in enumerate((cv2.IMWRITE_PNG_FILTER_NONE, cv2.IMWRITE_PNG_ALL_FILTERS)
                               if hasattr(cv2, 'IMWRITE_PNG_ALL_FILTERS') else (None,)):
    how = [] if adaptive is None else [cv2.IMWRITE_PNG_FILTER, adaptive]
    cv2.imwrite(str(tmp_path / f'{i}.png'), steps[..., ::-1].astype(np.uint16), how)
    flow, valid = read_flow(tmp_path / f'{i}.png')
    np.testing.assert_array_equal(valid, steps[..., 2] > 0)
    np.testing.assert_array_equal(flow[valid], (steps[valid][:, :2] - 2 ** 15) / 64)
  write_flow(tmp_path / 'own.png', flow, valid)
  theirs = cv2.imread(str(tmp_path / 'own.png'), cv2.IMREAD_UNCHANGED)[..., ::-1]
  np.testing.assert_array_equal(theirs, steps * valid[..., None])


def test_flo_agrees_with_opencv(tmp_path):
  cv2 = pytest.importorskip('cv2')
  write_flow(tmp_path / 'a.flo', FLOW)
  np.testing.assert_array_equal(cv2.readOpticalFlow(str(tmp_path / 'a.flo')), FLOW)
  cv2.writeOpticalFlow(str(tmp_path / 'b.flo'), FLOW)
  np.testing.assert_array_equal(read_flow(tmp_path / 'b.flo')[0], FLOW)


def test_every_filter_of_png_is_undone(tmp_path):
  """Rows filtered by hand, each by another of the five."""
  import zlib

  from visionlab.data.films import flow_files
  rng = np.random.default_rng(0)
  pixels = np.cumsum(rng.integers(0, 200, (5, 9, 3)), 1).astype(np.uint16)
  pixels[..., 2] = 1
  data = pixels.astype('>u2').view(np.uint8).reshape(5, 9, 6).astype(int)
  raw = b''
  for i, row in enumerate(data):
    above = data[i - 1] if i else np.zeros_like(row)
    left, corner = (np.concatenate([np.zeros((1, 6), int), x[:-1]]) for x in (row, above))
    guess = left + above - corner
    near = np.stack([abs(guess - x) for x in (left, above, corner)]).argmin(0)   # the first of ties
    paeth = np.choose(near, [left, above, corner])
    raw += bytes([i]) + ((row - [0, left, above, (left + above) // 2, paeth][i]) % 256
                         ).astype(np.uint8).tobytes()
  whole = flow_files._png(pixels)
  old = zlib.compress(np.concatenate([np.zeros((5, 1)), data.reshape(5, -1)], 1
                                     ).astype(np.uint8).tobytes())
  def chunk(body):
    return struct.pack('>I', len(body)) + b'IDAT' + body + struct.pack('>I',
                                                                       zlib.crc32(b'IDAT' + body))
  assert chunk(old) in whole
  (tmp_path / 'a.png').write_bytes(whole.replace(chunk(old), chunk(zlib.compress(raw))))
  flow, _ = read_flow(tmp_path / 'a.png')
  np.testing.assert_array_equal(flow, (pixels[..., :2].astype(float) - 2 ** 15) / 64)


@pytest.mark.parametrize('cut, said', [(0, 'does not begin with PIEH'), (11, 'PIEH'),
                                       (13, 'should be 60 bytes, not 13')])
def test_damaged_flo_files_are_named(tmp_path, cut, said):
  write_flow(tmp_path / 'a.flo', FLOW)
  path = tmp_path / 'cut.flo'
  path.write_bytes((tmp_path / 'a.flo').read_bytes()[:cut])
  with pytest.raises(ConfigError, match=f'cut.flo .*{said}'):
    read_flow(path)
  path.write_bytes(b'PIEH' + struct.pack('<ii', -3, 2 ** 30))
  with pytest.raises(ConfigError, match='its header says -3 x'):
    read_flow(path)


@pytest.mark.parametrize('change, said', [
    (lambda b: b[:40], 'ends too soon'), (lambda b: b[:-20] + b'x' * 20, 'ends too soon'),
    (lambda b: b'none', 'no PNG file')])
def test_damaged_png_files_are_named(tmp_path, change, said):
  write_flow(tmp_path / 'a.png', FLOW)
  (tmp_path / 'b.png').write_bytes(change((tmp_path / 'a.png').read_bytes()))
  with pytest.raises(ConfigError, match=f'b.png .*{said}'):
    read_flow(tmp_path / 'b.png')


def test_what_is_no_file_of_flow(tmp_path):
  Image.new('RGB', (4, 4)).save(tmp_path / 'a.png')
  with pytest.raises(ConfigError, match='expected 16-bit colour.* it has 8 bits'):
    read_flow(tmp_path / 'a.png')
  with pytest.raises(ConfigError, match='expected a file of optical flow'):
    read_flow(tmp_path / 'a.jpg')
  with pytest.raises(ConfigError, match='absent.flo cannot be read: No such file'):
    read_flow(tmp_path / 'absent.flo')
  with pytest.raises(ConfigError, match='beyond the 512 pixels'):
    write_flow(tmp_path / 'b.png', 1000 * FLOW)
  with pytest.raises(ConfigError, match='not finite'):
    write_flow(tmp_path / 'b.flo', np.nan * FLOW)
  with pytest.raises(ConfigError, match='expected the suffix'):
    write_flow(tmp_path / 'b.jpg', FLOW)
