"""What runs are measured on: any source, by the names of its classes, on a split that exists."""

import json
import types
from collections.abc import Sequence

import numpy as np
import pytest
from absl import flags
from PIL import Image
from safetensors.numpy import save_file
from tiny import config

from visionlab.config import ConfigError
from visionlab.data.source import UnknownSplit
from visionlab.data.sources.cifar import CIFAR10
from visionlab.evaluate import chosen_runs, evaluate, for_json, names_of, per_image
from visionlab.runs import other_data
from visionlab.runs.load import load
from visionlab.runs.other_data import open_data, typed
from visionlab.train import train

RNG = np.random.default_rng(0)


@pytest.fixture(scope='module')
def published(tmp_path_factory):
  """ResNet-20 for CIFAR as others' programs save it, untrained."""
  widths, before = {'conv1': (3, 16)}, 16
  for stage, width in enumerate((16, 32, 64), 1):
    for layer in (f'layer{stage}.{block}.conv{conv}' for block in range(3) for conv in (1, 2)):
      widths[layer], before = (before, width), width
  arrays = {'linear.weight': RNG.normal(size=(10, 64)), 'linear.bias': np.zeros(10)}
  for name, (before, width) in widths.items():
    norm = name.replace('conv', 'bn')
    arrays[f'{name}.weight'] = RNG.normal(size=(width, before, 3, 3)) / np.sqrt(9 * before)
    arrays |= {f'{norm}.{k}': np.ones(width) for k in ('weight', 'running_var')}
    arrays |= {f'{norm}.{k}': np.zeros(width) for k in ('bias', 'running_mean')}
  path = tmp_path_factory.mktemp('weights') / 'resnet20.safetensors'
  save_file({k: v.astype(np.float32) for k, v in arrays.items()}, path)
  return path


def cifar_files(folder, n):
  """Images (n 32 32 3) and labels (n,), written as the binary version has them."""
  labels = RNG.integers(0, 10, n).astype(np.uint8)
  images = RNG.integers(0, 256, (n, 3, 32, 32)).astype(np.uint8)
  content = np.concatenate([labels[:, None], images.reshape(n, -1)], 1)
  (folder / 'test_batch.bin').write_bytes(content.tobytes())
  return images.transpose(0, 2, 3, 1), labels


def picture_folders(root, names, n=1, size=(12, 12)):
  for i, name in enumerate(names):
    (root / name).mkdir(parents=True)
    for j in range(n):
      Image.new('RGB', size, (40 * i, 90, 10 * j)).save(root / name / f'{j}.png')


def test_published_weights_on_their_own_data(published, tmp_path):
  run = load(published)
  assert run.classes == CIFAR10
  images, labels = cifar_files(tmp_path, 40)
  results, _ = evaluate([run], 'test', data=dict(name='cifar10', root=str(tmp_path)))
  right = run.predict(images)['prediction'] == labels
  assert results['accuracy'] == pytest.approx(right.mean()) and results['confusion'].sum() == 40
  again, _ = evaluate([run], data=dict(name='cifar10'), root=str(tmp_path))
  assert again['accuracy'] == results['accuracy']


def test_another_source_is_put_on_the_networks_canvas(published):
  run = load(published)
  with pytest.raises(ConfigError, match='knows no class "0"'):
    open_data(run, data=dict(name='digits'))
  with pytest.raises(ConfigError, match='weights alone have no data .* give --root'):
    open_data(run, 'test')
  with pytest.raises(ConfigError, match='data.sizes: no such key'):
    open_data(run, data=dict(name='digits', sizes=3))
  with pytest.raises(ConfigError, match='data.name: missing'):
    open_data(run, data=dict(size=3))


