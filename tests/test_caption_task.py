"""The task `caption`: its loss, its metrics, and what a model says that learnt by heart."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.build import build_task
from visionlab.config import ConfigError, experiment
from visionlab.data.pipeline import eval_batches
from visionlab.data.scenes.scenes import scenes
from visionlab.data.source import Arrays, Info
from visionlab.data.sources.digits import digits
from visionlab.data.text.caption_rows import caption_rows, texts
from visionlab.data.text.vocabulary import PAD, build
from visionlab.facts import Facts
from visionlab.measures import captions as caption_metrics, retrieval
from visionlab.optim.optimiser import make_optimizer
from visionlab.parallel.sharding import data_mesh
from visionlab.step import init_state, make_step
from visionlab.tasks.caption_losses import coverage, detection, some_captions
from visionlab.training.evaluation import compile_evaluation

TEXTS = (['a red dog', 'a dog'], ['the cat'], ['a cat and a dog', 'cat, dog', 'two'], ['nothing'])
WORDS = build(itertools.chain(*TEXTS), 1).words
SMALL = dict(name='captioner', backbone=dict(name='cnn', widths=(6,)), pool='flatten', width=24,
             embedding=16)


def source_of(said):
  image = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
  vocabulary = build(itertools.chain(*TEXTS), 1)
  return Arrays(dict(image=image, caption=caption_rows(said, vocabulary, 8)), Info(words=WORDS))


SOURCE = source_of(TEXTS)
BATCH = {**SOURCE[np.arange(4)], 'valid': np.ones(4, bool)}
FIRST = source_of([own[:1] for own in TEXTS])


def task_of(source=SOURCE, model=None, **options):
  config = experiment(steps=1, batch=4, data=dict(name='unused'), optim=dict(name='sgd'), hp={},
                      task=dict(name='caption', model={**SMALL, **(model or {})}, **options))
  return build_task(config, Facts.of(source))


def loss_of(task, variables, batch, key=0, train=False, progress=1., **hp):
  hp = {**task.hyperparameters(), 'progress': progress, **hp}
  loss = jax.jit(task.loss, static_argnames='train')
  return loss(variables, batch, jax.random.key(key), hp, train=train)[0]


def fresh(task, batch=BATCH):
  return jax.jit(task.init)(jax.random.key(0), batch)


def said_of(task, variables, batch=BATCH):
  return jax.device_get(jax.jit(task.predict)(variables, batch))


@pytest.fixture(scope='module')
def fitted():
  """A task whose model knows the first caption of each image by heart, and its variables."""
  task, steps = task_of(FIRST, beams=4), 100
  optimizer = make_optimizer('adam', total=steps, steps=lambda duration, key: int(duration))
  batch = {**FIRST[np.arange(4)], 'valid': np.ones(4, bool)}
  state = init_state(task, optimizer, {**optimizer.hyperparameters, 'lr': .02}, 0, batch,
                     data_mesh(jax.devices()[:1]))
  step = jax.jit(make_step(task, optimizer, total=steps))
  for _ in range(steps):
    state, metrics = step(state, batch)
  assert metrics['cross_entropy'].value < .05
  return task, state.variables


def evaluated(task, variables, source, batch):
  hp = {**task.hyperparameters(), 'progress': 1.}
  evaluate = compile_evaluation(task, data_mesh(jax.devices()[:1]))
  return evaluate(variables, hp, eval_batches(source, batch, workers=0))


def likelihoods(task, variables):
  """By hand: the log-likelihood of each caption of the batch (columns) given each image (rows), the
  captions' owners, and their numbers of tokens."""
  memory, _ = jax.jit(task.encode)(variables, BATCH)
  rows = BATCH['caption']['tokens'].reshape(-1, 8)
  rows, owner = rows[rows.any(1)], np.repeat(np.arange(4), 3)[rows.any(1)]
  teach = jax.jit(lambda memory: task.teach(variables, memory, rows[:, :-1]).logits)
  lengths, scores = (rows != PAD).sum(1) - 1, np.zeros((4, len(rows)))
  for i in range(4):
    logits = np.float64(teach(jax.tree.map(lambda x, i=i: x[i:i + 1], memory)))
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    for k, (row, n) in enumerate(zip(rows, lengths, strict=True)):
      scores[i, k] = np.log(p[k, np.arange(n), row[1:n + 1]]).sum()
  return scores, owner, lengths


def test_loss_is_the_sum_over_words_and_ends(fitted):
  scores, owner, lengths = likelihoods(*fitted)
  term = loss_of(*fitted, BATCH)['cross_entropy']
  assert lengths.sum() == term.count == 24
  assert float(term.sum) == pytest.approx(-scores[owner, np.arange(7)].sum(), rel=1e-4)


