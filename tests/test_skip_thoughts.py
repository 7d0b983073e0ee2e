"""Skip-thoughts: their equations, what is measured, vectors of sentences, words from elsewhere."""

import gzip

import jax
import numpy as np
import pytest
from sklearn.linear_model import Ridge

from visionlab.build import build_task
from visionlab.config import ConfigError, experiment
from visionlab.data.text.sentence_rows import Sentences
from visionlab.data.text.vocabulary import START, UNKNOWN, build
from visionlab.data.text.word_vectors import WordVectors, read_word_vectors
from visionlab.facts import Facts
from visionlab.figures.sentences import nearest
from visionlab.models.skip_thoughts import SkipThoughts
from visionlab.runs.expansion import expand, linear_map
from visionlab.runs.run import Run
from visionlab.tasks.skip_thoughts import skip_thoughts

TEXT = [['a dog runs', 'the cat sees a dog', 'it sleeps'], ['the dog sleeps'], ['a cat', 'the dog']]
WORDS = build([text for own in TEXT for text in own], 1)
SOURCE = Sentences(TEXT, WORDS, 8)
BATCH = dict(SOURCE[np.arange(6)], valid=np.ones(6, bool))
MODELS = dict(uni=(8,), combine=(4, 2, 2))


def task_of(encoder='uni'):
  def make_model(words):
    return SkipThoughts(words=words, encoder=encoder, width=8, embedding=6, decoder=4)
  return skip_thoughts(make_model=make_model, info=SOURCE.info, example=SOURCE[np.zeros(1, int)])


def weights(task):
  """Weights that are all random."""
  rng = np.random.default_rng(0)
  shapes = jax.eval_shape(task.init, jax.random.key(0), BATCH)
  return jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32) / 2, shapes)


@pytest.fixture(scope='module', params=MODELS)
def made(request):
  task = task_of(request.param)
  return task, weights(task)


def sigma(x):
  return 1 / (1 + np.exp(-x))


def unit_step(params, x, h, thought=None, kernel=None):
  """One step of a gated recurrent unit, by the letter; with a thought in all its gates."""
  def parts(v):
    return np.split(v, 3, -1)
  W, U, b = (parts(np.asarray(params[k])) for k in ('input_kernel', 'state_kernel', 'bias'))
  C = [np.zeros(1)] * 3 if kernel is None else [thought @ c for c in parts(kernel)]
  r = sigma(x @ W[0] + h @ U[0] + b[0] + C[0])
  z = sigma(x @ W[1] + h @ U[1] + b[1] + C[1])
  candidate = np.tanh(x @ W[2] + r * (h @ U[2] + params['state_bias']) + b[2] + C[2])
  return (1 - z) * candidate + z * h


def by_hand(params, encoder, sentence):
  """The thought of a sentence, its tokens, and a function from it to the log-probabilities of a
  neighbour's words."""
  table, thought = params['table'], []
  names = dict(uni=('ahead',), combine=('whole', 'ahead', 'back'))[encoder]
  for name, width in zip(names, MODELS[encoder], strict=True):
    h = np.zeros(width)
    for token in sentence[::-1] if name == 'back' else sentence:
      h = unit_step(params['reader'][name], table[token], h)
    thought.append(h)
  thought = np.concatenate(thought)

  def told(name, words):
    s, found = np.zeros(4), []
    for before, word in zip([START, *words], words, strict=False):
      s = unit_step(params[name], table[before], s, thought, params[f'{name}_thought'])
      logits = s @ params['head']['kernel'] + params['head']['bias']
      found.append(logits[word] - np.log(np.exp(logits).sum()))
    return found
  return thought, told


def test_thoughts_and_losses_are_those_of_the_equations(made):
  task, variables = made
  encoder, params = task.model.encoder, variables['params']
  thoughts = np.asarray(jax.jit(task.predict)(variables, BATCH)['embedding'])
  loss = jax.jit(lambda v, b: task.loss(v, b, None, dict(word_dropout=1.), train=True)[0])
  terms = loss(variables, BATCH)                 # without `draw`, every word is heard
  words = [row[row > 0] for row in BATCH['sentence']['tokens'][:, 1]]
  neighbours = dict(before={1: 0, 2: 1, 5: 4}, after={0: 1, 1: 2, 4: 5})
  found = dict(before=[], after=[])
  for i, own in enumerate(words):
    thought, told = by_hand(params, encoder, own)
    np.testing.assert_allclose(thoughts[i], thought, rtol=1e-4, atol=1e-5)
    for name, pairs in neighbours.items():
      if i in pairs:
        found[name] += told(name, words[pairs[i]][1:])
  for name, logs in found.items():
    assert float(terms[name].count) == len(logs)
    np.testing.assert_allclose(terms[name].sum, -np.sum(logs), rtol=1e-4)
  results = task.evaluators()['words'].finish(terms)
  assert results['perplexity_after'] == pytest.approx(np.exp(-np.mean(found['after'])), rel=1e-3)


