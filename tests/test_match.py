"""Images and sentences in one space: the loss by hand, ranks over the whole split, clips."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.data.source import Info
from visionlab.data.text.caption_rows import caption_rows
from visionlab.data.text.sentence_rows import alone
from visionlab.data.text.vocabulary import build
from visionlab.models.cnn import CNN
from visionlab.models.visual_semantic import VisualSemantic
from visionlab.tasks import match as matches
from visionlab.tasks.match import Match, match

SAID = [['a dog', 'the dog'], ['a cat'], ['a dog', 'two'], ['the cat']]
WORDS = build([text for own in SAID for text in own], 1)
RNG = np.random.default_rng(0)
BATCH = dict(image=RNG.integers(0, 256, (4, 8, 8, 3), np.uint8), valid=np.arange(4) < 3,
             caption=caption_rows(SAID, WORDS, 5))
INFO = Info(words=WORDS.words)


def made(mining='all', **entries):
  def make_model(words):
    return VisualSemantic(words=words, backbone=CNN(classes=1, widths=(4,)), width=6, embedding=4)
  batch = {k: v for k, v in (BATCH | entries).items() if v is not None}
  return match(make_model=make_model, info=INFO, example=batch, mining=mining), batch


@pytest.fixture(scope='module')
def variables():
  task, batch = made()
  shapes = jax.eval_shape(task.init, jax.random.key(0), batch)
  return jax.tree.map(lambda x: RNG.normal(size=x.shape).astype(np.float32) / 2, shapes)


@pytest.mark.parametrize('mining', ['all', 'hard'])
def test_the_loss_ranks_all_pairs_of_a_batch(mining, variables, monkeypatch):
  task, batch = made(mining)
  images = RNG.normal(size=(4, 6))
  images /= np.linalg.norm(images, axis=1, keepdims=True)
  sentences = RNG.normal(size=(4, 2, 6))
  sentences /= np.linalg.norm(sentences, axis=2, keepdims=True)
  monkeypatch.setattr(Match, 'see', lambda *_, **__: (jnp.asarray(images), {}))
  monkeypatch.setattr(Match, 'read_all', lambda *_: jnp.asarray(sentences))
  terms = jax.jit(lambda: task.loss(variables, batch, None, dict(margin=.4), train=True)[0])()
  pairs = [(i, j) for i, own in enumerate(SAID) for j in range(len(own)) if i < 3]
  dot = {(i, p): images[i] @ sentences[p] for i in range(3) for p in pairs}
  summed = np.max if mining == 'hard' else np.mean

  def lost(costs):
    costs = [c for c in costs if c > 0]
    return summed(costs) if costs else 0.
  of_images = sum(lost([.4 + dot[i, q] - dot[i, p] for p in pairs if p[0] == i for q in pairs
                        if q[0] != i and SAID[q[0]][q[1]] not in SAID[i]]) for i in range(3))
  of_sentences = sum(lost([.4 + dot[k, p] - dot[p[0], p] for k in range(3)
                           if k != p[0] and SAID[p[0]][p[1]] not in SAID[k]]) for p in pairs)
  assert float(terms['images'].count) == 3 and float(terms['sentences'].count) == 5
  np.testing.assert_allclose(terms['images'].sum, of_images, rtol=1e-5)
  np.testing.assert_allclose(terms['sentences'].sum, of_sentences, rtol=1e-5)
  assert task.loss(variables, batch, None, dict(margin=.4), train=False)[0] == {}


def test_ranks_are_those_among_all_and_what_is_said_twice_is_right_twice():
  task, _ = made()
  images = np.eye(3)
  sentences = np.array([[[.9, .5, 0], [0, .2, .3]], [[.1, 1, .8], [0, 0, 0]],
                        [[.9, .5, 0], [.6, .1, .5]]])
  tokens = np.array([[[1, 4, 2], [1, 5, 2]], [[1, 6, 2], [0, 0, 0]], [[1, 4, 2], [1, 7, 2]]])
  found = task.evaluators()['retrieval'].finish(dict(embedding=images, sentences=sentences,
                                                     tokens=tokens))
  # Image 0 finds "4" first, 1 its own "6"; 2 finds "6", then its own "7".
  assert found['sentence_recall_at_1'] == pytest.approx(2 / 3)
  # "4", said of 0 and of 2, finds 0 first; "5" of 0 finds it last; "6" finds 1; "7" 0, then 2.
  assert found['image_recall_at_1'] == pytest.approx(2 / 4)
  assert found['image_recall_at_5'] == 1 and found['image_median_rank'] == 1.5


def test_a_clip_is_the_mean_of_its_frames(variables):
  task, batch = made(image=None, video=np.stack([BATCH['image'], BATCH['image'][::-1]], 1))
  assert task.kind == 'video'
  see = jax.jit(lambda x: task.model.apply(variables, x, method='see'))
  one, other = (see(x.astype(np.float32)) for x in (BATCH['image'], BATCH['image'][::-1]))
  np.testing.assert_allclose(see(batch['video'].astype(np.float32)), (one + other) / 2, rtol=1e-4,
                             atol=1e-5)


def test_sentences_of_ones_own_lie_in_the_same_space(variables):
  task, batch = made()
  found = jax.jit(task.predict)(variables, batch)
  rows = alone(['a cat', 'the dog'], task.vocabulary, task.length)
  own = jax.jit(task.embed)(variables, rows)
  np.testing.assert_allclose(own, [found['sentences'][1, 0], found['sentences'][0, 1]], atol=1e-6)
  np.testing.assert_allclose(np.linalg.norm(found['embedding'], axis=-1), 1, rtol=1e-5)
  asked = jax.jit(task.answer)(variables, batch, dict(tokens=batch['caption']['tokens'][:, 0]))
  np.testing.assert_allclose(asked['alike'][:, 0],
                             (found['embedding'] * found['sentences'][:, 0]).sum(-1), atol=1e-5)
  assert task.describe(found, 3) == ['a vector of 6 numbers'] * 4


def test_the_nearest_sentences_are_drawn_beside_images(variables, monkeypatch):
  task, batch = made()
  cards = []
  monkeypatch.setattr(matches.figures, 'sheet', lambda own, title: cards.extend(own) or title)
  vectors = dict(embedding=np.eye(4), sentences=np.zeros((4, 2, 4)))
  for i, j in ((0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (3, 0)):
    vectors['sentences'][i, j, i if SAID[i][j] != 'a dog' else 0] = 1 - .1 * j
  assert task.figures(batch, vectors, {})['nearest'] == 'The nearest of 5 sentences'
  assert [card.said[0][0] for card in cards] == ['a dog', 'a cat', 'two', 'the cat']
  assert all(card.right for card in cards) and cards[2].true == ['a dog', 'two']


def test_what_is_wrong_is_said():
  with pytest.raises(ConfigError, match='match needs a source with captions.*gives image, label'):
    match(make_model=None, info=INFO, example=dict(image=0, label=0))
  with pytest.raises(ConfigError, match="'easy' is not one of"):
    made('easy')
  with pytest.raises(ConfigError, match='model.backbone of visual_semantic: missing'):
    VisualSemantic(words=5)
  with pytest.raises(ConfigError, match="has no map 'conv9'"):
    model = VisualSemantic(words=5, level='conv9', backbone=CNN(classes=1, widths=(4,)))
    jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 8, 8, 3), np.float32),
                   np.ones((1, 3), np.int32))
