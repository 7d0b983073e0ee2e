"""Quick thoughts: their scores and loss, what is left out of it, their encoders' pools."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from visionlab.config import ConfigError
from visionlab.data.text.sentence_rows import Sentences, alone
from visionlab.data.text.vocabulary import build
from visionlab.models.quick_thoughts import QuickThoughts
from visionlab.models.sentence_encoder import pooled
from visionlab.tasks import sentence_vectors
from visionlab.tasks.quick_thoughts import quick_thoughts

# "it sleeps" stands beside two sentences, and is one of a text of its own, too.
TEXT = [['a dog runs', 'the cat sees a dog', 'it sleeps'], ['the dog sleeps'],
        ['a cat', 'it sleeps', 'the dog', 'a dog']]
WORDS = build([text for own in TEXT for text in own], 1)
SOURCE = Sentences(TEXT, WORDS, 8)
HP = dict(word_dropout=.5)                  # without `draw`, nothing is dropped
BATCH = dict(SOURCE[np.arange(8)], valid=np.arange(8) != 6)


def made(**options):
  """The task, and weights that are all random."""
  def make_model(words):
    return QuickThoughts(words=words, width=8, embedding=6, **options)
  task = quick_thoughts(make_model=make_model, info=SOURCE.info, example=SOURCE[np.zeros(1, int)])
  rng = np.random.default_rng(0)
  shapes = jax.eval_shape(task.init, jax.random.key(0), BATCH)
  return task, jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)


def last_state(params, words):
  """PyTorch's GRU, whose gates have the same order."""
  reader = torch.nn.GRU(6, 4)
  with torch.no_grad():
    for name, kernel in (('weight_ih_l0', 'input_kernel'), ('weight_hh_l0', 'state_kernel')):
      getattr(reader, name).copy_(torch.tensor(params[kernel].T))
    reader.bias_ih_l0.copy_(torch.tensor(params['bias']))
    reader.bias_hh_l0.copy_(torch.cat([torch.zeros(8), torch.tensor(params['state_bias'])]))
    return reader(torch.tensor(words))[1][0].numpy()


def test_scores_and_the_loss_are_those_of_the_paper():
  task, variables = made()
  params, texts = variables['params'], [text for own in TEXT for text in own]
  rows = [params['table'][row[row > 0]] for row in BATCH['sentence']['tokens'][:, 1]]
  f, g = (np.stack([last_state(params[name]['ahead'], row) for row in rows]) for name in 'fg')
  place = BATCH['sentence']['place']
  beside = [(i, side, place[i, side]) for i in range(8) if i != 6 for side in (0, 2)
            if place[i, side] >= 0]
  terms, aux = jax.jit(lambda v: task.loss(v, BATCH, None, HP, train=True))(variables)
  first = 0
  for side, name in ((0, 'before'), (2, 'after')):
    losses = []
    for i, own, j in beside:
      if own == side:
        mine = {texts[k] for k in place[i] if k >= 0}
        score = [f[i] @ g[j]] + [f[i] @ g[k] for _, _, k in beside if texts[k] not in mine]
        losses.append(np.log(np.exp(score).sum()) - score[0])
        first += score[0] > max(score[1:])
    assert float(terms[name].count) == len(losses) == 4
    np.testing.assert_allclose(terms[name].sum, sum(losses), rtol=1e-4)
  assert (float(aux.metrics['found_first'].sum), float(aux.metrics['found_first'].count)) == (
      first, 8)
  np.testing.assert_allclose(jax.jit(task.predict)(variables, BATCH)['embedding'],
                             np.concatenate([f, g], 1), rtol=1e-4, atol=1e-5)
  assert task.loss(variables, BATCH, None, HP, train=False)[0] == {}


def test_a_batch_without_others_pulls_nowhere():
  task, variables = made()
  one = jax.tree.map(lambda x: x[:1], BATCH)
  loss, gradient = jax.jit(jax.value_and_grad(
      lambda v: task.loss(v, one, None, HP, train=True)[0]['after'].sum))(variables)
  assert float(loss) == 0 and not any(np.any(x) for x in jax.tree.leaves(gradient))


