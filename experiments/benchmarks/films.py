"""Clips out of films, beside PyAV as its users write it, and the memory that epochs take."""

import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.benchmarks.harness import Row, in_turn, require
from experiments.benchmarks.processes import run
from visionlab.data.sources.videos import videos

FILMS, SECONDS, RATE, SHAPE = 4, 8, 25, (240, 320)         # UCF-101's size
FRAMES, SIZE = 16, 112
EPOCH = """
import sys, numpy
from visionlab.data.pipeline import eval_batches
from visionlab.data.sources.videos import videos
source = videos('train', root=sys.argv[1], frames=4, size=32)
for _ in range(2):
  for batch in eval_batches(source, 2, 0):
    assert batch['valid'].any()
"""


def films(repeats: int) -> Iterator[Row]:
  """Seconds for a clip of 16 frames of 112 x 112, in this process."""
  av = require('av')
  with tempfile.TemporaryDirectory() as top:
    write_films(av, Path(top) / 'few' / 'a', FILMS, SECONDS)
    root = str(Path(top) / 'few')
    for sampling in ('segments', 'dense'):
      source = videos('train', root=root, size=SIZE, frames=FRAMES, sampling=sampling, random=False)
      peer, files = whole if sampling == 'segments' else dense, source_files(source)
      measures = (lambda s=source: s[np.arange(FILMS)]['video'],
                  lambda p=peer, f=files: np.stack([p(av, path) for path in f]))
      yield Row(f'films/{sampling}', *in_turn(repeats, *(partial(timed, m) for m in measures)),
                f'{FRAMES} frames of {SECONDS * RATE}; peer: PyAV and Pillow')
    write_films(av, Path(top) / 'long' / 'a', FILMS, 6 * SECONDS)
    peaks = in_turn(1, *(lambda name=name: run('-c', EPOCH, str(Path(top) / name)).peak
                         for name in ('few', 'long')))
    yield Row('films/memory', peaks[1], peaks[0], unit='B',
              note='two epochs of films six times as long; peer: of the short ones')


def source_files(source) -> list[str]:
  return [str(source.root / name.decode()) for name in source.files]


def whole(av, path: str) -> np.ndarray:
  """Every frame is decoded, and those in the middles of as many parts are kept."""
  with av.open(path) as container:
    frames = list(container.decode(video=0))
  return fitted(frames[(2 * i + 1) * len(frames) // (2 * FRAMES)] for i in range(FRAMES))


def dense(av, path: str) -> np.ndarray:
  """From the middle on, found by seeking."""
  with av.open(path) as container:
    stream = container.streams.video[0]
    begin = (float(stream.duration * stream.time_base) - FRAMES / RATE) / 2
    container.seek(int(begin / stream.time_base), stream=stream)
    frames = []
    for frame in container.decode(stream):
      if frame.time >= begin - 1e-3:
        frames.append(frame)
      if len(frames) == FRAMES:
        return fitted(frames)
  raise ValueError(f'{path} is too short')


def fitted(frames) -> np.ndarray:
  """Cut to a square and scaled, antialiased."""
  pictures = []
  for frame in frames:
    image = frame.to_image()
    left = (image.width - image.height) / 2
    pictures.append(np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR,
                                            box=(left, 0, left + image.height, image.height))))
  return np.stack(pictures)


def timed(clips: Callable) -> float:
  begun = time.perf_counter()
  clips()
  return (time.perf_counter() - begun) / FILMS


def write_films(av, folder: Path, n: int, seconds: int):
  """A window that glides over one of scikit-learn's photographs, H.264 or else MPEG-4."""
  from sklearn.datasets import load_sample_images
  folder.mkdir(parents=True)
  photo = load_sample_images().images[0]
  codec = 'libx264' if 'libx264' in av.codecs_available else 'mpeg4'
  for i in range(n):
    with av.open(str(folder / f'{i}.mp4'), 'w') as container:
      stream = container.add_stream(codec, rate=Fraction(RATE))
      stream.height, stream.width = SHAPE
      stream.pix_fmt = 'yuv420p'
      for k in range(seconds * RATE):
        y, x = (2 * k + 40 * i) % 180, (3 * k) % 310
        pixels = photo[y:y + SHAPE[0], x:x + SHAPE[1]]
        container.mux(stream.encode(av.VideoFrame.from_ndarray(
            np.ascontiguousarray(pixels), format='rgb24')))
      container.mux(stream.encode())
