"""The studies of experiments/: what they share, and the whole path of each on tiny settings."""

import importlib
import io
import re
import statistics
import tarfile
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny
from PIL import Image

import visionlab
from experiments import study
from experiments.connectivity.__main__ import shifted
from experiments.ensembles.__main__ import teams
from experiments.filters import crosses, gallery
from experiments.generative.codes import linear_denoiser, principal_components, squared_error
from experiments.limited_data.__main__ import cut_once
from experiments.limited_data.crops import crop_objects
from experiments.long_dependency.shown_once import shown_once
from experiments.understanding.clutter import which_digits
from experiments.understanding.coco import concepts
from experiments.understanding.truth import alone
from experiments.video.__main__ import scores as pairs_right
from visionlab import build
from visionlab.config import ConfigError, experiment
from visionlab.figures import charts
from visionlab.training.evaluation import Evaluations

NAMES = ('connectivity', 'depth', 'limited_data', 'augmentation', 'ensembles', 'fcn', 'mask_rcnn',
         'rcnn', 'long_dependency', 'show_and_tell', 'dann', 'understanding', 'faces', 'poses',
         'video', 'generative', 'behaviour', 'driving', 'stories', 'sentences')


@pytest.fixture(autouse=True)
def plain(monkeypatch):
  """One device, and nothing that takes longer than these runs themselves."""
  first = jax.devices()[:1]
  monkeypatch.setattr(jax, 'devices', lambda: first)
  monkeypatch.setattr(Evaluations, 'figures', lambda self, state: {})
  monkeypatch.setattr(charts, 'curves', lambda *_: np.zeros((1, 1, 3), np.uint8))
  monkeypatch.setattr(build, 'flops', lambda *_: None)


def quick(name, folder, *more):
  module = importlib.import_module(f'experiments.{name}.__main__')
  return module.main(['--quick', '--seeds=1', f'--folder={folder}', *more])


def test_connectivity(tmp_path, capsys):
  dense, conv = quick('connectivity', tmp_path, f'--figure={tmp_path}/figure.png')
  assert dense['parameters'] == f'{784 * 512 + 512 + 512 * 10 + 10:,}'
  assert conv['parameters'] == f'{9 * 16 + 16 + 144 * 32 + 32 + 49 * 32 * 128 + 128 + 1290:,}'
  for row in dense, conv:
    assert row['runs'] == 1 and float(row['test accuracy, %']) > 60
    assert float(row['4 px']) < float(row['1 px'])      # the digits fill the picture: parts leave
  with Image.open(tmp_path / 'figure.png') as figure:
    assert figure.width >= 400 and len(figure.getcolors(2**16)) > 10
  assert (tmp_path / 'figure.png').stat().st_size < 60_000
  assert study.table([dense, conv]) in capsys.readouterr().out


def test_depth(tmp_path):
  (row,) = quick('depth', tmp_path)
  assert row['layers'] == 20
  paths = [tmp_path / f'{kind}-20' / '0' for kind in study_depth()]
  plain, residual = (study.curve(path, 'train/loss') for path in paths)
  assert plain[0] == residual[0] and plain[1] != residual[1]
  plain, residual = map(visionlab.load, paths)
  sizes = [sum(x.size for x in jax.tree.leaves(run.variables['params']))
           for run in (plain, residual)]
  assert sizes == [269_722, 269_722]                     # He et al. 2015: shortcut A costs nothing


def study_depth():
  return importlib.import_module('experiments.depth.__main__').SHORTCUTS


def test_limited_data_trains_what_it_says(tmp_path):
  (row,) = quick('limited_data', tmp_path)
  assert all(0 <= float(row[f'{kind}, %']) <= 100
             for kind in ('from scratch', 'frozen features', 'fine-tuned'))
  scratch, frozen, tuned = (visionlab.load(tmp_path / f'{kind}-2' / '0').variables['params']
                            for kind in ('from scratch', 'frozen features', 'fine-tuned'))
  moved = {name: {k: not np.array_equal(new[k]['kernel'], scratch[k]['kernel']) for k in new}
           for name, new in {'frozen': frozen, 'tuned': tuned}.items()}
  assert moved['frozen'] == dict(conv0=False, conv1=False, dense=False, head=True)
  assert all(moved['tuned'].values())


