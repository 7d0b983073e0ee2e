"""Image files decoded no further than needed, and random crops cut out while decoding."""

import io
import itertools
import pickle
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny
from absl import logging
from PIL import Image, ImageOps
from scipy import stats
from sklearn.datasets import load_sample_image

from visionlab import build
from visionlab.config import ConfigError
from visionlab.data import open_split
from visionlab.data.images import jpeg, resize as resizing
from visionlab.data.images.crop import TRIES, RandomCrop
from visionlab.data.images.decode import Canvas
from visionlab.data.images.jpeg import decoded, shorten
from visionlab.data.images.resize import resize
from visionlab.data.pipeline import Batches, Loader, prefetched
from visionlab.data.sources.folder import folder
from visionlab.parallel.sharding import data_mesh

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))            # experiments are not installed; they run from the root

CHINA = Image.fromarray(load_sample_image('china.jpg')[100:340, 200:500])     # 300 wide, 240 high


@pytest.fixture(params=['fast', 'pillow'])
def backend(request, monkeypatch):
  """Both ways of decoding and resizing; the first only where it is installed."""
  if request.param == 'pillow':
    monkeypatch.setattr(resizing, 'fast', None)
    monkeypatch.setattr(jpeg, 'fast', None)
  elif not (resizing.fast and jpeg.fast):
    pytest.skip('cykooz_resizer or simplejpeg is not installed')


def encoded(image=CHINA, kind='JPEG', orientation=1, **options):
  exif = Image.Exif()
  exif[0x0112] = orientation
  file = io.BytesIO()
  image.save(file, kind, exif=exif, **options)
  return file.getvalue()


def opened(data):
  return Image.open(io.BytesIO(data))


def difference(a, b):
  return abs(np.asarray(a).astype(int) - np.asarray(b))


# --- files that end early ---


@pytest.mark.parametrize('options', [
    dict(quality=90), dict(subsampling=0), dict(subsampling='4:2:2'), dict(optimize=True),
    dict(restart_marker_rows=1), dict(orientation=6), dict(keep_rgb=True), dict(mode='L'),
    dict(mode='CMYK')])
@pytest.mark.parametrize('rows', [1, 17, 100, 239])
def test_shortened_files_hold_their_first_rows(rows, options):
  options = dict(options)
  data = encoded(CHINA.convert(options.pop('mode', 'RGB')), **options)
  short = opened(shorten(data, rows))
  assert short.size == (300, rows)
  sure = max(1, rows - 2)          # interpolated colour looks a row ahead
  np.testing.assert_array_equal(np.asarray(short)[:sure - 1], np.asarray(opened(data))[:sure - 1])


