"""Films as frames: each kind gives, at any moment, the frame that is shown then."""

from types import SimpleNamespace

import numpy as np
import pytest
from filmed import film, folder, gif
from PIL import Image

from visionlab.data.films import film as reader
from visionlab.data.films.film import frame_rate, read_film, seconds
from visionlab.data.images.decode import Canvas

LEVELS = 10 + 16 * np.arange(15)
CANVAS = Canvas(16)


def shown(path, moments, **options):
  """The grey levels at these moments."""
  frames = read_film(path, moments, CANVAS, **options)
  assert frames.shape[1:] == (16, 16, 3) and np.ptp(frames, axis=(1, 2, 3)).max() <= 2
  return frames.mean((1, 2, 3))


@pytest.mark.parametrize('name', ['a.mp4', 'a.avi', 'a.mkv', 'a.mov', 'a.gif', 'folder'])
def test_frames_are_found_by_their_moment(tmp_path, name):
  make = dict(gif=gif, folder=folder).get(name.rpartition('.')[2], film)
  path = make(tmp_path / name, LEVELS)
  moments = [0, .1, .19, .35, .35, .7, 1.4, 1.49]
  np.testing.assert_allclose(shown(path, moments, rate=10.), LEVELS[[0, 1, 1, 3, 3, 7, 14, 14]],
                             atol=3)
  assert seconds(path, 10.) == pytest.approx(1.5, abs=.1)
  if name != 'a.avi':                          # whose own frames last a millisecond
    assert frame_rate(path, 10.) == pytest.approx(10., rel=.08)     # the last lasts one
  np.testing.assert_allclose(shown(path, [99.], rate=10.), LEVELS[-1:], atol=3)


@pytest.mark.parametrize('name', ['a.mp4', 'a.mkv', 'a.gif'])
def test_rates_may_vary(tmp_path, name):
  times = np.array([0, 500, 550, 600, 2000, 2100])
  if name == 'a.gif':
    path = gif(tmp_path / name, LEVELS[:6], [*np.diff(times).tolist(), 100])
  else:
    path = film(tmp_path / name, LEVELS[:6], times)
  np.testing.assert_allclose(shown(path, [.49, .52, .56, 1.9, 2.05, 2.1]), LEVELS[:6], atol=3)


def test_frames_predicted_from_later_ones_keep_their_order(tmp_path):
  path = film(tmp_path / 'a.mp4', LEVELS, b_frames=2)
  np.testing.assert_allclose(shown(path, np.arange(15) / 10), LEVELS, atol=4)


def test_a_frame_has_the_least_time_stamp_that_is_left():
  frames = [SimpleNamespace(time=t, to_image=lambda i=i: i) for i, t in enumerate([0, .3, .1, .2])]
  stream = SimpleNamespace(start_time=0, time_base=.1, average_rate=10)
  found = list(reader._decoded(SimpleNamespace(decode=lambda _: frames), stream))
  assert [(moment, make()) for moment, make in found] == [(0, 0), (.1, 1), (.2, 2), (.3, 3)]


@pytest.mark.parametrize('key_every', [12, 1000])
def test_what_is_far_ahead_is_skipped_and_nothing_else_changes(tmp_path, monkeypatch, key_every):
  """Key frames that are rarer than the moments must not lead back."""
  levels = 10 + np.arange(120) % 240
  path = film(tmp_path / 'a.mp4', levels, key_every=key_every)
  moments, decoded = [.5, 5.05, 5.1, 11.95], []
  whole = reader._upright
  monkeypatch.setattr(reader, '_upright', lambda frame: decoded.append(0) or whole(frame))
  near = shown(path, moments)
  monkeypatch.setattr(reader, 'FAR', 1.)
  far = shown(path, moments)
  np.testing.assert_array_equal(near, far)
  np.testing.assert_allclose(near, levels[[5, 50, 51, 119]], atol=3)
  assert len(decoded) == 8                     # no frame is converted that nobody asked for


def test_films_are_seen_upright():
  image = Image.new('RGB', (4, 2))
  image.putpixel((3, 0), (255, 0, 0))          # the top right
  turned = reader._upright(SimpleNamespace(to_image=lambda: image, rotation=-90))
  assert turned.size == (2, 4) and turned.getpixel((1, 3)) == (255, 0, 0)       # clockwise


def test_a_film_that_ends_too_soon_is_broken(tmp_path):
  path = film(tmp_path / 'a.mkv', 10 + np.arange(100), key_every=5)
  path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
  assert len(shown(path, [0., .5])) == 2       # what is there is there
  with pytest.raises(ValueError, match='it ends after .* of 10.0 seconds'):
    shown(path, [0., 9.])


def test_a_last_frame_may_last(tmp_path):
  path = film(tmp_path / 'a.mp4', LEVELS[:3], [0, 8000, 8100])
  held = gif(tmp_path / 'a.gif', LEVELS[:2], [8000, 2000])
  np.testing.assert_allclose(shown(path, [7.9, 9.9]), LEVELS[[0, 2]], atol=3)
  np.testing.assert_allclose(shown(held, [7.9, 9.9]), LEVELS[[0, 1]], atol=3)


@pytest.mark.parametrize('name, content', [('a.mp4', b'none'), ('a.avi', b''), ('a.gif', b'none')])
def test_what_is_no_film(tmp_path, name, content):
  pytest.importorskip('av')
  (tmp_path / name).write_bytes(content)
  for look in (seconds, lambda path: shown(path, [0.])):
    with pytest.raises((OSError, ValueError)):
      look(tmp_path / name)


def test_without_pyav_it_is_said_what_to_install(tmp_path, monkeypatch):
  (tmp_path / 'a.mp4').write_bytes(b'x')
  monkeypatch.setitem(__import__('sys').modules, 'av', None)
  with pytest.raises(ValueError, match='pip install av'):
    seconds(tmp_path / 'a.mp4')
