"""Pictures: their form, and that what they are to show can be found in them."""

import numpy as np
import pytest
from PIL import Image

from visionlab.figures import charts

RED, GREEN, CRIMSON = (255, 0, 0), (0, 255, 0), (220, 20, 60)


def is_picture(x):
  return x.dtype == np.uint8 and x.ndim == 3 and x.shape[2] == 3 and x.std() > 0


def share(picture, colour):
  """The part of the picture that has this colour, nearly."""
  return (np.abs(picture.astype(int) - colour).max(-1) < 12).mean()


def solid(n, colour, dtype=np.uint8):
  image = np.broadcast_to(np.array(colour, np.uint8), (n, 6, 6, len(colour)))
  return image.copy() if dtype == np.uint8 else image.astype(dtype) / 255


# --- image_grid ---

@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
def test_grid_shows_its_images(dtype):
  images = np.concatenate([solid(3, RED, dtype), solid(1, GREEN, dtype)])
  picture = charts.image_grid(images, list('abcd'), None, 'Title')
  assert is_picture(picture)
  red, green = share(picture, RED), share(picture, GREEN)
  assert red > .1 and green > .03 and abs(red - 3 * green) < .1 * red


def test_grey_images_have_a_fixed_range():
  dark = charts.image_grid(solid(2, (50,)), ['', ''], None, '')
  assert share(dark, (50, 50, 50)) > .2        # not stretched to black and white


def test_a_fourth_channel_is_left_out():
  picture = charts.image_grid(solid(2, (*RED, 0)), ['', ''], None, '')
  assert share(picture, RED) > .2


def test_wrong_ones_are_red():
  images, captions = solid(4, (0, 0, 0)), ['mmm'] * 4
  fine = charts.image_grid(images, captions, np.ones(4, bool), 'Title')
  some = charts.image_grid(images, captions, np.arange(4) != 1, 'Title')
  assert share(fine, CRIMSON) == 0 < share(some, CRIMSON)
  half = fine.shape[1] // 2
  assert share(some[:, :half], CRIMSON) > share(some[:, half:], CRIMSON) == 0


@pytest.mark.parametrize('n, rows, columns', [(0, 1, 1), (1, 1, 1), (8, 1, 8), (9, 2, 8),
                                              (24, 3, 8)])
def test_grid_grows_by_rows_of_eight(n, rows, columns):
  picture = charts.image_grid(solid(n, RED), [''] * n, None, 'T')
  np.testing.assert_allclose(picture.shape, (188 * rows + 40, 150 * columns, 3), atol=2)


# --- confusion_matrix ---

@pytest.mark.parametrize('k', [2, 20, 21, 41])
def test_confusion_matrix_is_darkest_where_the_counts_are(k):
  identity = charts.confusion_matrix(np.eye(k, dtype=int) * 9, [str(i) for i in range(k)])
  uniform = charts.confusion_matrix(np.ones((k, k), int), [str(i) for i in range(k)])
  deep = (8, 48, 107)                          # the end of the colour map 'Blues'
  assert is_picture(identity) and is_picture(uniform)
  assert share(identity, deep) > .2 / k and share(uniform, deep) == 0


def test_confusion_matrix_of_classes_never_seen():
  assert is_picture(charts.confusion_matrix(np.zeros((3, 3), int), ('cat', 'dog', 'emu')))


def test_confusion_matrix_of_shares_names_no_counts():
  counts = np.array([[4_000_000, 10], [0, 7]])
  few = charts.confusion_matrix(np.array([[100, 0], [0, 100]]), ('a', 'b'), shares=True)
  np.testing.assert_array_equal(charts.confusion_matrix(counts, ('a', 'b'), shares=True)[:, 200:],
                                few[:, 200:])


# --- label maps ---

@pytest.mark.parametrize('dtype, channels', [(np.uint8, 3), (np.float32, 3), (np.uint8, 1)])
def test_label_maps_show_truth_prediction_and_errors(dtype, channels):
  classes = ('background', 'cat', 'dog')
  image = np.full((2, 8, 8, channels), 255 if dtype == np.uint8 else 1, dtype)
  true, said = np.zeros((2, 8, 8), int), np.zeros((2, 8, 8), np.uint8)
  true[0, :4], said[0, :2] = 1, 1
  picture = charts.label_maps(image, true, said, classes, ['', ''], '')
  assert is_picture(picture)
  black, cat, dog = charts.palette(classes)
  part = share(picture, black) / 13            # 13 of 16 quarters of pictures; a legend's patch too
  assert black.tolist() == [0, 0, 0] and part > .01
  quarters = share(picture, CRIMSON) / part, share(picture, cat) / part
  np.testing.assert_allclose(quarters, [1, 3], atol=.2)
  assert 0 < share(picture, dog) < .1 * part   # in the legend alone
  ignored = charts.label_maps(image, np.full_like(true, 255), said, classes, ['', ''], '')
  assert share(ignored, CRIMSON) == 0


