"""Images with objects, from whatever files: padded, on a canvas of one size."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from absl import logging

from visionlab.config import ConfigError
from visionlab.data.file_warnings import reading, warn_once
from visionlab.data.images.decode import Canvas, open_image, upright_size
from visionlab.data.source import Info
from visionlab.data.sources.annotation_files import (
  Annotations,
  Faults,
  Packed,
  check_size,
  image_sizes,
  place_of,
  stored,
  with_frames,
  with_most,
  with_sound_boxes,
)
from visionlab.data.sources.outlines import CROP, Outlines


def fitted(sizes: np.ndarray, canvas: tuple[int, int]) -> np.ndarray:
  """The whole pixels (... 2) that pictures of `sizes` (... 2) take when scaled to fit a canvas.

  >>> fitted(np.array([480, 640]), (300, 320)).tolist()
  [240, 320]
  """
  canvas = np.array(canvas)
  scale = (canvas / np.maximum(sizes, 1)).min(-1, keepdims=True)
  return np.clip(np.round(sizes * scale), 1, canvas).astype(np.int32)


class Objects:
  """A source of images with their objects; images are decoded when they are asked for.

  `objects_of` makes these, after checks.

  Args:
    root: what the names of files are relative to, or where else they are.
    annotations: sound ones.
    outlines: the masks of their `row`s, if masks are wanted.
    info: with the names of classes.
    size: of the canvas, (height, width).
    most: objects per image, what all are padded to.
    on_broken: as for `objects_of`.
  """

  def __init__(self, root: Path | Packed, annotations: Annotations, outlines: Outlines | None,
               info: Info, size: tuple[int, int], most: int, on_broken: str):
    order = np.argsort(annotations.owner, kind='stable')
    self.root, self.annotations = root, annotations.of_objects(order)
    self.outlines, self.info, self.size = outlines, info, size
    self.most, self.on_broken = most, on_broken
    self.starts = np.searchsorted(self.annotations.owner, np.arange(len(annotations.files) + 1))
    self.extents = fitted(annotations.sizes, size)

  def __len__(self) -> int:
    return len(self.annotations.files)

  def __getitem__(self, indices: np.ndarray) -> dict:
    annotations, indices = self.annotations, np.arange(len(self))[indices]
    image = np.zeros((len(indices), *self.size, 3), np.uint8)
    valid = np.ones(len(indices), bool)
    for i, at in enumerate(indices):
      name = os.fsdecode(annotations.files[at])
      path = place_of(self.root, name)
      try:
        height, width = self.extents[at]
        with reading(path):
          image[i, :height, :width] = self._picture(name, at)
      except Exception as error:  # what decoders raise for damaged files knows no bounds
        if self.on_broken == 'stop':
          raise ConfigError(f'{path} cannot be used: {error} (on_broken="skip" leaves it out)'
                            ) from error
        warn_once(f'{path} is left out, it cannot be used: {error}')
        valid[i] = False
    objects = self._objects(indices, valid)
    seen = valid[:, None]
    return dict(image=image, extent=(self.extents[indices] * seen).astype(np.float32),
                original=(annotations.sizes[indices] * seen).astype(np.int32),
                image_id=np.where(valid, annotations.ids[indices], 0).astype(np.int32),
                objects=objects, valid=valid)

  def _picture(self, name: str, at: int) -> np.ndarray:
    file = stored(self.root, name)
    file = file.read_bytes() if isinstance(file, Path) else file
    with open_image(file) as image:
      check_size(upright_size(image)[::-1], self.annotations.sizes[at])
    return Canvas(tuple(self.extents[at].tolist()), 'stretch').read(file)

  def _objects(self, indices: np.ndarray, valid: np.ndarray) -> dict[str, np.ndarray]:
    """Those of the images that are valid, in canvas pixels, padded."""
    annotations, shape = self.annotations, (len(indices), self.most)
    out = dict(boxes=np.zeros((*shape, 4), np.float32), classes=np.zeros(shape, np.int32),
               valid=np.zeros(shape, bool), crowd=np.zeros(shape, bool))
    if annotations.area is not None:
      out['area'] = np.zeros(shape, np.float32)
    if annotations.keypoints is not None:
      out['keypoints'] = np.zeros((*shape, *annotations.keypoints.shape[1:]), np.float32)
    if self.outlines:
      out['masks'] = np.zeros((*shape, CROP, CROP), np.uint8)
      out['frames'] = np.zeros((*shape, 4), np.float32)
    for i in np.flatnonzero(valid):
      at = indices[i]
      rows, zoom = slice(*self.starts[at:at + 2]), (self.extents[at] / annotations.sizes[at])[::-1]
      edge, n = np.tile(self.extents[at][::-1], 2), rows.stop - rows.start
      out['valid'][i, :n] = True
      out['boxes'][i, :n] = np.minimum(annotations.boxes[rows] * np.tile(zoom, 2), edge)
      for name in {'classes', 'crowd', 'area'} & out.keys():
        out[name][i, :n] = getattr(annotations, name)[rows]
      if annotations.keypoints is not None:
        out['keypoints'][i, :n] = annotations.keypoints[rows] * [*zoom, 1]
      if self.outlines:
        out['frames'][i, :n] = np.minimum(annotations.frames[rows] * np.tile(zoom, 2), edge)
        outlined = zip(annotations.row[rows], annotations.frames[rows], strict=True)
        for slot, (row, frame) in enumerate(outlined):
          out['masks'][i, slot] = self.outlines.crop(row, frame)
    return out


def objects_of(annotations: Annotations, describe: Callable[[int], str], faults: Faults, *,
               root: Path | Packed, classes: Sequence[str], size: int | tuple[int, int],
               most: int = 0, check: bool = True, outlines: Outlines | None = None,
               joints: tuple = (), limbs: tuple = (), field: str = 'bbox') -> Objects:
  """The source of all in `annotations` that is sound.

  Args:
    annotations: as read from files.
    describe: names the object of a `row` in messages, with its file.
    faults: where what is not sound is counted.
    root: what the names of images are relative to, or where else they are.
    classes: names.
    size: of the canvas, (height, width) or one number for both.
    most: objects per image; of images with more, the largest are kept, crowds last. 0: as many as
      the image with the most has.
    check: whether to read the images' headers. If not, `annotations.sizes` are taken for true
      where they are known, which is where they are not zero.
    outlines: the objects' masks, by `row`.
    joints, limbs: see `visionlab.data.source.Info`.
    field: what holds the box in the files.

  Returns:
    A source of `image` (b h w 3) uint8, the picture scaled with its aspect kept, at the top left;
    `extent` (b 2) float32, (height, width) of the picture on its canvas; `original` (b 2) int32,
    those of the file; `image_id` (b,) int32; `valid` (b,); and `objects`, padded to n: `boxes`
    (b n 4) float32 in pixels of the canvas, `classes` (b n) int32, `valid` (b n), `crowd` (b n)
    bool, what counts neither when found nor when missed; as far as the files have them `area` (b n)
    in pixels of the file and `keypoints` (b n j 3), and of `outlines` `masks` (b n 112 112) uint8,
    crops, with their `frames` (b n 4).

  Raises:
    ConfigError: a wrong option; no image or no object is sound; or, with on_broken='stop',
      something is not.
  """
  canvas = Canvas(size)
  if most < 0:
    raise ConfigError(f'{faults.where.split()[0]}: most must be 0 or more, not {most}')
  sizes = image_sizes(root, annotations.files, faults, annotations.sizes, check)
  annotations = replace(annotations, sizes=sizes)
  annotations = annotations.of_images(annotations.sizes.all(-1))
  faults.check_left('images', len(annotations.files))
  annotations = with_sound_boxes(annotations, describe, field, faults)
  if outlines:
    annotations = with_frames(annotations, outlines, describe, faults)
  faults.check_left('objects', len(annotations.owner))
  faults.report()
  if annotations.crowd.size and annotations.crowd.all():
    logging.warning('%s: all %d objects are crowds, or difficult: they count neither when found '
                    'nor when missed', faults.where, len(annotations.crowd))
  per_image = np.bincount(annotations.owner, minlength=1).max()
  if 0 < most < per_image:
    annotations = with_most(annotations, most, faults.where)
  info = Info(tuple(classes), joints=joints, limbs=limbs)
  return Objects(root, annotations, outlines, info, (canvas.height, canvas.width),
                 int(most or max(per_image, 1)), faults.on_broken)
