"""The recurrent network against torch's, and what padding, direction and each mean."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.models.cnn import CNN
from visionlab.models.sequence import Recurrent

KEY = jax.random.key(0)
IMAGES = np.random.default_rng(0).normal(size=(3, 6, 10, 2)).astype(np.float32)


def made(x=IMAGES, **options):
  """A network and random variables, biases too."""
  model = Recurrent(**{'classes': 4, 'width': 5, **options})
  shapes = jax.eval_shape(model.init, KEY, x)
  rng = np.random.default_rng(1)
  return model, jax.tree.map(lambda s: rng.normal(size=s.shape).astype(np.float32) / 2, shapes)


def close(a, b):
  np.testing.assert_allclose(a, b, atol=2e-5)


def from_torch(torch, variables, cell, layers, both_ways, inputs):
  """torch's module with the same weights."""
  net = getattr(torch.nn, cell.upper())(inputs, 5, layers, batch_first=True,
                                        bidirectional=both_ways)
  with torch.no_grad():
    for i in range(layers):
      for suffix in ('', '_back')[:1 + both_ways]:
        own = variables['params'][f'layer{i}{suffix}']
        end = f'_l{i}' + ('_reverse' if suffix else '')
        for theirs, ours in (('weight_ih', own['input_kernel'].T), ('bias_ih', own['bias']),
                             ('weight_hh', own['state_kernel'].T)):
          getattr(net, theirs + end).copy_(torch.from_numpy(np.array(ours)))
        getattr(net, f'bias_hh{end}').zero_()
        if cell == 'gru':
          getattr(net, f'bias_hh{end}')[10:] = torch.from_numpy(np.array(own['state_bias']))
  return net


@pytest.mark.parametrize('cell, layers, both_ways', [
    ('lstm', 1, False), ('gru', 2, True), ('rnn', 1, True), ('lstm', 2, True)])
@pytest.mark.parametrize('read', ['rows', 'columns'])
def test_equals_torch(cell, layers, both_ways, read):
  torch = pytest.importorskip('torch')
  model, variables = made(cell=cell, layers=layers, both_ways=both_ways, read=read)
  steps = IMAGES if read == 'rows' else IMAGES.transpose(0, 2, 1, 3)
  steps = steps.reshape(*steps.shape[:2], -1)
  net = from_torch(torch, variables, cell, layers, both_ways, steps.shape[-1])
  with torch.no_grad():
    outputs, last = net(torch.from_numpy(steps))
  last = last[0] if cell == 'lstm' else last
  last = torch.cat([*last[-2:]] if both_ways else [last[-1]], 1).numpy()   # of the last layer
  head = variables['params']['head']
  close(model.apply(variables, IMAGES), last @ head['kernel'] + head['bias'])
  (seen,) = model.apply(variables, IMAGES, method='features').values()
  assert seen.shape == ((3, 6, 1, 5 * (1 + both_ways)) if read == 'rows' else
                        (3, 1, 10, 5 * (1 + both_ways)))
  close(seen.reshape(outputs.shape), outputs.numpy())
  each, _ = made(cell=cell, layers=layers, both_ways=both_ways, read=read, each=True)
  logits = each.apply(variables, IMAGES)
  expected = outputs.numpy() @ head['kernel'] + head['bias']
  expected = expected[:, :, None] if read == 'rows' else expected[:, None]
  close(logits, np.broadcast_to(expected, (*IMAGES.shape[:3], 4)))


@pytest.mark.parametrize('both_ways', [False, True])
def test_padded_sequences_are_as_if_alone(both_ways):
  x = np.random.default_rng(0).normal(size=(3, 7, 4)).astype(np.float32)
  model, variables = made(x, layers=2, both_ways=both_ways)
  each, _ = made(x, layers=2, both_ways=both_ways, each=True)
  lengths = np.array([7, 2, 4])
  valid = np.arange(7) < lengths[:, None]
  whole = model.apply(variables, np.where(valid[..., None], x, 1e3), valid)
  steps = each.apply(variables, np.where(valid[..., None], x, 1e3), valid)
  assert steps.shape == (3, 7, 4)
  for i, n in enumerate(lengths):
    close(whole[i], model.apply(variables, x[i:i + 1, :n])[0])
    close(steps[i, :n], each.apply(variables, x[i:i + 1, :n])[0])


def test_one_direction_does_not_look_ahead():
  changed = IMAGES.copy()
  changed[:, 3] += 1
  for both_ways in (False, True):
    model, variables = made(each=True, both_ways=both_ways)
    a, b = (np.asarray(model.apply(variables, x)) for x in (IMAGES, changed))
    differs = (abs(a - b) > 1e-6).any((0, 2, 3))
    assert differs.tolist() == [both_ways] * 3 + [True] * 3


def test_reads_what_a_backbone_sees():
  backbone = CNN(1, widths=(3, 4))
  x = np.random.default_rng(0).normal(size=(2, 9, 14, 1)).astype(np.float32)
  model, variables = made(x, read='columns', backbone=backbone)
  bare, _ = made(read='columns')
  maps = backbone.apply({'params': variables['params']['backbone']}, x, method='features')
  own = {k: v for k, v in variables['params'].items() if k != 'backbone'}
  assert maps['pool1'].shape == (2, 2, 3, 4) and own['layer0']['input_kernel'].shape[0] == 8
  close(model.apply(variables, x), bare.apply({'params': own}, maps['pool1']))
  assert model.strides == {'read': 4}
  each, _ = made(x, read='columns', backbone=backbone, each=True)
  logits = each.apply(variables, x)
  assert logits.shape == (2, 9, 14, 4)
  for first, last in ((0, 4), (4, 8), (8, 14)):        # pooling leaves the last two columns out
    close(logits[:, :, first:last], np.broadcast_to(logits[:, :1, first:first + 1],
                                                    (2, 9, last - first, 4)))
  assert abs(logits[:, 0, 3] - logits[:, 0, 4]).max() > 1e-3


def test_dropout_and_size():
  images = np.ones((2, 8, 8, 1), np.float32)
  model, variables = made(images, classes=10, width=96, layers=2, dropout=.5)
  sizes = sum(x.size for x in jax.tree.leaves(variables))
  assert sizes == 4 * 96 * (8 + 96 + 1) + 4 * 96 * (96 + 96 + 1) + 97 * 10
  run = lambda train, seed: model.apply(variables, images, train=train,
                                        rngs={'dropout': jax.random.key(seed)})
  close(run(False, 0), run(False, 1))
  assert abs(run(True, 0) - run(True, 1)).max() > 1e-4


def test_half_precision():
  images = jnp.asarray(IMAGES)
  full, variables = made()
  half = Recurrent(4, width=5, dtype=jnp.bfloat16)
  assert half.apply(variables, images, method='features')['read'].dtype == jnp.bfloat16
  logits = half.apply(variables, images)
  assert logits.dtype == jnp.float32
  np.testing.assert_allclose(logits, full.apply(variables, images), atol=.1)


@pytest.mark.parametrize('options, message', [
    (dict(cell='lst'), "model.cell: 'lst' .*did you mean \"lstm\""),
    (dict(read='row'), "model.read: 'row' .*did you mean \"rows\"")])
def test_errors(options, message):
  with pytest.raises(ConfigError, match=message):
    Recurrent(3, **options)