def test_padding_changes_nothing(fitted):
  task, variables = fitted
  caption = BATCH['caption']
  garbage = np.where(caption['valid'], caption['tokens'], 5)
  extra = {**BATCH, 'caption': {**caption, 'tokens': garbage}}
  extra = jax.tree.map(lambda x: np.concatenate([x, x[::-1]]), extra)
  extra['valid'] = np.arange(8) < 4
  value = jax.jit(jax.value_and_grad(lambda v, batch: loss_of(task, v, batch)['cross_entropy'].sum))
  (a, da), (b, db) = value(variables, BATCH), value(variables, extra)
  assert float(a) == pytest.approx(float(b), rel=1e-5)
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=2e-4), da['params'], db['params'])


def test_what_was_learnt_is_said(fitted):
  task, variables = fitted
  said = said_of(task, variables)
  assert [task.sentence(row[0]) for row in said['tokens']] == [own[0] for own in TEXTS]
  assert said['tokens'].shape == (4, 4, 7) and (np.diff(said['log_probabilities']) <= 0).all()
  greedy = said_of(task_of(FIRST), variables)
  assert (said['log_probabilities'][:, 0] >= greedy['log_probabilities'][:, 0] - 1e-5).all()
  lines = task.describe(said, 2)
  assert lines[0].startswith('a red dog (-0.') and len(lines[0].split('  ')) == 2


def test_decoding_is_the_one_asked_for(fitted):
  """Of a model that has learnt little, whose words are anything but sure."""
  _, variables = fitted
  variables = jax.tree.map(lambda x: .7 * x, variables)
  said = lambda **options: said_of(task_of(FIRST, **options), variables)
  greedy, one = said(decode='greedy'), said()
  jax.tree.map(np.testing.assert_array_equal, greedy, one)
  cold = said(decode='sample', temperature=1e-4, beams=2)
  np.testing.assert_array_equal(cold['tokens'], greedy['tokens'].repeat(2, 1))
  drawn, again, other = (said(decode='sample', beams=5, seed=seed) for seed in (0, 0, 1))
  jax.tree.map(np.testing.assert_array_equal, drawn, again)
  assert (drawn['tokens'] != other['tokens']).any()
  assert (np.diff(drawn['log_probabilities']) <= 0).all()
  assert len({tuple(row) for row in drawn['tokens'].reshape(-1, 7).tolist()}) > 8
  likeliest = said(decode='sample', beams=5, top_k=1)
  np.testing.assert_array_equal(likeliest['tokens'], greedy['tokens'].repeat(5, 1))
  few = said(decode='sample', beams=5, top_p=1e-3)
  np.testing.assert_array_equal(few['tokens'], greedy['tokens'].repeat(5, 1))
  # The lengths of the best: the exponent favours long sentences, and each form in its own measure.
  best = {name: said(beams=6, penalty=name, length_penalty=3.) for name in ('wu', 'length')}
  plain = said(beams=6)
  for name, found in best.items():
    n = found['lengths'].astype(float)
    score = found['log_probabilities'] / ((5 + n) / 6 if name == 'wu' else n) ** 3
    assert (np.diff(score) <= 1e-6).all()
    assert found['lengths'][:, 0].sum() >= plain['lengths'][:, 0].sum()
  assert (best['wu']['tokens'] != best['length']['tokens']).any()


def test_what_is_drawn_of_an_image_hangs_on_it_alone(fitted):
  _, variables = fitted
  variables = jax.tree.map(lambda x: .7 * x, variables)
  task = task_of(FIRST, decode='sample', beams=3)
  together = said_of(task, variables)
  turned = said_of(task, variables, jax.tree.map(lambda x: x[::-1], BATCH))
  np.testing.assert_array_equal(together['tokens'], turned['tokens'][::-1])
  alone = said_of(task, variables, jax.tree.map(lambda x: x[2:3], BATCH))
  np.testing.assert_array_equal(together['tokens'][2:3], alone['tokens'])


def test_evaluation_decodes_freely_and_leaves_padding_out(fitted):
  task, variables = fitted
  results = evaluated(task, variables, FIRST, 3)
  assert results['exact_match'] == results['rouge_l'] == 1
  assert results['bleu_1'] == pytest.approx(1)
  assert results['perplexity'] == pytest.approx(np.exp(results['loss']), rel=1e-5)
  assert results['different'] == 1
  # The first two images swapped: what is said of them is compared with the other's captions.
  image = FIRST.arrays['image'][[1, 0, 2, 3]]
  swapped = Arrays({**FIRST.arrays, 'image': image}, FIRST.info)
  results = evaluated(task, variables, swapped, 3)
  expected = caption_metrics.scores(['the cat', 'a red dog', 'a cat and a dog', 'nothing'],
                                    [own[:1] for own in TEXTS])
  assert results['exact_match'] == .5
  for name, value in expected.items():
    assert results[name] == pytest.approx(value, abs=1e-6)