def test_augmentation(tmp_path):
  (row,) = quick('augmentation', tmp_path)
  assert row['training images'] == 50
  with_, without = (visionlab.load(tmp_path / f'{k}-50' / '0') for k in ('with', 'without'))
  assert with_.config.augment and not without.config.augment
  assert row['with augmentation, %'] != row['without augmentation, %']


def test_ensembles_average_probabilities(tmp_path):
  rows = quick('ensembles', tmp_path)
  assert [(row['networks'], row['teams']) for row in rows] == [(1, 2), (2, 1)]
  runs = [visionlab.load(tmp_path / str(seed)) for seed in range(2)]
  source = visionlab.data.open_split(visionlab.data.sources.digits.digits, 'test')
  test = source[np.arange(len(source))]
  p = np.mean([run.predict(test['image'])['probabilities'] for run in runs], 0)
  assert float(rows[1]['test accuracy, %']) == pytest.approx(
      100 * (p.argmax(-1) == test['label']).mean(), abs=.006)
  own = p[np.arange(len(p)), test['label']]
  assert float(rows[1]['cross-entropy']) == pytest.approx(-np.log(own).mean(), abs=6e-4)
  # Jensen: the loss of the mean is at most the mean of the losses.
  assert float(rows[1]['cross-entropy']) < float(rows[0]['cross-entropy'].split()[0]) + 1e-3


def test_complete_runs_are_left_alone_and_others_go_on(tmp_path, monkeypatch, capsys):
  config = study.changed(tiny.config(), steps=4)
  assert study.run({'a/0': config}, tmp_path) == {'a/0': tmp_path / 'a' / '0'}
  steps, losses = study.curve(tmp_path / 'a' / '0', 'train/loss')
  assert steps[-1] == 4 and study.last(tmp_path / 'a' / '0', 'train/loss') == losses[-1]
  assert 'started from scratch' in (tmp_path / 'log.txt').read_text()
  assert capsys.readouterr().out == ''
  calls = []
  monkeypatch.setattr(study, 'train', lambda config, workdir: calls.append(workdir))
  study.run({'a/0': config}, tmp_path)
  assert calls == []
  with pytest.raises(ConfigError, match='another config'):
    study.run({'a/0': study.changed(config, hp__lr=.5)}, tmp_path)
  with pytest.raises(SystemExit, match=r'interrupted in b.*goes on'):      # train came back early
    study.run({'b': config}, tmp_path)
  assert calls == [tmp_path / 'b']


def test_changed_copies_and_replaces_whole_dicts():
  config = experiment(steps=9, batch=2, data={}, task={}, hp=dict(lr=.1), optim=dict(
      name='sgd', schedule=dict(name='steps', at=('50%',))))
  new = study.changed(config, optim__schedule=dict(name='cosine'), hp__lr=.3)
  assert new.optim.schedule.to_dict() == dict(name='cosine') and new.hp.lr == .3
  assert new.checkpoint.keep == 1 and not new.log.tensorboard
  assert config.optim.schedule.name == 'steps' and config.hp.lr == .1 and config.log.tensorboard


def test_spread_has_the_sample_standard_deviation():
  values = [.90, .95, .97]
  mean, sd = study.spread(values).split(' ± ')
  assert (float(mean), float(sd)) == pytest.approx((94, 100 * statistics.stdev(values)), abs=.005)
  assert study.spread([1.25], 1, 1.) == '1.2'


def test_shifted_agrees_with_roll_on_a_blank_border():
  image = np.zeros((2, 12, 12, 1), np.uint8)
  image[:, 4:8, 4:8] = np.arange(32).reshape(2, 4, 4, 1)
  for way in (0, 0), (4, 0), (-4, 0), (0, 3), (0, -3):
    np.testing.assert_array_equal(shifted(image, *way), np.roll(image, way, (1, 2)))
  assert not shifted(image, 0, 12).any()


def test_teams_are_disjoint():
  assert [list(t) for t in teams(10, 3)] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
  assert len(teams(10, 5)) == 2 and len(teams(4, 5)) == 0


