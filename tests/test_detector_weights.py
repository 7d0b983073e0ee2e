"""torchvision's detectors become ours: names, orders of axes, and what the background leaves."""

import re

import detectors
import jax
import numpy as np
import pytest
from drawn import drawn_variables
from safetensors.numpy import save_file
from tiny import config

from visionlab.config import ConfigError
from visionlab.models.detector import Detector
from visionlab.models.resnet import ResNet
from visionlab.models.vgg import VGG
from visionlab.optim.parameter_groups import paths
from visionlab.runs.load import load
from visionlab.weights.families import COCO, IMAGENET, recognise
from visionlab.weights.files import Weights, flat, read_weights
from visionlab.weights.fit import adopt_options, fit
from visionlab.weights.translate import translate

LEAVES = dict(kernel='weight', scale='weight', bias='bias', mean='running_mean', var='running_var')
OLD = ((r'(rpn\.head\.conv|_blocks\.\d)(\.0)?\.0\.', r'\1.'),
       (r'mask_head\.(\d)\.0', lambda match: f'mask_head.mask_fcn{int(match[1]) + 1}'))
PUBLISHED = {  # name: classes, the fields that are not the defaults
  'fasterrcnn': (90, {}), 'maskrcnn': (90, dict(masks=True)),
  'keypointrcnn': (1, dict(keypoints=17))}


@pytest.fixture(scope='module')
def golden():
  return detectors.golden()


@pytest.fixture(scope='module')
def small():
  """(our variables, the same as torchvision's state dict)."""
  variables = detectors.variables(detectors.detector())
  return variables, {torch_name(path): torch_array(path, np.asarray(array))
                     for path, array in flat(variables).items() if '/head/' not in path}


def torch_name(path):
  _, *layer, leaf = path.split('/')
  if layer[0] == 'backbone':
    name = {'stem': 'conv1', 'stem_norm': 'bn1'}.get(layer[1], '.'.join(layer[1:]))
    name = re.sub(r'stage(\d)\.block', r'layer\1.', name).replace('shortcut_norm', 'downsample.1')
    name = f'backbone.body.{name.replace("shortcut", "downsample.0").replace("norm", "bn")}'
  else:
    name = detectors.LAYERS['/'.join(layer)]
  return f'{name}.{LEAVES[leaf]}'


def torch_array(path, array):
  if path.endswith('box/fc6/kernel'):
    array = array.reshape(7, 7, -1, array.shape[1]).transpose(3, 2, 0, 1)
    array = array.reshape(len(array), -1)
  elif path.endswith(('mask/up/kernel', 'keypoint/logits/kernel')):
    array = array.transpose(2, 3, 0, 1)
  elif array.ndim > 1:
    array = np.moveaxis(array, (-1, -2), (0, 1))
  background = 4 * ('box/deltas' in path) + ('mask/logits' in path)
  array = np.concatenate([np.full((background, *array.shape[1:]), 3, array.dtype), array])
  return np.ascontiguousarray(array)      # which safetensors takes for granted


def shapes_of(names):
  """Names and shapes as the fixture has them."""
  lines = [line.split() for line in str(names).splitlines()]
  return {name: tuple(map(int, shape)) for name, *shape in lines}


def variables_of(model):
  return jax.eval_shape(model.init, jax.random.key(0), np.ones((1, 64, 64, 3), np.float32))


def test_the_state_dict_here_is_torchvisions(small, golden):
  """So that what follows is not code against itself."""
  _, foreign = small
  theirs = shapes_of(golden['names.small'])
  assert {name: array.shape for name, array in foreign.items()} == theirs
  for name, sample in zip(theirs, golden['samples'], strict=True):
    array = foreign[name].ravel()
    np.testing.assert_array_equal(np.r_[array[:2], array[-2:]], sample, err_msg=name)


@pytest.mark.parametrize('old', [False, True])
def test_every_array_finds_its_place(small, tmp_path, old):
  ours, foreign = small
  if old:
    for pattern, name in OLD:
      foreign = {re.sub(pattern, name, n): a for n, a in foreign.items()}
    assert {'rpn.head.conv.weight', 'backbone.fpn.inner_blocks.3.bias',
            'backbone.body.conv1.weight', 'roi_heads.mask_head.mask_fcn4.weight'} < set(foreign)
  save_file(foreign, tmp_path / 'detector.safetensors')
  weights = read_weights(tmp_path / 'detector.safetensors')
  assert not weights.skipped
  variables, report = fit(weights, variables_of(detectors.detector()))
  assert not (report.missing or report.skipped or report.fresh or report.reshaped)
  jax.tree.map(np.testing.assert_array_equal, variables, ours)
  epsilon = dict(epsilon=1e-12) if old else {}
  assert weights.model == dict(
    name='detector', backbone=dict(name='resnet', depth=18, frozen_norm=True, **epsilon),
    pyramid=32, hidden=(64, 64), masks=True, mask_convs=(32,) * 4, mask_hidden=32, keypoints=5,
    keypoint_convs=(32,) * 8)
  assert (weights.kind, weights.task, weights.classes) == ('detect', IMAGENET, ('0', '1', '2'))
  assert 'crop_fraction' not in weights.data


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_weights_fill_the_model_of_their_options(golden, name):
  classes, fields = PUBLISHED[name]
  # Strides of zero: arrays of any shape that take no room.
  foreign = {n: np.broadcast_to(np.float32(0), shape)
             for n, shape in shapes_of(golden[f'names.{name}']).items()}
  family, options = recognise({n: a.shape for n, a in foreign.items()})
  found = translate(foreign, family.table(options))
  backbone = options.pop('backbone')
  model = Detector(classes, ResNet(1, depth=backbone['depth']), **options)
  assert model == Detector(classes, ResNet(1, depth=50), **fields)
  want = variables_of(model)
  assert not found.skipped
  assert {path: a.shape for path, a in found.arrays.items()} == {
    path: leaf.shape for path, leaf in zip(paths(want), jax.tree.leaves(want), strict=True)}
  assert family.classes(found.arrays) == COCO[:classes]


