"""Films of drawn scenes and their books: functions of their number, and the truth about them."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import config

from visionlab.build import build_task
from visionlab.config import ConfigError
from visionlab.data.scenes.captions import Group, caption, words
from visionlab.data.scenes.digits import CLASSES
from visionlab.data.scenes.scenes import scenes
from visionlab.data.scenes.truth import judge
from visionlab.data.source import Info
from visionlab.data.stories.plot import draw_plot
from visionlab.data.stories.stories import SCENES, Story, tell_stories
from visionlab.data.stories.telling import SHAPES, spoken, told
from visionlab.data.text.vocabulary import SPECIAL, Vocabulary, build
from visionlab.facts import Facts
from visionlab.runs import similarities as similarities_of
from visionlab.runs.run import Run
from visionlab.runs.similarities import (
  channels,
  measures_of,
  seen_by,
  shots_for,
  similarities,
  stories,
)

SMALL = dict(shots=8, sentences=24)
SEVEN = Group('seven', 'large', ((.2, .5),), .2)
THREES = Group('three', 'small', ((.8, .5), (.7, .4)), .1)


@pytest.fixture(scope='module')
def told_stories():
  return tell_stories('test', 4, **SMALL)


def test_a_story_is_a_function_of_its_number(told_stories):
  few = tell_stories('test', 2, **SMALL)
  for one, other in zip(told_stories[:2], few, strict=True):
    np.testing.assert_array_equal(one.shots, other.shots)
    assert one.sentences == other.sentences and one.subtitles == other.subtitles
    np.testing.assert_array_equal(one.sentence, other.sentence)
  for strangers in tell_stories('test', 1, **SMALL, seed=1), tell_stories('train', 1, **SMALL):
    assert strangers[0].sentences != few[0].sentences
    assert not np.array_equal(strangers[0].shots, few[0].shots)


def test_what_tells_a_shot_in_the_grammar_of_captions_is_true_of_it(told_stories):
  source = scenes('test', examples=4 * SMALL['shots'], masks=False, **SCENES)
  facts = source.facts(source[np.arange(len(source))]['objects'])
  seen = 0
  for i, story in enumerate(told_stories):
    for shot, j in enumerate(story.sentence):
      if j >= 0 and story.form[j] == 'plain':
        assert judge(story.sentences[j], facts[i * SMALL['shots'] + shot], CLASSES)['true']
        seen += 1
    assert sum(form != '' for form in story.form) == (story.sentence >= 0).sum() == 7
  assert seen > 2


def test_a_film_goes_through_its_book_but_for_neighbours_and_chapters():
  plots = [draw_plot(40, 120, .15, .3, .15, np.random.default_rng(i)) for i in range(50)]
  swaps = 0
  for plot in plots:
    places = plot.sentence[plot.sentence >= 0]
    assert len(places) == len(set(places)) == 34 and plot.filmed[places].all()
    back = np.flatnonzero(np.diff(places) < 0)
    assert (np.diff(back) > 1).all()                    # each has changed places with one other
    np.testing.assert_array_equal(np.sort(places), np.where(
        np.isin(np.arange(34), back), np.roll(places, -1), np.where(
            np.isin(np.arange(34), back + 1), np.roll(places, 1), places)))
    swaps += len(back)
    assert (~plot.filmed).sum() == 36
    edges = np.flatnonzero(np.diff(plot.filmed.astype(int)))
    assert len(edges) <= 4 and (np.diff(plot.paragraph)[edges] == 1).all()
    assert plot.paragraph[0] == 0 and set(np.diff(plot.paragraph)) <= {0, 1}
  assert .1 < swaps / (50 * 33) < .15                   # one that has does not again


def test_forms_of_a_sentence():
  rng = np.random.default_rng(0)
  groups = (SEVEN, THREES)
  assert told(groups, 'plain', rng) in (caption(groups, 0), caption(groups, 1))
  retold = {told(groups, 'retold', rng) for _ in range(200)}
  assert len(retold) > 60 and not {caption(groups, 0), caption(groups, 1)} & retold
  for text in retold:                                   # from either side, and true
    words = text.split()
    assert (words.index('seven') < words.index('threes')) == ('left' in words)
  for text in (told(groups, 'allusive', rng) for _ in range(50)):
    assert not set(text.split()) & {'seven', 'sevens', 'three', 'threes'}
    assert SHAPES['seven'] in text and 'birds' in text
  said = [spoken(groups, rng) for _ in range(200)]
  assert all('seven' in text or 'threes' in text for text in said)
  assert .6 < np.mean(['seven' in text and 'threes' in text for text in said]) < .95


def test_a_source_of_films(told_stories):
  source = stories('train', films=3, known=2, **SMALL)
  arrays = source.arrays
  assert arrays['image'].shape == (3, 8, 24, 7) and arrays['image'].dtype == np.float32
  assert (arrays['known'].sum(1) == 2).all() and len(set(map(tuple, arrays['known']))) > 1
  tested = stories('test', films=4, **SMALL)
  assert tested.arrays['known'].all()
  np.testing.assert_array_equal(tested.arrays['sentence'],
                                [story.sentence for story in told_stories])
  assert tested.info.attributes['image'] == channels() == (
      'bleu_1', 'bleu_2', 'bleu_3', 'bleu_4', 'bleu_5', 'tfidf', 'time')
  time = tested.arrays['image'][..., 6]
  assert time[0, 0, 0] == time[0, 7, 23] == 1 and time[0, 0, 23] == time[0, 7, 0] == 0


def test_other_measures_are_further_channels(told_stories):
  own = lambda story: np.full((8, 24), len(story.sentences), np.float32)
  found = similarities(told_stories[0], dict(own=own))
  assert found.shape == (8, 24, 8) and (found[..., 7] == 24).all()
  assert channels(dict(own=own))[-1] == 'own'


def test_likelihood_is_what_a_captioner_says_of_a_shot(told_stories):
  story = told_stories[0]
  vocabulary = Vocabulary((*SPECIAL, *words(CLASSES, 2)))
  form = dict(image=jax.ShapeDtypeStruct((1, 32, 32, 3), np.uint8),
              caption=dict(tokens=jax.ShapeDtypeStruct((1, 1, 10), np.int32)))
  facts = Facts(Info(words=vocabulary.words), form, 1)
  options = config(task=dict(name='caption', model=dict(
      name='captioner', width=8, embedding=8, backbone=dict(name='cnn', widths=(4, 4)))))
  task = build_task(options, facts)
  variables = jax.jit(task.init)(jax.random.key(0), form | dict(image=story.shots[:1]))
  variables['params']['head']['kernel'] = variables['params']['head']['kernel'] * 100
  name, measure = seen_by(Run(Path('run'), options, task, variables, {}, 0, facts))
  found = measure(story)
  clips = np.stack([story.shots, 255 - story.shots], 1)         # the first frame is what is told
  np.testing.assert_array_equal(measure(story._replace(shots=clips)), found)
  known = [' '.join(w for w in text.split() if w in vocabulary.words) for text in story.sentences]
  said = jax.jit(lambda tokens: task.answer(variables, dict(image=story.shots), dict(
      tokens=jnp.tile(tokens[1:], (8, 1))))['log_likelihoods'].sum(1))
  expected = np.stack([said(vocabulary.encode([text], 10).tokens[0]) if text else np.zeros(8)
                       for text in known], 1)
  expected -= expected.mean(0)
  np.testing.assert_allclose(found, expected / expected.std(), rtol=1e-3, atol=2e-3)
  assert name == 'likelihood' and found.std() > 0 and '' in known


def made(task, model, form, known):
  """A run with random weights."""
  options = config(task=dict(name=task, model=model))
  facts = Facts(Info(words=known.words), jax.tree.map(
      lambda x: jax.ShapeDtypeStruct((1, *x.shape), x.dtype), form), 1)
  task = build_task(options, facts)
  return Run(Path('run'), options, task, jax.jit(task.init)(jax.random.key(0), jax.tree.map(
      lambda x: np.zeros(x.shape, x.dtype), facts.example)), {}, 0, facts)


@pytest.mark.parametrize('task', ['quick_thoughts', 'skip_thoughts'])
def test_thoughts_compare_what_is_said_with_what_is_told(task):
  story = Story(np.zeros((4, 8, 8, 3), np.uint8), ('a seven', '', 'birds!', '...'),
                ('a seven', 'two birds', 'birds!'), np.zeros(3, np.int32))
  row = np.zeros((3, 7), np.int32)
  form = dict(sentence=dict(tokens=row, valid=row > 0, place=row[:, 0]))
  run = made(task, dict(name=task, width=8, embedding=4), form, build(story.sentences, 1))
  name, measure = seen_by(run)
  found, vectors = measure(story), run.embed(story.sentences)
  x = vectors - vectors.mean(0)
  x /= np.linalg.norm(x, axis=1, keepdims=True)
  np.testing.assert_allclose(found[[0, 2]], x[[0, 2]] @ x.T, atol=1e-5)
  assert name == 'thoughts' and not found[[1, 3]].any()
  silent = measure(story._replace(subtitles=('',) * 4, sentences=('...',) * 3))
  assert silent.shape == (4, 3) and not silent.any()


def test_a_space_of_shots_and_sentences_is_a_measure(monkeypatch):
  story = tell_stories('test', 1, shots=2, sentences=6, frames=3)[0]
  row = np.zeros((2, 7), np.int32)
  model = dict(name='visual_semantic', width=6, embedding=4,
               backbone=dict(name='cnn', widths=(4,)))
  form = dict(caption=dict(tokens=row, valid=row > 0))
  image, clip = np.zeros((32, 32, 3), np.uint8), np.zeros((3, 32, 32, 3), np.uint8)
  stills, clips = (made('match', model, form | own, build(story.sentences, 1))
                   for own in (dict(image=image), dict(video=clip)))
  for run, shots in (stills, story.shots[:, 0]), (clips, story.shots):
    name, measure = seen_by(run)
    np.testing.assert_array_equal(shots_for(run, story), shots)
    expected = run.predict(shots)['embedding'] @ run.embed(story.sentences).T
    np.testing.assert_allclose(measure(story), expected, atol=1e-6)
    assert name == 'space' and np.abs(expected).max() <= 1 + 1e-6
  with pytest.raises(ConfigError, match='sees clips of 3 frames, and these shots are stills'):
    seen_by(clips)[1](story._replace(shots=story.shots[:, 0]))
  monkeypatch.setattr(similarities_of, 'load', dict(a=stills, b=stills).get)
  assert list(measures_of(['a'])) == ['space']
  with pytest.raises(ConfigError, match='b gives "space", as a run before it does'):
    measures_of(['a', 'b'])


def test_a_run_that_sees_nothing_is_refused():
  run = Run(Path('run'), config(), None, {}, {}, 0, None)
  with pytest.raises(ConfigError, match='run is classify by .*; a run of caption, match, quick_'):
    seen_by(run)


@pytest.mark.parametrize('options, said', [
    (dict(untold=1.5), 'untold must lie between 0 and 1'), (dict(shots=1, known=0), 'shots must'),
    (dict(plain=.8, allusive=.4), r'plain \+ allusive must lie'), (dict(known=99), 'known'),
    (dict(sentences=20), '40 shots, but for 0.15 of them, are to be told by 20 sentences'),
    (dict(seed=-1), 'seed'), (dict(runs=('nowhere',)), 'nowhere: no such weights')])
def test_mistakes_in_options(options, said):
  with pytest.raises(ConfigError, match=said):
    stories('test', **options)
