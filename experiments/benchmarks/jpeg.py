"""Random crops of JPEG files as batches of pixels, against Pillow, OpenCV and tf.data."""

import importlib.util
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from experiments.benchmarks.harness import Row, Skip, cores, in_turn
from visionlab.data.images import jpeg, resize
from visionlab.data.images.crop import RandomCrop
from visionlab.data.pipeline import Loader, prefetched
from visionlab.data.sources.folder import folder

FILES, BATCH, SIZE = 256, 64, 224
SECONDS = 3.             # that one measurement takes, about
AHEAD = 2                # batches a worker may have in store


def decoding(repeats: int, seconds: float = SECONDS) -> Iterator[Row]:
  """500x375 JPEG files to 224x224 random crops of 8 to 100 % of their area: time for an image, in
  one worker process and in as many as there are cores."""
  crop = RandomCrop(SIZE)
  with tempfile.TemporaryDirectory() as top:
    write_photos(Path(top) / 'a', FILES)
    source = folder('train', root=top, size=SIZE)
    ours = Loader(source, BATCH, 0, slice(0, BATCH), crop)
    files = sorted(Path(top).glob('a/*.jpg'))
    size = np.mean([path.stat().st_size for path in files]) / 1000
    for n in sorted({1, cores()}):
      streams = {'ours': grain_stream(ours, n), 'fallback': grain_stream(Without(ours), n),
                 'pillow': grain_stream(Peer(files, crop, pillow), n)}
      if has('cv2'):
        streams['cv2'] = grain_stream(Peer(files, crop, opencv), n)
      if has('tensorflow'):
        streams['tf.data'] = tf_stream(files, crop, n)
      taken = in_turn(repeats, *(measure(stream, n, seconds) for stream in streams.values()))
      taken = dict(zip(streams, taken, strict=True))
      for name in list(streams)[1:]:
        rates = ' '.join(f'{1 / median(taken[k]):.0f}' for k in ('ours', name))
        what = 'ours without visionlab[fast]' if name == 'fallback' else name
        yield Row(f'jpeg/{n}_cores/{name}', taken['ours'], taken[name],
                  f'img/s: {rates} ({what}); files of {size:.0f} kB')
      for stream in streams.values():
        stream.close()
  missing = [name for name in ('cykooz_resizer', 'simplejpeg', 'cv2', 'tensorflow')
             if not has(name)]
  if missing:
    raise Skip(f'without {", ".join(missing)}, which {"are" if missing[1:] else "is"} not '
               'installed')


def measure(stream: Iterator, n: int, seconds: float) -> Callable[[], float]:
  """A function that takes batches for about `seconds` and returns the seconds an image took."""
  def one() -> float:
    for _ in range(2 * AHEAD * n + 1):       # what was loaded while nobody looked
      next(stream)
    begun, taken = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
      taken += len(next(stream)['image'])
    return (time.perf_counter() - begun) / taken
  return one


@dataclass(frozen=True)
class Peer:
  """step -> a batch as other libraries make it: the whole file is decoded, cut and resized."""
  files: list[Path]
  crop: RandomCrop
  read: Callable[[bytes, Callable], np.ndarray]

  def __call__(self, step: int) -> dict[str, np.ndarray]:
    paths = [self.files[(step * BATCH + i) % len(self.files)] for i in range(BATCH)]
    cuts = [partial(self.crop.box, u) for u in self.crop.draws(0, step, BATCH)]
    return {'image': np.stack([self.read(path.read_bytes(), cut)
                               for path, cut in zip(paths, cuts, strict=True)])}


@dataclass(frozen=True)
class Without:
  """The same, as if visionlab[fast] were not installed; for a process of its own."""
  loader: Callable

  def __call__(self, step: int) -> Any:
    resize.fast = jpeg.fast = None
    return self.loader(step)


def pillow(data: bytes, cut: Callable) -> np.ndarray:
  image = Image.open(io.BytesIO(data)).convert('RGB')
  part = image.crop(cut(image.height, image.width))
  return np.asarray(part.resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def opencv(data: bytes, cut: Callable) -> np.ndarray:
  import cv2
  cv2.setNumThreads(0)
  image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
  x1, y1, x2, y2 = cut(*image.shape[:2])
  return cv2.resize(image[y1:y2, x1:x2], (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)


def grain_stream(loader: Callable, n: int) -> Iterator:
  """Batches from n worker processes, without end."""
  return prefetched(loader, 0, 10**6, n, AHEAD)


def tf_stream(files: list[Path], crop: RandomCrop, n: int) -> Iterator:
  """Batches from tf.data on n threads, which decodes no more than the crop."""
  import tensorflow as tf

  def one(path):
    data = tf.io.read_file(path)
    begin, size, _ = tf.image.sample_distorted_bounding_box(
        tf.io.extract_jpeg_shape(data), tf.zeros((1, 0, 4)), aspect_ratio_range=crop.ratio,
        area_range=crop.scale, max_attempts=10, use_image_if_no_bounding_boxes=True)
    image = tf.image.decode_and_crop_jpeg(data, tf.concat([begin[:2], size[:2]], 0), channels=3)
    image = tf.image.resize(image, (SIZE, SIZE))
    return {'image': tf.cast(tf.round(image), tf.uint8)}
  options = tf.data.Options()
  options.threading.private_threadpool_size = n
  data = tf.data.Dataset.from_tensor_slices([str(path) for path in files]).repeat()
  data = data.map(one, num_parallel_calls=n).batch(BATCH).prefetch(AHEAD).with_options(options)
  yield from data.as_numpy_iterator()


def write_photos(root: Path, n: int) -> None:
  """Parts of scikit-learn's two photographs, as JPEG files of 500x375 pixels, quality 90, 4:2:0."""
  from sklearn.datasets import load_sample_images
  photos = [Image.fromarray(pixels) for pixels in load_sample_images().images]
  crop = RandomCrop((375, 500), scale=(.5, 1.))
  root.mkdir(parents=True)
  for i, u in enumerate(crop.draws(0, 0, n)):
    photo = photos[i % len(photos)]
    photo = photo.resize((500, 375), Image.Resampling.LANCZOS,
                         box=crop.box(u, photo.height, photo.width))
    photo.save(root / f'{i:04d}.jpg', quality=90)


def has(module: str) -> bool:
  return importlib.util.find_spec(module) is not None
