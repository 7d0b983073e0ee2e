"""What the task of alignment learns from and says, and the page that is made of it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filmed import film as film_file
from PIL import Image
from tiny import config

from configs import docs_quick_thoughts, stories_align
from visionlab.align import matches, read_story, scores_of
from visionlab.config import ConfigError
from visionlab.data.films.shots import read_shots
from visionlab.data.source import Info
from visionlab.models.context_cnn import ContextCNN
from visionlab.ops.story_chain import NOWHERE
from visionlab.runs.alignment_page import page
from visionlab.runs.run import Run
from visionlab.runs.similarities import channels, similarities
from visionlab.tasks.align import Align, Steps, _others, align
from visionlab.train import train


class Given(nn.Module):
  """Says what it is shown."""

  @nn.compact
  def __call__(self, x, *, train=False):
    return x


TASK = Align(Given(), ('given',), 3, Steps())
RNG = np.random.default_rng(0)


def film(sentence, known=True, m=6):
  s = len(sentence)
  return dict(image=RNG.normal(0, 3, (1, s, m, 1)).astype('f4'), valid=np.ones(1, bool),
              sentence=np.array([sentence], np.int32), known=np.full((1, s), known),
              paragraph=np.zeros((1, m), np.int32))


def test_drawn_sentences_stand_for_all_others():
  batch = film([2, NOWHERE, 5, 0])
  whole = TASK.loss({}, batch, None, {}, train=False)[0]['cross_entropy']

  def drawn(key):
    return TASK.loss({}, batch, key, {}, train=True)[0]['cross_entropy'].sum
  sums = jax.jit(jax.vmap(drawn))(jax.random.split(jax.random.key(0), 1000))
  assert float(whole.count) == 4
  assert np.mean(sums) == pytest.approx(float(whole.sum), abs=4 * float(np.std(sums)) / 1000**.5)


def test_the_loss_is_the_cross_entropy_of_all_pairs_of_known_shots():
  batch = film([2, NOWHERE, 5, 0])
  batch['known'][0, 2] = False
  x = batch['image'][0, ..., 0].astype(np.float64)
  p = 1 / (1 + np.exp(-(x - x.mean()) / x.std()) * 6)
  right = np.arange(6) == batch['sentence'][0][:, None]
  expected = -(np.where(right, np.log(p), np.log(1 - p)).sum(1))[[0, 1, 3]].mean()
  found = TASK.loss({}, batch, None, {}, train=False)[0]['cross_entropy']
  assert float(found.value) == pytest.approx(expected, rel=1e-5)


def test_other_sentences_are_each_as_likely():
  true, told = np.array([3, 0]), np.array([True, False])
  counts = np.stack([np.bincount(row, minlength=5) for row in np.asarray(
      _others(jax.random.key(1), true, told, 5, 20_000))])
  assert counts[0, 3] == 0
  np.testing.assert_allclose(counts[0, [0, 1, 2, 4]] / 20_000, .25, atol=.015)
  np.testing.assert_allclose(counts[1] / 20_000, .2, atol=.015)


def test_a_shot_is_told_where_some_sentence_is_likelier_than_none():
  odds = np.array([[.6, .3, .05], [.1, .2, .1], [.9, .9, .2]])
  scores = (np.log(odds / (1 - odds))[None] + np.log(3)).astype(np.float32)
  (each, none), (sentence, confidence) = jax.jit(lambda x: (TASK.likelihoods(x), TASK.alone(x)))(
      scores)
  np.testing.assert_allclose(each.sum(-1) + none, 1, rtol=1e-6)
  np.testing.assert_allclose(none[0], [.05, .6, .05 / 2.05], rtol=1e-5)
  assert sentence.tolist() == [[0, NOWHERE, 0]]
  np.testing.assert_allclose(confidence[0, 0], .6, rtol=1e-5)


def test_the_chain_finds_the_way_where_one_shot_alone_is_misled():
  """A diagonal of likely pairs, one of whose shots is more like a sentence far off."""
  scores = np.full((1, 6, 18), -3., np.float32)
  scores[0, np.arange(6), 3 * np.arange(6)] = 4
  scores[0, 3, 17] = 4.5
  alone, (sentence, confidence, path) = jax.jit(lambda x: (TASK.alone(x), TASK.chained(x)))(scores)
  assert alone[0][0, 3] == 17
  np.testing.assert_array_equal(sentence[0], 3 * np.arange(6))
  np.testing.assert_array_equal(path[0], 3 * np.arange(6))
  assert (confidence > .5).all()


def test_the_network_has_three_layers_and_sees_its_neighbours():
  network = ContextCNN()
  x = jnp.asarray(RNG.normal(size=(1, 12, 40, 7)), jnp.float32)
  variables = jax.jit(network.init)(jax.random.key(0), x)
  assert sum(p.size for p in jax.tree.leaves(variables)) == 10_401
  assert sum('kernel' in layer for layer in variables['params'].values()) == 3
  # The head begins at 0.
  variables = jax.tree.map(lambda p: p + .01, variables)
  one = jax.jit(lambda x: jax.grad(lambda x: network.apply(variables, x)[0, 6, 20, 0])(x))(x)
  rows, columns = np.nonzero(np.abs(one[0]).sum(-1))
  assert (rows.min(), rows.max()) == (3, 9) and (columns.min(), columns.max()) == (8, 32)


def test_data_without_films_are_refused():
  example = dict(image=np.zeros((1, 8, 8, 3)), label=np.zeros(1))
  with pytest.raises(ConfigError, match="align needs data with 'sentence', such as \"stories\""):
    align(make_model=ContextCNN, info=Info(), example=example)
  with pytest.raises(ConfigError, match='config.task.chain.pase: no such key'):
    align(make_model=ContextCNN, info=Info(), example=film([0]), chain=dict(pase=2.))


@pytest.fixture
def folder(tmp_path):
  """A film of five stills, its subtitles and its book."""
  (tmp_path / 'film').mkdir()
  for i in range(5):
    Image.new('RGB', (32, 18), (50 * i, 0, 0)).save(tmp_path / 'film' / f'00-00-{10 * i:02}.png')
  said = ['a dog runs', '', 'two men on a horse', 'the <b>sea</b> & sky', 'good night']
  (tmp_path / 'film.srt').write_text('\n\n'.join(
      f'00:00:{10 * i + 1:02},000 --> 00:00:{10 * i + 4:02},000\n{text}'
      for i, text in enumerate(said) if text))
  (tmp_path / 'book.txt').write_text(
      'It was spring. A big dog runs over the grass.\n\nNobody was there. Two men came on a horse. '
      'They sang.\n\nBefore them was the sea & the <sky>.\n\n"Good night," he said.')
  return tmp_path


def test_a_film_and_its_book_become_a_page(folder):
  story, shots = read_story(folder / 'film', folder / 'film.srt', folder / 'book.txt', 4.)
  assert shots.begins.tolist() == [0, 10, 20, 30, 40] and story.subtitles[1] == ''
  tensor = similarities(story)
  scores = scores_of(tensor, channels(), None)
  found = np.array([1, NOWHERE, 3, 5, 6])
  assert [scores[i].argmax() for i in (0, 2, 3, 4)] == found[[0, 2, 3, 4]].tolist()
  made = matches(story, shots.begins, tensor, channels(), found, np.full(5, .75))
  assert made[1].paragraph == () and made[2].sentence == 1 and len(made[2].paragraph) == 3
  assert made[2].thought['tfidf'][1] == 1                # the first of seven
  text = page('A & B', ['five shots'], np.zeros((4, 4, 3), np.uint8), made, 7)
  assert '<b>Two men came on a horse.</b> They sang.' in text
  assert text.count('data:image/') == 6 and 'rank 1 of 7' in text and '75%' in text
  assert 'the sea &amp; the &lt;sky&gt;' in text and 'A &amp; B' in text
  assert not re.search(r'<script|https?://|<link', text)


def test_a_run_says_how_its_own_measures_are_weighed():
  names = channels()
  task = Align(ContextCNN(widths=(4,), size=(3, 3)), names, 3, Steps())
  tensor = RNG.random((8, 20, 7), np.float32)
  variables = jax.tree.map(lambda p: p + .1, jax.jit(task.init)(
      jax.random.key(0), dict(image=tensor[None])))
  run = Run(Path('run'), config(task=dict(name='align', model=dict(name='context_cnn'))), task,
            variables, {}, 0, None)
  found = scores_of(tensor, names, run)
  expected = task.model.apply(variables, task.seen(dict(image=tensor[None])))[0, ..., 0]
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
  with pytest.raises(ConfigError, match='has learnt from .*, likelihood, and it is align by '
                                        'context_cnn from bleu_1, .*; see --seen'):
    scores_of(RNG.random((8, 20, 8)), (*names, 'likelihood'), run)


def test_stills_without_times_are_in_the_order_of_their_numbers(folder):
  for i, path in enumerate(sorted((folder / 'film').iterdir())):
    path.rename(path.with_name(f'{12 - i}.png'))
  shots = read_shots(folder / 'film', every=2.)
  assert shots.begins.tolist() == [0, 2, 4, 6, 8]
  assert shots.stills[:, 64, 64, 0].tolist() == [200, 150, 100, 50, 0]


def test_a_film_file_is_cut_into_shots_whose_stills_are_from_the_middle(tmp_path):
  path = film_file(tmp_path / 'film.mp4', [10] * 20 + [120] * 20 + [220] * 8)  # a tenth of a second
  shots = read_shots(path, every=2.)
  assert shots.begins.tolist() == [0, 2, 4] and shots.stills.shape == (3, 128, 128, 3)
  np.testing.assert_allclose(shots.stills[:, 64, 64, 0], [10, 120, 220], atol=6)


@pytest.mark.parametrize('name, said', [
    ('nothing.mp4', 'there is no such film'), ('book.txt', 'no film; expected a film file'),
    ('broken.mp4', 'cannot be read as a film')])
def test_films_that_are_none(folder, name, said):
  (folder / 'broken.mp4').write_bytes(b'no')
  with pytest.raises(ConfigError, match=said):
    read_shots(folder / name)


def test_the_command_writes_a_page_and_holds_it_against_annotations(folder):
  lines = {0: 0, 20: 1, 30: 2, 40: 0}                    # the last is none that may be found
  (folder / 'qa.json').write_text(json.dumps([
      dict(imdb_key='tt1', plot_alignment=[line],
           video_clips=[f'tt1.sf-{25 * begin:06}.ef-{25 * begin + 100:06}.video.mp4'])
      for begin, line in lines.items()]))
  words = ['film.srt', 'film', 'book.txt', '--truth=qa.json', '--rate=25', '--output=page.html']
  command = [sys.executable, '-m', 'visionlab.align']
  done = subprocess.run(command + words, cwd=folder, capture_output=True, text=True)
  assert done.returncode == 0, done.stderr
  assert '5 shots, 7 sentences in 4 paragraphs' in done.stdout
  assert 'qa.json: 3 of 4 shots are with a paragraph that is right' in done.stdout
  assert (folder / 'page.html').read_text().count('class="shot"') == 5
  done = subprocess.run(command + words[:2], cwd=folder, capture_output=True, text=True)
  assert done.returncode == 2 and 'book: none' in done.stderr and 'Traceback' not in done.stderr


def test_the_command_asks_the_run_that_a_run_has_learnt_from(folder):
  thoughts, learnt = (part.get_config('smoke') for part in (docs_quick_thoughts, stories_align))
  learnt.data.runs = (str(folder / 'thoughts'),)
  for name, own in dict(thoughts=thoughts, cnn=learnt).items():
    own.evals, own.parallel = {}, dict(devices=1)
    train(own, folder / name)
  command = [sys.executable, '-m', 'visionlab.align', 'film.srt', 'film', 'book.txt',
             '--output=page.html', '--workdir=cnn']
  done, refused = (subprocess.run([*command, *more], cwd=folder, capture_output=True, text=True)
                   for more in (['--seen=thoughts'], []))
  assert done.returncode == 0, done.stderr
  assert 'shots are told, by cnn (step 10), with the chain' in done.stdout
  text = (folder / 'page.html').read_text()
  assert text.count('class="shot"') == 5 and 'thoughts' in text
  assert refused.returncode == 2 and 'Traceback' not in refused.stderr
  assert 'from bleu_1, bleu_2, bleu_3, bleu_4, bleu_5, tfidf, time, thoughts; see --seen' in (
      refused.stderr)