def test_a_decoder_hears_dropped_words_as_unknown():
  task = task_of()
  variables = weights(task)
  loss = jax.jit(lambda b, share: task.loss(variables, b, None, dict(word_dropout=share),
                                            train=True)[0]['after'].sum)
  batch = dict(BATCH, draw=jax.random.split(jax.random.key(0), 6))
  expected = 0
  for i, j in ((0, 1), (1, 2), (4, 5)):
    own, after = (row[row > 0] for row in BATCH['sentence']['tokens'][[i, j], 1])
    told = by_hand(variables['params'], 'uni', own)[1]
    for n in range(1, len(after)):               # START is heard, all others are not
      deaf = [*[UNKNOWN] * (n - 1), after[n]]
      expected -= told('after', deaf)[n - 1]
  np.testing.assert_allclose(loss(batch, 1.), expected, rtol=1e-4)
  assert loss(batch, 0.) == pytest.approx(float(loss(BATCH, 1.)))


def test_neighbours_are_found_among_the_whole_split():
  task = task_of()
  embedding = np.eye(6)[:, :4] + [[0, 0, 0, 0], [1, 0, 0, 0], [0, 2, 0, 0]] * 2
  place = np.asarray(SOURCE[np.arange(6)]['sentence']['place'])
  rng = np.random.default_rng(0)
  unit = embedding - embedding.mean(0)
  unit /= np.linalg.norm(unit, axis=1, keepdims=True)
  ranks = []
  for i, j in ((0, 1), (1, 2), (4, 5)):
    others = [k for k in range(6) if k != i]
    ranks.append(1 + sum(unit[k] @ unit[i] >= unit[j] @ unit[i] for k in others if k != j))
  for order in (np.arange(6), rng.permutation(6)):
    found = task.evaluators()['neighbours'].finish(dict(embedding=embedding[order],
                                                        place=place[order]))
    assert found['after_median_rank'] == np.median(ranks)
    assert found['after_recall_at_1'] == pytest.approx(np.mean(np.array(ranks) == 1))
  alone = dict(embedding=embedding[[3]], place=place[[3]])
  assert task.evaluators()['neighbours'].finish(alone) == {}


def test_a_source_without_sentences_is_refused():
  with pytest.raises(ConfigError, match=r'skip_thoughts learns from sentences.*gives image, label'):
    skip_thoughts(make_model=None, info=SOURCE.info, example=dict(image=0, label=0))
  with pytest.raises(ConfigError, match="'tri' is not one of"):
    SkipThoughts(words=9, encoder='tri')


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """A run as `load` gives one, with random weights."""
  model = dict(name='skip_thoughts', width=8, embedding=6)
  config = experiment(steps=1, batch=4, data=dict(name='text'), hp={}, optim={},
                      task=dict(name='skip_thoughts', model=model))
  form = jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype), BATCH)
  facts = Facts(SOURCE.info, form, 6)
  task = build_task(config, Facts.from_json(facts.to_json()))
  return Run(tmp_path_factory.mktemp('run'), config, task, weights(task), {}, 0, facts)


def test_a_run_gives_vectors_of_sentences(run):
  own = run.embed(['A dog runs', 'the cat sees a dog', 'a zebra runs'])
  thoughts = jax.jit(run.task.predict)(run.variables, BATCH)['embedding']
  np.testing.assert_allclose(own[:2], thoughts[:2], atol=1e-6)
  np.testing.assert_allclose(run.embed('the cat sees a dog'), own[1:2], atol=1e-6)
  assert own.shape == (3, 8) and own.dtype == np.float32 and 'of sentences' in repr(run)
  for wrong, words in (([], 'expected sentences'), ([7], 'expected sentences'),
                       (['a', ' '], 'has no words')):
    with pytest.raises(ConfigError, match=words):
      run.embed(wrong)
  for ask in (run.predict, run.fit):
    with pytest.raises(ConfigError, match='these data are sentences; run.embed'):
      ask(np.zeros((1, 8, 8, 3), np.uint8))


