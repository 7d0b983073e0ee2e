"""Faces turned and scaled so that eyes, nose and mouth lie where those of all others do."""

from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError
from visionlab.data.balance import labels_of
from visionlab.data.file_warnings import warn_once
from visionlab.data.pipeline import open_sources
from visionlab.data.source import Arrays, Source
from visionlab.ops.similarity import aligned as one_aligned
from visionlab.runs.face_crops import face_finder, landmarks_in, landmarks_of, warn_of_none
from visionlab.runs.load import load
from visionlab.understand.subject import in_chunks

CHUNK = 64


def aligned(split: str, *, of: Mapping, root: str = '', size: int = 40, landmarks: str = '',
            detector: str = '') -> 'Aligned | Arrays':
  """Another source's faces, each moved by a similarity so that its five landmarks come to lie on
  ArcFace's (`visionlab.ops.similarity.TEMPLATE`), and cut to that square.

  Args:
    split: of the other source.
    of: the other source's options, such as dict(name='faces').
    root: instead of the other source's.
    size: height and width of the results in pixels.
    landmarks: a run that finds them, whose folder this is, and to whose size faces are brought
      first; by default the source's own are taken.
    detector: a run that finds faces, whose folder this is: of each image the surest is cut out
      before its landmarks are looked for.

  Returns:
    The other source's entries but for `image` and, of pairs, `other` (n size size c) uint8, whose
    landmarks must be found, and without `landmarks`, which now are those of the template, and
    `objects`.

  Raises:
    ConfigError: neither the source nor the run has five landmarks, or a detector and no run that
      finds landmarks in what it cuts out.
  """
  source = open_sources({**of, 'root': root} if root else dict(of), split, 'config.data.of')
  if size < 8:
    raise ConfigError(f'aligned: size must be at least 8, not {size}')
  if detector and not landmarks:
    raise ConfigError('aligned: in faces that a detector cuts out landmarks must be found; name a '
                      'run that finds them, as landmarks="runs/faces_landmarks"')
  found = Aligned(source, size, finder(landmarks, detector) if landmarks else None)
  if isinstance(source, Arrays):
    return Arrays(found[np.arange(len(found))], found.info)
  found[np.arange(1)]                  # so that what is missing is said here
  return found


def finder(workdir: str, detector: str = '') -> Callable:
  """images, as `Run.predict` takes them -> (images of the size of the run that `workdir` holds, the
  landmarks (n 5 2) that it finds in them). detector: see `aligned`."""
  run = load(workdir)
  faces_in = face_finder(detector) if detector else None

  def find(images):
    if not faces_in:
      pixels = run.fit(images)
      return pixels, landmarks_in(run, pixels)
    found = faces_in(images)
    warn_of_none(found)
    pixels, place, _ = landmarks_of(run, found)
    return pixels, place
  return find


class Aligned:
  """The source that `aligned` opens. find: see `finder`."""

  def __init__(self, source: Source, size: int, find: Callable | None = None):
    self.source, self.size, self.find = source, size, find
    self.info, self.labels = source.info, labels_of(source)

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    examples = dict(self.source[np.asarray(indices)])
    images, landmarks = examples['image'], examples.pop('landmarks', None)
    examples.pop('objects', None)        # where they lie no more
    if 'other' in examples and not self.find:
      raise ConfigError('aligned: of pairs the landmarks of both are needed; name a run that finds '
                        'them, as landmarks="runs/faces_landmarks"')
    if self.find:
      images, landmarks = self.find(images)
    if 'other' in examples:
      examples['other'] = moved(*self.find(examples['other']), self.size)
    return dict(examples, image=moved(images, landmarks, self.size))


def moved(images: np.ndarray, landmarks: np.ndarray | None, size: int) -> np.ndarray:
  """Faces (n size size c) uint8, aligned.

  Args:
    images: (n h w c) uint8.
    landmarks: (n 5 2) that were found, or (n 5 3) of which those that are 0 are not known.
  """
  if landmarks is None or landmarks.shape[1] != 5:
    what = f'{landmarks.shape[1]} landmarks' if landmarks is not None else 'no landmarks'
    raise ConfigError(f'aligned: faces are aligned by five landmarks, and these have {what}; '
                      'name a run that finds them, as landmarks="runs/faces_landmarks"')
  if landmarks.shape[2] == 2:              # found, not annotated: all count
    landmarks = np.concatenate([landmarks, np.ones_like(landmarks[..., :1])], -1)
  faceless = int(((landmarks[..., 2] > 0).sum(1) < 2).sum())
  if faceless:
    warn_once(f'aligned: {faceless} of {len(images)} images have fewer than two known landmarks, '
              'and so no face to align: they are scaled as they are')
  return in_chunks(partial(_all_moved, size), CHUNK, images, landmarks)


@partial(jax.jit, static_argnums=0)
def _all_moved(size, images, landmarks):
  turned = jax.vmap(partial(one_aligned, size=size))(images, landmarks)
  return jnp.round(jnp.clip(turned, 0, 255)).astype(jnp.uint8)
