"""Folders as nobody would make them on purpose: nothing but an error for the user escapes."""

import os

import numpy as np
import pytest
from absl import logging
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.sources.captions import captions
from visionlab.data.sources.folder import folder
from visionlab.data.sources.pairs import pairs

FOLDERS = ('cat', 'dog', 'images', 'masks', '__MACOSX', '.git', 'x.jpg', 'my dir', '猫', 'a.b',
           '@eaDir', '%20', 'runs/exp1', os.fsdecode(b'caf\xe9'))
FILES = ('1.jpg', '2.PNG', 'a b.png', '.hidden.png', 'Thumbs.db', '.DS_Store', 'x.heic', 'y.cr2',
         'notes.txt', 'ü.webp', '1_mask.png', '._1.jpg', '.png', '..png', 'a.jpg.txt',
         'new\nline.png', 'labels.csv', os.fsdecode(b'caf\xe9.png'))
TEXTS = ('file,label\n1.jpg,cat\n', 'image,caption\n1.jpg,"a cat"\n', 'a,b\n"', '', '\xff',
         'file,label\ncat/1.jpg,3\n2,4\n', '1.jpg,cat\n', 'file|label\n' * 3)
OPENERS = dict(
    folder=lambda root, **options: folder('train', root=root, size=4, **options),
    labels=lambda root, **options: folder('train', root=root, size=4, labels='labels.csv',
                                          **options),
    pairs=lambda root, **options: pairs('train', root=root, size=4, classes=('a', 'b', 'c'),
                                        **options),
    captions=lambda root, **options: captions('train', root=root, size=4, captions='labels.csv',
                                              least_count=1, **options))


def picture(rng):
  grey = rng.integers(0, 3, (9, 7))
  return Image.fromarray((grey * 80).astype((np.uint8, np.uint16, np.uint8)[rng.integers(3)]))


def fill(path, rng, depth=0):
  """Some files and folders, whose names and contents need not fit."""
  path.mkdir(parents=True, exist_ok=True)
  for name in rng.choice(FILES, rng.integers(0, 6)).tolist():
    place, kind = path / name, rng.integers(10)
    if place.is_symlink() or place.exists():
      continue
    if name.endswith(('csv', 'txt')):
      place.write_bytes(TEXTS[rng.integers(len(TEXTS))].encode('latin-1'))
    elif kind < 2:
      place.write_bytes((b'', b'\0\5\26\7' * 20)[kind])
    elif kind == 2:
      place.symlink_to((path / '1.jpg', '/nowhere', path)[rng.integers(3)])
    else:
      picture(rng).save(place, format='PNG')
  for name in rng.choice(FOLDERS, rng.integers(0, 3)).tolist() if depth < 2 else ():
    if not (path / name).exists():
      fill(path / name, rng, depth + 1)


@pytest.mark.parametrize('seed', range(4))
def test_nothing_but_an_error_for_the_user_escapes(tmp_path, seed, monkeypatch):
  monkeypatch.setattr(logging, 'warning', lambda *_: None)
  rng, ends = np.random.default_rng(seed), {name: set() for name in OPENERS}
  for i in range(12):
    top = tmp_path / str(i)
    for name in (('cat', 'dog'), ('images', 'masks'), ('train/cat', 'val/cat'))[i % 3]:
      (top / name).mkdir(parents=True)
      picture(rng).save(top / name / '1.jpg', format='PNG')
      fill(top / name, rng, 2)
    fill(top, rng, int(rng.integers(3)))
    if not (top / 'labels.csv').exists():
      (top / 'labels.csv').write_bytes(TEXTS[rng.integers(len(TEXTS))].encode('latin-1'))
    for name, opener in OPENERS.items():
      try:
        source = opener(str(top), check=bool(i % 2), on_broken=('skip', 'stop')[i // 2 % 2])
        ends[name] |= {bool(len(source[np.arange(min(4, len(source)))]['image']))}
      except ConfigError as error:
        assert str(error)
  assert ends['folder'] == {True}                  # some of them can be read
