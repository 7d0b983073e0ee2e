"""An image that cannot be decoded is named once, and not in every epoch."""

import numpy as np
import pytest
from PIL import Image

from visionlab.data.sources.folder import folder
from visionlab.data.sources.pairs import pairs


def damaged(path, size=(40, 40)):
  """A file with a sound header, whose pixels end early."""
  path.parent.mkdir(parents=True, exist_ok=True)
  noise = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
  Image.fromarray(noise).save(path)
  path.write_bytes(path.read_bytes()[:1000])


def sound(path):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.new('RGB', (40, 40)).save(path)


@pytest.mark.parametrize('kind', ['folder', 'pairs'])
def test_a_broken_image_is_named_once(tmp_path, warned, kind):
  if kind == 'folder':
    sound(tmp_path / 'a' / 'x.png')
    damaged(tmp_path / 'b' / 'y.png')
    source = folder('train', root=str(tmp_path), size=8)
  else:
    for name in ('x', 'y'):
      Image.new('L', (40, 40)).save(_made(tmp_path / 'masks' / f'{name}.png'))
    sound(tmp_path / 'images' / 'x.png')
    damaged(tmp_path / 'images' / 'y.png')
    source = pairs('train', root=str(tmp_path), size=8, classes=('sky',))
  for _ in range(3):
    assert source[np.arange(2)]['valid'].tolist() == [True, False]
  named = [line for line in warned if 'y.png' in line]
  assert len(named) == 1, warned


def _made(path):
  path.parent.mkdir(parents=True, exist_ok=True)
  return path