@pytest.fixture
def smears(tmp_path):
  """A BCCD of two training photographs and a test one: grey fields with cells, of one colour for
  each class, the last of which reach over the edge."""
  colours = dict(WBC=(90, 60, 160), RBC=(210, 150, 140))
  path = tmp_path / 'bccd.tar.gz'
  with tarfile.open(path, 'w:gz') as archive:
    def add(name, content):
      member = tarfile.TarInfo(f'bccd/BCCD/{name}')
      member.size = len(content)
      archive.addfile(member, io.BytesIO(content))
    for photograph in ('one', 'two', 'three'):
      pixels, objects = np.full((60, 80, 3), 128, np.uint8), ''
      for row, (name, colour) in enumerate(colours.items()):
        for x in (10, 40, 70):
          y = 5 + 30 * row
          pixels[y:y + 20, x:x + 20] = colour
          objects += (f'<object><name>{name}</name><bndbox><xmin>{x}</xmin><ymin>{y}</ymin>'
                      f'<xmax>{x + 20}</xmax><ymax>{y + 20}</ymax></bndbox></object>')
      jpeg = io.BytesIO()
      Image.fromarray(pixels).save(jpeg, 'JPEG', quality=95)
      add(f'JPEGImages/{photograph}.jpg', jpeg.getvalue())
      add(f'Annotations/{photograph}.xml', f'<annotation>{objects}</annotation>'.encode())
    add('ImageSets/Main/trainval.txt', b'one\ntwo\n')
    add('ImageSets/Main/test.txt', b'three\n')
  return path, colours


def test_cells_are_cut_out_of_their_own_photographs(smears, tmp_path):
  path, colours = smears
  counts = crop_objects(path, tmp_path / 'cells', sizes=(2, 5), test=9, least=3)
  assert counts == {'train2': dict(RBC=2, WBC=2), 'train5': dict(RBC=5, WBC=5),
                    'test': dict(RBC=3, WBC=3)}
  for name, colour in colours.items():
    small, large, test = ({p.name for p in (tmp_path / 'cells' / split / name).iterdir()}
                          for split in ('train2', 'train5', 'test'))
    assert small < large
    assert all('three' in file for file in test) and not any('three' in file for file in large)
    for file in (tmp_path / 'cells' / 'train5' / name).iterdir():
      with Image.open(file) as image:
        assert image.size in ((24, 24), (12, 24))          # a tenth on each side, less the edge
        centre = image.getpixel((min(12, image.width - 1), 12))
      assert np.abs(np.subtract(centre, colour)).max() < 12
  with pytest.raises(ConfigError, match='fewer than two classes have 7 .*RBC 6, WBC 6'):
    crop_objects(path, tmp_path / 'more', sizes=(7,))
  assert not (tmp_path / 'more').exists()
  with pytest.raises(ConfigError, match='neither a folder Annotations'):
    crop_objects(tmp_path / 'cells', tmp_path / 'more', sizes=(1,))


def test_pictures_are_cut_once_and_no_others_are_taken_for_them(smears, tmp_path):
  path, _ = smears
  pictures = tmp_path / 'kept' / 'pictures'
  pictures.parent.mkdir()
  with pytest.raises(ConfigError, match=r'bccd.tar.gz: fewer than two classes'):
    cut_once(path, pictures, [7])
  cut_once(path, pictures, [5, 1], least=3)     # what went wrong before holds nothing up
  written = {p: p.stat().st_mtime_ns for p in pictures.rglob('*.png')}
  cut_once(path, pictures, [1, 5])
  assert {p: p.stat().st_mtime_ns for p in pictures.rglob('*.png')} == written
  for root, sizes in ((path, [1]), (tmp_path, [1, 5])):
    with pytest.raises(ConfigError, match=r'cut out of .*bccd.tar.gz with --sizes 1 5; give these'):
      cut_once(root, pictures, sizes)


def test_things_of_coco_are_cut_out_where_they_are(tmp_path):
  """Of a left half that is red and a small blue box, which is left out; a label has no image."""
  top = tmp_path / 'coco128'
  for folder in ('train2017', 'val2017'):
    for part in ('images', 'object_detection/labels'):
      (top / part / folder).mkdir(parents=True)
    for i in range(3):
      pixels = np.zeros((100, 200, 3), np.uint8)
      pixels[:, :100, 0], pixels[:, 100:, 1] = 255, 255
      Image.fromarray(pixels).save(top / 'images' / folder / f'{i}.jpg', quality=95)
    for i in range(4):
      (top / 'object_detection/labels' / folder / f'{i}.txt').write_text(
          '7 .25 .5 .5 1\n9 .75 .5 .4 .8\n9 .5 .5 .1 .1\n')
  (top / 'object_detection/config.yaml').write_text('names: {7: truck, 9: boat}')
  counts = crop_objects(top, tmp_path / 'cut', sizes=(1, 3), least=2, margin=0.)
  assert counts == {'train1': dict(boat=1, truck=1), 'train3': dict(boat=3, truck=3),
                    'test': dict(boat=3, truck=3)}
  for name, size, colour in (('truck', (100, 100), (254, 0, 0)), ('boat', (80, 80), (0, 255, 1))):
    for file in (tmp_path / 'cut' / 'test' / name).iterdir():
      with Image.open(file) as image:
        assert image.size == size
        assert np.abs(np.subtract(image.getpixel((50, 50)), colour)).max() < 4