def test_references_are_the_texts_even_of_unknown_words(fitted):
  task, variables = fitted
  other = source_of([['a red zebra'], ['the cat', 'zebras'], ['a cat and a dog.'], ['Nothing']])
  results = evaluated(task, variables, other, 4)
  assert results['exact_match'] == .75              # punctuation and capitals do not count
  expected = caption_metrics.scores([own[0] for own in TEXTS], [
      ['a red zebra'], ['the cat', 'zebras'], ['a cat and a dog'], ['nothing']])
  assert results['bleu_2'] == pytest.approx(expected['bleu_2'])


def test_retrieval_compares_all_captions_of_a_batch_with_all_images(fitted):
  _, variables = fitted
  task = task_of(retrieval=True)
  scores, owner, _ = likelihoods(task, variables)
  own = owner == np.arange(4)[:, None]
  results = evaluated(task, variables, SOURCE, 6)                       # two rows are padding
  for kind, expected in (('caption', retrieval.recall(scores, own)),
                         ('image', retrieval.recall(scores.T, own.T))):
    for name, value in expected.items():
      assert results[f'{kind}_{name}'] == pytest.approx(value)
  assert results['image_recall_at_1'] > .5


def test_retrieval_of_a_batch_that_groups_do_not_fill():
  task = task_of(retrieval=3)
  with pytest.raises(ConfigError, match='config.task.retrieval: 3 images.*a multiple'):
    jax.eval_shape(lambda b: task._compare(task.init(jax.random.key(0), b), b, {}), BATCH)


def test_some_captions_are_those_that_are_there():
  caption = {k: BATCH['caption'][k] for k in ('tokens', 'valid')}
  seen = [set(), set(), set()]
  for i in range(40):
    chosen = some_captions(jax.random.key(i), caption, 1)
    assert chosen['tokens'].shape == (4, 1, 8) and chosen['valid'][..., 0].all()
    for k in range(3):
      seen[k].add(tuple(chosen['tokens'][k, 0].tolist()))
  assert [len(own) for own in seen] == [2, 1, 3]
  two = some_captions(jax.random.key(0), caption, 2)
  assert two['valid'][..., 0].sum(1).tolist() == [2, 1, 2, 1]
  assert len({tuple(row) for row in np.asarray(two['tokens'])[2].tolist()}) == 2
  assert some_captions(jax.random.key(0), caption, 9)['tokens'].shape == (4, 3, 8)
  # In training one is drawn; the evaluation takes all.
  task = task_of(captions=1)
  variables = fresh(task)
  count = jax.jit(lambda key: task.loss(variables, BATCH, key, {}, train=True)[0][
      'cross_entropy'].count)
  counts = {float(count(key)) for key in jax.random.split(jax.random.key(0), 12)}
  assert len(counts) > 1 and max(counts) <= 4 + 3 + 6 + 2
  assert loss_of(task, variables, BATCH)['cross_entropy'].count == 24


def test_detection_and_coverage_by_hand():
  tokens = np.array([[[1, 4, 6, 2], [1, 6, 2, 0]], [[1, 5, 2, 0], [0, 0, 0, 0]]])
  p = np.array([[.9, .2, .5], [.3, .6, .1]])                # that words 4, 5, 6 are there
  expected = -np.log([.9 * .8 * .5, .7 * .6 * .9])
  term = detection(jnp.log(1 - p), tokens, np.array([True, True]))
  assert float(term.sum) == pytest.approx(expected.sum(), rel=1e-5) and term.count == 2
  term = detection(jnp.log(1 - p), tokens, np.array([True, False]))
  assert float(term.sum) == pytest.approx(expected[0], rel=1e-5) and term.count == 1
  sure = jax.grad(lambda x: detection(x, tokens[:1], np.array([True])).sum)(np.zeros((1, 3)))
  assert np.isfinite(sure).all()
  alpha = np.array([[[[.5, .5]], [[1., 0.]]]])              # two words, a map of 1 x 2 places
  assert float(coverage(alpha, np.array([[True, True]])).sum) == pytest.approx(.25 + .25)
  assert float(coverage(alpha, np.array([[True, False]])).sum) == pytest.approx(.25 + .25)
  assert float(coverage(alpha, np.array([[False, False]])).count) == 0


