"""What a network makes of the same numbers while it learns, as a film."""

import numpy as np
from PIL import Image

from visionlab.training.pictures import keep_frame, mosaic, write_film_of


def test_a_mosaic_has_its_images_in_rows():
  images = np.linspace(0, 1, 5, dtype=np.float32)[:, None, None, None] * np.ones((5, 2, 4, 1))
  picture = mosaic(images)
  zoom = len(picture) // 6
  assert picture.shape == (6 * zoom, 12 * zoom, 3)
  shown = picture[zoom // 2::2 * zoom, zoom // 2::4 * zoom, 0]
  assert shown.tolist() == [[0, 64, 128], [191, 255, 0], [0, 0, 0]]


def test_frames_are_in_the_order_of_their_steps_and_a_step_has_one(tmp_path):
  (tmp_path / 'figures').mkdir()
  write_film_of(tmp_path)                          # of no frames
  for step, value in ((1000, .9), (20, .1), (300, .2), (300, .5)):
    keep_frame(tmp_path, step, np.full((4, 4, 4, 3), value, np.float32))
  write_film_of(tmp_path)
  with Image.open(tmp_path / 'figures' / 'training.gif') as film:
    assert film.n_frames == 3
    seen = []
    for i in range(3):
      film.seek(i)
      seen.append(int(np.asarray(film.convert('L'))[0, 0]))
  np.testing.assert_allclose(seen, [26, 128, 230], atol=2)