def test_what_cannot_be_shortened_is_left_alone():
  data = encoded()
  for rows in (0, 240, 1000):
    assert shorten(data, rows) is data
  for other in (encoded(progressive=True), data[:-1], data[:len(data) // 2], b'', b'\xff\xd8',
                b'\xff\xd8\xff\xd9', encoded(kind='PNG'), b'\xff\xd8' + b'\xff' * 40 + b'\xff\xd9'):
    assert shorten(other, 10) is other


def test_a_header_is_not_mistaken_for_the_frame():
  """A thumbnail within the EXIF data is a whole JPEG, with a frame of its own."""
  thumb = encoded(CHINA.resize((40, 32)))
  data = encoded()
  comment = b'\xff\xe1' + (len(thumb) + 2).to_bytes(2, 'big') + thumb
  assert opened(shorten(data[:2] + comment + data[2:], 50)).size == (300, 50)


# --- decoding without Pillow ---


needs_simplejpeg = pytest.mark.skipif(not jpeg.fast, reason='simplejpeg is not installed')


@needs_simplejpeg
@pytest.mark.parametrize('options', [
    dict(quality=90), dict(subsampling=0), dict(subsampling='4:2:2'), dict(optimize=True),
    dict(restart_marker_rows=1), dict(progressive=True), dict(keep_rgb=True), dict(kind='MPO'),
    dict(mode='L')])
@pytest.mark.parametrize('k', [1, 2, 4, 8])
def test_pixels_are_pillows_to_the_last_one(k, options):
  options = dict(options)
  image = CHINA.convert(options.pop('mode', 'RGB')).resize((301, 203))      # odd, both
  data = encoded(image, **options)
  for mode in ('RGB', 'L'):
    wanted = opened(data)
    wanted.draft(mode, tuple(side // k for side in wanted.size))
    wanted = np.asarray(wanted.convert(mode)).reshape(*wanted.size[::-1], -1)
    np.testing.assert_array_equal(decoded(data, image.size, (image.mode, mode), k), wanted)


@needs_simplejpeg
@pytest.mark.parametrize('options', [{}, dict(restart_marker_rows=1), dict(subsampling=0)])
def test_shortened_files_are_not_amiss(options):
  data = encoded(CHINA, **options)
  for rows in (3, 64, 201):
    short = shorten(data, rows)
    pixels = decoded(short, (300, rows), ('RGB', 'RGB'), 1, short=True)
    np.testing.assert_array_equal(pixels, np.asarray(opened(short)))
  assert decoded(short[:2000], (300, rows), ('RGB', 'RGB'), 1, short=True) is None


@needs_simplejpeg
def test_what_is_amiss_is_left_to_pillow():
  data, size = encoded(), CHINA.size
  torn = data[:2000] + b'\xff\xd0\xff\xd9' + data[2004:]
  for bad in (data[:3000], data[:-2], data[:100], b'', torn, encoded(kind='PNG')):
    assert decoded(bad, size, ('RGB', 'RGB'), 1) is None
  assert decoded(encoded(CHINA.convert('CMYK')), size, ('CMYK', 'RGB'), 1) is None
  assert decoded(encoded(CHINA.resize((40, 7))), (40, 7), ('RGB', 'RGB'), 2) is None


@pytest.mark.parametrize('amiss', [lambda d: d[:3000], lambda d: d[:-2], lambda d: d + b'more',
                                   lambda d: d[:2000] + b'\xff\xd0\xff\xd9' + d[2004:]])
def test_broken_files_are_what_they_are_to_pillow(amiss, monkeypatch):
  data, canvas, found = amiss(encoded()), Canvas(64), []
  for fast in (jpeg.fast, None):
    monkeypatch.setattr(jpeg, 'fast', fast)
    try:
      found.append(canvas.read(data, lambda h, w: (3, 5, 290, h)).tolist())
    except OSError as error:
      found.append(str(error))
  assert found[0] == found[1]


# --- scaling a part ---


BOXES = [(0, 0, 300, 240), (3.25, 2.5, 290.75, 235), (100, 50, 160, 80), (0, 0, 1.5, 1.5),
         (298.9, 0, 300, 240)]


@pytest.mark.parametrize('mode', ['RGB', 'L'])
@pytest.mark.parametrize('box', BOXES)
def test_resizing_is_pillows_within_a_level(box, mode, backend):
  image = CHINA.convert(mode)
  for size in ((64, 48), (7, 200), (300, 240), (1, 1)):
    pixels = resize(image, box, size)
    wanted = np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box))
    assert pixels.dtype == np.uint8 and pixels.shape == (*size[::-1], len(image.getbands()))
    assert difference(pixels.squeeze(), wanted.squeeze()).max() <= 1


@pytest.mark.parametrize('kind, options', [
    ('JPEG', {}), ('JPEG', dict(progressive=True)), ('JPEG', dict(mode='L')),
    ('JPEG', dict(mode='CMYK')), ('PNG', {}), ('PNG', dict(mode='P')), ('TIFF', {})])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_cuts_of_any_file_are_those_of_the_upright_image(kind, options, orientation, backend):
  options = dict(options)
  data = encoded(CHINA.convert(options.pop('mode', 'RGB')), kind, orientation, **options)
  upright = ImageOps.exif_transpose(opened(data)).convert('RGB')
  seen = []

  def cut(height, width):
    seen.append((width, height))
    return 20, 31, 150, 200
  pixels = Canvas((60, 80)).read(data, cut)
  wanted = upright.resize((80, 60), Image.Resampling.BILINEAR, box=(20, 31, 150, 200))
  assert seen == [upright.size]
  assert difference(pixels, wanted).max() <= 1


@pytest.mark.parametrize('options', [dict(), dict(resize='pad'), dict(resize='stretch'),
                                     dict(crop_fraction=.5), dict(channels=1)])
@pytest.mark.parametrize('size', [20, (64, 128), (300, 300)])
@pytest.mark.parametrize('orientation', [1, 6])
def test_files_and_opened_images_give_the_same(options, size, orientation, backend):
  canvas, data = Canvas(size, **options), encoded(orientation=orientation)
  np.testing.assert_array_equal(canvas.read(data), canvas(opened(data)))


def test_large_files_are_decoded_at_a_fraction_of_their_size(backend):
  large = CHINA.resize((2400, 1920), Image.Resampling.BICUBIC)
  data = encoded(large, quality=95)
  box = (300.5, 200.25, 2100.5, 1800.75)
  pixels = Canvas(100).read(data, lambda h, w: box)
  wanted = opened(data).resize((100, 100), Image.Resampling.BILINEAR, box=box)
  assert difference(pixels, wanted).mean() < 1


# --- random crops ---


def boxes(crop, n, height, width, seed=0):
  draws = crop.draws(seed, 0, n)
  return np.array([crop.box(u, height, width) for u in draws])


def test_draws_depend_on_seed_step_and_row_alone():
  crop = RandomCrop(8)
  draws = crop.draws(3, 5, 8)
  assert draws.shape == (8, TRIES, 4) and draws.min() >= 0 and draws.max() < 1
  np.testing.assert_array_equal(draws[:4], crop.draws(3, 5, 4))
  for other in (crop.draws(4, 5, 8), crop.draws(3, 6, 8), crop.draws(-3, 5, 8)):
    assert (other != draws).all()
  # A run resumed with a later numpy goes on with the same crops.
  np.testing.assert_allclose(
      crop.draws(3, 5, 1)[0, 0], (.0891006462345, .3318918527648, .1652089766818, .3718556624364),
      rtol=0, atol=1e-12)


def test_areas_and_ratios_are_distributed_as_asked():
  # In so large an image every first try fits.
  crop = RandomCrop(8, scale=(.08, .5))
  x1, y1, x2, y2 = boxes(crop, 4000, 20000, 20000).T
  area, ratio = (x2 - x1) * (y2 - y1) / 20000**2, np.log((x2 - x1) / (y2 - y1))
  assert stats.kstest(area, stats.uniform(.08, .42).cdf).pvalue > .01
  bound = np.log(4 / 3)
  assert stats.kstest(ratio, stats.uniform(-bound, 2 * bound).cdf).pvalue > .01
  assert stats.kstest(x1 / (20000 - (x2 - x1)), 'uniform').pvalue > .01
  assert stats.kstest(y1 / (20000 - (y2 - y1)), 'uniform').pvalue > .01


def torchvisions_boxes(n, height, width, scale, ratio):
  """As documented for torchvision's RandomResizedCrop, drawn by another generator."""
  rng, found = np.random.default_rng(1), []
  for _ in range(n):
    for _ in range(10):
      area = height * width * rng.uniform(*scale)
      aspect = np.exp(rng.uniform(*np.log(ratio)))
      w, h = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
      if w <= width and h <= height:
        y, x = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
        found.append((x, y, x + w, y + h))
        break
  return np.array(found)


def test_boxes_are_distributed_as_torchvisions():
  ours = boxes(RandomCrop(8), 4000, 375, 500)
  theirs = torchvisions_boxes(4000, 375, 500, (.08, 1.), (3 / 4, 4 / 3))
  assert (ours[:, :2] >= 0).all() and (ours[:, 2:] <= (500, 375)).all()
  assert (ours[:, 2:] > ours[:, :2]).all()
  for column in range(4):
    assert stats.ks_2samp(ours[:, column], theirs[:, column]).pvalue > .01


@pytest.mark.parametrize('height, width, wanted', [
    (1000, 10, (0, 493, 10, 507)), (10, 1000, (493, 0, 507, 10)), (1, 1, (0, 0, 1, 1)),
    (1, 5, (2, 0, 3, 1))])
def test_images_in_which_nothing_fits_are_cropped_in_the_middle(height, width, wanted):
  crop = RandomCrop(8, scale=(.9, 1.), ratio=(3 / 4, 4 / 3))
  found = boxes(crop, 50, height, width)
  if height * width > 5:
    np.testing.assert_allclose(found, np.tile(wanted, (50, 1)), atol=1)
  assert (found[:, :2] >= 0).all() and (found[:, 2:] <= (width, height)).all()
  assert (found[:, 2:] > found[:, :2]).all()


@pytest.mark.parametrize('options, match', [
    (dict(size=0), 'size: expected a positive'), (dict(size=(1, 2, 3)), 'size: .* or two'),
    (dict(size=2.5), 'size: expected int or tuple'), (dict(scale=(.1, 1.)), 'size: missing'),
    (dict(size=8, scale=(.5, .2)), r'scale: .*in \(0, 1\]'), (dict(size=8, scale=.5), 'scale: '),
    (dict(size=8, scale=(0., 1.)), 'scale'), (dict(size=8, scale=(.5, 1.5)), 'scale: '),
    (dict(size=8, ratio=(-1., 2.)), 'ratio: .*above 0'),
    (dict(size=8, ratios=(1., 2.)), 'ratios: .*did you mean "ratio"')])
def test_wrong_options_name_themselves(options, match, tmp_path):
  mixed_folder(tmp_path)
  with pytest.raises(ConfigError, match=rf'config\.pipeline\.crop\.{match}'):
    batches(folder('train', root=str(tmp_path), size=8), crop=options)


@pytest.mark.parametrize('crop, pool, fits', [
    (16, False, True), (24, False, False), ((16, 24), False, False), ((16, 24), True, True)])
def test_crops_that_the_network_does_not_take_are_found_before_training(crop, pool, fits, tmp_path):
  mixed_folder(tmp_path)
  config = tiny.config(data=dict(name='folder', root=str(tmp_path), size=16), batch=2, evals={},
                       model=dict(pool=pool), augment={}, pipeline=dict(crop=dict(size=crop)))
  if fits:
    build.assemble(config)
  else:
    with pytest.raises(ConfigError, match=r'config.pipeline.crop.size: \d+ x 24, but the images of '
                                          'config.data are 16 x 16, and the network does not'):
      build.assemble(config)


# --- sources and batches ---


def mixed_folder(root):
  """Ten files of every sort, one of which is no image."""
  (root / 'a').mkdir()
  (root / 'b').mkdir()
  files = [encoded(), encoded(orientation=6), encoded(CHINA.convert('L')), encoded(kind='PNG'),
           encoded(CHINA.convert('CMYK')), encoded(progressive=True), encoded()[:3000],
           encoded(CHINA.rotate(90, expand=True)), encoded(CHINA.convert('RGBA'), 'PNG'),
           encoded(CHINA.resize((9, 5)))]
  for i, data in enumerate(files):
    (root / 'ab'[i % 2] / f'{i}.jpg').write_bytes(data)


def batches(source, crop, **options):
  mesh = data_mesh(jax.devices()[:1])
  return Batches(source, **{**dict(batch=6, seed=1, mesh=mesh, mode='jit', total=9, crop=crop),
                            **options})


def test_folders_of_all_sorts(tmp_path, monkeypatch, backend):
  warned = []
  monkeypatch.setattr(logging, 'warning', lambda text, *values: warned.append(text % values))
  mixed_folder(tmp_path)
  source = folder('train', root=str(tmp_path), size=8)
  crop = RandomCrop((24, 32))
  batch = source.crops(np.arange(10), crop, crop.draws(0, 0, 10))
  assert batch['image'].shape == (10, 24, 32, 3) and batch['image'].dtype == np.uint8
  valid = batch['valid']
  assert (~valid).sum() == 1 and '6.jpg' in warned[0]
  assert not batch['image'][~valid].any() and (batch['image'][valid].std((1, 2, 3)) > 5).all()
  assert batch['label'].tolist() == (np.array([0] * 5 + [1] * 5) * valid).tolist()
  grey = folder('train', root=str(tmp_path), size=8, channels=1)
  assert grey.crops(np.arange(3), crop, crop.draws(0, 0, 3))['image'].shape == (3, 24, 32, 1)


def test_both_ways_of_resizing_give_nearly_the_same_crops(tmp_path, monkeypatch):
  if not resizing.fast:
    pytest.skip('cykooz_resizer is not installed')
  mixed_folder(tmp_path)
  source, crop = folder('train', root=str(tmp_path), size=8), RandomCrop(40)
  both = []
  for fast in (resizing.fast, None):
    monkeypatch.setattr(resizing, 'fast', fast)
    both.append(source.crops(np.arange(10), crop, crop.draws(0, 0, 10))['image'])
  assert difference(*both).max() == 1 and difference(*both).mean() < .3


def test_subsets_and_sums_cut_the_same(tmp_path):
  mixed_folder(tmp_path)
  source, crop = folder('train', root=str(tmp_path), size=8), RandomCrop(16)
  draws = crop.draws(0, 0, 4)

  def opened_as(split):
    return open_split(lambda name: source, split)
  part = opened_as('train[20%:80%]')
  wanted = source.crops(part.indices[[3, 0, 3, 5]], crop, draws)
  for other in (part, pickle.loads(pickle.dumps(part))):
    np.testing.assert_equal(other.crops(np.array([3, 0, 3, 5]), crop, draws), wanted)
  whole = opened_as('train+train[20%:80%]')
  mixed = whole.crops(np.array([13, 2, 13, 15]), crop, draws)
  np.testing.assert_equal(mixed['image'][[0, 2, 3]], wanted['image'][[0, 2, 3]])
  np.testing.assert_equal(mixed['image'][1], source.crops(
      np.array([2]), crop, draws[1:2])['image'][0])


def test_batches_do_not_depend_on_workers_processes_or_the_first_step(tmp_path):
  mixed_folder(tmp_path)
  source = folder('train', root=str(tmp_path), size=8)
  loader = batches(source, dict(size=12)).loader
  wanted = [loader(step) for step in range(6)]
  assert (wanted[0]['image'] != wanted[5]['image']).any()
  for workers, first in ((0, 0), (0, 3), (2, 2)):
    with_workers = list(prefetched(loader, first, 6, workers, ahead=2))
    np.testing.assert_equal(with_workers, wanted[first:])
  halves = [Loader(source, 6, 1, rows, loader.crop)(2) for rows in (slice(0, 3), slice(3, 6))]
  joined = {k: np.concatenate([half[k] for half in halves]) for k in wanted[2]}
  np.testing.assert_equal(joined, wanted[2])
  one = Loader(source, 6, 2, slice(0, 6), loader.crop)(2)
  assert (one['image'] != wanted[2]['image']).any()
  pairs = batches({'x': source, 'y': source}, dict(size=12)).loader(0)
  assert pairs['x']['image'].shape == (3, 12, 12, 3)
  assert (pairs['x']['image'] != pairs['y']['image']).any()


def test_training_sees_crops_and_evaluation_does_not(tmp_path):
  mixed_folder(tmp_path)
  config = tiny.config(
      data=dict(name='folder', root=str(tmp_path), size=16), augment=None, batch=4, evals={},
      model=dict(pool=True),
      pipeline=dict(crop=dict(size=(12, 20), scale=(.5, 1.))))
  job = build.assemble(config)
  assert job.facts.example['image'].shape == (1, 16, 16, 3)
  assert [data['image'].shape for data, _ in job.batches.start(0, 2).take(2)] == [
      (4, 12, 20, 3)] * 2


def test_sources_in_memory_cannot_be_cut():
  source = build.open_sources(dict(name='digits'), 'train[:50%]')
  with pytest.raises(ConfigError, match='config.pipeline.crop: config.data has no image files.*'
                                        'config.augment.resized_crop'):
    batches(source, dict(size=8))
  with pytest.raises(ConfigError, match='config.data.y has no image files'):
    batches({'y': source}, dict(size=8))
  assert batches(source, {}).loader.crop is None


def test_tfds_cuts_what_it_has_not_decoded(tmp_path):
  lib = pytest.importorskip('tensorflow_datasets')

  class Photos(lib.core.GeneratorBasedBuilder):
    VERSION = lib.core.Version('1.0.0')

    def _info(self):
      return lib.core.DatasetInfo(builder=self, features=lib.features.FeaturesDict({
          'image': lib.features.Image(shape=(None, None, 3)),
          'small': lib.features.Image(shape=(32, 40, 3)), 'label': np.int64}))

    def _split_generators(self, manager):
      return {'train': self._generate_examples()}

    def _generate_examples(self):
      yield 0, {'image': io.BytesIO(encoded()), 'label': 5,
                'small': io.BytesIO(encoded(CHINA.resize((40, 32)), 'PNG'))}
  Photos(data_dir=str(tmp_path), file_format='array_record').download_and_prepare()
  from visionlab.data.sources.tfds import tfds
  crop = RandomCrop(128)
  draws = crop.draws(0, 0, 2)
  small = CHINA.resize((40, 32))
  for key, image, size in (('image', opened(encoded()), 8), ('small', small, None)):
    source = tfds('train', root=str(tmp_path), dataset='photos', image_key=key, size=size)
    batch = source.crops(np.zeros(2, int), crop, draws)
    wanted = [Canvas(128)(image.copy(), lambda h, w, u=u: crop.box(u, h, w)) for u in draws]
    assert difference(batch['image'], wanted).max() <= 1 and batch['label'].tolist() == [5, 5]


# --- the benchmark ---


def test_the_benchmark_compares_the_same_crops(tmp_path, monkeypatch):
  from experiments.benchmarks import jpeg as benchmark
  monkeypatch.setattr(benchmark, 'SIZE', 32)
  benchmark.write_photos(tmp_path / 'a', 4)
  files, crop = sorted(tmp_path.glob('a/*.jpg')), RandomCrop(32)
  assert all(opened(path.read_bytes()).size == (500, 375) for path in files)
  monkeypatch.setattr(benchmark, 'BATCH', 4)
  theirs = benchmark.Peer(files, crop, benchmark.pillow)(0)['image']
  source = folder('train', root=str(tmp_path), size=32)
  ours = source.crops(np.arange(4), crop, crop.draws(0, 0, 4))['image']
  assert difference(ours, theirs).mean() < 2          # only our filter sees beyond the box
  stream = itertools.repeat(dict(image=ours))
  assert 0 < benchmark.measure(stream, 1, .01)() < .1