def test_scheduled_sampling_begins_with_the_truth():
  task, plain = task_of(scheduled_sampling=True), task_of()
  variables = fresh(task)
  assert task.hyperparameters() == dict(sampling_rate=.25)
  loss = lambda *given, **hp: float(loss_of(*given, **hp)['cross_entropy'].sum)
  expected = loss(plain, variables, BATCH, train=True)
  assert loss(task, variables, BATCH, train=True, progress=0.) == pytest.approx(expected)
  assert loss(task, variables, BATCH, sampling_rate=1.) == pytest.approx(expected, rel=1e-3)
  drawn = [loss(task, variables, BATCH, key, train=True, sampling_rate=1.) for key in range(2)]
  assert drawn[0] != drawn[1] and abs(drawn[0] - expected) > 1e-4


def test_attention_is_where_the_best_caption_looked():
  task = task_of(model=dict(attention=5, position=True, detected=4), beams=2)
  variables = fresh(task)
  said = said_of(task, variables)
  assert said['alpha'].shape == (4, 7, 4, 4)
  np.testing.assert_allclose(said['alpha'].sum((2, 3)), 1, rtol=1e-5)
  assert task.hyperparameters() == dict(coverage_weight=0., detection_weight=1.)
  assert set(loss_of(task, variables, BATCH)) == {'cross_entropy', 'coverage', 'detection'}
  pictures = task.figures(BATCH, said, {})
  assert set(pictures) == {'samples', 'attention'}
  for picture in pictures.values():
    assert picture.dtype == np.uint8 and picture.ndim == 3 and len(np.unique(picture)) > 50


def test_pictures_of_files(fitted):
  task, variables = fitted
  said = said_of(task, variables)
  images = [np.full((30 + i, 40, 3), 90 * i, np.uint8) for i in range(3)]
  picture = task.picture(images, jax.tree.map(lambda x: x[:3], said), ['a.png\nx'] * 3, 'runs/x')
  assert picture.shape[1] > 3 * 224 and picture.dtype == np.uint8


def test_truth_of_scenes():
  source = scenes('test', size=32, objects=(2, 3), examples=8, captions=2)
  task = task_of(source)
  assert task.scenes[0] == source.info.classes
  batch = source[np.arange(8)]
  stats = dict(text=batch['caption']['text'], objects=batch['objects'], size=np.full(8, 32))
  finish = task.evaluators()['captions'].finish
  for j in range(2):                          # both captions are true, and a reference
    rows = batch['caption']['tokens']
    rows = np.where(rows[:, j, :1], rows[:, j, 1:], rows[:, 0, 1:])
    results = finish({**stats, 'tokens': rows})
    assert results['true'] == results['exact_match'] == results['right_relation'] == 1
  others = finish({**stats, 'tokens': np.roll(batch['caption']['tokens'][:, 0, 1:], 1, axis=0)})
  assert others['true'] < .5 and others['right_grammar'] == 1
  some = {**batch, 'valid': np.ones(8, bool)}
  variables = fresh(task, some)
  said = said_of(task, variables, some)
  card = task.figures(some, said, {})['samples']
  assert ((card[..., 0].astype(int) - card[..., 1]) > 150).sum() > 20        # what is wrong is red
  assert texts(batch['caption']['text'][0])


def test_errors():
  with pytest.raises(ConfigError, match='caption needs a source with captions.*image, label'):
    task_of(digits('test'))
  for options, message in ((dict(beams=0), 'task.beams: must be at least 1, not 0'),
                           (dict(captions=-1), 'captions: must be at least 0'),
                           (dict(decode='beem'), r'decode: .*did you mean "beam"'),
                           (dict(penalty='lenght'), r'penalty: .*did you mean "length"'),
                           (dict(decode='sample', temperature=0.), 'temperature: must be above 0'),
                           (dict(decode='sample', top_k=-1), 'top_k: must be at least 0'),
                           (dict(decode='sample', top_p=1.5), 'top_p: .* at most 1, not 1.5'),
                           (dict(temperature=.5), "temperature: decode='beam' does not read it"),
                           (dict(decode='greedy', beams=2), "beams: decode='greedy' does not"),
                           (dict(decode='sample', penalty='length'), "penalty: decode='sample'"),
                           (dict(beam=2), r'beam: no such key \(did you mean "beams"\?\)'),
                           (dict(std=(0.,)), 'std: must be above 0')):
    with pytest.raises(ConfigError, match=message):
      task_of(**options)