def test_cells_of_bccd(shared_data, tmp_path):
  if not (shared_data / 'bccd.tar.gz').exists():
    pytest.skip('no bccd.tar.gz among the verification data')
  counts = crop_objects(shared_data / 'bccd.tar.gz', tmp_path / 'cells', sizes=(2,), test=60)
  assert counts['test'] == dict(Platelets=60, RBC=60, WBC=60)
  means = {}
  for name in counts['test']:
    pixels = [np.asarray(Image.open(p)).reshape(-1, 3).mean(0)
              for p in (tmp_path / 'cells' / 'test' / name).iterdir()]
    means[name] = np.mean(pixels, 0)
  assert means['RBC'][0] > means['RBC'][2]                 # red cells are redder than blue
  assert means['WBC'][2] > means['WBC'][0] and means['Platelets'][2] > means['Platelets'][0]


def test_stories(tmp_path):
  rows = quick('stories', tmp_path, f'--figure={tmp_path}/figure.png')
  methods = [row['method'] for row in rows]
  assert methods[5:7] == ['tfidf', 'time'] and methods[-2:] == ['linear, all measures',
                                                                'context CNN']
  for row in rows:
    assert all(0 <= float(value) <= 100 for key, value in row.items() if key != 'method')
    # What is right is so within one sentence, and within three.
    assert float(row['chain, ±0']) <= float(row['chain']) <= float(row['±3'])
  for name in ('figure', 'film'):
    assert (tmp_path / f'{name}.png').stat().st_size < 60_000


def test_wrong_options_end_in_one_line(capsys):
  for name, options, message in (('limited_data', [], '--root and --weights are needed'),
                                 ('depth', ['--seeds=0'], 'at least 1'),
                                 ('depth', ['--depths', '21'], 'invalid choice'),
                                 ('long_dependency', ['--lengths', '2'], 'at least 3')):
    with pytest.raises(SystemExit):
      importlib.import_module(f'experiments.{name}.__main__').main(options)
    assert message in capsys.readouterr().err


def test_fcn_shares_without_changing_anything(tmp_path):
  found = quick('fcn', tmp_path, 'sharing')
  (row,) = found['sharing']
  assert row['patch'] == 33 and float(row['largest difference']) < 1e-4 and int(row['ratio']) > 1


def test_fcn_strides(tmp_path):
  found = quick('fcn', tmp_path, 'strides')
  (row,) = found['strides']
  assert row['network'] == 'FCN-32s' and 0 <= float(row['mean IoU, %']) <= 100


def test_mask_rcnn(tmp_path):
  (row,) = quick('mask_rcnn', tmp_path, 'scenes')['scenes']
  assert row['detector'] == 'RoIAlign, masks'
  assert all(0 <= float(row[f'{part} AP, %']) <= 100 for part in ('box', 'mask'))


def test_rcnn(tmp_path):
  pytest.importorskip('skimage', reason='Selective Search needs scikit-image')
  found = quick('rcnn', tmp_path, 'detectors', 'recall', f'--figure={tmp_path}/figure.png')
  names = [row['detector'] for row in found['detectors']]
  assert names == ['localisation', 'R-CNN', 'SPP-net', 'Fast R-CNN']
  for row in found['detectors']:
    assert float(row['test, ms an image']) > 0 and 0 <= float(row['AP50, %']) <= 100
    given = row['detector'] != 'localisation'
    with_them, alone = (float(row[k]) for k in ('with proposals, ms', 'test, ms an image'))
    assert with_them > alone if given else with_them == alone
  assert (tmp_path / 'figure.png').stat().st_size > 10_000
  assert float(found['recall'][0]['50 at 1000, %']) > 80


