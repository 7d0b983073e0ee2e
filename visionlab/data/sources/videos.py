"""Films with a class each: a folder per class, or the split lists of UCF-101 and HMDB-51."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from absl import logging

from visionlab.config import ConfigError, check_choice
from visionlab.data.file_warnings import reading, warn_once
from visionlab.data.films.film import FILMS, is_film, read_film, seconds
from visionlab.data.images.decode import Canvas
from visionlab.data.images.files import ImageFiles, encoded, in_threads, is_stray, reason
from visionlab.data.source import Info, check_root, check_seed, check_split
from visionlab.data.sources.encoded import check_on_broken
from visionlab.data.sources.video_lists import listed

SAMPLINGS = ('dense', 'uniform', 'segments')


@dataclass(frozen=True)
class Sampling:
  """Which moments of a film an example shows, a function of (seed, example); see `videos`."""
  frames: int
  how: str
  rate: float
  clips: int
  random: bool
  seed: int

  def moments(self, index: int, length: float) -> np.ndarray:
    """The rising moments (frames,), in seconds, that example `index` shows of its film.

    >>> Sampling(4, 'uniform', 25., clips=2, random=False, seed=0).moments(1, 16.).tolist()
    [9.0, 11.0, 13.0, 15.0]
    """
    key = np.array([self.seed % 2**64, index], np.uint64)
    raw = np.random.Philox(key=key).random_raw(self.frames) >> np.uint64(11)
    u = raw * 2.**-53 if self.random else np.full(self.frames, .5)
    part, number = 1 / self.clips, index % self.clips
    if self.how == 'dense':
      free = max(length - self.frames / self.rate, 0.)
      return free * part * (number + u[0]) + np.arange(self.frames) / self.rate
    within = .5 if self.how == 'uniform' else u
    return length * part * (number + (np.arange(self.frames) + within) / self.frames)


class Videos(ImageFiles):
  """A source of films, decoded when they are asked for; see `videos`."""

  def __init__(self, root: Path, files: Sequence[str], labels: np.ndarray, lengths: np.ndarray,
               info: Info, canvas: Canvas, sampling: Sampling, rate: float, on_broken: str):
    self.root, self.info, self.canvas = root, info, canvas
    self.sampling, self.rate, self.on_broken = sampling, rate, on_broken
    self.files = encoded(files).repeat(sampling.clips)
    self.labels, self.lengths = labels.repeat(sampling.clips), lengths.repeat(sampling.clips)

  def read(self, indices: np.ndarray, canvas: Canvas, cuts: Sequence = ()) -> dict:
    indices = np.arange(len(self))[indices]
    video = np.zeros((len(indices), self.sampling.frames, *canvas.shape), np.uint8)
    label, valid = self.labels[indices], np.ones(len(indices), bool)
    for i, index in enumerate(indices.tolist()):
      path = self.root / os.fsdecode(self.files[index])
      try:
        with reading(path):
          moments = self.sampling.moments(index, self.lengths[index] or seconds(path, self.rate))
          video[i] = read_film(path, moments, canvas, self.rate, cuts[i] if cuts else None)
      except Exception as error:     # what decoders raise for damaged files knows no bounds
        if self.on_broken == 'stop':
          raise broken(path, error) from error
        warn_once(f'{path} is left out, it cannot be decoded: {reason(error)}')
        valid[i], label[i] = False, 0
    batch = dict(video=video, label=label)
    return batch if self.on_broken == 'stop' else {**batch, 'valid': valid}


def videos(split: str, *, root: str = '', size: int | tuple[int, int] = 112, frames: int = 16,
           sampling: str = 'segments', rate: float = 25., clips: int = 1, random: bool = True,
           seed: int = 0, resize: str = 'crop', crop_fraction: float = 1., channels: int = 3,
           on_broken: str = 'skip', check: bool = True, lists: str = '', fold: int = 1) -> Videos:
  """Films in `root/<split>/<class>/`, or in `root/<class>/`, which is all 'train'.

  A film is a file that PyAV reads (`pip install av`), an animated image, or a folder of images, its
  frames in the order of their numbers. Frames are found by their time stamps, so that the rates of
  films may differ and vary. All frames of an example are scaled and cut alike.

  Args:
    split: the name of a split's folder, or 'train' where there are none; with `lists` 'train' or
      'test'.
    root: the folder.
    size, resize, crop_fraction, channels: the canvas, see `visionlab.data.images.decode.Canvas`.
    frames: of an example.
    sampling: 'segments': a frame of each of as many equal parts of the film (Wang et al. 2016);
      'uniform': the middle of each; 'dense': frames 1 / `rate` seconds apart, from some moment on,
      the last one repeated where the film is shorter.
    rate: frames a second, of 'dense', and of films that are folders of images.
    clips: examples of each film, from as many equal parts of it in turn. A slice of a split, such
      as 'train[:80%]', then cuts through films: hold films out by folders or lists.
    random: whether moments are drawn, as (seed, example) says; otherwise they are middles.
    seed: of that.
    on_broken: 'skip' leaves out films that cannot be opened, and marks those found out only when
      decoded as not `valid`, with a warning; 'stop' raises an error that names the film.
    check: read every film's header when opening.
    lists: a folder, in `root` or elsewhere, with the split lists of UCF-101 or HMDB-51, e.g.
      'ucfTrainTestlist'; films are then `root/<class>/<film>`, with or without their suffix.
    fold: 1, 2 or 3, of the lists.

  Returns:
    A source of `video` (n t h w c) uint8 and `label` (n,) int32; with 'skip' also `valid` (n,).

  Raises:
    ConfigError: a wrong option or split, a folder that is not laid out like this, a broken film.
  """
  canvas = Canvas(size, resize, crop_fraction, channels)
  check_on_broken(on_broken, 'videos')
  check_choice(sampling, SAMPLINGS, 'videos: sampling')
  check_seed(seed, 'videos')
  for name, value in (('frames', frames), ('clips', clips), ('fold', fold)):
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
      raise ConfigError(f'videos: {name} must be a positive integer, not {value!r}')
  if not 0 < rate < float('inf'):
    raise ConfigError(f'videos: rate must be frames a second, above 0, not {rate!r}')
  top = check_root(root, 'videos', 'a subfolder of films per class, or such folders per split')
  if lists:
    found, classes = _of_lists(top, split, top / Path(lists).expanduser(), fold)
  else:
    try:
      found, classes = _of_folders(top, split)
    except OSError as error:
      raise ConfigError(f'videos: {error.filename} cannot be listed: {error.strerror}') from error
  number = {name: i for i, name in enumerate(classes)}
  files, labels = [file for file, _ in found], np.array([number[c] for _, c in found], np.int32)
  lengths = np.zeros(len(files))
  if check:
    lengths = _lengths(f'videos {top}', top, files, rate, on_broken)
    sound = ~np.isnan(lengths)
    files, labels, lengths = np.array(files)[sound].tolist(), labels[sound], lengths[sound]
  return Videos(top, files, labels, lengths, Info(classes), canvas,
                Sampling(frames, sampling, rate, clips, random, seed), rate, on_broken)


def broken(path: Path, error: Exception) -> ConfigError:
  return ConfigError(f'{path} cannot be read as a film: {reason(error)} (on_broken="skip" leaves '
                     'such files out)')


def _of_folders(top: Path, split: str) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
  """(film, class) of each film of a split, and all classes."""
  inner = {path.name: _classes(path) for path in _folders(top)}
  splits: Mapping[str, Sequence[Path]] = {name: own for name, own in inner.items() if own}
  splits = splits or {'train': _classes(top)}
  if not any(splits.values()):
    raise ConfigError(f'videos: {top} holds no films; expected <split>/<class>/<film> or '
                      f'<class>/<film>, of files ({", ".join(FILMS)}) or folders of images')
  check_split(split, tuple(splits), f'videos {top}')
  found = [(film.relative_to(top).as_posix(), path.name)
           for path in splits[split] for film in _films(path)]
  return found, tuple(sorted({path.name for own in splits.values() for path in own}))


def _folders(top: Path) -> list[Path]:
  return sorted(path for path in top.iterdir() if path.is_dir() and not is_stray(path.name))


def _classes(top: Path) -> list[Path]:
  """The folders in `top` that hold films."""
  return [path for path in _folders(top) if _films(path)]


def _films(folder: Path) -> list[Path]:
  return sorted(path for path in folder.iterdir() if not is_stray(path.name) and is_film(path))


def _of_lists(top: Path, split: str, folder: Path, fold: int
              ) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
  if not folder.is_dir():
    raise ConfigError(f'videos: lists: there is no folder {folder}')
  rows = {name: listed(folder, name, fold) for name in ('train', 'test')}
  check_split(split, tuple(rows), f'videos: lists {folder}')
  found = []
  for film, name in rows[split]:
    whole = top / film                  # frames taken out of a film lie in a folder of its name
    found.append((film if whole.exists() else os.path.splitext(film)[0], name))
  missing = [film for film, _ in found if not (top / film).exists()]
  if missing:
    raise ConfigError(f'videos: {len(missing)} of the {len(found)} films that {folder} lists for '
                      f'"{split}" are not in {top}; the first is {missing[0]}')
  return found, tuple(sorted({name for own in rows.values() for _, name in own}))


def _lengths(where: str, top: Path, files: Sequence[str], rate: float, on_broken: str
             ) -> np.ndarray:
  """Seconds (n,) that films last; nan of those that cannot be opened."""
  def look(name: str) -> float | Exception:
    try:
      with reading(top / name):
        return seconds(top / name, rate)
    except Exception as error:       # as in Videos
      return error
  found = in_threads(look, files)
  bad = [(name, f) for name, f in zip(files, found, strict=True) if isinstance(f, Exception)]
  if bad and (on_broken == 'stop' or len(bad) == len(files)):
    raise broken(top / bad[0][0], bad[0][1])
  if bad:
    logging.warning('%s: %d of %d films are left out, they cannot be opened: %s%s (the first: %s)',
                    where, len(bad), len(files), ', '.join(name for name, _ in bad[:5]),
                    ', ...' if len(bad) > 5 else '', reason(bad[0][1]))
  return np.array([np.nan if isinstance(f, Exception) else f for f in found])
