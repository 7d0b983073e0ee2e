"""What vectors of sentences know beside a bag of words; scenes and sentences in one space.

python -m experiments.sentences [probes expansion match perplexity] [--folder=runs/sentences]
python -m experiments.sentences captions --captions=<Flickr8k.token.txt and its lists>
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import visionlab
from configs import docs_quick_thoughts, docs_skip_thoughts, scenes_match
from experiments import study
from experiments.sentences.cooccurrence import word_vectors
from experiments.sentences.flickr8k import as_text, same_image
from experiments.sentences.probes import TASKS, bag_of_words, features
from visionlab.config import ConfigError
from visionlab.data.pipeline import eval_batches, open_sources
from visionlab.data.sources.docstrings import PACKAGES, documents
from visionlab.data.text.vocabulary import PAD
from visionlab.evaluate import measure
from visionlab.figures import charts
from visionlab.figures.sentences import nearest
from visionlab.measures.linear_probe import linear_probe
from visionlab.measures.retrieval import of_ranks, ranks_by_cosine, unit_rows
from visionlab.metrics import Ratio
from visionlab.runs.expansion import expand, linear_map
from visionlab.tasks.caption_losses import log_likelihoods

MANY = 4000, 2000               # sentences, or pairs, that a probe is fitted to, and tested on
BATCH = 50
KINDS = {'quick thoughts': docs_quick_thoughts, 'skip-thoughts': docs_skip_thoughts}
RECALL = {f'R@{k}, %': f'recall_at_{k}' for k in (1, 5, 10)}


def thoughts(given, folder, kind=''):
  """The runs of --kind, over their seeds."""
  kind = kind or given.kind
  return runs_of(kind.replace(' ', '_'), config_of(given, kind), given, folder)


def config_of(given, kind):
  return KINDS[kind].get_config('smoke' if given.quick else given.encoder)


def runs_of(name, config, given, folder):
  steps = study.steps_of(given)
  made = study.run({f'{name}/{seed}': study.changed(config, seed=seed, data_seed=seed, **steps)
                    for seed in range(given.seeds)}, folder)
  return [visionlab.load(path) for path in made.values()]


def probes(given, folder):
  """Accuracy of logistic regression on docstrings, in per cent."""
  runs = thoughts(given, folder)
  packages = runs[0].config.data.get('packages', PACKAGES)
  # Sentences that no network has learnt from: their vectors are what those of others are.
  rows = [compared(given, name, runs, [
      make(split, packages, n, np.random.default_rng(7))
      for split, n in zip(('validation', 'test'), many(given), strict=True)])
          for name, make in TASKS.items() if name != 'package' or len(packages) > 1]
  if given.figure:
    said = [text for _, own in documents('test', packages) for text in own][::2]
    charts.save(nearest(said, runs[0].embed(said)), given.figure)
    study.picture(given.figure, given.figure)
    print(given.figure)
  return rows


def captions(given, folder):
  """The same on Flickr8k's captions, of networks that have learnt from those."""
  if not given.captions:
    raise ConfigError('--captions: name the folder with Flickr8k.token.txt and its lists of images')
  config = config_of(given, given.kind)
  data = dict(name='text', root=str(as_text(given.captions, folder / 'flickr8k')),
              files='{split}.txt', length=18, words=config.data.words)
  runs = runs_of('captions', study.changed(config, data=data, evals={}), given, folder)
  tasks = [same_image(given.captions, split, n, np.random.default_rng(7))
           for split, n in zip(('validation', 'test'), many(given), strict=True)]
  return [compared(given, 'same image', runs, tasks)]


def many(given):
  return (90, 60) if given.quick else MANY


def compared(given, name, runs, tasks):
  """A row of a task's accuracies, fitted to the first of two and tested on the other."""
  fitted, tested = tasks
  texts = sum(fitted.texts, [])
  kinds = {'bag of words': [bag_of_words(texts, False)],
           'bag of words, tf-idf': [bag_of_words(texts, True)],
           'untrained': [fresh(run).embed for run in runs],
           given.kind: [run.embed for run in runs]}
  most = np.unique(tested.labels, return_counts=True)[1].max() / len(tested.labels)

  def right(vectors):
    return linear_probe(features(fitted, vectors), fitted.labels,
                        features(tested, vectors), tested.labels, groups=fitted.groups)
  return {'task': name, 'fitted / tested': f'{len(fitted.labels):,} / {len(tested.labels):,}',
          'the commonest': study.spread([most], 1)} | {
      kind: study.spread(list(map(right, own)), 1) for kind, own in kinds.items()}