def test_on_several_devices_all_neighbours_are_compared():
  task, variables = made()
  parts = jax.tree.map(lambda x: x.reshape(2, 4, *x.shape[1:]), BATCH)
  apart = dataclasses.replace(task, axis='i')
  found = jax.jit(jax.vmap(lambda x: apart.loss(variables, x, None, HP, train=True)[0],
                           axis_name='i'))(parts)
  whole = jax.jit(lambda: task.loss(variables, BATCH, None, HP, train=True)[0])()
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x.sum(0), y, rtol=1e-5), found, whole)


def test_dropped_words_are_drawn_for_each_example():
  def kept(batch, share):
    return np.asarray(sentence_vectors.kept_words(batch, share))
  keys = jax.random.split(jax.random.key(0), 8)
  batch, valid = dict(BATCH, draw=keys), BATCH['sentence']['valid']
  few = kept(batch, .5)
  assert not (few & ~valid).any() and .35 < few[valid].mean() < .65
  turned = jax.tree.map(lambda x: x[::-1], batch)
  np.testing.assert_array_equal(kept(turned, .5), few[::-1])
  np.testing.assert_array_equal(kept(batch, 0.), valid)
  np.testing.assert_array_equal(kept(BATCH, .5), valid)


def test_a_word_that_is_dropped_is_not_read():
  task, variables = made(encoder='bag')
  batch = dict(BATCH, draw=jax.random.split(jax.random.key(0), 8))

  @jax.jit
  def loss(params, share):
    return task.loss(dict(params=params), batch, None, dict(word_dropout=share), train=True)[0]
  params = variables['params']
  other = dict(params, table=-params['table'])
  whole, half, none = (loss(params, share)['after'].sum for share in (0., .5, 1.))
  assert abs(float(half - whole)) > .1
  # Where nothing is left all sentences are alike, whatever words there are.
  assert float(none) == float(loss(other, 1.)['after'].sum) != float(whole)


@pytest.mark.parametrize('pool', ['mean', 'max'])
def test_pools_are_over_the_words_there_are(pool):
  states = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
  valid = np.arange(5) < np.array([[5], [2], [0]])
  own = [getattr(np, pool)(states[i, :n], 0) if n else np.zeros(4) for i, n in enumerate((5, 2, 0))]
  np.testing.assert_allclose(pooled(jnp.asarray(states), valid, pool), own, rtol=1e-5)


@pytest.mark.parametrize('options', [dict(encoder='combine', pool='mean'),
                                     dict(encoder='bi', pool='max'), dict(encoder='both')])
def test_padding_changes_no_vector(options):
  task, variables = made(**options)
  embed = jax.jit(task.embed)
  short, long = (embed(variables, alone(['the cat', 'a dog runs'], WORDS, length))
                 for length in (5, 9))
  assert short.shape == (2, 8)
  np.testing.assert_allclose(short, long, atol=1e-6)


def test_a_bag_is_a_linear_map_of_the_mean_of_the_words():
  task, variables = made(encoder='bag', spread=0.)
  assert not jax.jit(task.init)(jax.random.key(0), BATCH)['params']['table'].any()
  params = variables['params']
  means = np.stack([params['table'][row[row > 0]].mean(0)
                    for row in BATCH['sentence']['tokens'][:, 1]])
  found = jax.jit(task.predict)(variables, BATCH)['embedding']
  for own, name in ((found[:, :4], 'f'), (found[:, 4:], 'g')):
    layer = params[name]['bag']
    np.testing.assert_allclose(own, means @ layer['kernel'] + layer['bias'], rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_is_refused():
  with pytest.raises(ConfigError, match='quick_thoughts learns from sentences.*gives image'):
    quick_thoughts(make_model=None, info=SOURCE.info, example=dict(image=0))
  with pytest.raises(ConfigError, match="model.pool of quick_thoughts.*'first'"):
    QuickThoughts(words=9, pool='first')
