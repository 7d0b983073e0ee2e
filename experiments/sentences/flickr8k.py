"""Flickr8k's captions as a text: of each image five sentences, one after the other."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from experiments.sentences.probes import Task, shuffled
from visionlab.data.sources.caption_files import read_table

SPLITS = dict(train='train', validation='dev', test='test')


def captions(root: Path, split: str) -> Mapping[str, list[str]]:
  """The captions of each image of a split, as Flickr8k's text comes."""
  names = (root / f'Flickr_8k.{SPLITS[split]}Images.txt').read_text().split()
  own: dict[str, list[str]] = {name: [] for name in names}
  for line in read_table(root / 'Flickr8k.token.txt').lines:
    if line.file in own:
      own[line.file].append(line.text)
  return own


def as_text(root: Path, folder: Path) -> Path:
  """The folder with a file of lines for each split, made where it is not there."""
  folder.mkdir(parents=True, exist_ok=True)
  for split in SPLITS:
    lines = [text for own in captions(root, split).values() for text in own]
    (folder / f'{split}.txt').write_text('\n'.join(lines), encoding='utf8')
  return folder


def same_image(root: Path, split: str, n: int, rng: np.random.Generator) -> Task:
  """Whether two captions are of one image."""
  own = list(captions(root, split).values())
  chosen = []
  for k in range(n // 2):
    i, j = k % len(own), (k + rng.integers(1, len(own))) % len(own)
    a, b = rng.choice(len(own[i]), 2, replace=False)
    chosen += [(own[i][a], own[i][b], 1, i), (own[i][a], own[j][rng.integers(len(own[j]))], 0, i)]
  return shuffled(chosen, rng)
