"""Images, or clips, and sentences in one space, in which what belongs together lies together."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from visionlab.config import ConfigError, check_choice
from visionlab.data.source import Info
from visionlab.data.text.caption_rows import texts
from visionlab.data.text.vocabulary import Vocabulary
from visionlab.figures import captions as figures
from visionlab.measures.retrieval import of_ranks, ranks_by_cosine
from visionlab.metrics import Ratio
from visionlab.ops.image import Standardise
from visionlab.task import Aux, Evaluator
from visionlab.tasks.forward import forward
from visionlab.tasks.pair_losses import MINING, triplet
from visionlab.tasks.verify import unit


@dataclasses.dataclass(frozen=True)
class Match:
  """batch: `image` (b h w c), or of clips `video` (b t h w c); `caption` as
  `visionlab.data.text.caption_rows` has it, `valid` (b,).

  The loss ranks by cosines (Kiros et al. 2014, https://arxiv.org/abs/1411.2539, section 2.3): an
  image should be nearer, by `hp.margin`, to each of its sentences than to any other of the batch,
  the term `images`; and a sentence to its image than to any other, the term `sentences`. Of each
  the mean over all that violate it counts, or with mining 'hard' the worst (Faghri et al. 2018,
  https://arxiv.org/abs/1707.05612, eq. 6). What is to be told apart is all that is in a batch, over
  all devices, though not over microbatches; a sentence that is word for word one of an image's own
  is none of those. An evaluation has no loss, which would hang on its batches: it ranks all of a
  split.

  predict: `embedding` (b d), of unit length; where the batch has captions also theirs, `sentences`
  (b r d). Those of other sentences are `embed`'s.
  """
  model: Any
  vocabulary: Vocabulary
  length: int
  mining: str
  preprocess: Standardise
  kind: str = 'image'
  axis: str | None = None       # under pmap

  def hyperparameters(self):
    return dict(margin=.2)

  def init(self, key, batch):
    return self.model.init(key, self.preprocess(batch[self.kind]), batch['caption']['tokens'][:, 0])

  def see(self, variables, batch, key=None, *, train=False):
    """Of images (b d), and the collections after this batch."""
    out, collections = forward(self.model, variables, self.preprocess(batch[self.kind]), key,
                               train=train, method=type(self.model).see)
    return unit(out), collections

  def read(self, variables, tokens, valid):
    """Of sentences (n t): (n d)."""
    return unit(self.model.apply(variables, tokens, valid, method='read'))

  def read_all(self, variables, caption):
    """Of the captions (b r t) of images: (b r d)."""
    rows = (caption[k].reshape(-1, caption[k].shape[-1]) for k in ('tokens', 'valid'))
    return self.read(variables, *rows).reshape(*caption['tokens'].shape[:2], -1)

  def loss(self, variables, batch, key, hp, *, train):
    if not train:
      return {}, Aux({k: v for k, v in variables.items() if k != 'params'}, {})
    images, collections = self.see(variables, batch, key, train=True)
    sentences, tokens = self.read_all(variables, batch['caption']), batch['caption']['tokens']
    b = len(tokens)
    first = b * (lax.axis_index(self.axis) if self.axis else 0)
    own = dict(image=images, valid=batch['valid'], place=first + jnp.arange(b), tokens=tokens,
               there=batch['caption']['valid'][..., 0] & batch['valid'][:, None],
               sentence=sentences)
    every = jax.tree.map(lambda x: lax.all_gather(x, self.axis, tiled=True), own) if (
        self.axis) else own
    apart = 1 - own['image'] @ every['sentence'].reshape(-1, images.shape[-1]).T
    same, other = belonging(own, every)
    of_images = triplet(apart, same, other, hp['margin'], self.mining)
    apart = 1 - sentences.reshape(-1, images.shape[-1]) @ every['image'].T
    same, other = (x.T for x in belonging(every, own))
    of_sentences = triplet(apart, same, other, hp['margin'], self.mining)
    return dict(images=Ratio.of(*of_images), sentences=Ratio.of(*of_sentences)), Aux(
        collections, {})

  def embed(self, variables, sentence):
    """The vectors (b d) of sentences, as `visionlab.data.text.sentence_rows.alone` gives them."""
    return self.read(variables, sentence['tokens'][:, 1], sentence['valid'][:, 1])

  def predict(self, variables, batch):
    found = dict(embedding=self.see(variables, batch)[0])
    if 'caption' in batch:
      found['sentences'] = self.read_all(variables, batch['caption'])
    return found

  def describe(self, predictions, top: int) -> list[str]:
    """A line for each image."""
    return [f'a vector of {len(row)} numbers' for row in predictions['embedding']]

  def answer(self, variables, batch, given=None):
    """`outputs` (b d), the embeddings; and where `tokens` (b t) are given how `alike` (b 1) they
    are."""
    outputs, _ = self.see(variables, batch)
    if not given:
      return dict(outputs=outputs)
    other = self.read(variables, given['tokens'], given['tokens'] > 0)
    return dict(outputs=outputs, alike=(outputs * other).sum(-1, keepdims=True))

  def evaluators(self):
    return {'retrieval': Evaluator(self._collect, self._finish, kind='collect')}

  def _collect(self, variables, batch, hp):
    return dict(self.predict(variables, batch), tokens=batch['caption']['tokens'])

  def _finish(self, rows):
    """Ranks over the whole split: of an image's sentences, and of a sentence's images. What is said
    word for word of several images is one sentence, and all of these are right."""
    images, tokens = rows['embedding'], rows['tokens']
    of, which = np.nonzero(tokens[..., 0])
    _, first, text = np.unique(tokens[of, which], axis=0, return_index=True, return_inverse=True)
    sentences = rows['sentences'][of, which][first]
    right = np.zeros((len(images), len(sentences)), bool)
    right[of, text.reshape(-1)] = True
    ranks = dict(sentence=ranks_by_cosine(images, sentences, right),
                 image=ranks_by_cosine(sentences, images, right.T))
    return {f'{kind}_{name}': value for kind, rank in ranks.items()
            for name, value in of_ranks(rank).items()}

  def figures(self, batch, predictions, results):
    """Images with the sentences nearest to them, of all that are said of some of the split."""
    said = [texts(rows) for rows in batch['caption']['text']]
    there = batch['caption']['valid'][..., 0]
    pool, first = np.unique([text for own in said for text in own], return_index=True)
    vectors = predictions['sentences'][there][first]
    cards = []
    for i, image in enumerate(batch[self.kind][:12]):
      alike = vectors @ predictions['embedding'][i]
      best = np.argsort(-alike, kind='stable')[:3]
      cards.append(figures.Card(image[len(image) // 2] if self.kind == 'video' else image,
                                [(str(pool[j]), float(alike[j])) for j in best], said[i],
                                str(pool[best[0]]) in said[i]))
    return {'nearest': figures.sheet(cards, f'The nearest of {len(pool)} sentences')}


def belonging(images: Mapping, sentences: Mapping) -> tuple[jax.Array, jax.Array]:
  """Which of m sentences are of each of n images, (n m) bool, and which of others.

  Args:
    images: `valid`, `place` (n,), `tokens` (n r t) and `there` (n r) of their sentences.
    sentences: the same of the images that m / r sentences each are of.
  """
  r = sentences['there'].shape[1]
  owner, there = jnp.repeat(sentences['place'], r), sentences['there'].reshape(-1)
  both = images['valid'][:, None] & there
  same = images['place'][:, None] == owner
  said = sentences['tokens'].reshape(len(there), -1)
  alike = ((images['tokens'][:, :, None] == said).all(-1) & images['there'][:, :, None]).any(1)
  return same & both, ~same & ~alike & both


def match(*, make_model: Callable, info: Info, example: Mapping, mining: str = 'all',
          mean: tuple = (), std: tuple = (), channel_order: str = 'RGB',
          axis: str | None = None) -> Match:
  """Images, or clips, and sentences in one space: each finds the other by its cosine.

  Args:
    mining: 'all' that are nearer than what belongs, or the 'hard'est of each batch.
    mean, std, channel_order: what is done to images before the network sees them, see
      `visionlab.ops.image.standardise`.

  Raises:
    ConfigError: a source without captions.
  """
  check_choice(mining, MINING, 'config.task.mining')
  if not info.words or 'caption' not in example:
    raise ConfigError('config.task: match needs a source with captions, but this one gives '
                      f'{", ".join(sorted(example))}')
  vocabulary = Vocabulary(info.words, info.punctuation)
  return Match(make_model(words=len(vocabulary)), vocabulary,
               example['caption']['tokens'].shape[-1], mining,
               Standardise(mean, std, channel_order), 'video' if 'video' in example else 'image',
               axis)
