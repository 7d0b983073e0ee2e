"""Images with captions, from files: a table, COCO, Flickr8k, Flickr30k; or captions alone."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.images.decode import Canvas
from visionlab.data.images.files import as_in_folder, encoded, split_file
from visionlab.data.source import Info, check_root, check_split
from visionlab.data.sources.annotation_files import Faults, image_sizes
from visionlab.data.sources.caption_files import Line, Table, decoded, file_name, read_table
from visionlab.data.sources.folder import Folder
from visionlab.data.text import vocabulary as vocabularies
from visionlab.data.text.caption_rows import caption_rows

FORMS = ('.csv', '.tsv', '.txt', '.token', '.json', '.jsonl')
WIDTH = 256               # bytes of a caption, or a multiple: so splits that are added mostly agree


class Captions:
  """The source that `captions` opens.

  Args:
    images: those of the examples; None for captions alone.
    rows: `batch['caption']` of all examples.
  """

  def __init__(self, images: Folder | None, rows: Mapping[str, np.ndarray], info: Info):
    self.images, self.rows, self.info = images, rows, info

  def __len__(self) -> int:
    return len(self.rows['tokens'])

  def __getitem__(self, indices: np.ndarray) -> dict:
    if self.images is None:
      image = np.zeros((len(indices), 1, 1, 1), np.uint8)
      return dict(image=image, caption=self._rows(indices))
    return self._with_rows(indices, self.images[indices])

  @property
  def crops(self):
    """As `self[indices]`, with random parts of the images; see `visionlab.data.source.Source`."""
    crops = self.images.crops
    return lambda indices, crop, draws: self._with_rows(indices, crops(indices, crop, draws))

  def _rows(self, indices):
    return {k: v[indices] for k, v in self.rows.items()}

  def _with_rows(self, indices, batch):
    caption = self._rows(indices)
    if 'valid' in batch:                          # what could not be decoded is zero throughout
      seen = batch['valid'][:, None, None]
      caption = {k: (v * seen).astype(v.dtype) for k, v in caption.items()}
    return {**{k: v for k, v in batch.items() if k != 'label'}, 'caption': caption}


def captions(split: str, *, root: str = '', captions: str = 'captions.csv',
             images: str | None = '', splits: str = '', vocabulary: str = 'train',
             size: int | tuple[int, int] = 224, resize: str = 'crop', crop_fraction: float = 1.,
             channels: int = 3, length: int = 22, least_count: int = 5, punctuation: bool = False,
             most: int = 0, encoding: str = 'utf-8', too_long: str = 'cut',
             on_broken: str = 'skip', check: bool = True) -> Captions:
  """Images, each with any number of captions.

  The vocabulary is built from the training captions alone, whatever split is opened, so that all
  splits number words alike.

  Args:
    split: what {split} stands for below; of a file that names splits itself one of those, of one
      that does not 'train'.
    root: the folder.
    captions: the file with captions, see `visionlab.data.sources.caption_files.read_table`. Of COCO
      'annotations/captions_{split}.json', of Flickr8k 'Flickr8k.token.txt', of Kaggle's copies
      'captions.txt' (Flickr8k) and 'results.csv' (Flickr30k).
    images: the folder that names of images are relative to, of COCO '{split}'; None for captions
      alone, of which a language model can learn: `image` is then one black pixel.
    splits: a file with the names of a split's images, one a line, of Flickr8k
      'Flickr_8k.{split}Images.txt'.
    vocabulary: the split whose words are learnt.
    size, resize, crop_fraction, channels: the canvas, see `visionlab.data.images.decode.Canvas`.
    length: of a row of tokens, start and end included.
    least_count: rarer words are unknown.
    punctuation: whether marks are words. Metrics leave them out.
    most: captions of an image that are kept; 0: as many as the image with the most has.
    encoding: of the files. UTF-16 and UTF-32 that begin with a byte order mark need no word.
    too_long: 'cut' captions that do not fit `length`, with a warning, or 'stop'.
    on_broken: 'skip' leaves images out that are missing, damaged or without captions, and captions
      without words, with a warning that counts them; 'stop' raises an error for the first.
    check: read all images' headers when opening. Takes about 0.05 ms an image.

  Returns:
    A source of `image` (n h w c) uint8, `caption` as in `visionlab.data.text.caption_rows`, and
    unless on_broken='stop' `valid` (n,).

  Raises:
    ConfigError: a wrong option, split or encoding, a file of another form, nothing that is sound.
  """
  canvas = Canvas(size, resize, crop_fraction, channels)
  top = check_root(root, 'captions', captions)
  if most < 0 or least_count < 1:
    raise ConfigError('captions: most must be 0 or more, and least_count 1 or more, not '
                      f'{most} and {least_count}')
  tables: dict[Path, Table] = {}

  def lines_of(name: str, on_broken: str) -> tuple[dict[str, list[str]], Faults]:
    path = _captions_file(top, captions, name)
    if path not in tables:
      tables[path] = read_table(path, encoding)
    faults = Faults(f'captions {path}', on_broken)
    files = _files(top, tables[path], path, name, splits, encoding, '{split}' in captions)
    return _sound(tables[path].lines, files, path, faults, punctuation), faults

  trained, faults = lines_of(vocabulary, 'skip')
  faults.check_left('images', len(trained))
  known = vocabularies.build((text for own in trained.values() for text in own), least_count,
                             punctuation=punctuation)
  texts, faults = lines_of(split, on_broken)
  pictures = None
  if images is not None:
    folder = top / images.replace('{split}', split)
    texts = dict(zip(as_in_folder(list(texts), folder), texts.values(), strict=True))
    texts = _with_images(texts, folder, faults) if check else texts
    labels = np.zeros(len(texts), np.int32)
    pictures = Folder(folder, list(texts), dict(label=labels), Info(), canvas, on_broken)
  faults.check_left('images', len(texts))
  faults.report()
  longest = max(len(text.encode()) for of_image in texts.values() for text in of_image)
  rows = caption_rows(list(texts.values()), known, length, most=most, too_long=too_long,
                      width=-(-longest // WIDTH) * WIDTH, where=faults.where)
  return Captions(pictures, rows, Info(words=known.words, punctuation=punctuation))


def _captions_file(top: Path, pattern: str, split: str) -> Path:
  try:
    return split_file(top, pattern, split, 'captions')
  except ConfigError as error:
    others = sorted(file.name for file in top.iterdir() if file.suffix.lower() in FORMS)
    if 'no file' not in str(error) or not others:
      raise
    raise ConfigError(f'{error}; {top} holds {", ".join(others[:5])}, which the option captions '
                      'may name') from error


def _files(top: Path, table: Table, path: Path, split: str, splits: str, encoding: str,
           own_file: bool) -> list[str]:
  """The names of a split's images."""
  if splits:
    path = split_file(top, splits, split, 'captions')
    return _listed(decoded(path, encoding), table, path)
  if own_file:
    return list(table.splits)
  named = {name or 'train' for name in table.splits.values()}
  check_split(split, sorted(named), f'captions {path}')
  return [file for file, own in table.splits.items() if (own or 'train') == split]


