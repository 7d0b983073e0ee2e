"""Networks give torch's logits when they have the same weights (golden/make_models.py)."""

from pathlib import Path

import jax
import numpy as np
import pytest
from drawn import drawn_image, drawn_variables
from test_models import build

GOLDEN = Path(__file__).parent / 'golden' / 'models.npz'
NO_DROPOUT = dict(dropout=0., aux_dropout=0.)
CASES = {  # name in the file: (model, its fields, the image's scale)
  'alexnet': ('alexnet', dict(hidden=32), 1),
  'alexnet_2012': ('alexnet', dict(towers=2, hidden=32), 100),
  'zfnet': ('zfnet', dict(hidden=32), 100),
  'vgg11': ('vgg', dict(depth=11, hidden=32), 1),
  'vgg16_norm': ('vgg', dict(depth=16, norm=True, hidden=32), 1),
  'googlenet': ('googlenet', NO_DROPOUT, 1),
  'googlenet_2014': ('googlenet', dict(norm='local', **NO_DROPOUT), 100),
  'resnet50': ('resnet', dict(depth=50), 1),
  'resnet50_1x1': ('resnet', dict(depth=50, stride_in='1x1'), 1),
  'plain20': ('cifar_resnet', dict(shortcut='none'), 1),
}


def run(name, train):
  model, fields, scale = CASES[name]
  model = build(model, classes=5, **fields)
  x = scale * drawn_image(2, 64, 64, 3)
  variables = drawn_variables(jax.eval_shape(model.init, jax.random.key(0), x))
  return jax.jit(lambda v, x: model.apply(v, x, train=train, mutable=['batch_stats'])[0])(
    variables, x)


def assert_close(ours, theirs, tolerance):
  """To a small part of the largest; examples and classes differ by far more."""
  scale = np.abs(theirs).max()
  assert np.ptp(theirs, axis=0).max() > .01 * scale and np.ptp(theirs, axis=1).min() > .1 * scale
  np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize('name', CASES)
def test_logits_are_torchs(name):
  assert_close(run(name, False), np.load(GOLDEN)[name], 1e-5)


@pytest.mark.parametrize('name', ['googlenet', 'googlenet_2014'])
def test_auxiliary_logits_are_torchs(name):
  """In training, where BatchNorm uses the batch's statistics (and enlarges rounding errors)."""
  outputs, golden = run(name, True), np.load(GOLDEN)
  assert set(outputs) == {'logits', 'aux1', 'aux2'}
  for key, logits in outputs.items():
    assert_close(logits, golden[f'{name}/{key}'], 3e-4)
