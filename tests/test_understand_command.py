"""python -m visionlab.understand: a method, a run, images; a picture and the arrays behind it."""

import base64
import dataclasses
import io
import re
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from absl import flags
from PIL import Image
from sklearn.datasets import load_sample_images
from tiny import config

from visionlab.config import ConfigError
from visionlab.ops.hog import hog
from visionlab.runs.load import load
from visionlab.train import train
from visionlab.understand.__main__ import (
  images_of,
  listing,
  method_of,
  option_flags,
  output_of,
  source_of,
  typed_options,
  whole_images,
)
from visionlab.understand.commands import METHODS, options_of, seen
from visionlab.understand.explain import EXPLANATIONS, explain
from visionlab.understand.look import Look
from visionlab.understand.subject import Subject


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  folder = tmp_path_factory.mktemp('run')
  train(config(steps=2, evals={}, task=dict(
      name='classify', model=dict(name='cnn', widths=(4, 4), hidden=8))), folder)
  return load(folder)


@pytest.fixture
def look(run):
  subject = Subject.of(run)
  opened = partial(source_of, run, 'test')
  return Look(subject, run, lambda: images_of(run, [], opened, 2),
              lambda: whole_images(run, [], opened, 2), '3', lambda: opened()[0],
              lambda seen: None, lambda done, of: None)


def test_the_method_is_the_first_word_that_is_no_flag():
  assert method_of(['--workdir=x', 'grad_cam', 'a.png']) == 'grad_cam'
  assert method_of(['--workdir=x']) == ''
  with pytest.raises(ConfigError, match="'grad_cm' .did you mean \"grad_cam\""):
    method_of(['grad_cm', '--workdir=x'])


@pytest.mark.parametrize('method', EXPLANATIONS)
def test_the_options_of_a_method_are_its_functions_own(method):
  names = set(options_of(METHODS[method]))
  assert not names & {'look', 'subject', 'images', 'target', 'given'}
  assert 'chunk' in names


def test_a_picture_and_its_arrays(look):
  shown = seen('saliency', look, {})
  assert shown.picture.dtype == np.uint8 and shown.picture.shape[2] == 3
  assert shown.arrays['values'].shape == (2, 8, 8)
  np.testing.assert_array_equal(
      shown.arrays['values'], explain(look.subject, look.images, 'saliency', '3'))


def test_what_is_left_unexplained_is_said(look):
  shown = seen('integrated_gradients', look, dict(steps=4))
  assert shown.text == ('what the values leave unexplained: '
                       f'{abs(shown.arrays["residual"]).max():.2g} at most')


@pytest.mark.parametrize('method, options, target', [
    ('filters', {}, None), ('unit_patches', dict(units=(0, 1), k=2), None),
    ('class_image', dict(steps=2), '3, 5'), ('inversion', dict(steps=2), None),
    ('deep_dream', dict(steps=1, octaves=1), None), ('fooling', dict(steps=2), '3'),
    ('evolution', dict(generations=2, children=4), None),
    ('style', dict(steps=1, content_at=('pool1',), style_at=('pool0',)), None)])
def test_what_is_made_is_shown(look, method, options, target):
  shown = seen(method, dataclasses.replace(look, target=target), options)
  assert shown.picture.ndim == 3 and shown.picture.dtype == np.uint8 and len(shown.arrays)
  assert min(shown.picture.shape[:2]) > 60
  assert all(np.isfinite(x).all() for x in shown.arrays.values() if x.dtype.kind == 'f')


def test_label_maps_and_a_class_are_asked_for(look):
  with pytest.raises(ConfigError, match='no label maps'):
    seen('dissection', look, {})
  with pytest.raises(ConfigError, match='--class'):
    seen('fooling', dataclasses.replace(look, target=None), {})
  with pytest.raises(ConfigError, match='at least one picture of a style'):
    seen('style', dataclasses.replace(look, whole=lambda: look.whole()[:1]), {})


def test_a_page_holds_its_pictures_and_says_what_is_missing(look):
  """One file: its pictures are in it, and nothing is fetched."""
  shown = []
  look = dataclasses.replace(look, show=shown.append)
  last = seen('page', look, dict(parts=('filters', 'dissection')))
  assert [one.page.count('<h2>') for one in shown] == [1, 2]      # what a stop would leave
  assert last.page == shown[-1].page and 'dissection' in last.text
  assert 'no label maps' in last.page and 'http' not in last.page and '<script' not in last.page
  (picture,) = re.findall('src="data:image/png;base64,(.*?)"', last.page)
  with Image.open(io.BytesIO(base64.b64decode(picture))) as found:
    np.testing.assert_array_equal(found, METHODS['filters'](look).picture)
  np.testing.assert_array_equal(last.arrays['filters.kernel'],
                                look.subject.variables['params']['conv0']['kernel'])


