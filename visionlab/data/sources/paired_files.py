"""Two folders whose files pair up by name: a.jpg with a_mask.png."""

import glob
import os
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from visionlab.config import ConfigError, nearest
from visionlab.data.images.decode import SUFFIXES
from visionlab.data.images.files import image_names
from visionlab.data.source import check_split, check_split_folders

TRIED = 500               # names that are looked through for a hint


class Affixes(NamedTuple):
  """What the names of one side have in addition to those they share with their partners.

  A suffix may end with that of the files: '_mask.png', or '.png' alone.
  """
  prefix: str = ''
  suffix: str = ''

  def shared(self, name: str) -> str | None:
    """What is left of the name of a file; None if it has not both."""
    stem, kind = os.path.splitext(name)
    ending, wanted = os.path.splitext(self.suffix)
    if self.suffix.lower() in SUFFIXES:
      ending, wanted = '', self.suffix
    if wanted.lower() not in SUFFIXES:
      ending, wanted = self.suffix, kind
    long_enough = len(stem) > len(self.prefix) + len(ending)
    if not (long_enough and kind.lower() == wanted.lower() and stem.startswith(self.prefix)
            and stem.endswith(ending)):
      return None
    return stem[len(self.prefix):len(stem) - len(ending)]

  def pattern(self, stem: str = '') -> str:
    """The names of files as people write them: '*_mask.*'."""
    path = PurePosixPath(stem or '*')
    kind = '' if os.path.splitext(self.suffix)[1] or self.suffix.lower() in SUFFIXES else '.*'
    return str(path.parent / f'{self.prefix}{path.name}{self.suffix}{kind}')


def paired_files(top: Path, split: str, images: str, masks: str, of_image: Affixes,
                 of_mask: Affixes) -> list[tuple[str, str]]:
  """The (image, mask) names of a split, relative to `top`, sorted; see `pairs` for the options.

  Folders inside the two are searched as well; a file's partner is in the folder of the same name.

  Raises:
    ConfigError: no such folders or split, a file without its partner or with two.
  """
  image_folder, mask_folder = _folders(top, split, images, masks)
  if image_folder.resolve() == mask_folder.resolve() and of_image == of_mask:
    raise ConfigError(f'pairs: images and masks are both in {image_folder}; mask_suffix or '
                      'image_suffix must tell them apart')
  of_images = _by_shared(image_folder, of_image, mask_folder, of_mask)
  of_masks = _by_shared(mask_folder, of_mask, image_folder, of_image)
  for here, there, folder, affixes, kind in (
      (of_images, of_masks, mask_folder, of_mask, 'mask'),
      (of_masks, of_images, image_folder, of_image, 'image')):
    alone = sorted(here.keys() - there.keys())
    if alone:
      hint = _hint(of_images, of_masks) or nearest(alone[0], there)
      raise ConfigError(f'pairs: {here[alone[0]]} has no {kind}; expected '
                        f'{folder}/{affixes.pattern(alone[0])} ({len(alone)} of {len(here)} lack '
                        f'theirs){hint}')
  return [(_inside(top, of_images[shared]), _inside(top, of_masks[shared]))
          for shared in sorted(of_images)]


def _inside(top: Path, path: Path) -> str:
  return str(path.relative_to(top) if path.is_relative_to(top) else path)


def _folders(top: Path, split: str, images: str, masks: str) -> tuple[Path, Path]:
  """The folders of a split's images and masks."""
  names = images, masks
  if any('{split}' in name for name in names):
    check_split_folders(top, names, split, 'pairs')
    found = [top / name.replace('{split}', split) for name in names]
  elif (top / images).is_dir():
    check_split(split, ('train',), f'pairs {top}')
    found = [top / name for name in names]
  else:
    there = top.glob(f'*/{glob.escape(images)}')
    splits = sorted(path.relative_to(top).parts[0] for path in there)
    if not splits:
      raise ConfigError(f'pairs {top} has no folder {images}, nor <split>/{images}; the options '
                        'images and masks name others')
    check_split(split, splits, f'pairs {top}')
    found = [top / split / name for name in names]
  for path in found:
    if not path.is_dir():
      raise ConfigError(f'pairs: there is no folder {path}; expected it by images={images!r}, '
                        f'masks={masks!r}')
  return found[0], found[1]


def _by_shared(folder: Path, own: Affixes, other_folder: Path, other: Affixes) -> dict[str, Path]:
  """The images in a folder by what their names share with their partners'.

  Those of the other side are left out: its folder may be this one, or inside it.
  """
  one_folder = folder.resolve() == other_folder.resolve()
  found: dict[str, Path] = {}
  for name in image_names(folder, leave_out=() if one_folder else (other_folder,)):
    parent, file = os.path.split(name)
    shared = own.shared(file)
    if shared is None or one_folder and _longer(other, own) and other.shared(file) is not None:
      continue
    key = f'{parent}/{shared}' if parent else shared
    if key in found:
      raise ConfigError(f'pairs: {found[key]} and {folder / name} have one name; expected one of '
                        'them')
    found[key] = folder / name
  if not found:
    raise ConfigError(f'pairs: {folder} holds no images {own.pattern()} (.jpg, .png, .tif or '
                      'others that Pillow reads)')
  return found


def _longer(one: Affixes, other: Affixes) -> bool:
  return len(one.prefix) + len(one.suffix) > len(other.prefix) + len(other.suffix)


def _hint(images: Mapping[str, Path], masks: Mapping[str, Path]) -> str:
  """The options with which all pair up, if there are some that are easily found."""
  image_stems, mask_stems = ([path.stem for path in side.values()] for side in (images, masks))
  first = min(image_stems)
  matches = [(stem, SequenceMatcher(None, first, stem, autojunk=False).find_longest_match())
             for stem in sorted(mask_stems)[:TRIED]]
  stem, match = max(matches, key=lambda pair: pair[1].size)
  of_image = Affixes(first[:match.a], first[match.a + match.size:])
  of_mask = Affixes(stem[:match.b], stem[match.b + match.size:])
  if not match.size or _shared(of_image, image_stems) != _shared(of_mask, mask_stems):
    return ''
  options = dict(image_prefix=of_image.prefix, image_suffix=of_image.suffix,
                 mask_prefix=of_mask.prefix, mask_suffix=of_mask.suffix)
  return '; all would pair up with ' + ', '.join(f'{k}={v!r}' for k, v in options.items() if v)


def _shared(affixes: Affixes, stems: Sequence[str]) -> list:
  return sorted(affixes.shared(f'{stem}.png') or '' for stem in stems)