def test_a_linear_map_is_the_least_squares_one():
  rng = np.random.default_rng(0)
  x, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 3))
  planted = rng.normal(size=(4, 3))
  np.testing.assert_allclose(linear_map(x, x @ planted), planted, atol=1e-9)
  np.testing.assert_allclose(linear_map(x, y, 2.), Ridge(2., fit_intercept=False).fit(x, y).coef_.T,
                             atol=1e-9)
  best, least = linear_map(x, y), ((x @ linear_map(x, y) - y) ** 2).sum()
  assert all(((x @ (best + .01 * rng.normal(size=best.shape)) - y) ** 2).sum() > least
             for _ in range(9))


def test_a_run_reads_new_words_by_their_vectors_elsewhere(run):
  rng = np.random.default_rng(0)
  table = np.asarray(run.variables['params']['table'])
  known = list(WORDS.words[4:])
  planted = rng.normal(size=(6, 6))
  zebra = table[WORDS.words.index('dog')] @ planted        # which is a dog in their space
  vectors = WordVectors([*known, 'zebra'], np.concatenate([table[4:] @ planted, [zebra]]))
  wide = expand(run, vectors)
  assert wide.task.model.more == 1 and wide.task.vocabulary.words == (*WORDS.words, 'zebra')
  np.testing.assert_allclose(wide.embed('a zebra runs'), run.embed('a dog runs'), atol=1e-4)
  np.testing.assert_array_equal(wide.embed('the cat'), run.embed('the cat'))
  assert np.abs(run.embed('a zebra runs') - run.embed('a dog runs')).max() > 1e-3
  with pytest.raises(ConfigError, match='2 words of the vectors .* no map from 6 numbers'):
    expand(run, WordVectors(['dog', 'cat', 'ant'], rng.normal(size=(3, 6))))
  assert expand(run, WordVectors(['dog', 'ant'], rng.normal(size=(2, 6))), 1.).task.model.more == 1


VECTORS = WordVectors(['dog', 'new york', 'café'], np.float32([[1, 2], [-.5, 3e-2], [0, 1]]))
LINES = 'dog 1 2\nnew york -.5 3e-2\ncafé 0 1\n'


def test_word_vectors_are_read_in_every_form(tmp_path):
  (tmp_path / 'glove.txt').write_text(LINES, encoding='utf8')
  (tmp_path / 'word2vec.vec').write_text(f'3 2\n{LINES}', encoding='utf8')
  (tmp_path / 'packed.txt.gz').write_bytes(gzip.compress(LINES.encode()))
  np.savez(tmp_path / 'arrays.npz', words=np.array(VECTORS.words), vectors=VECTORS.vectors)
  for path in tmp_path.iterdir():
    found = read_word_vectors(path)
    assert found.words == VECTORS.words
    np.testing.assert_array_equal(found.vectors, VECTORS.vectors)
    assert len(read_word_vectors(path, most=2).words) == 2


@pytest.mark.parametrize('content, words', [
    ('', 'no word vectors in it'), ('dog 1 2\ncat 1\n', "line 2: expected a word and 2 numbers"),
    ('dog 1 2\ncat 1 x\n', 'line 2: .*'), ('dog 1 2\ndog 1 3\n', "'dog' is there twice"),
    ('dog 1 nan\n', "'dog' has numbers that are not finite"), ('dog\n', 'line 1: expected a word')])
def test_word_vectors_of_another_form_are_refused(tmp_path, content, words):
  (tmp_path / 'vectors.txt').write_text(content)
  with pytest.raises(ConfigError, match=words):
    read_word_vectors(tmp_path / 'vectors.txt')


def test_arrays_that_are_no_word_vectors_are_refused(tmp_path):
  np.savez(tmp_path / 'a.npz', words=np.array(['a', 'b']), vectors=np.zeros((3, 2)))
  np.savez(tmp_path / 'b.npz', names=np.array(['a']))
  for name, words in (('a', r'got \(2,\) .* and \(3, 2\)'), ('b', 'expected arrays `words`')):
    with pytest.raises(ConfigError, match=words):
      read_word_vectors(tmp_path / f'{name}.npz')


def test_the_nearest_sentences_are_drawn():
  vectors = np.array([[1., 0], [.9, .1], [0, 1], [1, 0]])
  picture = nearest(['one', 'two', 'three', 'one'], vectors)
  assert picture.dtype == np.uint8 and picture.shape[1] == 916
  assert not np.array_equal(picture, nearest(['one', 'two', 'four', 'one'], vectors))