def test_a_page_is_of_methods_and_in_html(look, tmp_path):
  with pytest.raises(ConfigError, match="--parts: 'filter' .*did you mean \"filters\""):
    seen('page', look, dict(parts=('filter',)))
  with pytest.raises(ConfigError, match="--methods: '' is not one of"):
    seen('compare', look, dict(methods=()))
  assert output_of('page', str(tmp_path / 'a.html')) == str(tmp_path / 'a.html')
  assert (output_of('page', ''), output_of('filters', '')) == ('page.html', 'filters.png')
  with pytest.raises(ConfigError, match='a.png: a page is a file of HTML'):
    output_of('page', str(tmp_path / 'a.png'))
  with pytest.raises(ConfigError, match='there is no folder'):
    output_of('page', str(tmp_path / 'no' / 'a.html'))


def test_hog_and_its_inverse_by_what_other_pictures_teach(look):
  """No network is looked into; the picture and its glyphs are there before anything is learnt."""
  china, flower = (image[::4, ::4] for image in load_sample_images().images)
  shown = []
  none = dataclasses.replace(look, subject=None, run=None, show=shown.append)
  options = dict(size=96, atoms=32, samples=256, epochs=1)
  made = seen('hog', dataclasses.replace(none, whole=lambda: [flower, china]), options)
  alone = seen('hog', dataclasses.replace(none, whole=lambda: [flower]), options)
  h, w = made.arrays['image'].shape[:2]
  assert max(h, w) == 96 and made.arrays['inverse'].shape == (h // 8 * 8, w // 8 * 8)
  plain = made.arrays['image'].mean(-1)[None, ..., None]
  np.testing.assert_allclose(made.arrays['hog'], hog(plain)[0], atol=1e-5)
  np.testing.assert_array_equal(shown[0].picture, alone.picture)
  np.testing.assert_array_equal(made.picture[:, :alone.picture.shape[1]], alone.picture)
  assert 'inverse' not in alone.arrays and 'its inverse is learnt' in alone.text
  with pytest.raises(ConfigError, match='name some images'):
    whole_images(None, [], None, 1)


def test_options_are_checked(look):
  with pytest.raises(ConfigError, match=r"occlusion.window: expected int .*, got 'x'"):
    seen('occlusion', look, dict(window='x'))
  with pytest.raises(ConfigError, match='occlusion.windw: no such key .did you mean "window"'):
    seen('occlusion', look, dict(windw=2))
  with pytest.raises(ConfigError, match="method: 'lime' is not one of"):
    explain(look.subject, look.images, 'lime')


@pytest.mark.parametrize('words, options', [
    (['--controls', '--at=stage4'], dict(controls=True, at='stage4')),
    (['--nocontrols', '--units=3'], dict(controls=False, units=3)),
    (['--controls=true'], dict(controls=True)), ([], {})])
def test_options_that_are_on_or_off_may_stand_alone(words, options):
  method = METHODS['dissection']
  option_flags(method)
  try:
    flags.FLAGS(['understand', *words])
    assert typed_options(method) == options
  finally:
    for name in options_of(method):
      delattr(flags.FLAGS, name)


def test_images_are_files_or_the_first_of_a_split(run, tmp_path):
  opened = partial(source_of, run, '')
  images, names = images_of(run, [], opened, 3)
  assert names == ['test 0', 'test 1', 'test 2'] and images.shape == (3, 8, 8, 1)
  Image.new('L', (20, 12), 200).save(tmp_path / 'a.png')
  (tmp_path / 'b.png').write_bytes(b'no image')
  images, names = images_of(run, [str(tmp_path)], opened, 3)
  assert names == ['a.png'] and images.shape == (1, 8, 8, 1)
  with pytest.raises(ConfigError, match='none of the files'):
    images_of(run, [str(tmp_path / 'b.png')], opened, 3)


def test_layers_are_listed(run):
  lines = listing(Subject.of(run)).splitlines()
  assert [line.split()[0] for line in lines] == [
      'conv0', 'pool0', 'conv1', 'pool1', 'dense', 'drop', 'head']
  assert lines[1].split()[1:] == ['4', 'x', '4', 'x', '4']


def test_the_command(run, tmp_path):
  command = [sys.executable, '-m', 'visionlab.understand']
  given = [f'--workdir={run.workdir}', f'--output={tmp_path / "o.png"}']
  made = subprocess.run([*command, 'grad_cam', '--count=2', f'--save={tmp_path / "a.npz"}',
                         '--at=pool0', *given], capture_output=True, text=True)
  assert made.returncode == 0 and f'picture: {tmp_path / "o.png"}' in made.stdout, made.stderr
  with Image.open(tmp_path / 'o.png') as picture:
    assert min(picture.size) > 100
  assert np.load(tmp_path / 'a.npz')['values'].shape == (2, 8, 8)
  wrong = subprocess.run([*command, 'grad_cam', '--at=pol0', *given], capture_output=True,
                         text=True)
  assert wrong.returncode == 2 and 'Traceback' not in wrong.stderr
  assert 'did you mean "pool0"' in wrong.stderr