def test_long_dependency(tmp_path):
  (row,) = quick('long_dependency', tmp_path)
  assert row['T'] == 10
  kinds = [title.removesuffix(', %') for title in row if title != 'T']
  assert all(0 <= float(row[f'{kind}, %']) <= 100 for kind in kinds)
  cells = [visionlab.load(tmp_path / f'{kind}-10' / '0').config.task.model for kind in kinds]
  assert [(model.cell, model.get('memory', 0)) for model in cells] == [('lstm', 0), ('lstm', 10)]
  assert all(model.width == cells[0].width for model in cells)


def test_shown_once_is_empty_but_for_the_first_step():
  given = shown_once('test', steps=7).arrays
  own = visionlab.data.sources.digits.digits('test').arrays
  np.testing.assert_array_equal(given['image'][:, 0, :, 0].reshape(-1, 8, 8, 1), own['image'])
  assert given['image'].shape[1] == 7 and not given['image'][:, 1:].any()
  np.testing.assert_array_equal(given['label'], own['label'])


def test_show_and_tell(tmp_path):
  rows = quick('show_and_tell', tmp_path)
  assert [(row['decoder'], row['beams']) for row in rows] == [('RNN', 1), ('RNN', 2), ('LSTM', 1),
                                                              ('LSTM', 2)]
  for row in rows:
    assert all(0 <= float(row[name]) <= 100 for name in ('wholly true, %', 'BLEU-1', 'BLEU-4'))
  cells = [visionlab.load(tmp_path / name / '0').task.model.cell for name in ('RNN', 'LSTM')]
  assert cells == ['rnn', 'lstm']
  # The same run's by two programs, printed to three places: the last may be rounded otherwise.
  greedy, beams, other = (float(row['perplexity']) for row in rows[:3])
  assert abs(greedy - beams) < .0011 and abs(greedy - other) > .1


def test_dann(tmp_path):
  """Networks after 20 steps know nothing; but what becomes of their answers can be followed."""
  found = quick('dann', tmp_path, 'methods', 'candidates', 'selection',
                f'--figure={tmp_path}/dann.png')
  methods = [row['method'] for row in found['methods']]
  assert methods == ['source only', 'subspace alignment', 'DANN']
  assert all(0 <= float(row['target, %']) <= 100 for row in found['methods'])
  assert [row['setting'] for row in found['candidates']] == ['source only', 'DANN, lambda 1']
  by = {row['chosen by']: row for row in found['selection']}
  scores = {row['setting']: row for row in found['candidates']}
  for criterion, key, best in (('the oracle', 'target accuracy, %', max),
                               ('entropy', 'entropy, nats', min),
                               ('reverse validation', 'reverse risk, %', min)):
    chosen = by[criterion]['what'].removesuffix(' (1)')
    assert float(scores[chosen][key]) == best(float(row[key]) for row in found['candidates'])
    assert by[criterion]['target accuracy, %'] == scores[chosen]['target accuracy, %']
  for name in 'dann', 'tsne':
    assert (tmp_path / f'{name}.png').stat().st_size > 5_000


def test_filters(tmp_path):
  module = importlib.import_module('experiments.filters.__main__')
  rows = {row['image']: row for row in module.main([f'--folder={tmp_path}'])}
  pixels, features = ({name: float(row[f'{kind} by {kind}']) for name, row in rows.items()}
                      for kind in ('pixel', 'feature'))
  # What the study says: pixels take an O for more of an X than an X beside its place.
  assert pixels['X, a pixel to the right'] < pixels['O'] < pixels['X'] == 1
  assert features['O'] < features['X, a pixel to the right'] == features['X'] == 1
  text = (Path(study.__file__).parent / 'filters' / 'README.md').read_text()
  assert study.table(list(rows.values())) in text and 'python -m experiments.filters' in text
  for name in ('gallery', 'crosses'):
    with Image.open(tmp_path / f'{name}.png') as picture:
      assert picture.width > 1000 and len(picture.getcolors()) > 30
    assert (tmp_path / f'{name}.png').stat().st_size < 400_000


