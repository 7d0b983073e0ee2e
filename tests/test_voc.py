"""PASCAL VOC's layout, with generated files."""

import numpy as np
import pytest
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data import open_split
from visionlab.data.sources.voc import CLASSES, voc

LISTS = {'train': ['2007_000032', '2007_000039'], 'val': ['2007_000033']}
RNG = np.random.default_rng(0)


@pytest.fixture
def root(tmp_path):
  """A year of three images; masks hold classes 0, 15 and 255 by VOC's own colour map."""
  year = tmp_path / 'VOCdevkit' / 'VOC2012'
  for folder in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation', 'ImageSets/Main'):
    (year / folder).mkdir(parents=True)
  for split, names in (*LISTS.items(), ('trainval', sum(LISTS.values(), []))):
    (year / 'ImageSets' / 'Segmentation' / f'{split}.txt').write_text('\n'.join(names) + '\n')
  for name in sum(LISTS.values(), []):
    Image.new('RGB', (20, 14), (200, 0, 0)).save(year / 'JPEGImages' / f'{name}.jpg')
    mask = Image.fromarray(RNG.choice([0, 15, 255], (14, 20)).astype(np.uint8))
    mask.putpalette([(i * 37) % 256 for i in range(768)])
    mask.save(year / 'SegmentationClass' / f'{name}.png')
  return year


def test_names_are_the_benchmarks():
  # The table of the development kit: background is 0, person 15, tvmonitor 20.
  assert len(CLASSES) == 21 and CLASSES[15] == 'person' and CLASSES[20] == 'tvmonitor'
  assert list(CLASSES[1:]) == sorted(CLASSES[1:])


@pytest.mark.parametrize('above', [0, 1, 2])
def test_masks_hold_class_numbers(root, above):
  given = [root, *root.parents][above]
  source = voc('train', root=str(given), size=(14, 20))
  assert len(source) == 2 and source.info.map_classes == CLASSES and source.info.classes == ()
  batch = source[np.arange(2)]
  for i, name in enumerate(LISTS['train']):
    with Image.open(root / 'SegmentationClass' / f'{name}.png') as mask:
      assert mask.mode == 'P'
      np.testing.assert_array_equal(batch['label_map'][i], np.asarray(mask))
  assert set(np.unique(batch['label_map'])) == {0, 15, 255}
  assert abs(batch['image'].astype(int) - (200, 0, 0)).max() < 4
  everything = open_split(lambda name: voc(name, root=str(given)), 'train+val')
  assert len(everything) == len(voc('trainval', root=str(given))) == 3


def test_errors(root):
  def fails(match, split='train', **options):
    with pytest.raises(ConfigError, match=match):
      voc(split, **{'root': str(root), **options})
  fails('no split "vall"; there are train, trainval, val.*"val"', 'vall')
  fails('root must name', root='')
  fails('no folder ImageSets; .* there is: none', root=str(root / 'JPEGImages'))
  fails('no SegmentationClassAug/2007_000032.png', masks='SegmentationClassAug')
  source = voc('val', root=str(root), classes=CLASSES[:10])
  with pytest.raises(ConfigError, match='2007_000033.png: the mask holds the value 15; expected 0'):
    source[np.array([0])]
  (root / 'JPEGImages' / '2007_000033.jpg').unlink()
  fails('list of "val" names 2007_000033, but there is no JPEGImages/2007_000033.jpg', 'val')
  (root / 'ImageSets' / 'Segmentation' / 'val.txt').write_text('\n')
  fails('val.txt is empty', 'val')
  (root.parent / 'VOC2007' / 'ImageSets').mkdir(parents=True)
  fails('there is: .*VOC2007, .*VOC2012', root=str(root.parent))
  fails('holds no lists', root=str(root.parent / 'VOC2007'))
