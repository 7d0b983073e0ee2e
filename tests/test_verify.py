"""Verification: its losses against their papers' formulas, and what is measured of pairs."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from visionlab.config import ConfigError
from visionlab.data.source import Info
from visionlab.measures.verification import chi_square, identification
from visionlab.models.cnn import CNN
from visionlab.models.resnet import ResNet
from visionlab.tasks import pair_losses
from visionlab.tasks.verify import LOSSES, Verify, unit, verify
from visionlab.training.meanings import check_meanings
from visionlab.weights.files import Weights
from visionlab.weights.fit import fit

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
  terms, _ = jax.jit(partial(task.loss, train=True))(variables, BATCH, jax.random.key(0), hp)
  return terms[task.kind].value


@pytest.mark.parametrize('loss', sorted(set(LOSSES) - set(pair_losses.LOSSES)))
def test_losses_are_the_papers(loss):
  task = task_of(loss)
  variables = jax.jit(task.init)(jax.random.key(1), BATCH)
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


def by_hand(kind, mining, apart, label, margin):
  """Losses of each anchor, pair by pair and triplet by triplet."""
  found = []
  for i in range(len(label)):
    near = [apart[i, j] for j in range(len(label)) if label[j] == label[i] and j != i]
    far = [apart[i, j] for j in range(len(label)) if label[j] != label[i]]
    if not near or not far:
      continue
    if kind == 'contrastive':
      pulls, pushes = [.5 * d ** 2 for d in near], [.5 * max(margin - d, 0) ** 2 for d in far]
      found.append(max(pulls) + max(pushes) if mining == 'hard' else
                   np.mean(pulls) + np.mean(pushes))
    elif mining == 'hard':
      found.append(max(max(near) - min(far) + margin, 0))
    else:
      some = [loss for p in near for n in far if (loss := p - n + margin) > 0]
      found.append(np.mean(some) if some else 0)
  return np.mean(found), len(found)


@pytest.mark.parametrize('likeness', ['cosine', 'chi_square'])
@pytest.mark.parametrize('mining', ['hard', 'all'])
@pytest.mark.parametrize('kind', pair_losses.LOSSES)
def test_photographs_are_compared_as_the_papers_do(kind, mining, likeness):
  task = task_of(kind, likeness=likeness, mining=mining)
  rng = np.random.default_rng(3)
  rows = np.abs(rng.normal(size=(9, WIDTH)))
  label = np.array([0, 1, 2, 3, 0, 1, 2, 0, 9])          # 3 and 9 have one photograph
  if likeness == 'cosine':
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    apart = np.linalg.norm(rows[:, None] - rows, axis=-1)
  else:
    rows /= rows.sum(1, keepdims=True)
    apart = ((rows[:, None] - rows) ** 2 / (rows[:, None] + rows)).sum(-1) / 2
  valid = np.ones(9, bool)
  valid[8] = False
  some = pair_losses.Photographs(jnp.asarray(rows, jnp.float32), label, valid, np.arange(9))
  losses, counts = pair_losses.compared(kind, mining, .6, task.apart(some.embedding,
                                                                     some.embedding), some, some)
  expected, n = by_hand(kind, mining, apart[:8, :8], label[:8], .6)
  assert int(counts.sum()) == n == 7 and expected > .01
  assert float(losses.sum() / n) == pytest.approx(expected, rel=1e-3)


def test_a_second_photograph_of_each_is_compared_too():
  task = task_of('triplet')
  variables = jax.jit(task.init)(jax.random.key(1), BATCH)
  assert 'people' not in variables['params']
  batch = dict(BATCH, label=np.arange(8, dtype=np.int32))
  alone, _ = task.loss(variables, batch, jax.random.key(0), dict(margin=.3), train=True)
  both, _ = task.loss(variables, dict(batch, other=IMAGE[::-1]), jax.random.key(0),
                      dict(margin=.3), train=True)
  assert float(alone['triplet'].count) == 0 and float(both['triplet'].count) == 16
  # Measured by the person, not as pairs: nobody says which are the same.
  assert set(task._collected(variables, dict(batch, other=IMAGE), {})) == {'embedding', 'label'}


def test_chi_square_of_weighted_features_is_the_papers():
  a, b, w = RNG.random((3, 20))
  weighted = (w * (a - b) ** 2 / (a + b)).sum()
  assert 2 * (1 - chi_square(w * a, w * b)) == pytest.approx(weighted)
  task = task_of('softmax', likeness='chi_square')
  rows = np.asarray(task.normed(jnp.asarray(RNG.normal(size=(5, WIDTH)))))
  np.testing.assert_allclose(rows.sum(1), 1, rtol=1e-5)
  alike = task.alike(rows)
  np.testing.assert_allclose(alike, 1 - task.apart(rows, rows), atol=1e-6)
  np.testing.assert_allclose(np.diag(alike), 1, rtol=1e-6)
  assert identification(rows, np.array([0, 0, 1, 1, 2]), like=chi_square)['rank_5'] == 1


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
  variables = jax.jit(task.init)(jax.random.key(1), BATCH)
  rows = task._collected(variables, dict(
      image=IMAGE, other=IMAGE[::-1], same=LABEL[::-1] == LABEL, valid=BATCH['valid']), {})
  embedding = task.predict(variables, BATCH)['embedding']
  np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, rtol=1e-5)
  np.testing.assert_allclose(rows['score'], (embedding * embedding[::-1]).sum(1), rtol=1e-5)
  alike = task.answer(variables, BATCH, dict(image=IMAGE[::-1]))['alike']
  np.testing.assert_allclose(alike[:, 0], rows['score'], rtol=1e-5)
  lines = task.describe(jax.tree.map(np.asarray, dict(embedding=embedding)), 2)
  assert len(lines) == 8 and lines[0].count('image') == 2 and 'image 1:' not in lines[0]


def test_what_differs_within_a_person_counts_less():
  task = task_of('softmax', shrinkage=.01)
  variables = task.init(jax.random.key(1), BATCH)
  plain, _ = task.embeddings(variables, IMAGE)
  np.testing.assert_allclose(task.predict(variables, BATCH)['embedding'], unit(plain), rtol=1e-4)
  _, aux = task.loss(variables, BATCH, jax.random.key(0), {}, train=True)
  own = {**variables, **aux.collections}
  np.testing.assert_array_equal(task.embeddings(own, IMAGE)[0], plain)
  same, alone = LABEL[:, None] == LABEL, np.eye(8, dtype=bool)
  gains = []
  for embedding in (unit(plain - plain.mean(0)), task.predict(own, BATCH)['embedding']):
    alike = np.asarray(task.alike(np.asarray(embedding)))
    gains.append(alike[same & ~alone].mean() - alike[~same].mean())
  assert gains[1] > gains[0] + .2


def test_a_networks_own_features_may_be_the_embedding():
  network = ResNet(classes=0, depth=18, head_on='stage1')
  task = verify(make_model=lambda classes: network, info=INFO, example=BATCH, embedding=0)
  variables = jax.eval_shape(lambda: task.init(jax.random.key(1), BATCH))
  assert variables['params']['people']['kernel'].shape == (64, PEOPLE)
  assert 'head' not in variables['params']
  with pytest.raises(ConfigError, match='CNN has one'):
    verify(make_model=lambda classes: CNN(classes=classes), info=INFO, example=BATCH,
           embedding=0).init(jax.random.key(1), BATCH)


def test_people_of_a_split_that_is_measured_are_others():
  theirs = Info(classes=('x', 'y'))
  check_meanings(theirs, INFO, 'config.evals.val', open_set=True)
  with pytest.raises(ConfigError, match='its classes'):
    check_meanings(theirs, INFO, 'config.evals.val')
  task = task_of('softmax')
  assert task.open_set
  variables = jax.jit(task.init)(jax.random.key(1), BATCH)
  terms, _ = task.loss(variables, BATCH, jax.random.key(0), {}, train=False)
  assert terms == {}                     # a loss of labels that stand for others would be none


@pytest.mark.parametrize('change, message', [
  (dict(loss='softmx'), r'config\.task\.loss: .*did you mean "softmax"'),
  (dict(info=Info(classes=('one',))), 'at least two people'),
  (dict(example=dict(image=IMAGE, objects={})), 'with their person as `label`'),
])
def test_what_cannot_be_verified(change, message):
  with pytest.raises(ConfigError, match=message):
    verify(**dict(make_model=None, info=INFO, example=BATCH) | change)


def test_a_run_on_other_people_may_be_the_start():
  """Their directions are left out, as a classifier's head is where there are other classes."""
  rng = np.random.default_rng(0)
  variables = {'params': {'conv0': {'kernel': jnp.zeros((3, 3, 1, 4))},
                          'people': {'kernel': jnp.zeros((WIDTH, PEOPLE))}}}
  arrays = {'params/conv0/kernel': rng.normal(size=(3, 3, 1, 4)),
            'params/people/kernel': rng.normal(size=(WIDTH, 9))}
  found, report = fit(Weights('run', arrays, [], dict(name='cnn'), {}, {}), variables)
  np.testing.assert_allclose(found['params']['conv0']['kernel'], arrays['params/conv0/kernel'])
  assert report.fresh == ['params/people/kernel'] and not found['params']['people']['kernel'].any()
