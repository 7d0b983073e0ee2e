"""Faces found in photographs, and cut out as networks have learnt to see them."""

import numpy as np
import pytest
from PIL import Image
from tiny import config

from visionlab import face_crops
from visionlab.aligned import aligned
from visionlab.config import ConfigError
from visionlab.data.fitted import upright
from visionlab.data.images import Canvas
from visionlab.data.source import Arrays
from visionlab.face_crops import cut_out, face_finder, in_profile, surest_crops
from visionlab.ops.similarity import TEMPLATE
from visionlab.verify import with_faces


class Played:
  """A run that finds two objects in bright images, and nothing in dark ones."""
  config = config(task=dict(name='detect'))
  kind = 'detect by detector'

  def __init__(self, classes=('face',), scores=(.9, .6)):
    self.classes, self.scores = classes, np.array(scores)

  def predict(self, images):
    boxes, n = np.array([[4, 2, 10, 10], [20, 20, 28, 24.]]), len(self.scores)
    bright = [image.mean() > 50 for image in upright(images, Canvas((1, 1)))]
    return dict(boxes=[boxes[:n * one] for one in bright],
                scores=[self.scores[:n * one] for one in bright],
                classes=[np.arange(n * one) % len(self.classes) for one in bright])


@pytest.fixture
def played(monkeypatch):
  def play(**options):
    monkeypatch.setattr(face_crops, 'load', lambda _: Played(**options))
  play()
  return play


BRIGHT, DARK = np.full((30, 40, 3), 200, np.uint8), np.zeros((20, 20, 3), np.uint8)


def test_a_square_about_a_box():
  """Its middle is a little below the box's; beyond the image the border goes on."""
  image = np.zeros((40, 60, 1), np.uint8)
  image[10:18, 20:28] = 255
  cut = cut_out(image, np.array([20, 10, 28, 18.]))
  assert cut.shape == (10, 10, 1)
  row, column = (cut[..., 0].sum(axis).astype(float) for axis in (1, 0))
  centre = [(np.arange(10) + .5) @ weight / weight.sum() for weight in (row, column)]
  np.testing.assert_allclose(centre, [4.5, 5], atol=.02)
  image[:] = np.arange(40)[:, None, None]
  corner = cut_out(image, np.array([-4, 32, 4, 40.]))
  assert (corner[-2:] == 39).all() and corner.shape == (10, 10, 1)


def test_the_surest_face_is_cut_out_and_none_leaves_the_image(played):
  bright, dark = face_finder('runs/x')([BRIGHT, DARK])
  assert bright.scores.tolist() == [.9, .6] and bright.crop.shape == (10, 10, 3)
  assert not len(dark.boxes) and dark.crop.shape == DARK.shape
  played(scores=(.9, .4))
  assert len(face_finder('runs/x')([BRIGHT])[0].boxes) == 1        # the other is not sure
  played(classes=('dog', 'Face'))
  (found,) = face_finder('runs/x')([BRIGHT])
  assert found.boxes.tolist() == [[20, 20, 28, 24]]


def test_runs_that_find_no_faces(played, monkeypatch):
  played(classes=('cat', 'dog'))
  with pytest.raises(ConfigError, match='finds cat, dog, and no "face"'):
    face_finder('runs/x')
  monkeypatch.setattr(Played, 'config', config())
  with pytest.raises(ConfigError, match='detector: runs/x does not find faces'):
    face_finder('runs/x')


def test_what_is_said_of_photographs_with_none_or_several(played, capsys, warned, tmp_path):
  files = [str(tmp_path / f'{name}.png') for name in 'abc']
  for file, image in zip(files, (BRIGHT, DARK, BRIGHT), strict=True):
    Image.fromarray(image).save(file)
  there, crops = with_faces('runs/x', files)
  assert there == [files[0], files[2]] and [crop.shape for crop in crops] == [(10, 10, 3)] * 2
  several = '2 faces; what is compared is the surest (90%), about (7, 6)'
  assert capsys.readouterr().out.splitlines() == [
      f'{files[0]}: {several}', f'{files[1]}: no face is found in it; it is left out',
      f'{files[2]}: {several}']
  with pytest.raises(ConfigError, match='finds a face in 1 of 2 photographs'):
    with_faces('runs/x', files[:2])
  crops = surest_crops('runs/x')([BRIGHT, DARK])
  assert [crop.shape for crop in crops] == [(10, 10, 3), DARK.shape]
  assert warned == ['aligned: in 1 of 2 images runs/x finds no face: they stay as they are']


def test_an_eye_that_is_hidden():
  frontal = np.array([[13., 15], [27, 15], [20, 22], [15, 26], [25, 26]])
  turned = np.array([[13., 15], [16, 15], [10, 22], [12, 26], [14, 26]])
  assert in_profile(np.stack([frontal, turned]), 40).tolist() == [False, True]


def test_a_source_of_faces_that_are_found(played, monkeypatch):
  """What is looked at for landmarks is what was cut out, and what is aligned too."""
  sizes = []

  def finder(workdir):
    def find(crops):
      sizes.extend(crop.shape for crop in crops)
      pixels = np.stack([np.full((10, 10, 3), crop.mean(), np.uint8) for crop in crops])
      return pixels, np.tile(10 * TEMPLATE, (len(crops), 1, 1))
    return find
  monkeypatch.setattr('visionlab.aligned.finder', finder)
  monkeypatch.setattr('visionlab.aligned.open_sources', lambda *_: Arrays(dict(
      image=np.stack([BRIGHT, BRIGHT // 2]), label=np.arange(2), objects=np.zeros((2, 1)))))
  found = aligned('train', of={}, landmarks='runs/l', detector='runs/d', size=8).arrays
  assert sizes == [(10, 10, 3)] * 2 and set(found) == {'image', 'label'}
  assert found['image'].shape == (2, 8, 8, 3) and found['image'][:, 0, 0, 0].tolist() == [200, 100]


def test_what_is_cut_out_needs_landmarks_that_are_found():
  with pytest.raises(ConfigError, match='landmarks must be found; name a run'):
    aligned('train', of=dict(name='digits'), detector='runs/x')
