"""Shards of webdataset: tar files of images and what is said of each, read at random."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.images.decode import SUFFIXES, Canvas
from visionlab.data.images.files import encoded, in_threads
from visionlab.data.source import Info, check_root
from visionlab.data.sources.annotation_files import Faults, Packed
from visionlab.data.sources.encoded import Encoded
from visionlab.data.sources.labelled_files import LABEL
from visionlab.data.sources.objects import Objects
from visionlab.data.sources.said_objects import check_fitted, objects_in, source_of
from visionlab.data.sources.table_rows import Rows, role_of, targets_of
from visionlab.data.sources.tar_shards import (
  Member,
  Sample,
  Shard,
  parsed,
  read_member,
  shard_files,
  splits_there,
)

KINDS = ('cls', 'json', 'txt')
"""Members that may say the label, the likeliest first."""


class TarImages(Encoded):
  """A source of images that are members of tar files.

  Args:
    paths: of the shards.
    shard: (n,), which of them an image is in.
    places: (n 2) int64, where its bytes begin there, and how many there are.
    files, targets, info, canvas, on_broken: see `visionlab.data.sources.encoded.Encoded`.
  """

  def __init__(self, paths: Sequence[Path], shard: np.ndarray, places: np.ndarray,
               files: Sequence[str], targets: Mapping[str, np.ndarray], info: Info,
               canvas: Canvas, on_broken: str):
    super().__init__(files, targets, info, canvas, on_broken)
    self.paths, self.shard, self.places = encoded(map(str, paths)), shard, places

  def content(self, index: int) -> bytes:
    path = Path(self.paths[self.shard[index]].decode())
    return read_member(path, Member(*self.places[index].tolist()))


def webdataset(split: str, *, root: str = '', path: str = '{split}*.tar', image_member: str = '',
               label_member: str = '', label_key: str = '', target_keys: tuple[str, ...] = (),
               objects_key: str = '', box_format: str = 'xywh', classes: tuple[str, ...] = (),
               size: int | tuple[int, int] = 224, resize: str = 'crop', crop_fraction: float = 1.,
               channels: int = 3, most: int = 0, on_broken: str = 'skip') -> TarImages | Objects:
  """Tar files in which `0001.jpg` and `0001.cls` (or `0001.json`, `0001.txt`) are one sample.

  The files' headers are read when opening, and each image from its place when it is asked for: the
  order of examples is that of every source, and needs no shuffled shards. They lie on a disk, and
  are not compressed.

  Args:
    split: what {split} stands for in `path`; 'train' where that has none.
    root: the folder.
    path: the shards in it: 'train-{000..146}.tar', '{split}/*.tar', '{a,b}.tar'.
    image_member: what the images' names end in, e.g. 'input.png'; '' for any image, if there is one
      in a sample.
    label_member: likewise of labels; '' for `cls`, `json` or `txt`, whichever there is.
    label_key: of json, the key of the label; '' for `label`, `class` and the like.
    target_keys: of json, keys of numbers, which are predicted in place of a label: ('age',).
    objects_key: of json, the key of objects with boxes, to be detected in place of a label: a list
      of {"bbox": [10, 20, 30, 40], "category": "cat"}, or {"bbox": [...], "category": [...]} with
      lists of both; "." where the json itself is that.
    box_format: of these, 'xywh', top left corner, width and height in pixels, as COCO has it; or
      'xyxy', two corners.
    classes: the names of classes in their order, see `visionlab.data.sources.table.table`; with ()
      the labels of all splits are read.
    size, resize, crop_fraction, channels: the canvas, see `visionlab.data.images.decode.Canvas`.
    most: objects per image, see `visionlab.data.sources.coco.coco`.
    on_broken: 'skip' leaves samples out that lack an image or a label, and what a damaged shard has
      lost, with a warning that names the first; 'stop' raises an error.

  Returns:
    A source of `image` (n h w c) uint8 and `label` (n,) int32, or `target` (n k) float32; with
    'skip' also `valid` (n,). With objects, what `visionlab.data.sources.objects.objects_of` gives.

  Raises:
    ConfigError: a wrong option or split, no such shards, one that is no tar file, samples without
      images or labels.
  """
  canvas = Canvas(size, resize, crop_fraction, channels)
  top = check_root(root, 'webdataset', f'{path}, tar files')
  faults = Faults(f'webdataset {top}: "{split}"', on_broken)
  if objects_key:
    check_fitted('webdataset', resize, crop_fraction, channels)
    if target_keys or label_key:
      raise ConfigError('webdataset: objects_key is in place of label_key and target_keys')
  reader = Reader(image_member, label_member or ('json' if target_keys or objects_key else ''),
                  objects_key or label_key, target_keys)
  own = reader.samples(shard_files(top, path, split), faults)
  faults.check_left('images', len(own))
  if not own:
    raise ConfigError(f'webdataset {top}: the shards of "{split}" are empty')
  others = [] if classes or target_keys else [
      reader.samples(shard_files(top, path, name), Faults('webdataset', 'skip'))
      for name in splits_there(top, path) if name != split]
  if objects_key:
    kinds = [one.kind for found in others for one in _objects(found, Faults('webdataset', 'skip'))]
    names = [f'{i} ({one.name})' for i, one in enumerate(own)]       # two may be called alike
    pictures = Packed(Members([(str(one.path), one.image) for one in own]),
                      f'webdataset {top}: sample ')
    return source_of(_objects(own, faults), names, pictures, faults, classes=classes, others=kinds,
                     box_format=box_format, size=size, most=most)
  faults.report()
  others = [reader.rows(found, top) for found in others]
  targets, info = targets_of(reader.rows(own, top), others, target_keys, classes)
  paths = list(dict.fromkeys(one.path for one in own))
  number = {path: i for i, path in enumerate(paths)}
  return TarImages(paths, np.array([number[one.path] for one in own], np.int32),
                   np.array([one.image for one in own], np.int64),
                   [one.name for one in own], targets, info, canvas, on_broken)


class Members(NamedTuple):
  """Gives the bytes of images by names that begin with their number. places: of each the shard, and
  where it is there."""
  places: Sequence[tuple[str, Member]]

  def __call__(self, name: str) -> bytes:
    path, member = self.places[int(name.split()[0])]
    return read_member(Path(path), member)


def _objects(found: 'Sequence[Found]', faults: Faults) -> list:
  """What is said of the objects in samples."""
  said = []
  for i, one in enumerate(found):
    try:
      said += objects_in(one.says['label'], i, one.name)
    except ValueError as error:
      faults.add('objects that cannot be read', f'{one.path}, {one.name}: {error}')
  return said


class Found(NamedTuple):
  """A sample with an image, and what is said of it by role (see `table_rows.Rows`)."""
  path: Path
  name: str
  image: Member
  says: Mapping[str, Any]


class Reader:
  """Finds images and labels among members; the options are those of `webdataset`."""

  def __init__(self, image: str, label: str, key: str, targets: Sequence[str]):
    self.image, self.label = image.lower().strip('.'), label.lower().strip('.')
    self.key, self.targets = key, targets

  def samples(self, paths: Sequence[Path], faults: Faults) -> list[Found]:
    """What is sound in shards, in their order."""
    shards = in_threads(Shard.of, paths)
    label = self.label or next((kind for kind in KINDS for shard in shards[:1]
                                for sample in shard.samples if kind in sample.members), '')
    found = []
    for shard in shards:
      if shard.damage:
        faults.add('images or more behind damage', f'{shard.path}: {shard.damage}; what follows '
                   'is lost')
      for sample in shard.samples:
        try:
          found.append(self._found(shard, sample, label))
        except ValueError as error:
          if isinstance(error, ConfigError):
            raise
          faults.add('images that lack what is needed', f'{shard.path}, {sample.key}: {error}')
    return found

  def _found(self, shard: Shard, sample: Sample, label: str) -> Found:
    kind = self._image_kind(shard, sample)
    if label not in sample.members:
      raise ValueError(f'no member .{label or ", .".join(KINDS)} says its label; it has '
                       f'{_listed(sample)}')
    content = read_member(shard.path, sample.members[label])
    return Found(shard.path, f'{shard.path.name}/{sample.key}.{kind}', sample.members[kind],
                 self._said(content, label))

  def _image_kind(self, shard: Shard, sample: Sample) -> str:
    kinds = [kind for kind in sample.members if f'.{kind.rpartition(".")[2]}' in SUFFIXES]
    plain = [kind for kind in kinds if '.' not in kind] or kinds
    if self.image:
      plain = [self.image] if self.image in sample.members else []
    if len(plain) > 1:
      raise ConfigError(f'webdataset: {shard.path}, {sample.key}: {len(plain)} members are images, '
                        f'.{", .".join(plain)}; image_member names one, such as "{plain[0]}"')
    if not plain:
      raise ValueError(f'no member .{self.image or "jpg or the like"} is its image; it has '
                       f'{_listed(sample)}')
    return plain[0]

  def _said(self, content: bytes, label: str) -> dict[str, Any]:
    if label.rpartition('.')[2] != 'json':
      return dict(label=content.decode().strip())
    said = parsed(content)
    if self.targets:
      return {role_of(name): _of(said, name) for name in self.targets}
    if self.key == '.':
      return dict(label=said)
    key = self.key or next((name for names in LABEL for name in names if name in said), 'label')
    return dict(label=_of(said, key))

  def rows(self, found: Sequence[Found], where: Path) -> Rows:
    roles = [role_of(name) for name in self.targets] or ['label']
    return Rows(where, {role: [one.says[role] for one in found] for role in roles},
                [one.name for one in found])


def _of(said: Mapping, key: str) -> Any:
  if key not in said:
    raise ValueError(f'its json has no "{key}", only {", ".join(map(str, said))[:60]}; label_key, '
                     'target_keys or objects_key name one')
  return said[key]


def _listed(sample: Sample) -> str:
  return ', '.join(f'.{kind}' for kind in sample.members)
