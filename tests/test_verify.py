"""Verification: its losses against their papers' formulas, and what is measured of pairs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from visionlab.config import ConfigError
from visionlab.data.source import Info
from visionlab.models.cnn import CNN
from visionlab.tasks.verify import LOSSES, Verify, unit, verify
from visionlab.training.meanings import check_meanings

PEOPLE, WIDTH = 4, 6
RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (8, 8, 8, 1), np.uint8)
LABEL = np.array([0, 1, 2, 3, 0, 1, 2, 3], np.int32)
INFO = Info(classes=('a', 'b', 'c', 'd'))
BATCH = dict(image=IMAGE, label=LABEL, valid=np.ones(8, bool))


def task_of(loss, **options) -> Verify:
  return verify(make_model=lambda classes: CNN(classes=classes, widths=(4,), hidden=8), info=INFO,
                example=BATCH, loss=loss, embedding=WIDTH, **options)


def loss_of(task, variables, hp):
  terms, _ = task.loss(variables, BATCH, jax.random.key(0), hp, train=True)
  return terms[task.kind].value


@pytest.mark.parametrize('loss', LOSSES)
def test_losses_are_the_papers(loss):
  task = task_of(loss)
  variables = task.init(jax.random.key(1), BATCH)
  people = variables['params']['people']
  people['kernel'] = jnp.asarray(RNG.normal(size=(WIDTH, PEOPLE)), jnp.float32)
  embedding = np.asarray(task.embeddings(variables, IMAGE)[0], np.float64)
  kernel, own = np.asarray(people['kernel'], np.float64), np.arange(8)
  if loss == 'softmax':
    logits, hp = embedding @ kernel, {}
  else:
    cos = (embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
           @ (kernel / np.linalg.norm(kernel, axis=0)))
    true = cos[own, LABEL]
    hp = dict(margin=.4, scale=9.)
    cos[own, LABEL] = true - .4 if loss == 'cosface' else np.where(
        np.arccos(true) + .4 < np.pi, np.cos(np.arccos(true) + .4), true - .4 * np.sin(.4))
    logits = 9 * cos
  expected = -log_softmax(logits, 1)[own, LABEL].mean()
  assert float(loss_of(task, variables, hp)) == pytest.approx(expected, rel=1e-4)


def test_beyond_pi_the_loss_still_grows():
  """ArcFace's cosine would fall and rise again: what is worst of all would cost less."""
  task = task_of('arcface')
  cos = np.cos(np.linspace(.01, np.pi - .01, 50)).astype(np.float32)
  logits = np.stack([cos, np.zeros(50), np.zeros(50), np.zeros(50)], 1).astype(np.float32)
  hp = dict(margin=.5, scale=1.)
  harder = task.with_margin(jnp.asarray(logits), jnp.zeros(50, jnp.int32), hp)[:, 0]
  assert (np.diff(harder) < 0).all() and (harder < cos).all()

  def of_true(cos):
    return task.with_margin(jnp.zeros((1, 4)).at[0, 0].set(cos), jnp.zeros(1, jnp.int32), hp)[0, 0]
  slope = jax.vmap(jax.grad(of_true))(jnp.array([-1., 1., .3]))
  assert np.isfinite(slope).all() and (slope > 0).all()


def measured(rows, task=None):
  return (task or task_of('softmax'))._finish(jax.tree.map(np.asarray, rows))


def test_what_is_measured_of_photographs_and_of_pairs():
  """People whose embeddings are apart are told apart; those of noise are not."""
  centre = np.eye(WIDTH)[LABEL % WIDTH]
  clear = np.asarray(unit(jnp.asarray(centre + .01 * RNG.normal(size=centre.shape))))
  found = measured(dict(embedding=clear, label=LABEL))
  assert found['accuracy'] == found['auc'] == found['rank_1'] == 1 and found['eer'] == 0
  assert .1 < found['threshold'] < .9 and found['roc'].shape[1] == 2
  noise = np.asarray(unit(jnp.asarray(np.random.default_rng(5).normal(size=(400, WIDTH)))))
  none = measured(dict(embedding=noise, label=np.repeat(np.arange(50), 8)))
  assert .45 < none['auc'] < .55 and none['rank_1'] < .1 and .45 < none['accuracy'] < .56
  pairs = measured(dict(score=np.array([.9, .8, .2, .1]), same=np.array([1, 1, 0, 0], bool),
                        fold=np.array([0, 1, 0, 1])))
  assert pairs['accuracy'] == 1 and 'rank_1' not in pairs


def test_pairs_and_photographs_are_embedded_alike():
  task = task_of('softmax')
  variables = task.init(jax.random.key(1), BATCH)
  rows = task._collected(variables, dict(
      image=IMAGE, other=IMAGE[::-1], same=LABEL[::-1] == LABEL, valid=BATCH['valid']), {})
  embedding = task.predict(variables, BATCH)['embedding']
  np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, rtol=1e-5)
  np.testing.assert_allclose(rows['score'], (embedding * embedding[::-1]).sum(1), rtol=1e-5)
  alike = task.answer(variables, BATCH, dict(image=IMAGE[::-1]))['alike']
  np.testing.assert_allclose(alike[:, 0], rows['score'], rtol=1e-5)
  lines = task.describe(jax.tree.map(np.asarray, dict(embedding=embedding)), 2)
  assert len(lines) == 8 and lines[0].count('image') == 2 and 'image 1:' not in lines[0]


def test_people_of_a_split_that_is_measured_are_others():
  theirs = Info(classes=('x', 'y'))
  check_meanings(theirs, INFO, 'config.evals.val', open_set=True)
  with pytest.raises(ConfigError, match='its classes'):
    check_meanings(theirs, INFO, 'config.evals.val')
  task = task_of('softmax')
  assert task.open_set
  variables = task.init(jax.random.key(1), BATCH)
  terms, _ = task.loss(variables, BATCH, jax.random.key(0), {}, train=False)
  assert terms == {}                     # a loss of labels that stand for others would be none


@pytest.mark.parametrize('change, message', [
  (dict(loss='softmx'), r'config\.task\.loss: .*did you mean "softmax"'),
  (dict(info=Info(classes=('one',))), 'at least two people'),
  (dict(example=dict(image=IMAGE, objects={})), 'with their person as `label`'),
  (dict(embedding=0), r'config\.task\.embedding: must be at least 1'),
])
def test_what_cannot_be_verified(change, message):
  with pytest.raises(ConfigError, match=message):
    verify(**dict(make_model=None, info=INFO, example=BATCH) | change)