def test_features_of_an_x():
  response, rectified, pooled = crosses.found(crosses.X, crosses.FEATURES['falling'])
  # Counted by hand: of nine pixels so many more are alike than unlike.
  alike = np.array([[7, -1, 1, 3, 5, -1, 3], [-1, 9, -1, 3, -1, 1, -1], [1, -1, 9, -3, 1, -1, 5],
                    [3, 3, -3, 5, -3, 3, 3], [5, -1, 1, -3, 9, -1, 1], [-1, 1, -1, 3, -1, 9, -1],
                    [3, -1, 5, 3, 1, -1, 7]])
  np.testing.assert_allclose(response, alike / 9, atol=1e-6)
  np.testing.assert_array_equal(rectified, np.maximum(response, 0))
  np.testing.assert_allclose(pooled, np.array([[9, 3, 5, 3], [3, 9, 3, 5], [5, 3, 9, 1],
                                               [3, 5, 1, 7]]) / 9, atol=1e-6)
  moved = crosses.IMAGES['X, a pixel to the right']
  for feature in crosses.FEATURES.values():
    before, after = (crosses.found(image, feature).response for image in (crosses.X, moved))
    np.testing.assert_allclose(after[:, 1:], before[:, :-1], atol=1e-6)
    assert crosses.matches(after) == [(i, j + 1) for i, j in crosses.matches(before)]


def test_kernels_are_shown_as_they_are():
  image = np.random.default_rng(0).integers(0, 256, (40, 44, 3), np.uint8)
  shown = gallery.filtered(image)
  assert all(picture.shape == (40, 44, 3) for picture in shown.values())
  np.testing.assert_allclose(shown['identity'], image / 255, atol=1e-6)
  even = gallery.filtered(np.full((40, 44, 3), 51, np.uint8))
  for name, picture in even.items():
    np.testing.assert_allclose(picture, .5 if 'edges' in name else .2, atol=1e-5)
  rims = {name: picture[0, 0, 0] for name, picture in
          gallery.padded(np.full((40, 44, 3), 255, np.uint8)).items()}
  np.testing.assert_allclose([rims[name] for name in ('edge', 'reflect', 'valid')], 1, atol=1e-5)
  assert rims['zero'] == pytest.approx((16 / 31) ** 2, abs=1e-5)


@pytest.mark.parametrize('name', NAMES)
def test_readmes_are_whole(name):
  folder = Path(study.__file__).parent / name
  text = (folder / 'README.md').read_text()
  assert f'python -m experiments.{name}' in text and '2 CPU cores' in text
  for picture in re.findall(r'\]\((\S+\.(?:png|jpg))\)', text):
    assert (folder / picture).stat().st_size <= 60_000


def test_concepts_of_coco_are_those_that_several_images_show(tmp_path):
  """Ids in masks are no class numbers; 0 and what is rare count nowhere."""
  masks = tmp_path / 'semantic_segmentation' / 'masks' / 'val2017'
  images = tmp_path / 'images' / 'val2017'
  for folder in (masks, images):
    folder.mkdir(parents=True)
  (masks.parents[1] / 'config.yaml').write_text(
      'classes:\n  0: unlabeled\n  24: zebra\n  25: giraffe\n  193: grass-merged\n')
  for i, (left, right) in enumerate([(24, 193), (193, 24), (25, 0)]):
    mask = np.repeat(np.uint8([[left, right]]), 8, 1).repeat(16, 0)
    Image.fromarray(mask).save(masks / f'{i}.png')
    Image.new('RGB', (16, 16), (i, 0, 0)).save(images / f'{i}.jpg')
  Image.new('RGB', (16, 16)).save(images / 'unlabelled.jpg')
  source = concepts('val', root=str(tmp_path), size=16, often=2)
  assert source.info.map_classes == ('grass', 'zebra') and len(source) == 3
  maps = source[np.arange(3)]['label_map']
  assert maps[:, 0, [0, 15]].tolist() == [[1, 0], [0, 1], [255, 255]]
  with pytest.raises(ConfigError, match='no split "test"; there are train, val'):
    concepts('test', root=str(tmp_path))


def test_the_best_linear_denoiser_is_regression_on_what_is_seen():
  rng = np.random.default_rng(0)
  images = rng.normal(size=(400, 3)) @ rng.normal(size=(3, 4)) + .5
  noise = rng.normal(scale=.3, size=(200, *images.shape))
  seen = (images + noise).reshape(-1, 4)
  x = np.concatenate([seen, np.ones((len(seen), 1))], 1)
  fit = np.linalg.lstsq(x, np.tile(images, (200, 1)), rcond=None)[0]
  clean = linear_denoiser(images.reshape(400, 2, 2, 1), .3)
  np.testing.assert_allclose(clean(seen[:50].reshape(50, 2, 2, 1)).reshape(50, 4), x[:50] @ fit,
                             atol=.02)