def test_coco_has_eighty_names_among_ninety_numbers():
  assert len(COCO) == 90 and sum(not name.isdigit() for name in COCO) == 80
  assert all(int(name) == i for i, name in enumerate(COCO, 1) if name.isdigit())
  assert COCO[0] == 'person' and COCO[15] == 'bird' and COCO[89] == 'toothbrush'


def test_networks_of_these_names_that_are_others_are_not_taken_for_them(golden):
  shapes = shapes_of(golden['names.fasterrcnn'])
  assert recognise(shapes)
  for change in ({'rpn.head.conv.1.0.weight': (256, 256, 3, 3)},
                 {'backbone.body.layer1.0.conv2.weight': (128, 64, 3, 3)}):
    assert recognise({**shapes, **change}) is None
  assert recognise({n: s for n, s in shapes.items() if 'box_head' not in n}) is None


def test_other_classes_and_anchors_begin_anew(small):
  arrays = flat(small[0])
  weights = Weights('there', arrays, [], {}, {}, {})
  model = detectors.detector(classes=7, keypoints=4, anchor_sizes=((8, 16),) * 5)
  _, report = fit(weights, variables_of(model))
  assert {path.split('/', 1)[1].rsplit('/', 1)[0] for path in report.fresh} == {
    'box/logits', 'box/deltas', 'mask/logits', 'keypoint/logits', 'rpn/objectness', 'rpn/deltas'}
  assert not report.missing and not report.skipped
  with pytest.raises(ConfigError, match='params/rpn/conv1/kernel: .* there'):
    fit(weights, variables_of(detectors.detector(rpn_width=8)))


def test_a_classifier_is_a_backbone():
  classifier = drawn_variables(variables_of(ResNet(5, depth=18)))
  weights = Weights('there', flat(classifier), [], {}, {}, {})
  variables, report = fit(weights, variables_of(detectors.detector()))
  jax.tree.map(np.testing.assert_array_equal, variables['batch_stats']['backbone'],
               classifier['batch_stats'])
  assert all('/backbone/' in path for path in report.loaded) and len(report.loaded) == 100
  assert not any('/backbone/' in path for path in report.missing)
  assert report.skipped == ['params/head/bias', 'params/head/kernel']


def test_vggs_fully_connected_layers_are_the_box_heads():
  """Girshick 2015, section 2.2: pooled to 7 x 7, they see what they were trained on."""
  classifier = drawn_variables(variables_of(VGG(5, depth=11, hidden=16)))
  model = Detector(3, VGG(1, depth=11), levels=('conv5',), pyramid=0, hidden=(16, 16),
                   anchor_sizes=((64,),), dropout=.5)
  weights = Weights('there', flat(classifier), [], {}, {}, {})
  variables, report = fit(weights, variables_of(model))
  for layer in ('fc6', 'fc7'):
    jax.tree.map(np.testing.assert_array_equal, variables['params']['box'][layer],
                 classifier['params'][layer])
  assert {path.split('/')[1] for path in report.missing} == {'rpn', 'box'}
  assert report.skipped == ['params/head/bias', 'params/head/kernel']


def test_a_backbone_adopts_what_a_detectors_was(small, tmp_path):
  """Its depth and its frozen norms; but not heads that the config does not ask for."""
  save_file(small[1], tmp_path / 'detector.safetensors')
  asked = config(task=dict(name='segment', model=dict(
    name='fcn', backbone=dict(name='resnet'))), init_from=str(tmp_path / 'detector.safetensors'))
  adopted = adopt_options(asked, tmp_path).task
  assert adopted.model.to_dict() == dict(
    name='fcn', backbone=dict(name='resnet', depth=18, frozen_norm=True))
  assert adopted.mean == IMAGENET['mean']


def test_load_gives_a_detector(small, tmp_path):
  ours, foreign = small
  save_file(foreign, tmp_path / 'detector.safetensors')
  run = load(tmp_path / 'detector.safetensors')
  jax.tree.map(np.testing.assert_array_equal, run.variables, ours)
  assert run.config.task.name == 'detect' and run.classes == ('0', '1', '2')
  assert run.task.model.backbone.frozen_norm and run.task.preprocess.mean == IMAGENET['mean']
  foreign = dict(foreign)
  foreign.pop('rpn.head.cls_logits.bias')
  save_file(foreign, tmp_path / 'part.safetensors')
  with pytest.raises(ConfigError, match='not complete'):
    load(tmp_path / 'part.safetensors')
