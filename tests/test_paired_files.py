"""Which image goes with which mask: affixes, folders in folders, hints."""

import os

import pytest

from visionlab.config import ConfigError
from visionlab.data.sources.paired_files import Affixes, paired_files


@pytest.fixture
def files(tmp_path):
  """Makes files; their names are all that counts here."""
  def make(*names):
    for name in names:
      (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
      (tmp_path / name).touch()
    return tmp_path
  return make


def paired(top, image=(), mask=(), images='images', masks='masks', split='train'):
  return paired_files(top, split, images, masks, Affixes(*image), Affixes(*mask))


@pytest.mark.parametrize('image, mask, image_affixes, mask_affixes', [
    ('21_training.tif', '21_manual1.gif', ('', '_training'), ('', '_manual1')),      # DRIVE
    ('image_001.jpg', 'mask_001.png', ('image_',), ('mask_',)),
    ('a.JPG', 'a_mask.PNG', (), ('', '_mask.png')),
    ('a.b.jpg', 'a.b.PNG', (), ('', '.png')),
    ('ISIC_01.jpg', 'ISIC_01_segmentation.png', (), ('', '_segmentation')),
    ('my photo.jpg', 'gt my photo (1).bmp', (), ('gt ', ' (1)')),
])
def test_affixes(files, image, mask, image_affixes, mask_affixes):
  top = files(f'images/{image}', f'masks/{mask}', 'masks/overlay.jpg')
  expected = [(f'images/{image}', f'masks/{mask}')]
  assert paired(top, image_affixes, (*mask_affixes, '')[:2] if mask_affixes else ()) == expected


def test_folders_in_folders(files):
  """As of Cityscapes, where other files lie beside the masks."""
  top = files('left/train/ulm/ulm_1_left.png', 'left/train/jena/jena_1_left.png',
              'gt/train/ulm/ulm_1_gt_ids.png', 'gt/train/jena/jena_1_gt_ids.png',
              'gt/train/jena/jena_1_gt_color.png', 'gt/train/__MACOSX/jena/._1_gt_ids.png',
              'left/train/.hidden/1_left.png')
  os.symlink(top / 'left' / 'train', top / 'left' / 'train' / 'ulm' / 'loop')
  found = paired(top, ('', '_left'), ('', '_gt_ids'), 'left/{split}', 'gt/{split}')
  assert found == [(f'left/train/{c}/{c}_1_left.png', f'gt/train/{c}/{c}_1_gt_ids.png')
                   for c in ('jena', 'ulm')]
  files('left/train/ulm/jena_1_left.png')
  with pytest.raises(ConfigError, match='ulm/jena_1_left.png has no mask; expected .*gt/train/ulm/'
                                        r'jena_1_gt_ids.\* \(1 of 3'):
    paired(top, ('', '_left'), ('', '_gt_ids'), 'left/{split}', 'gt/{split}')


def test_splits_of_folders_of_several_parts(files):
  top = files('train/rgb/left/a.png', 'train/gt/a.png', 'val/rgb/left/b.png', 'val/gt/b.png')
  assert paired(top, images='rgb/left', masks='gt', split='val') == [('val/rgb/left/b.png',
                                                                      'val/gt/b.png')]
  with pytest.raises(ConfigError, match='no split "test"; there are train, val'):
    paired(top, images='rgb/left', masks='gt', split='test')


def test_both_in_one_folder(files):
  top = files('d/a (1).png', 'd/a (1)_mask.png')
  assert paired(top, (), ('', '_mask'), 'd', 'd') == [('d/a (1).png', 'd/a (1)_mask.png')]
  with pytest.raises(ConfigError, match='both in .*d; mask_suffix or image_suffix must'):
    paired(top, images='d', masks='d')


def test_masks_inside_the_folder_of_images(files):
  top = files('a.png', 'masks/a.png')
  assert paired(top, images='.') == [('a.png', 'masks/a.png')]
  assert paired(top, images=str(top), masks=str(top / 'masks')) == [('a.png', 'masks/a.png')]


@pytest.mark.parametrize('images, masks, hint', [
    (('21_training', '22_training'), ('21_manual1', '22_manual1'),
     "image_suffix='training', mask_suffix='manual1'"),
    (('image_001', 'image_002'), ('mask_001', 'mask_002'),
     "image_prefix='image', mask_prefix='mask'"),
    (('x1', 'x2'), ('x1_mask', 'x2_mask'), "mask_suffix='_mask'"),
])
def test_options_that_would_help_are_named(files, images, masks, hint):
  top = files(*(f'images/{name}.jpg' for name in images), *(f'masks/{name}.png' for name in masks))
  with pytest.raises(ConfigError, match=rf'\(2 of 2 lack theirs\); all would pair up with {hint}'):
    paired(top)
  said = dict(part.split('=') for part in hint.split(', '))
  affixes = [(said.get(f'{side}_prefix', '').strip("'"), said.get(f'{side}_suffix', '').strip("'"))
             for side in ('image', 'mask')]
  assert len(paired(top, *affixes)) == 2                         # and they do


def test_what_is_without_partner(files):
  top = files('images/a.jpg', 'images/b.jpg', 'masks/a.png')
  with pytest.raises(ConfigError, match=r'images/b.jpg has no mask; expected .*b.\* \(1 of 2 lack t'
                                        r'heirs\)$'):
    paired(top)
  files('masks/b.png', 'masks/b.gif')
  with pytest.raises(ConfigError, match='b.gif and .*b.png have one name'):
    paired(top)
  assert len(paired(top, (), ('', '.png'))) == 2
