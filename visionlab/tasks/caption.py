"""Image captioning: sentences, learnt word by word and measured as they are freely decoded."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError
from visionlab.data.scenes.captions import caption_facts
from visionlab.data.scenes.truth import judge
from visionlab.data.source import Info
from visionlab.data.text.caption_rows import texts
from visionlab.data.text.vocabulary import END, START, Vocabulary, join, tokenise
from visionlab.figures import captions as caption_figures
from visionlab.measures import captions as caption_metrics
from visionlab.measures.retrieval import recall
from visionlab.metrics import Ratio
from visionlab.models.captioner import repeated
from visionlab.ops import decoding
from visionlab.ops.image import Standardise
from visionlab.ops.scheduled_sampling import scheduled
from visionlab.task import Aux, Evaluator
from visionlab.tasks.caption_losses import coverage, detection, log_likelihoods, some_captions
from visionlab.tasks.decoder import Decoder
from visionlab.tasks.forward import forward
from visionlab.tasks.own_loss import OwnLoss, hyperparameters_of, own_loss


@dataclasses.dataclass(frozen=True)
class Caption:
  """batch: `image` (b h w c), `caption` as `visionlab.data.text.caption_rows` has it, `valid` (b,);
  of scenes also `objects`, for `truth`.

  predict: best first, `tokens` (b beams t), 0 after the end, their `log_probabilities` and
  `lengths` (b beams); with attention `alpha` (b t h w), the weights of the image's places at each
  token of the best.
  """
  model: Any
  vocabulary: Vocabulary
  length: int
  decoder: Decoder
  drawn: int
  scheduled_sampling: bool
  retrieval: int | bool
  scenes: tuple[tuple[str, ...], tuple[float, float]] | None
  preprocess: Standardise
  own: OwnLoss | None = None

  @property
  def attention(self) -> bool:
    return bool(self.model.attention)

  def hyperparameters(self):
    return hyperparameters_of([self.own], {
        **(dict(sampling_rate=.25) if self.scheduled_sampling else {}),
        **(dict(coverage_weight=0.) if self.attention else {}),
        **(dict(detection_weight=1.) if self.model.detected else {})})

  def init(self, key, batch):
    return self.model.init(key, self.preprocess(batch['image']), train=False)

  def loss(self, variables, batch, key, hp, *, train):
    draw, sample, drop = jax.random.split(key, 3)
    memory, collections = self.encode(variables, batch, drop, train=train)
    caption = {k: batch['caption'][k] for k in ('tokens', 'valid')}
    if train and self.drawn:
      caption = some_captions(draw, caption, self.drawn)
    tokens, valid = (x.reshape(-1, x.shape[-1]) for x in caption.values())
    given, wanted = tokens[:, :-1], tokens[:, 1:]
    counted = valid[:, 1:] & jnp.repeat(batch['valid'], len(tokens) // len(batch['valid']))[:, None]

    if train and self.scheduled_sampling:
      state = self.start(variables, memory, len(tokens))
      given = scheduled(sample, self.stepper(variables, memory), state, given,
                        hp['sampling_rate'] * hp['progress'])
    taught = self.teach(variables, memory, given, drop if train else None)
    words = Ratio.of(-log_likelihoods(taught.logits, wanted), counted)
    terms, watched = {'cross_entropy': words}, {}
    if self.own:
      losses = self.own(jnp.where(counted[..., None], taught.logits, 0), wanted, hp, wanted.shape)
      terms, watched = {self.own.term: Ratio.of(losses, counted)}, {'word_cross_entropy': words}
    if self.attention:
      terms['coverage'] = coverage(taught.alpha, counted)
    if self.model.detected:
      terms['detection'] = detection(memory['absent'], batch['caption']['tokens'], batch['valid'])
    right = Ratio.of(taught.logits.argmax(-1) == wanted, counted)
    return terms, Aux(collections, watched | {'word_accuracy': right})

  def encode(self, variables, batch, key=None, *, train=False):
    """What the model remembers of the images, and the collections after this batch."""
    return forward(self.model, variables, self.preprocess(batch['image']), key, train=train,
                   method=type(self.model).encode)

  def teach(self, variables, memory, tokens, key=None):
    """The model's logits of what follows each token (n t); with a key in training."""
    rngs = None if key is None else {'dropout': jax.random.fold_in(key, 1)}
    return self.model.apply(variables, memory, tokens, train=key is not None, rngs=rngs,
                            method='teach')

  def start(self, variables, memory, rows: int):
    """The model's state before the first token, for rows of which each image has as many."""
    state = self.model.apply(variables, memory, method='start')
    return repeated(state, rows)

  def stepper(self, variables, memory) -> decoding.Step:
    return lambda state, token: self.model.apply(variables, memory, state, token, method='step')

  def decode(self, variables, memory, images) -> decoding.Decoded:
    """What is said of images, (b beams ...), best first."""
    return self.decoder(self.stepper(variables, memory),
                        self.start(variables, memory, len(images)), images, self.length)

  def predict(self, variables, batch):
    memory, _ = self.encode(variables, batch)
    decoded = self.decode(variables, memory, batch['image'])
    predictions = decoded._asdict()
    if self.attention:
      best = decoded.tokens[:, 0]
      given = jnp.concatenate([jnp.full_like(best[:, :1], START), best[:, :-1]], axis=1)
      predictions['alpha'] = self.teach(variables, memory, given).alpha
    return predictions

  def found(self, variables, batch):
    """`tokens` (b t): the best caption of each image."""
    return dict(tokens=self.predict(variables, batch)['tokens'][:, 0])

  def answer(self, variables, batch, given=None):
    """`log_likelihoods` (b t) of the words `given['tokens']` (b t), 0 after the sentence's end."""
    tokens = (given or self.found(variables, batch))['tokens']
    memory, _ = self.encode(variables, batch)
    before = jnp.concatenate([jnp.full_like(tokens[:, :1], START), tokens[:, :-1]], axis=1)
    said = log_likelihoods(self.teach(variables, memory, before).logits, tokens)
    ended = jnp.cumsum(tokens == END, axis=1) - (tokens == END) > 0
    return dict(log_likelihoods=jnp.where(ended | (tokens == 0), 0, said))

  def sentence(self, tokens) -> str:
    """One row of tokens as a sentence for people."""
    return _joined(self.vocabulary.decode(tokens))

  def sentences(self, predictions: Mapping, i: int) -> list[tuple[str, float]]:
    """All that was said of image i, with its log-probabilities, best first."""
    return [(self.sentence(tokens), float(p)) for tokens, p in zip(
        predictions['tokens'][i], predictions['log_probabilities'][i], strict=True) if p > -np.inf]

  def describe(self, predictions, top: int) -> list[str]:
    """What `predict` gave, a line for each image: its captions and their log-probabilities."""
    return ['  '.join(f'{text} ({p:.2f})' for text, p in self.sentences(predictions, i)[:top])
            for i in range(len(predictions['tokens']))]

  def picture(self, images, predictions, captions, title) -> np.ndarray:
    """Images with all that `predict` said of them; `captions` begin with the names of the files."""
    cards = [caption_figures.Card(image, self.sentences(predictions, i),
                                  note=captions[i].split('\n')[0])
             for i, image in enumerate(images)]
    return caption_figures.sheet(cards, title)

  def evaluators(self):
    evaluators = {'words': Evaluator(self._count_words, self._finish_words),
                  'captions': Evaluator(self._collect, self._finish_captions, kind='collect')}
    if self.retrieval:
      evaluators['retrieval'] = Evaluator(self._compare, self._finish_retrieval, kind='collect')
    return evaluators

  def figures(self, batch, predictions, results):
    cards = []
    for i, image in enumerate(batch['image'][:12]):
      best = self.vocabulary.decode(predictions['tokens'][i, 0])
      true = texts(batch['caption']['text'][i])
      right = self.truth(best, {k: v[i] for k, v in batch['objects'].items()},
                         image.shape[0])['true'] if self.scenes else None
      cards.append(caption_figures.Card(image, self.sentences(predictions, i), true, right))
    pictures = {'samples': caption_figures.sheet(cards, 'Captions')}
    if self.attention:
      rows = []             # of some of the longest, whose words look at several places
      for i in np.argsort(-predictions['lengths'][:40, 0], kind='stable')[:6]:
        words = self.vocabulary.decode(predictions['tokens'][i, 0]).split()
        rows.append((batch['image'][i], words, predictions['alpha'][i, :len(words)]))
      pictures['attention'] = caption_figures.attention(rows, 'Where each word looked')
    return pictures

  def truth(self, text: str, objects: Mapping, size: int) -> dict[str, bool]:
    """What is right of a caption of a scene: see `visionlab.data.scenes.truth.judge`."""
    classes, scale = self.scenes
    return judge(_joined(text), caption_facts(objects, size, scale, classes), classes)

  def _count_words(self, variables, batch, hp):
    terms, aux = self.loss(variables, batch, jax.random.key(0), hp, train=False)
    return aux.metrics['word_cross_entropy'] if self.own else terms['cross_entropy']

  def _finish_words(self, stats):
    return dict(perplexity=float(np.exp(stats.value)))

  def _collect(self, variables, batch, hp):
    memory, _ = self.encode(variables, batch)
    rows = dict(tokens=self.decode(variables, memory, batch['image']).tokens[:, 0],
                text=batch['caption']['text'])
    if self.scenes:
      rows['objects'] = {k: batch['objects'][k] for k in ('boxes', 'classes', 'valid')}
      rows['size'] = jnp.full(len(rows['tokens']), batch['image'].shape[1])
    return rows

  def _finish_captions(self, stats):
    decoded = [self.vocabulary.decode(tokens) for tokens in stats['tokens']]
    plain = [_plain(text) for text in decoded]
    true = [[_plain(text) for text in texts(rows)] for rows in stats['text']]
    results = caption_metrics.scores(plain, true)
    results['exact_match'] = float(np.mean([a in b for a, b in zip(plain, true, strict=True)]))
    results['different'] = len(set(plain)) / len(plain)
    if self.scenes:
      judged = [self.truth(text, {k: v[i] for k, v in stats['objects'].items()}, stats['size'][i])
                for i, text in enumerate(decoded)]
      results |= {'true' if part == 'true' else f'right_{part}':
                  float(np.mean([one[part] for one in judged])) for part in judged[0]}
    return results

  def _compare(self, variables, batch, hp):
    """Log-likelihoods of all captions of a group of n images given each of these."""
    memory, _ = self.encode(variables, batch)
    tokens, valid = (batch['caption'][k] for k in ('tokens', 'valid'))
    b, r, t = tokens.shape
    n = b if self.retrieval is True else self.retrieval
    if b % n:
      raise ConfigError(f'config.task.retrieval: {n} images are compared with one another, and the '
                        f'batch of an evaluation, {b}, is not a multiple of that')

    def within(group):
      memory, tokens, counted = group
      tokens, counted = tokens.reshape(n * r, t), counted.reshape(n * r, t)

      def given(one):
        logits = self.teach(variables, jax.tree.map(lambda x: x[None], one), tokens[:, :-1]).logits
        log_p = jnp.where(counted[:, 1:], log_likelihoods(logits, tokens[:, 1:]), 0)
        return jnp.where(counted[:, 0], log_p.sum(-1), -jnp.inf)
      return jax.lax.map(given, memory)
    counted = valid & batch['valid'][:, None, None]
    groups = jax.tree.map(lambda x: x.reshape(b // n, n, *x.shape[1:]), (memory, tokens, counted))
    scores = jax.lax.map(within, groups)                      # (groups, images, captions)
    images = jnp.where(batch['valid'].reshape(-1, n, 1), scores, -jnp.inf)
    return dict(captions=scores.reshape(b, n * r), images=images.swapaxes(1, 2).reshape(b, r, n),
                valid=valid[..., 0], index=jnp.arange(b) % n)

  def _finish_retrieval(self, stats):
    index, valid, n = stats['index'], stats['valid'], stats['images'].shape[-1]
    r = valid.shape[1]
    by_image = np.repeat(np.arange(n), r) == index[:, None]
    by_caption = (np.arange(n) == index[:, None])[:, None].repeat(r, 1)
    scores = dict(caption=recall(stats['captions'], by_image),
                  image=recall(stats['images'][valid], by_caption[valid]))
    return {f'{kind}_{name}': v for kind, values in scores.items() for name, v in values.items()}


def _plain(text: str) -> str:
  """As metrics take it."""
  return ' '.join(tokenise(text, punctuation=False))


def _joined(text: str) -> str:
  return join(text.split())


def caption(*, make_model, info: Info, example: Mapping, decode: str = 'beam',
            beams: int = 1, length_penalty: float = 0., penalty: str = 'wu',
            temperature: float = 1., top_k: int = 0, top_p: float = 1., seed: int = 0,
            captions: int = 0, scheduled_sampling: bool = False, loss: str = 'cross_entropy',
            retrieval: int | bool = 0,
            mean: tuple = (), std: tuple = (), channel_order: str = 'RGB') -> Caption:
  """Sentences about an image, word by word.

  Args:
    decode, beams, length_penalty, penalty, temperature, top_k, top_p, seed: how sentences are
      found, and how many; see `visionlab.tasks.decoder.Decoder`.
    captions: of each image, drawn anew at each step of training; 0: all.
    scheduled_sampling: whether the model is also given its own words in training, each with
      probability hp.sampling_rate times the part of training done.
    loss: 'cross_entropy' of each word, or one's own, 'package.module:function' of logits (n t v)
      and words (n t), by their numbers in the vocabulary, that gives losses (n t); its floats are
      hp's. Perplexity stays what it is.
    retrieval: how many images, one after another in the split, are to be compared: how well their
      captions find them by likelihood, and they their captions. Each image costs so many times its
      captions. The evaluation's batch must be a multiple of it, and changes nothing. True: all of a
      batch, whatever that is; 0: none.
    mean, std, channel_order: what is done to images before the network sees them, see
      `visionlab.ops.image.standardise`.
  """
  if not info.words or 'caption' not in example:
    raise ConfigError('config.task: caption needs a source with captions, but this one gives '
                      f'{", ".join(sorted(example))}')
  for name, value in dict(captions=captions, retrieval=retrieval).items():
    if value < 0:
      raise ConfigError(f'config.task.{name}: must be at least 0, not {value}')
  decoder = Decoder(decode, beams, length_penalty, penalty, temperature, top_k, top_p, seed)
  vocabulary = Vocabulary(info.words, info.punctuation)
  length = example['caption']['tokens'].shape[-1] - 1
  own = own_loss(loss, ('cross_entropy',), 'config.task.loss')
  scenes = (info.classes, info.scale) if info.scale and 'objects' in example else None
  return Caption(make_model(words=len(vocabulary)), vocabulary, length, decoder,
                 captions, scheduled_sampling, retrieval, scenes,
                 Standardise(mean, std, channel_order), own)
