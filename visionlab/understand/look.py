"""What a method of `python -m visionlab.understand` is asked to look at, and what it shows."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import numpy as np

from visionlab.data.source import Source
from visionlab.understand.subject import Subject, floats, in_chunks

SHOWN = 12              # classes or units, where none are named
EVERY = 5.              # seconds between two pictures of work that goes on
CHUNK = 16              # images that are asked about at once


class Seen(NamedTuple):
  """What there is to see: a picture (h w 3) uint8, the arrays behind it, and a line about it; or
  the frames of a film, or a page in HTML."""
  picture: np.ndarray | None
  arrays: Mapping[str, np.ndarray]
  text: str = ''
  frames: Sequence[np.ndarray] = ()
  page: str = ''


@dataclasses.dataclass(frozen=True)
class Look:
  """What a method is asked to look at.

  Attributes:
    subject: the network.
    run: that it is of.
    read: () -> images (n h w c) and what each is called.
    whole: () -> the same images at their own sizes, (h w c) each.
    target: a class's name or number, or None.
    source: () -> the source of the split that was named, for what goes through all of it.
    show: of a `Seen`, while the work goes on.
    progress: of (done, of).
    film: whether the output is one.
  """
  subject: Subject
  run: Any
  read: Callable[[], tuple[np.ndarray, list[str]]]
  whole: Callable[[], list[np.ndarray]]
  target: str | None
  source: Callable[[], Source]
  show: Callable[[Seen], None]
  progress: Callable[[int, int], None]
  film: bool = False

  @cached_property
  def named(self) -> tuple[np.ndarray, list[str]]:
    return self.read()

  @property
  def images(self) -> np.ndarray:
    return self.named[0]

  def targets(self) -> list[str]:
    """The classes that were named, 'shark,goldfish'; or all, where they are few."""
    if self.target is not None:
      return [name.strip() for name in self.target.split(',')]
    return list(self.subject.classes[:SHOWN])

  def captions(self) -> list[str]:
    """What each image is called, and what is explained of it."""
    names = self.named[1]
    if self.target is not None:
      return [f'{name}: {self.target}' for name in names]
    answer = in_chunks(partial(_answer, self.subject), CHUNK, floats(self.images))
    logits = answer.get('logits', np.zeros(1))
    if logits.ndim != 2 or not self.subject.classes:
      return list(names)
    return [f'{name}: {self.subject.classes[k]}'
            for name, k in zip(names, logits.argmax(-1), strict=True)]

  def watch(self, picture: Callable[[np.ndarray], np.ndarray]) -> Callable:
    """A callback of (done, of, images): progress, and now and then the picture of the images."""
    last = [time.monotonic()]

    def callback(done, of, images):
      self.progress(done, of)
      if time.monotonic() - last[0] > EVERY:
        last[0] = time.monotonic()
        self.show(Seen(picture(images), dict(images=images)))
    return callback


@jax.jit
def _answer(subject, images):
  return subject.answer(images)