def perplexity(given, folder):
  """Perplexity of the words of both neighbours on the test split, by what they are told from."""
  rows = []
  for run in thoughts(given, folder, 'skip-thoughts'):
    train, test = (open_sources(run.config.data.to_dict(), split) for split in ('train', 'test'))
    counts = np.bincount(train.arrays['tokens'][:, 1:].ravel(), minlength=len(train.info.words))
    counts[PAD] = 0
    shares = (counts + 1) / (counts + 1).sum()
    words = test[np.arange(len(test))]['sentence']['tokens'][:, ::2, 1:]
    logs = np.log(shares[words])[words != PAD]

    @jax.jit
    def told(batch, turn, run=run):
      model, sentence = run.task.model.bind(run.variables), batch['sentence']
      thought = jnp.roll(run.task.embed(run.variables, sentence), turn, 0)
      found = Ratio(0., 0.)
      for i in (0, 1):
        tokens, valid = (sentence[k][:, 2 * i] for k in ('tokens', 'valid'))
        said = log_likelihoods(model.tell(thought, tokens[:, :-1], i), tokens[:, 1:])
        found += Ratio.of(said, valid[:, 1:] & batch['valid'][:, None])
      return found
    own, other = (sum((told(batch, turn) for batch in eval_batches(test, BATCH, 0)), Ratio(0., 0.))
                  for turn in (0, BATCH // 2))          # beside it are its neighbours
    rows += [{'told from': name, 'perplexity': f'{np.exp(-log):.1f}'} for name, log in {
        'frequencies of words': logs.mean(), 'the words before, and another sentence': other.value,
        'the words before, and the sentence between them': own.value}.items()]
  return rows


def fresh(run):
  """The run with weights that have learnt nothing."""
  example = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), run.facts.example)
  return dataclasses.replace(run, variables=jax.jit(run.task.init)(jax.random.key(1), example))


def expansion(given, folder):
  """Where the word itself is among all that the run knows, by the cosine of what its vector in
  another space is mapped to: words that the map is fitted to, and others."""
  rows = []
  for run in thoughts(given, folder):
    packages = run.config.data.get('packages', PACKAGES)
    texts = [text for _, own in documents('train', packages) for text in own]
    vectors = word_vectors(texts, *((8, 4, 3) if given.quick else ()))
    known = {word: i for i, word in enumerate(run.task.vocabulary.words)}
    common = [i for i, word in enumerate(vectors.words) if word in known]
    common = np.random.default_rng(7).permutation(common)
    token = np.array([known[vectors.words[i]] for i in common])
    table, held = np.asarray(run.variables['params']['table']), len(common) // 5
    mapped = vectors.vectors[common] @ linear_map(vectors.vectors[common[held:]],
                                                  table[token[held:]])
    rank = ranks_by_cosine(mapped, table, token[:, None] == np.arange(len(table)))
    rows += [{'words': f'{name}, {len(own):,} of {len(table):,}',
              'median rank': f'{np.median(own):.0f}', **recall(of_ranks(own))}
             for name, own in (('fitted', rank[held:]), ('others', rank[:held]))]
    print(new_words(run, vectors))
  return rows


def new_words(run, vectors, shown=8):
  """Some words that the run did not know, and those it knows that are nearest after `expand`."""
  wide = expand(run, vectors)
  table, old = wide.variables['params']['table'], len(run.task.vocabulary)
  unit, lines = unit_rows(table), []
  for i in np.linspace(old, len(table) - 1, min(shown, len(table) - old), dtype=int):
    best = np.argsort(-unit[:old] @ unit[i])[:4]
    lines.append(f'{wide.task.vocabulary.words[i]}: '
                 + ', '.join(wide.task.vocabulary.words[j] for j in best))
  return '\n'.join(lines)


def recall(scores, of=''):
  return {title: f'{100 * scores[f"{of}{name}"]:.1f}' for title, name in RECALL.items()}


def match(given, folder):
  """Scenes of the test split and what is said of them, by cosines; chance: by random vectors."""
  config, rows = scenes_match.get_config('smoke' if given.quick else ''), []
  runs = runs_of('match', config, given, folder)
  source = open_sources(config.evals.test.data.to_dict(), 'test')
  for run in runs:
    rows.append(measure([run], source)[0])
  rng = np.random.default_rng(7)
  evaluator, = runs[0].task.evaluators().values()
  caption = source[np.arange(len(source))]['caption']['tokens']
  chance = evaluator.finish(dict(embedding=rng.normal(size=(len(source), 64)), tokens=caption,
                                 sentences=rng.normal(size=(*caption.shape[:2], 64))))
  return [{'finds': f'{kind} by {other}', 'vectors': name, **recall(own, f'{kind}_'),
           'median rank': f'{own[f"{kind}_median_rank"]:.0f}'}
          for kind, other in (('sentence', 'image'), ('image', 'sentence'))
          for name, own in (('random', chance), *(('learnt', own) for own in rows))]


PARTS = dict(probes=probes, expansion=expansion, match=match, perplexity=perplexity,
             captions=captions)
EMBEDDED = tuple(PARTS)[:-1]


def main(argv=None):
  options = study.parser('sentences', __doc__, seeds=1)
  options.add_argument('--steps', type=int, help='updates of each run; default: the configs\'')
  options.add_argument('--kind', choices=KINDS, default='quick thoughts',
                       help='whose vectors are probed and expanded; %(default)s')
  options.add_argument('--encoder', default='', help='variant of the config, such as uni')
  options.add_argument('--captions', type=Path, help='of the part `captions`: the folder with '
                       'Flickr8k.token.txt and Flickr_8k.*Images.txt')
  study.add_parts(options, PARTS, EMBEDDED)
  given = study.parse(options, argv, __file__)
  return study.run_parts(PARTS, given)


if __name__ == '__main__':
  study.start(main)
