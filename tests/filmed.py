"""Small films whose frames tell what they are by their grey level."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def film(path: Path, levels, milliseconds=None, size=(32, 48), key_every=12, b_frames=0):
  """Writes a film of grey frames (h, w), shown from these moments on, by default 100 ms each."""
  av = pytest.importorskip('av')
  times = np.arange(len(levels)) * 100 if milliseconds is None else milliseconds
  path.parent.mkdir(parents=True, exist_ok=True)
  with av.open(str(path), 'w') as container:
    stream = container.add_stream('mpeg4', rate=10)
    stream.height, stream.width = size
    stream.pix_fmt, stream.bit_rate = 'yuv420p', 10 ** 6
    stream.codec_context.time_base = Fraction(1, 1000)
    stream.codec_context.gop_size, stream.codec_context.max_b_frames = key_every, b_frames
    for level, time in zip(levels, times, strict=True):
      frame = av.VideoFrame.from_ndarray(np.full((*size, 3), level, np.uint8), format='rgb24')
      frame.pts, frame.time_base = int(time), Fraction(1, 1000)
      container.mux(stream.encode(frame))
    container.mux(stream.encode())
  return path


def gif(path: Path, levels, milliseconds=100, size=(32, 48)):
  path.parent.mkdir(parents=True, exist_ok=True)
  first, *rest = [Image.fromarray(np.full(size, level, np.uint8)) for level in levels]
  first.save(path, save_all=True, append_images=rest, duration=milliseconds, loop=0)
  return path


def folder(path: Path, levels, size=(32, 48)):
  """Frames 1.png, 2.png and so on, of which 10.png is not the second."""
  path.mkdir(parents=True, exist_ok=True)
  for i, level in enumerate(levels, 1):
    Image.fromarray(np.full((*size, 3), level, np.uint8)).save(path / f'{i}.png')
  return path