def test_overlays_take_images_of_any_size():
  classes = tuple(f'class {i}' for i in range(60))
  images = [np.zeros((h, w, 3), np.uint8) for h, w in ((20, 30), (90, 10))]
  maps = [np.full(image.shape[:2], i) for i, image in zip((3, 59), images, strict=True)]
  picture = charts.overlays(images, maps, classes, ['a', 'b'], 'Title')
  assert is_picture(picture)
  for i in (3, 59):                            # mixed with the image, and pure in the legend
    colour = charts.palette(classes)[i]
    assert share(picture, .55 * colour) > .02 and share(picture, colour) > 0
  assert share(picture, charts.palette(classes)[30]) == 0


def test_neighbouring_colours_differ():
  colours = charts.palette(tuple(map(str, range(150)))).astype(int)
  assert len(np.unique(colours, axis=0)) == 150
  assert np.abs(np.diff(colours, axis=0)).sum(1).min() > 40


def test_bars():
  values, classes = np.array([.5, np.nan, 1.]), ('a', 'b', 'c')
  picture = charts.bars(values, classes, 'IoU')
  a, _, c = (share(picture, colour) for colour in charts.palette(classes))
  assert is_picture(picture) and c > .1
  np.testing.assert_allclose(a / c, .5, atol=.05)
  assert is_picture(charts.bars(np.full(100, np.nan), tuple(map(str, range(100))), ''))


def test_bars_of_many_classes_are_the_best_and_the_worst():
  values = np.random.default_rng(0).permutation(np.linspace(.5, 1, 90))
  values[::9] = np.nan
  colours, order = charts.palette(range(90)), np.argsort(values)[:80]       # nan is last
  picture = charts.bars(values, tuple(map(str, range(90))), '')
  shown = [i for i in range(90) if share(picture, colours[i]) > .002]
  assert sorted(shown) == sorted([*order[:15], *order[-15:]]) and picture.shape[0] < 1000


# --- curves ---

def lines(*metrics, split='train', steps=5):
  return [{'step': s, **{f'{split}/{m}': 1. / (1 + s + i) for i, m in enumerate(metrics)}}
          for s in range(steps)]


@pytest.mark.parametrize('metrics, rows, columns', [
  (['loss'], 1, 1), (['loss', 'accuracy'], 1, 2), (['loss', 'a', 'b', 'c'], 2, 3),
  (['loss', 'top1_error', 'top5_error', 'examples_per_second'], 1, 1), ([], 1, 1),
])
def test_curves_have_a_panel_for_each_metric(metrics, rows, columns):
  picture = charts.curves(lines(*metrics))
  assert is_picture(picture) or not metrics
  np.testing.assert_allclose(picture.shape, (280 * rows, 400 * columns, 3), atol=1)


def test_splits_share_a_panel():
  both = lines('loss') + lines('loss', split='test')
  alone, together = charts.curves(lines('loss')), charts.curves(both)
  assert alone.shape == together.shape
  blue, orange = (31, 119, 180), (255, 127, 14)
  assert share(alone, blue) > 0 and share(together, blue) > 0
  assert share(alone, orange) == 0 < share(together, orange)


def test_a_term_that_is_the_loss_is_drawn_once():
  same = [{**line, 'train/cross_entropy': line['train/loss']} for line in lines('loss')]
  assert charts.curves(same).shape == charts.curves(lines('loss')).shape


@pytest.mark.parametrize('value', ['nan', 'inf', 0., -1.])
def test_curves_of_odd_values(value):
  """What is not finite is written to the log as text."""
  assert is_picture(charts.curves([*lines('loss'), {'step': 5, 'train/loss': value}]))
  assert is_picture(charts.curves([{'step': 0, 'train/loss': value}]))


def test_lines_without_metrics_are_passed_over():
  assert is_picture(charts.curves([{'step': 0, 'seconds': 3.}, *lines('loss')]))


# --- scatter, save ---

@pytest.mark.parametrize('width', [1, 3])
def test_scatter(width):
  rng = np.random.default_rng(0)
  true = rng.standard_normal((40, width))
  assert is_picture(charts.scatter(true, true + .1))
  assert is_picture(charts.scatter(np.zeros((1, width)), np.ones((1, width))))


def test_save_keeps_every_pixel(tmp_path):
  picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
  charts.save(picture, tmp_path / 'x.png')
  np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / 'x.png')), picture)