def _listed(text: str, table: Table, path: Path) -> list[str]:
  """The names in a list, one a line, some of which leave out the suffix."""
  names = [file_name(line, str(path)) for line in text.split('\n') if line.strip()]
  if not names:
    raise ConfigError(f'captions: {path} names no images; expected one a line')
  stems = {file.rpartition('.')[0]: file for file in table.splits}
  return [name if name in table.splits else stems.get(name, name) for name in names]


def _sound(lines: list[Line], files: list[str], path: Path, faults: Faults,
           punctuation: bool) -> dict[str, list[str]]:
  """The captions that have words, of each image that has such captions."""
  wanted: dict[str, list[str]] = {file: [] for file in files}
  for line in lines:
    if line.file not in wanted:
      continue
    if vocabularies.tokenise(line.text, punctuation):
      wanted[line.file].append(line.text.strip())
    else:
      faults.add('captions without words', f'{line.where}: the caption {line.text!r} of {line.file}'
                                           ' has no words')
  for file, own in wanted.items():
    if not own:
      faults.add('images without captions', f'{path}: {file} has no caption')
  return {file: own for file, own in wanted.items() if own}


def _with_images(texts: Mapping[str, list[str]], folder: Path, faults: Faults):
  """The captions of images that can be read."""
  there = image_sizes(folder, encoded(texts), faults).all(-1)
  return {file: own for (file, own), sound in zip(texts.items(), there, strict=True) if sound}
