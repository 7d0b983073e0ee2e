"""Boxes that come with each image of a source: proposals that no network made."""

import contextlib
import hashlib
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import timedelta
from multiprocessing import get_context
from typing import Any

import numpy as np

from visionlab.config import bind, check_choice
from visionlab.data.selective_search import SelectiveSearch
from visionlab.data.source import Source
from visionlab.paths import cache_folder

METHODS = dict(selective_search=SelectiveSearch)
VERSION = 1                      # of the files; a change of a method that changes boxes raises it
SAMPLED = 64                     # images by which a source is told from others
CHUNK = 256                      # images at a time: large sets are never in memory whole


class Proposed:
  """A source with `proposals` for each example: `boxes` (n p 4) float32, in pixels, and `valid`
  (n p).

  Args:
    source: one with images.
    boxes: int16 (len(source) p 4).
    counts: how many of the p are real.
    options: of `with_proposals`, by which other images get theirs.
  """

  def __init__(self, source: Source, boxes: np.ndarray, counts: np.ndarray, options: Mapping):
    self.source, self.boxes, self.counts = source, boxes, counts
    self.info = replace(source.info, proposals=dict(options))

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, indices: np.ndarray) -> dict[str, Any]:
    indices = np.arange(len(self))[indices]
    return {**self.source[indices],
            'proposals': with_valid(self.boxes[indices], self.counts[indices])}


class ResidentProposed(Proposed):
  """`Proposed` over a source that may live on the device."""

  @property
  def arrays(self):
    return dict(source=self.source.arrays, boxes=self.boxes, counts=self.counts)

  def gather(self, arrays, indices):
    return {**self.source.gather(arrays['source'], indices),
            'proposals': with_valid(arrays['boxes'][indices], arrays['counts'][indices])}


def with_valid(boxes, counts) -> dict[str, Any]:
  """Boxes (n p 4), of which the first counts (n) are real, as they come in batches."""
  return dict(boxes=boxes.astype(np.float32),
              valid=np.arange(boxes.shape[1]) < counts[:, None])


def with_proposals(source: Source, options: Mapping[str, Any], where: str) -> Source:
  """The source with what a method proposes for each image.

  It is computed once, on all cores, and kept for later runs in `cache_folder('proposals')`.

  Args:
    options: `name` of the method, 'selective_search', and what it takes.
    where: what messages call the options.

  Raises:
    ConfigError: an unknown method or option.
  """
  propose = proposer(options, where)
  path = cache_folder('proposals') / f'{_fingerprint(source, propose)}.npz'
  if not path.exists():
    boxes, counts = _all_of(source, propose, f'{where}: {options["name"]}')
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f'.{os.getpid()}.npz')      # of several runs each writes its own
    np.savez(part, boxes=boxes, counts=counts)
    part.replace(path)
  with np.load(path) as saved:
    boxes, counts = saved['boxes'], saved['counts']
  kind = ResidentProposed if hasattr(source, 'gather') else Proposed
  return kind(source, boxes, counts, options)


def proposer(options: Mapping[str, Any], where: str) -> Callable[[np.ndarray], np.ndarray]:
  """The function from images (h w 3) uint8 to boxes (n 4) that `options` name."""
  check_choice(options.get('name', ''), tuple(METHODS), f'{where}.name')
  return bind(METHODS[options['name']], options, where)


def padded(boxes: Sequence[np.ndarray], most: int = 0) -> tuple[np.ndarray, np.ndarray]:
  """Boxes (n_i 4) of each image, whole pixels -> int16 (len(boxes) p 4), and the n_i.

  most: p; 0: the largest n_i.

  >>> boxes, counts = padded([np.ones((2, 4)), np.ones((0, 4))])
  >>> boxes.shape, counts.tolist()
  ((2, 2, 4), [2, 0])
  """
  counts = np.array([len(b) for b in boxes], np.int32)
  together = np.zeros((len(boxes), most or max(counts.max(initial=0), 1), 4), np.int16)
  for row, own in zip(together, boxes, strict=True):
    row[:len(own)] = own
  return together, counts


def _fingerprint(source, propose):
  """Of the method and of the images, by some of them."""
  some = np.unique(np.linspace(0, len(source) - 1, SAMPLED).round().astype(int))
  digest = hashlib.sha256(f'{VERSION} {propose} {len(source)}'.encode())
  digest.update(np.ascontiguousarray(source[some]['image']).tobytes())
  return digest.hexdigest()[:32]


def _pictures(source, indices) -> list[np.ndarray]:
  """The images, without what is around them on their canvas."""
  examples = source[indices]
  h, w = examples['image'].shape[1:3]
  sides = examples.get('extent', np.tile((h, w), (len(indices), 1))).astype(int)
  return [image[:h, :w] for image, (h, w) in zip(examples['image'], sides, strict=True)]


def _all_of(source, propose, what):
  began, found, total = time.monotonic(), [], len(source)
  with contextlib.ExitStack() as stack:
    # Spawned, not forked: JAX's threads do not survive a fork.
    mapped = map if total <= CHUNK else stack.enter_context(ProcessPoolExecutor(
        mp_context=get_context('spawn'))).map
    for start in range(0, total, CHUNK):
      indices = np.arange(start, min(start + CHUNK, total))
      found += mapped(propose, _pictures(source, indices))
      seconds = (time.monotonic() - began) / len(found) * (total - len(found))
      left = timedelta(seconds=int(seconds))
      print(f'{what}: {len(found)}/{total} images  {left} left', file=sys.stderr)
  return padded(found)