def test_principal_components_leave_the_smallest_variances():
  images = np.random.default_rng(0).normal(size=(90, 5)) * (5, 4, .3, .2, .1) + 7
  told, made = principal_components(images, images, 2)
  left = np.linalg.eigvalsh(np.cov(images.T, bias=True))[:3].sum() / 5
  assert told.shape == (90, 2) and squared_error(made, images) == pytest.approx(left)


def test_generative_counts_what_collapses(tmp_path):
  """So few updates that nothing has been learnt, and all collapses."""
  found = quick('generative', tmp_path, '--seeds=2', f'--figure={tmp_path}/figure.png')
  assert [row[''] for row in found['codes']] == [
      'all 64 pixels', 'principal components', 'autoencoder']
  errors = [float(row['squared error of a pixel'].partition(' ')[0]) for row in found['denoising']]
  assert errors[0] > errors[1] > errors[2] and errors[3] > errors[2]     # it has learnt nothing
  assert (tmp_path / 'denoising.png').stat().st_size <= 60_000
  rows = found['collapse']
  assert [row[''] for row in rows] == ['hinge, spectral norm', 'Wasserstein, slope of 1']
  assert all(row['collapsed'] == '2 of 2' and row['coverage'].startswith('0.') for row in rows)
  run = visionlab.load(tmp_path / 'hinge, spectral norm' / 'seed=1')
  assert run.task.spectral_norm and not run.task.penalties and run.sample(3).shape == (3, 8, 8, 1)
  assert (tmp_path / 'figure.png').stat().st_size <= 60_000


def test_understanding_holds_maps_against_the_digits(tmp_path):
  rows = quick('understanding', tmp_path, 'classifier', f'--figure={tmp_path}/figure.png')
  *methods, noise = rows['classifier']
  assert len(methods) == 10 and noise['method'] == 'noise'
  for row in methods:
    assert float(row['on the digit, %']) <= float(row['within 2 px, %']) <= 100
    assert 0 <= float(row['IoU, %']) <= 100 and float(row['answers']) > 0
  with Image.open(tmp_path / 'classifier.png') as picture:
    assert picture.width > 300


def test_faces_are_verified_as_they_are_and_aligned(tmp_path):
  rng = np.random.default_rng(0)
  np.savez(tmp_path / 'orl.npz', x=rng.integers(0, 256, (24, 28, 23), np.uint8),
           y=np.repeat(np.arange(6), 4))
  rows = quick('faces', tmp_path, 'alignment', 'real', 'tasks', 'chain', 'embeddings',
               f'--orl={tmp_path}/orl.npz', f'--figure={tmp_path}/faces.png')
  assert [row['faces'] for row in rows['alignment']] == [
      'as photographed', 'aligned by true landmarks', 'aligned by found landmarks']
  for row in rows['alignment'] + rows['real']:
    assert all(0 <= float(v) <= 100 for k, v in row.items() if k != 'faces')
  assert len(rows['real']) == 3
  (helped,) = rows['tasks']
  assert {'weight 0.0', 'weight 0.02', 'weight 0.1'} < set(helped)
  assert [row['landmarks, %'] == '' for row in rows['chain']] == [True] + [False] * 5
  assert float(rows['chain'][1]['landmarks, %']) == 0
  assert all(0 <= float(row['of the same person, %']) <= 100 for row in rows['embeddings'])
  assert (tmp_path / 'faces.png').stat().st_size < 60_000


def test_poses_are_judged_stage_by_stage(tmp_path):
  rows = quick('poses', tmp_path, f'--figure={tmp_path}/poses.png')
  mean, *_ = cascade = rows['cascade']
  assert [row[''] for row in cascade] == ['mean pose', 'stage 1', 'stage 2']
  assert float(mean['torso']) > 50 and float(mean['mean']) > float(mean['lower arm'])
  assert rows['heat_maps'][0].keys() == mean.keys()
  assert (tmp_path / 'poses.jpg').stat().st_size < 60_000
  assert (tmp_path / 'poses.png').stat().st_size < 60_000


