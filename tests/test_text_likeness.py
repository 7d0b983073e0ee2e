"""BLEU and tf-idf of all pairs: as for one pair, as scikit-learn's, and by hand."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from visionlab.measures.captions import bleu
from visionlab.measures.text_likeness import bleu_of_pairs, tfidf_cosines


@pytest.fixture(scope='module')
def texts():
  rng = np.random.default_rng(0)
  words = ['a', 'cat', 'dog', 'sat', 'on', 'the', 'mat', 'and']
  return [[' '.join(rng.choice(words, n)) for n in rng.integers(1, 12, size)]
          for size in (12, 17)]


def test_bleu_is_that_of_each_pair(texts):
  found = bleu_of_pairs(*texts)
  assert found.shape == (12, 17, 5)
  for i, candidate in enumerate(texts[0]):
    expected = bleu([candidate] * 17, [[text] for text in texts[1]]).each
    np.testing.assert_allclose(found[i, :, :4], expected, rtol=1e-5, atol=1e-9)


def test_bleu_of_five_grams_by_hand():
  """Of 7, 6, 5, 4, 3 n-grams of the candidate 7, 5, 3, 2, 1 are in the reference, one word longer.
  """
  found = bleu_of_pairs(['a b c d e g f'], ['a b c d e f g h'])[0, 0]
  brevity = np.exp(1 - 8 / 7)
  precision = np.cumprod([7 / 7, 4 / 6, 3 / 5, 2 / 4, 1 / 3])
  np.testing.assert_allclose(found, brevity * precision ** (1 / np.arange(1, 6)), rtol=1e-5)


def test_words_count_no_oftener_than_in_both():
  assert bleu_of_pairs(['the the the'], ['the cat the'])[0, 0, 0] == pytest.approx(2 / 3)


def test_cosines_are_scikit_learns(texts):
  own, theirs = texts
  vectors = TfidfVectorizer(token_pattern=r'\S+').fit([*own, *theirs])
  expected = (vectors.transform(own) @ vectors.transform(theirs).T).toarray()
  np.testing.assert_allclose(tfidf_cosines(own, theirs), expected, atol=1e-6)


def test_texts_without_words_are_like_nothing():
  for measure in bleu_of_pairs, tfidf_cosines:
    found = measure(['', '...', 'a cat'], ['a cat', ''])
    assert found[:2].max() == 0 == found[2, 1].max() and found[2, 0].max() == pytest.approx(1)
  assert bleu_of_pairs([''], ['']).tolist() == [[[0] * 5]]