@pytest.fixture(scope='module')
def digits(tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / 'digits'
  train(config(steps=1, evals={}), folder)
  return load(folder)


def test_a_sources_size_and_channels_are_the_runs_unless_given(digits, tmp_path):
  picture_folders(tmp_path, ['3', '1'])
  source, split = open_data(digits, data=dict(name='folder', root=str(tmp_path)))
  assert split == 'train'
  assert source[np.arange(2)]['image'].shape == (2, 8, 8, 1)
  assert sorted(source[np.arange(2)]['label'].tolist()) == [1, 3]        # as the network counts
  own, _ = open_data(digits, data=dict(name='folder', root=str(tmp_path)), as_known=False)
  assert sorted(own[np.arange(2)]['label'].tolist()) == [0, 1] and own.info.classes == ('1', '3')
  with pytest.raises(ConfigError, match='its images have 3 channels, .* images with 1'):
    open_data(digits, data=dict(name='folder', root=str(tmp_path), channels=3))


def test_classes_without_names_are_those_of_the_data(published, tmp_path, caplog):
  run = load(published)
  nameless = type(run)(run.workdir, run.config, run.task, run.variables, run.hp, 0, type(run.facts)(
      type(run.facts.info)(other_data.numbered(10)), run.facts.example, 0))
  cifar_files(tmp_path, 4)
  source, _ = open_data(nameless, 'test', data=dict(name='cifar10', root=str(tmp_path)))
  assert source.info.classes == CIFAR10 and 'names no classes' in caplog.text
  picture_folders(tmp_path / 'few', ['a', 'b'])
  with pytest.raises(ConfigError, match='10 classes without names, and the data have 2'):
    open_data(nameless, root=str(tmp_path / 'few'))


@pytest.mark.parametrize('there, chosen', [
    (('train', 'val'), 'val'), (('train', 'test', 'val'), 'test'), (('train', 'valid'), 'valid'),
    (('holdout', 'train'), 'holdout'), ((), 'train')])
def test_the_split_is_one_that_exists(digits, tmp_path, there, chosen):
  for name in there or ('',):
    picture_folders(tmp_path / name, ['3', '1'])
  data = dict(name='folder', root=str(tmp_path))
  assert open_data(digits, data=data)[1] == chosen
  with pytest.raises(ConfigError, match='has no split "dev"'):
    open_data(digits, 'dev', data=data)


def test_the_split_is_the_one_that_was_held_out(digits, tmp_path):
  picture_folders(tmp_path, ['3', '1'], n=5)
  own = config(data=dict(name='folder', root=str(tmp_path), size=8, channels=1),
               split='train[:80%]', evals=dict(test=dict(split='train[80%:]')))
  run = type(digits)(digits.workdir, own, digits.task, digits.variables, digits.hp, 1, digits.facts)
  source, split = open_data(run)
  assert split == 'train[80%:]' and len(source) == 2


def test_templated_folders_have_splits_too(digits, tmp_path):
  for split in ('train', 'valid'):
    for kind in ('images', 'labels'):
      (tmp_path / kind / split).mkdir(parents=True)
    Image.new('RGB', (8, 8)).save(tmp_path / 'images' / split / 'a.png')
  data = dict(name='yolo', root=str(tmp_path), classes=('3',))
  with pytest.raises(ConfigError, match='its images have 3 channels'):       # of "valid"
    open_data(digits, data=data)
  with pytest.raises(ConfigError, match='has no split "val"; there are train, valid'):
    open_data(digits, 'val', data=data)


def test_data_without_labels_are_named(digits, tmp_path):
  np.savez(tmp_path / 'd.npz', x_test=np.zeros((4, 8, 8, 1), np.uint8))
  with pytest.raises(ConfigError, match='have no "label", by which Classify .* they have image'):
    evaluate([digits], 'test', data=dict(name='arrays', path=str(tmp_path / 'd.npz')))


def test_label_maps_of_another_order_give_the_same_numbers(tmp_path):
  """The same masks under the same names, counted another way, and one class more in the network."""
  labels = RNG.integers(0, 2, (3, 8, 8)).astype(np.uint8)
  for root, order in (('a', (0, 1)), ('b', (1, 0))):
    for kind in ('images', 'masks'):
      (tmp_path / root / kind).mkdir(parents=True)
    for i, mask in enumerate(labels):
      Image.new('RGB', (8, 8), (80 * i, 200, 9)).save(tmp_path / root / f'images/{i}.png')
      Image.fromarray(np.array(order, np.uint8)[mask]).save(tmp_path / root / f'masks/{i}.png')
  options = dict(name='pairs', size=8)
  train(config(
      steps=1, evals={}, batch=2, augment={}, hp=dict(lr=.1), optim=dict(name='sgd'),
      data=dict(options, root=str(tmp_path / 'a'), classes=('sky', 'road', 'car')),
      task=dict(name='segment', model=dict(name='unet', width=2, depth=1))), tmp_path / 'run')
  run = load(tmp_path / 'run')
  own, _ = evaluate([run], 'train')
  data = dict(options, root=str(tmp_path / 'b'), classes=('road', 'sky'))
  other, _ = evaluate([run], 'train', data=data)
  np.testing.assert_array_equal(own['confusion'], other['confusion'])
  assert own['confusion'].sum() == 3 * 64


@pytest.mark.parametrize('text, hint, value', [
    ('32', int, 32), ('(48, 64)', int | tuple[int, int], (48, 64)), ('true', bool, True),
    ('False', bool, False), ('007', str, '007'), ('red,white', tuple[str, ...], ('red', 'white')),
    ("('a, b', 'c')", tuple[str, ...], ('a, b', 'c')), ('red', tuple[str, ...], ('red',)),
    ('data.yaml', tuple[str, ...] | str, 'data.yaml'), ('{split}/images', str, '{split}/images'),
    ('.5', float, .5), ('male,smile', Sequence[str], ('male', 'smile')),
    ('male', Sequence[str], ('male',))])
def test_options_as_they_are_typed(text, hint, value):
  assert typed(text, hint) == value


def test_flags_name_a_source_and_its_options(monkeypatch):
  values = flags.FlagValues()
  monkeypatch.setattr(flags, 'FLAGS', values)
  defined = lambda name, default, text: flags.DEFINE_flag(
      flags.Flag(flags.ArgumentParser(), flags.ArgumentSerializer(), name, default, text), values)
  monkeypatch.setattr(flags, 'DEFINE_string', defined)
  arguments = ['--data=partly_labelled', '--data.of.name=digits', '--data.per_class=2', 'x']
  other_data.data_flags(arguments)
  values(['program', *arguments])
  assert other_data.given_data() == dict(name='partly_labelled', per_class=2,
                                         of=dict(name='digits'))
  values.data = ''
  with pytest.raises(ConfigError, match='--data=NAME is missing'):
    other_data.given_data()
  values.data = 'digit'
  with pytest.raises(ConfigError, match='did you mean "digits"'):
    other_data.given_data()


def test_a_workdir_may_have_a_comma_in_its_name(digits, monkeypatch):
  folder = digits.workdir.with_name('a,b')
  folder.symlink_to(digits.workdir)
  (digits.workdir.with_name('a')).symlink_to(digits.workdir)

  def chosen(*names):
    monkeypatch.setattr(flags, 'FLAGS', types.SimpleNamespace(workdir=list(names), step=None,
                                                              member=None))
    return [run.workdir.name for run in chosen_runs()]
  assert chosen(str(digits.workdir.with_name('a')), 'b') == ['a,b']
  assert chosen(str(folder.with_name('a')), str(digits.workdir)) == ['a', 'digits']
  with pytest.raises(ConfigError, match='--workdir: is empty'):
    chosen()
  with pytest.raises(ConfigError, match='the name of the workdir is empty'):
    load('')


def test_what_objects_lack_is_named_too():
  example = {'image': 1, 'objects': {'boxes': 1, 'masks': 1}}
  assert names_of(example) == {'image', 'objects', 'boxes', 'masks'}


def test_results_are_json():
  results = dict(ap=np.array([[.5, np.nan], [np.inf, -np.inf]]), loss=np.float32('nan'), n=3,
                 absent=np.array(['a', 'b']), each=[float('nan'), {'x': np.int64(2)}], none=None)
  text = json.dumps(for_json(results), allow_nan=False)
  assert json.loads(text) == dict(ap=[[.5, None], [None, None]], loss=None, n=3,
                                  absent=['a', 'b'], each=[None, {'x': 2}], none=None)


def test_a_row_for_each_image_mistakes_first(tmp_path):
  picture_folders(tmp_path / 'data', ('cat', 'dog'), n=3)
  settings = config(data=dict(name='folder', root=str(tmp_path / 'data'), size=8, channels=1),
                    steps=1, batch=4, evals={}, augment={})
  train(settings, tmp_path / 'run')
  run = load(tmp_path / 'run')
  source, _ = open_data(run, 'train')
  rows = per_image([run], source)
  assert sorted((row['file'], row['label']) for row in rows) == [
      (f'{name}/{i}.png', name) for name in ('cat', 'dog') for i in range(3)]
  for row in rows:
    said = run.predict(tmp_path / 'data' / row['file'])
    assert row['prediction'] == run.classes[said['prediction'][0]]
    assert row['scores'][row['prediction']] == pytest.approx(said['probabilities'].max(), rel=1e-5)
  right = [row['label'] == row['prediction'] for row in rows]
  assert right == sorted(right)
  accuracy = evaluate([run], 'train')[0]['accuracy']
  assert sum(right) / 6 == pytest.approx(accuracy)


def test_a_split_for_tests_is_taken_by_any_of_its_names():
  def open_named(options, split, where):
    if split not in ('afw', 'testset'):
      raise UnknownSplit('none', ('afw', 'testset'))
    return split
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(other_data, 'open_sources', open_named)
    assert other_data._open({}, '', 'data', ()) == ('testset', 'testset')