def test_video_is_fused_and_timed(tmp_path):
  rows = quick('video', tmp_path, 'fusion', 'speed', f'--figure={tmp_path}/figure.png')
  assert [row['network'] for row in rows['fusion']] == [
      'single frame', 'slow fusion', 'true flow', 'two streams, mean']
  assert all(0 <= float(row[k]) <= 100
             for row in rows['fusion'] for k in ('hue', 'movement', 'both'))
  full, two = rows['speed']
  assert full['speed'] == '1.00' and float(two['training']) > 0
  with Image.open(tmp_path / 'figure.jpg') as picture:
    assert picture.width > 700


def test_driving_is_judged_closed_and_placed(tmp_path):
  rows = quick('driving', tmp_path, f'--figure={tmp_path}/figure.png')
  assert [row['network'] for row in rows['closed'][::2]] == ['no map',
                                                             'the route, forks near and far']
  assert {row['policy'] for row in rows['closed']} == {'mean', 'mode'}
  first, before, behind, calm = rows['places']
  assert float(first['m off along']) > 0 and float(behind['entropy, nats']) > 0
  assert first['stretches'] == behind['stretches'] >= 2 and calm['stretches'] >= 2
  # The receiver's word is a normal distribution on a grid.
  assert float(first['entropy, nats']) == pytest.approx(5.91, abs=.02)
  assert (tmp_path / 'places.png').stat().st_size < 60_000
  assert len(rows['moments']) == 6 and (tmp_path / 'figure.png').stat().st_size < 60_000


def test_sentences_are_probed_expanded_and_matched(tmp_path):
  rows = quick('sentences', tmp_path, f'--figure={tmp_path}/figure.png')
  assert [row['task'] for row in rows['probes']] == ['neighbours', 'order']
  frequencies, *told = (float(row['perplexity']) for row in rows['perplexity'])
  assert 1 < frequencies < 104 and len(told) == 2 and all(50 < one < 150 for one in told)
  kinds = ('the commonest', 'bag of words', 'bag of words, tf-idf', 'untrained', 'quick thoughts')
  assert all(0 <= float(row[kind]) <= 100 for row in rows['probes'] for kind in kinds)
  assert float(rows['probes'][1]['bag of words']) < 70          # it has no order
  assert [row['words'].partition(',')[0] for row in rows['expansion']] == ['fitted', 'others']
  assert [row['vectors'] for row in rows['match']] == ['random', 'learnt'] * 2
  assert (tmp_path / 'figure.png').stat().st_size < 60_000


def test_of_pairs_one_is_told_by_the_sum_over_the_other():
  """Two movements and six hues: the likeliest pair is (0, red), the likeliest movement 1."""
  p = np.zeros((1, 12))
  p[0, 0], p[0, 6:9] = .4, .2
  assert pairs_right(p, np.array([6])) == dict(hue=1, movement=1, both=0)


def test_a_digit_is_chosen_that_is_alone_of_its_class():
  masks = np.zeros((4, 5, 5), bool)
  masks[0, :3], masks[1, 3], masks[2, 4, :2], masks[3] = True, True, True, True
  objects = dict(masks=masks, classes=np.array([7, 2, 3, 9]), valid=np.array([True] * 3 + [False]))
  assert alone(objects) == 0
  assert alone(objects | dict(classes=np.array([7, 7, 3, 9]))) == 2
  assert alone(objects | dict(classes=np.array([7, 7, 7, 9]))) is None


def test_which_digits_there_are():
  source = which_digits('test', examples=6, size=32)
  example, truth = source[np.arange(6)], source.source[np.arange(6)]['objects']
  for label, classes, valid in zip(example['label'], truth['classes'], truth['valid'], strict=True):
    assert set(np.flatnonzero(label)) == set(classes[valid])


def test_behaviour_is_judged_found_in_time_and_after_drift(tmp_path):
  rows = quick('behaviour', tmp_path, f'--figure={tmp_path}/figure.png')
  for part, baselines, networks in (('people', 6, 3), ('devices', 6, 2)):
    assert len(rows[part]) == baselines + networks
    assert all(0 <= float(row['AUROC']) <= 1 for row in rows[part])
  assert [row['users'] for row in rows['delays']] == ['people'] * 3 + ['devices'] * 3
  for row in rows['delays']:
    assert 0 <= float(row['within 24 h, %']) <= float(row['within the week, %']) <= 100
  assert len(rows['drift']) == 2 * 2 * 5
  for name in ('figure', 'devices', 'drift'):
    assert 0 < (tmp_path / f'{name}.png').stat().st_size < 60_000
