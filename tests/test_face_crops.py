"""Faces found in photographs, and cut out as networks have learnt to see them."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tiny import config

from visionlab.config import ConfigError
from visionlab.data.images.decode import Canvas
from visionlab.data.images.fitted import upright
from visionlab.data.source import Arrays
from visionlab.runs import face_crops
from visionlab.runs.aligned import aligned
from visionlab.runs.face_crops import (
  Found,
  cut_out,
  face_finder,
  in_profile,
  landmarks_in,
  landmarks_of,
  warn_of_none,
)
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
  (cut,) = cut_out([Found(image, np.array([[20, 10, 28, 18.]]), np.ones(1))], 10)
  assert cut.shape == (10, 10, 1)
  row, column = (cut[..., 0].sum(axis).astype(float) for axis in (1, 0))
  centre = [(np.arange(10) + .5) @ weight / weight.sum() for weight in (row, column)]
  np.testing.assert_allclose(centre, [4.5, 5], atol=.02)
  image[:] = np.arange(40)[:, None, None]
  (corner,) = cut_out([Found(image, np.array([[-4, 32, 4, 40.]]), np.ones(1))], 10)
  assert (corner[-2:] == 39).all() and corner.shape == (10, 10, 1)


class Pointing:
  """A run of landmarks that finds the brightest pixel, and all five about it, but only halfway from
  the middle of what it sees."""
  workdir = 'runs/l'
  facts = SimpleNamespace(image=np.zeros((1, 20, 20, 1)))

  def fit(self, images):
    return np.stack(images).mean(-1, keepdims=True)

  def predict(self, pixels):
    flat = pixels.reshape(len(pixels), -1).argmax(1)
    bright = np.stack([flat % 20, flat // 20], -1) + .5
    middle = 10 + (bright - 10) / 2
    return dict(landmarks=middle[:, None] + [[-3, -4], [3, -4], [0, 0], [-2, 4], [2, 4.]])


def test_looks_come_nearer_to_a_face_at_the_side_of_its_box():
  image = np.zeros((60, 60, 3), np.uint8)
  image[30:34, 36:40] = 255
  face = Found(image, np.array([[14, 16, 46, 48.]]), np.ones(1))
  truth = np.array([38, 32.])
  errors = []
  for looks in (1, 2, 4):
    pixels, place, ((corner, side),) = landmarks_of(Pointing(), [face], looks)
    assert pixels.shape == (1, 20, 20, 1) and side == 40
    middle = place[0, [0, 1, 3, 4]].mean(0) * side / 20 + corner
    errors.append(np.abs(middle - truth).max())
  assert errors[0] > 3 > errors[1] > errors[2] and errors[2] < 1.5
  with pytest.raises(ConfigError, match='runs/l finds no landmarks, but embedding'):
    landmarks_in(SimpleNamespace(workdir='runs/l', predict=lambda _: dict(embedding=0)), image)


def test_the_surest_face_is_cut_out_and_none_leaves_the_image(played):
  bright, dark = face_finder('runs/x')([BRIGHT, DARK])
  assert bright.scores.tolist() == [.9, .6] and bright.frame == ((2, 1.5), 10)
  assert not len(dark.boxes) and dark.frame == ((0, 0), 20)
  assert Found(BRIGHT, dark.boxes, dark.scores).frame == ((0, -5), 40)
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
  there, found = with_faces('runs/x', files)
  assert there == [files[0], files[2]] and [len(one.boxes) for one in found] == [2, 2]
  several = '2 faces; what is compared is the surest (90%), about (7, 6)'
  assert capsys.readouterr().out.splitlines() == [
      f'{files[0]}: {several}', f'{files[1]}: no face is found in it; it is left out',
      f'{files[2]}: {several}']
  with pytest.raises(ConfigError, match='finds a face in 1 of 2 photographs'):
    with_faces('runs/x', files[:2])
  warn_of_none(face_finder('runs/x')([BRIGHT, DARK]))
  assert warned == ['aligned: in 1 of 2 images no face is found: all of the image is taken for one']


def test_an_eye_that_is_hidden():
  frontal = np.array([[13., 15], [27, 15], [20, 22], [15, 26], [25, 26]])
  turned = np.array([[13., 15], [16, 15], [10, 22], [12, 26], [14, 26]])
  assert in_profile(np.stack([frontal, turned]), 40).tolist() == [False, True]


def test_a_source_of_faces_that_are_found(played, monkeypatch):
  monkeypatch.setattr('visionlab.runs.aligned.load', lambda _: Pointing())
  monkeypatch.setattr('visionlab.runs.aligned.open_sources', lambda *_: Arrays(dict(
      image=np.stack([BRIGHT, BRIGHT // 2]), label=np.arange(2), objects=np.zeros((2, 1)))))
  found = aligned('train', of={}, landmarks='runs/l', detector='runs/d', size=8).arrays
  assert set(found) == {'image', 'label'} and found['image'].shape == (2, 8, 8, 1)
  assert found['image'][:, 0, 0, 0].tolist() == [200, 100]


def test_what_is_cut_out_needs_landmarks_that_are_found():
  with pytest.raises(ConfigError, match='landmarks must be found; name a run'):
    aligned('train', of=dict(name='digits'), detector='runs/x')
