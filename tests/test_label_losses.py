"""Weights of classes and the focal loss: torch's numbers, and what configs may say."""

from functools import partial

import jax
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight
from tiny import config

from visionlab import build
from visionlab.config import ConfigError
from visionlab.tasks import label_losses as losses_of_labels
from visionlab.tasks.label_losses import weights_of_classes

label_losses = jax.jit(losses_of_labels.label_losses, static_argnums=(2, 4))
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(16, 4)).astype(np.float32) * 2
LABEL = RNG.integers(0, 4, 16)
HOT = (RNG.random((16, 4)) < .4).astype(np.float32)
WEIGHTS = (.5, 1., 2., 4.)


@pytest.mark.parametrize('smoothing', [0., .2])
def test_weighted_cross_entropy_is_torchs(smoothing):
  torch = pytest.importorskip('torch')
  theirs = torch.nn.functional.cross_entropy(
      torch.tensor(LOGITS), torch.tensor(LABEL), torch.tensor(WEIGHTS), label_smoothing=smoothing)
  losses, counts = label_losses(LOGITS, LABEL, 'softmax', smoothing, WEIGHTS)
  assert losses.sum() / counts.sum() == pytest.approx(float(theirs), rel=1e-5)


def test_for_sigmoid_each_class_is_multiplied():
  torch = pytest.importorskip('torch')
  theirs = torch.nn.functional.binary_cross_entropy_with_logits(
      torch.tensor(LOGITS), torch.tensor(HOT), torch.tensor(WEIGHTS), reduction='none').sum(-1)
  losses, counts = label_losses(LOGITS, HOT, 'sigmoid', 0., WEIGHTS)
  np.testing.assert_allclose(losses, theirs, rtol=1e-5)
  assert counts.sum() == 16


@pytest.mark.parametrize('head, label', [('softmax', LABEL), ('sigmoid', HOT)])
@pytest.mark.parametrize('gamma', [0., 2.])
def test_focal_loss_is_its_formula_and_for_gamma_0_the_plain_loss(head, label, gamma):
  losses, _ = label_losses(LOGITS, label, head, gamma=gamma)
  if head == 'softmax':
    p = np.asarray(jax.nn.softmax(LOGITS))[np.arange(16), label]
    expected = -(1 - p) ** gamma * np.log(p)
  else:
    p = np.asarray(jax.nn.sigmoid(LOGITS))
    p = np.where(label > 0, p, 1 - p)
    expected = (-(1 - p) ** gamma * np.log(p)).sum(-1)
  np.testing.assert_allclose(losses, expected, rtol=2e-5)
  if not gamma:
    np.testing.assert_allclose(losses, label_losses(LOGITS, label, head)[0], rtol=2e-5)


@pytest.mark.parametrize('gamma', [0., .5, 2.])
def test_the_gradient_is_finite_where_the_network_is_certain(gamma):
  certain = np.float32([[200., 0., 0., 0.]])
  gradient = jax.jit(jax.grad(
      lambda x: label_losses(x, np.array([0]), 'softmax', gamma=gamma)[0].sum()))
  assert np.isfinite(gradient(certain)).all()


def test_balanced_weights_are_scikit_learns():
  labels = np.repeat([0, 1, 2], [50, 7, 3])
  ours = weights_of_classes('balanced', (50, 7, 3), ('a', 'b', 'c'))
  np.testing.assert_allclose(ours, compute_class_weight('balanced', classes=np.arange(3), y=labels))


@pytest.mark.parametrize('wanted, counts, said', [
    ('ballanced', (1, 2), 'expected "balanced"'), ('balanced', (), 'needs a source whose labels'),
    ('balanced', (3, 0), "no training example of 'dog'"), ((1.,), (), 'expected 2 weights'),
    ((1., -1.), (), 'expected 2 weights'), ((0, 0), (), 'expected 2 weights')])
def test_what_weights_cannot_be(wanted, counts, said):
  with pytest.raises(ConfigError, match=f'config.task.class_weights: .*{said}'):
    weights_of_classes(wanted, counts, ('cat', 'dog'))


def test_a_config_trains_by_them_and_measures_the_plain_loss():
  def built(**task):
    options = dict(name='classify', model=dict(name='tiny:TinyNet'), **task)
    return build.assemble(config(task=options))
  plain, weighed = built(), built(class_weights='balanced', focal=True)
  assert len(weighed.facts.counts) == 10 and sum(weighed.facts.counts) == weighed.facts.examples
  state = weighed.init()
  assert float(state.hp['focal_gamma']) == 2
  batch = weighed.batches.loader(0)
  for train in (True, False):
    costs = [jax.jit(partial(job.task.loss, train=train))(
        state.variables, batch, jax.random.key(0), state.hp)[0]['cross_entropy'].value
             for job in (plain, weighed)]
    assert (costs[0] == costs[1]) != train
