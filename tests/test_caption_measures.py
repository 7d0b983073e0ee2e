"""BLEU, ROUGE-L and CIDEr-D against coco-caption's numbers; retrieval against counting."""

import json
from pathlib import Path

import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.measures.captions import bleu, cider_d, rouge_l, scores
from visionlab.measures.retrieval import ranks, recall

GOLDEN = json.loads((Path(__file__).parent / 'golden/captions.json').read_text(encoding='utf8'))
METRICS = dict(bleu=bleu, rouge_l=rouge_l, cider_d=cider_d)


@pytest.mark.parametrize('which', range(2), ids=('corpus', 'single image'))
@pytest.mark.parametrize('name', METRICS)
def test_equals_coco_caption(name, which):
  golden = GOLDEN['corpora'][which]
  score = METRICS[name](golden['candidates'], golden['references'])
  np.testing.assert_allclose(score.corpus, golden[name]['corpus'], rtol=1e-12, atol=1e-15)
  np.testing.assert_allclose(score.each, golden[name]['each'], rtol=1e-12, atol=1e-15)


def test_scores_are_named():
  golden = GOLDEN['corpora'][0]
  found = scores(golden['candidates'], golden['references'])
  assert list(found) == ['bleu_1', 'bleu_2', 'bleu_3', 'bleu_4', 'rouge_l', 'cider_d']
  assert found['bleu_4'] == pytest.approx(golden['bleu']['corpus'][3])
  assert found['cider_d'] == pytest.approx(golden['cider_d']['corpus'])


def test_a_reference_itself_scores_full_marks():
  references = [['a small dog runs fast'], ['two large cats sleep here'], ['one red bus stops now']]
  found = scores([refs[0] for refs in references], references)
  assert [round(v, 6) for v in found.values()] == [1, 1, 1, 1, 1, 10]
  shuffled = scores([refs[0] for refs in references[1:] + references[:1]], references)
  assert max(shuffled.values()) < 1e-6


def test_of_two_equally_near_lengths_bleu_takes_the_shorter():
  """Three words, references of two and of four: no brevity penalty."""
  assert bleu(['a b c'], [['a b', 'a b c d']]).corpus[0] == pytest.approx(1)
  assert bleu(['a b c'], [['a b c d']]).corpus[0] == pytest.approx(np.exp(1 - 4 / 3))


def test_clipped_precision_of_papineni():
  """Example 2 of the paper: 2 of 7 unigrams."""
  candidate = 'the the the the the the the'
  references = [['the cat is on the mat', 'there is a cat on the mat']]
  assert bleu([candidate], references).corpus[0] == pytest.approx(2 / 7)


def test_common_subsequence_by_the_table():
  rng = np.random.default_rng(0)
  for _ in range(50):
    a, b = (rng.integers(0, 4, rng.integers(1, 90)) for _ in range(2))
    table = np.zeros((len(a) + 1, len(b) + 1))
    for i, x in enumerate(a):
      for j, y in enumerate(b):
        table[i + 1, j + 1] = table[i, j] + 1 if x == y else max(table[i, j + 1], table[i + 1, j])
    text = [' '.join(map(str, words)) for words in (a, b)]
    precision, recall = table[-1, -1] / len(a), table[-1, -1] / len(b)
    expected = precision * recall and 2.44 / (1.44 / recall + 1 / precision)
    assert rouge_l(text[:1], [text[1:]]).corpus == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize('candidates, references, message', [
    ([], [], 'none to measure'),
    (['a'], [['a'], ['b']], '1 candidates, but references for 2 images'),
    (['a', 'b'], [['a'], []], 'image 1 has no reference'),
    (['a'], ['a dog'], 'image 0 has the string'),
])
def test_errors(candidates, references, message):
  for metric in (*METRICS.values(), scores):
    with pytest.raises(ConfigError, match=message):
      metric(candidates, references)


def test_ranks_by_counting():
  rng = np.random.default_rng(0)
  scores = rng.permutation(600).reshape(20, 30).astype(float)
  relevant = rng.random((20, 30)) < .1
  relevant[:, 3] = True
  expected = []
  for row, good in zip(scores, relevant, strict=True):
    order = np.argsort(-row)
    expected.append(1 + next(i for i, item in enumerate(order) if good[item]))
  assert ranks(scores, relevant).tolist() == expected
  found = recall(scores, relevant, at=(1, 5, 30))
  assert found == dict(recall_at_1=np.mean(np.array(expected) == 1),
                       recall_at_5=np.mean(np.array(expected) <= 5), recall_at_30=1.,
                       median_rank=np.median(expected))


@pytest.mark.parametrize('says_nothing', [0., np.nan, -np.inf])
def test_a_model_that_says_nothing_finds_nothing(says_nothing):
  assert ranks(np.full((4, 4), says_nothing)).tolist() == [4] * 4


def test_five_captions_an_image():
  """Captions find their image with `relevant`, images any of their captions with its transpose."""
  image = np.repeat(np.arange(3), 5)
  relevant = image[:, None] == np.arange(3)
  assert recall(relevant * 1., relevant)['recall_at_1'] == 1
  assert recall(relevant.T * 1., relevant.T)['recall_at_1'] == 1
  assert recall(relevant[::-1] * 1., relevant)['recall_at_1'] == pytest.approx(1 / 3)


@pytest.mark.parametrize('scores, relevant, message', [
    (np.ones((2, 3)), None, r'square matrix.*\(2, 3\)'),
    (np.ones((2, 3)), np.ones((3, 2)), 'relevant'),
    (np.ones((2, 2)), [[1, 0], [0, 0]], 'query 1 has no relevant'),
])
def test_retrieval_errors(scores, relevant, message):
  with pytest.raises(ConfigError, match=message):
    ranks(scores, relevant)
