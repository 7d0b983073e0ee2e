"""Losses of one's own: exact means over what is valid, floats from hp, one line for a mistake."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from visionlab.config import ConfigError
from visionlab.data.source import Info
from visionlab.flags.overrides import override
from visionlab.optim.optimiser import complete
from visionlab.tasks.classify import classify
from visionlab.tasks.own_loss import own_loss
from visionlab.tasks.regress import regress
from visionlab.tasks.segment import segment
from visionlab.training.preview import preview

INFO = Info(classes=('a', 'b', 'c'))


class Answers:
  """In place of a network: the images are what it says."""
  def __call__(self, x):
    return x

  def apply(self, variables, x, mutable, rngs):
    return x if mutable is False else (x, {})


def batch(rng, *shape, **entries):
  image = rng.standard_normal((6, *shape), np.float32)
  return dict(image=image, valid=np.arange(6) != 2, **entries)


def loss_of(task, batch, **hp):
  hp = {k: jnp.float32(v) for k, v in {**task.hyperparameters(), **hp}.items()}

  @jax.jit
  def terms(batch, hp):
    return task.loss({'params': {}}, batch, jax.random.key(0), hp, train=True)[0]
  return {k: float(v.value) for k, v in terms(batch, hp).items()}


def entropy(logits, label):
  return optax.softmax_cross_entropy_with_integer_labels(logits, label)


def powered(logits, label, power: float, *, scale=2., flag: bool = True, **unused):
  return scale * entropy(logits, label) ** power


def classifier(**options):
  return classify(make_model=lambda classes: Answers(), info=INFO, **options)


def test_cross_entropy_of_ones_own_equals_ours_also_where_labels_are_mixed():
  rng = np.random.default_rng(0)
  it = batch(rng, 3, label=np.array([0, 1, 2, 0, 1, 2]))
  mixed = it | dict(label_mixed=np.array([1, 1, 0, 2, 2, 2]), mix_weight=np.linspace(0, 1, 6))
  own = classifier(loss='test_own_losses:entropy')
  for each in (it, mixed):
    ours = loss_of(classifier(), each)['cross_entropy']
    assert loss_of(own, each) == {'entropy': pytest.approx(ours, rel=1e-6)}


def test_floats_are_hp_and_nothing_else_is():
  task = classifier(loss='test_own_losses:powered')
  assert task.hyperparameters() == dict(power=None, scale=2.)
  it = batch(np.random.default_rng(0), 3, label=np.array([0, 1, 2, 0, 1, 2]))
  logits = it['image'].astype(np.float64)
  costs = np.log(np.exp(logits).sum(1)) - logits[np.arange(6), it['label']]
  want = (5 * costs ** 3)[it['valid']].mean()
  assert loss_of(task, it, power=3., scale=5.) == {'powered': pytest.approx(want, rel=1e-5)}
  with pytest.raises(ConfigError, match='config.hp.power: missing'):
    complete({}, task.hyperparameters())
  with pytest.raises(ConfigError, match='config.hp.scale: is read by the optimiser and'):
    complete({}, dict(scale=1.), task.hyperparameters())


def later(logits, label, progress: float):
  return progress * entropy(logits, label)


def test_the_part_of_training_done_is_given():
  it = batch(np.random.default_rng(0), 3, label=np.array([0, 1, 2, 0, 1, 2]))
  task = classifier(loss='test_own_losses:later')
  assert task.hyperparameters() == {}
  want = .25 * loss_of(classifier(), it)['cross_entropy']
  assert loss_of(task, it, progress=.25) == {'later': pytest.approx(want)}


def test_a_distance_of_optax_and_padding_that_is_not_a_number():
  rng = np.random.default_rng(1)
  it = batch(rng, 2, target=rng.standard_normal((6, 2), np.float32))
  it['image'][2] = it['target'][2] = np.nan
  def task(distance):
    return regress(make_model=lambda classes: Answers(), example=it, distance=distance)
  own, ours = task('optax:huber_loss'), task('huber')
  assert own.hyperparameters() == dict(delta=1.)
  want = loss_of(ours, it, huber_delta=.3)['huber']
  assert loss_of(own, it, delta=.3) == {'huber_loss': pytest.approx(want, rel=1e-6)}
  def cost(image):
    terms, _ = own.loss({'params': {}}, it | dict(image=image), None, dict(delta=.3), train=True)
    return terms['huber_loss'].value
  assert np.isfinite(jax.jit(jax.grad(cost))(it['image'])).all()


def test_pixels_that_are_no_class_count_nowhere():
  rng = np.random.default_rng(2)
  it = batch(rng, 4, 5, 3, label_map=rng.integers(0, 4, (6, 4, 5)).astype(np.int32))
  it['label_map'][it['label_map'] == 3] = 255
  def task(**options):
    return segment(make_model=lambda classes: Answers(), info=Info(map_classes=INFO.classes),
                   example=it, class_weights=(1., 2., 3.), **options)
  want = loss_of(task(), it)['cross_entropy']
  assert loss_of(task(loss='test_own_losses:entropy'), it) == {'entropy': pytest.approx(want)}


def test_a_loss_that_has_the_name_of_the_sum_gets_another():
  assert own_loss('test_own_losses:loss', (), 'config.task.loss').term == 'own_loss'


def loss(logits, label):
  return entropy(logits, label)


def mean(logits, label):
  return entropy(logits, label).mean()


def counted(logits, label):
  return (logits.argmax(-1) != label).astype(jnp.int32)


def unmatched(logits, label):
  return (logits - label).sum(-1)


def of_one(logits):
  return logits


def more(logits, label, table):
  return logits


@pytest.mark.parametrize('options, said', [
    (dict(loss='hinge'), r'loss: unknown name .hinge.; there are: cross_entropy, or "package'),
    (dict(loss='test_own_losses:hinge'), r'loss: cannot load .*no attribute .hinge.'),
    (dict(loss='test_own_losses:mean'),
     r'loss: test_own_losses:mean gave float32 \(\); expected floats \(6,\), a loss for each'),
    (dict(loss='test_own_losses:counted'), r'loss: .*:counted gave int32 \(6,\); expected floats'),
    (dict(loss='test_own_losses:unmatched'),
     r'loss: test_own_losses:unmatched: .*test_own_losses.py, line \d+: ValueError: '),
    (dict(loss='test_own_losses:of_one'), r'loss: .*of_one\(logits\) must take the outputs and'),
    (dict(loss='test_own_losses:more'), r'loss: .*more\(logits, label, table\) must take the'),
    (dict(loss='test_own_losses:mean', focal=True), r'focal: is for the cross-entropy, not for'),
    (dict(loss='test_own_losses:mean', class_weights=(1., 1., 2.)), r'class_weights: is for the')])
def test_mistakes_name_the_key_and_the_part(options, said):
  it = batch(np.random.default_rng(0), 3, label=np.array([0, 1, 2, 0, 1, 2]))
  with pytest.raises(ConfigError, match=f'^config.task.{said}'):
    loss_of(classifier(**options), it)


def test_outputs_of_another_size_are_no_logits():
  it = batch(np.random.default_rng(0), 7, label=np.array([0, 1, 2, 0, 1, 2]))
  with pytest.raises(ConfigError, match=re.escape(
      'config.task.model: Answers gives (6, 7), and this task needs (6, 3), logits')):
    loss_of(classifier(), it)


def test_another_loss_takes_its_numbers_out_of_hp(warned):
  config = dict(optim=dict(name='sgd'), task=dict(name='classify'),
                hp=dict(lr=1., label_smoothing=.1))
  config = override(config, {'task.loss': 'test_own_losses:powered', 'hp.power': '2'})
  assert config.hp.to_dict() == dict(lr=1., power=2.)
  config = override(config, {'task.loss': 'test_own_losses:entropy'})
  assert config.hp.to_dict() == dict(lr=1.)
  assert [w.partition(' does')[0] for w in warned] == [
      'config.hp: test_own_losses:powered', 'config.hp: test_own_losses:entropy']


def test_a_dry_run_finds_a_loss_that_does_not_fit(tmp_path):
  config = tiny.config(steps=2, augment=None, task=dict(
      name='classify', loss='test_own_losses:mean', model=dict(name='tiny:TinyNet', norm=False)))
  with pytest.raises(ConfigError, match=r'config.task.loss: .*mean gave float32 \(\)'):
    preview(config, tmp_path)
