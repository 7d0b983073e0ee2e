"""The Penn-Fudan pedestrians: images with masks that number the people."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.images.decode import open_image
from visionlab.data.images.files import encoded, image_names
from visionlab.data.source import check_root, check_split
from visionlab.data.sources.annotation_files import Annotations, Faults
from visionlab.data.sources.objects import Objects, objects_of
from visionlab.data.sources.outlines import Outlines, runs_of

IMAGES, MASKS, SUFFIX = ('PNGImages', 'JPEGImages'), 'PedMasks', '_mask'


def pennfudan(split: str, *, root: str = '', size: int | tuple[int, int] = 512, most: int = 0,
              masks: bool = True, classes: tuple[str, ...] = ('person',), on_broken: str = 'skip',
              check: bool = True) -> Objects:
  """Penn-Fudan (Wang et al. 2007): 170 images of 423 people, each with a mask.

  Its one split is 'all'; parts of it are 'all[:120]' and 'all[120:]'. Of an image `a` in PNGImages
  or JPEGImages, PedMasks/a_mask.png holds 0 for the background and 1, 2, ... for the people; boxes
  are those of the masks. Other sets in this layout can be read as well.

  Args:
    split: 'all'.
    root: the folder PennFudanPed.
    size, most, on_broken, check: see `visionlab.data.sources.coco.coco`.
    masks: whether to give the masks, beside the boxes.
    classes: the one name of what the masks show.

  Returns:
    A source as `visionlab.data.sources.objects.objects_of` describes it; images are numbered in
    the order of their names.

  Raises:
    ConfigError: a wrong option or split, a folder that is not laid out like this, a mask without an
      image, and what `objects_of` says.
  """
  top = check_root(root, 'pennfudan', f'{IMAGES[0]} and {MASKS}')
  check_split(split, ('all',), f'pennfudan {top}')
  if len(classes) != 1:
    raise ConfigError(f'pennfudan: classes must be one name, not {classes!r}')
  folder = next((name for name in IMAGES if (top / name).is_dir()), None)
  mask_files = [top / MASKS / name for name in _images(top / MASKS)
                if name.lower().endswith(f'{SUFFIX}.png')]
  if not folder or not mask_files:
    raise ConfigError(f'pennfudan {top}: expected images in {" or ".join(IMAGES)} and masks '
                      f'{MASKS}/*{SUFFIX}.png, found {len(mask_files)} masks and '
                      f'{f"the folder {folder}" if folder else "no folder of images"}')
  faults = Faults(f'pennfudan {top}', on_broken)
  images = {Path(name).stem: name for name in _images(top / folder)}
  with ThreadPoolExecutor() as pool:
    people = list(pool.map(_people, mask_files))
  sizes, rows, owner, shapes = np.zeros((len(mask_files), 2), np.int64), [], [], []
  for i, (path, seen) in enumerate(zip(mask_files, people, strict=True)):
    if isinstance(seen, Exception):
      faults.add('images whose mask cannot be read', f'{path} cannot be read as a mask: {seen}')
      continue
    sizes[i] = seen[0]
    owner += [i] * len(seen[1])
    rows += [f'{path}: object {number}' for number in seen[1]]
    shapes += seen[1].values()
  outlines = Outlines(shapes)
  stems = [path.stem[:-len(SUFFIX)] for path in mask_files]
  files = encoded(f'{folder}/{images.get(s, f"{s}.png")}' for s in stems)
  annotations = Annotations(files=files, ids=np.arange(len(mask_files)), sizes=sizes,
                     owner=np.array(owner, np.int64), row=np.arange(len(rows)),
                     boxes=outlines.bounds, classes=np.zeros(len(rows), np.int32),
                     crowd=np.zeros(len(rows), bool)).of_images(sizes.any(-1))
  return objects_of(annotations, lambda row: rows[row], faults, root=top, classes=classes,
                    size=size, most=most, check=check, outlines=outlines if masks else None)


def _images(folder: Path) -> list[str]:
  return image_names(folder) if folder.is_dir() else []


def _people(path: Path):
  """The size of a mask and the runs of every number in it; or what is wrong with it."""
  try:
    with open_image(path) as mask:
      if mask.mode not in ('P', 'L', 'I', 'I;16', '1'):
        raise ValueError(f'it holds colours ({mask.mode}); expected numbers')
      pixels = np.asarray(mask)
  except Exception as error:  # what decoders raise for damaged files knows no bounds
    return error
  numbers = np.unique(pixels)
  return pixels.shape, {int(number): runs_of(pixels == number) for number in numbers if number}
