"""Domain adaptation without labels of the target: the table of DANN's paper beside ours.

python -m experiments.dann [--folder=runs/dann]
python -m experiments.dann --task=mnist --root=<folder with MNIST and mnist_m*.npz> --steps=12000
python -m experiments.dann candidates selection
"""

import numpy as np

import visionlab
from experiments import study
from experiments.dann import domain_figures, runs
from experiments.dann.choose import candidates, selection
from visionlab.data.pipeline import open_sources
from visionlab.figures import charts
from visionlab.ops.alignment import subspace_alignment

# Ganin et al. 2016, table 2, from MNIST to MNIST-M.
PAPER = {'source only': 52.25, 'subspace alignment': 56.90, 'DANN': 76.66, 'train on target': 95.96}
SHOWN = 400                     # of each domain's test images, on the maps
COMPONENTS = 80                 # of the subspaces


def methods(given, folder):
  """Accuracy on the target's test split; target labels are used by the last row alone."""
  made = {name: runs.trained(given, folder, name)
          for name, method in runs.METHODS.items() if method in given.methods}
  found = {name: (runs.accuracies(paths, 'source'), runs.accuracies(paths))
           for name, paths in made.items()}
  aligned = [aligned_accuracies(visionlab.load(path)) for path in made['source only'].values()]
  found['subspace alignment'] = tuple(np.array(aligned).T)
  if given.figure:
    study.draw(given.figure, curves(made))
    maps(made, given.figure.with_name('tsne.png'))
  return [{'method': name, 'runs': len(found[name][1]),
           'source, %': study.spread(found[name][0], 1),
           'target, %': study.spread(found[name][1], 1),
           'paper (MNIST to MNIST-M), %': PAPER.get(name, '-')}
          for name in order_of(found)]


def order_of(found):
  """The table's: subspace alignment after the network whose features it aligns."""
  rest = [name for name in runs.METHODS if name in found]
  return [rest[0], 'subspace alignment', *rest[1:]]


def aligned_accuracies(run):
  """Of a linear classifier learnt on the source's features, turned into the target's subspace:
  on both test splits."""
  from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
  known, shift = examples(run, 'source', 'train'), examples(run, 'target', 'train')
  tests = {domain: examples(run, domain, 'test') for domain in ('source', 'target')}
  features = {name: domain_figures.representations(run, batch['image'])
              for name, batch in dict(known=known, shift=shift, **tests).items()}
  scale = features['known'].std(0) + 1e-3
  source = np.concatenate([features['known'], features['source']]) / scale
  target = np.concatenate([features['shift'], features['target']]) / scale
  components = min(COMPONENTS, source.shape[1], len(source), len(target))
  source, target = map(np.asarray, subspace_alignment(source, target, components))
  n = len(known['label'])
  scale = source[:n].std() + 1e-6
  classifier = LogisticRegression(max_iter=5000).fit(source[:n] / scale, known['label'])
  sides = dict(source=source[n:], target=target[len(shift['label']):])
  return [classifier.score(sides[domain] / scale, tests[domain]['label']) for domain in sides]


def examples(run, domain, split, limit=5000):
  """The first images and labels of a domain's split."""
  source = open_sources(run.config.data[domain].to_dict(), split)
  return source[np.arange(min(limit, len(source)))]


def curves(made):
  """Panels of DANN's training: labels on both domains, domains, lambda."""
  paths = list(made['DANN'].values())

  def curve(metric, paths=paths):
    found = [study.curve(path, metric) for path in paths]
    return found[0][0], [100 * np.array(y) for _, y in found], dict(marker='')
  alone = list(made['source only'].values())
  steps, strength, _ = curve('train/lambda')
  return [
      study.Panel('Labels', 'update', 'test accuracy, %', {
          'DANN, source': curve('source/accuracy'), 'DANN, target': curve('target/accuracy'),
          'source only, target': curve('target/accuracy', alone)}),
      study.Panel('Domains', 'update', 'training accuracy, %', {
          'domain classifier of DANN': curve('train/domain_accuracy'),
          'chance': (steps, [50] * len(steps), dict(marker='', color='grey', linestyle=':'))}),
      study.Panel('Strength of the reversed gradient', 'update', 'lambda', {
          'lambda': (steps, np.array(strength) / 100, dict(marker=''))})]


def maps(made, path):
  """t-SNE of both domains' test images, by the first run without and with adaptation."""
  panels = {}
  for title, name in {'Before: source only': 'source only', 'After: DANN': 'DANN'}.items():
    run = visionlab.load(next(iter(made[name].values())))
    sides = [domain_figures.representations(run, examples(run, domain, 'test', SHOWN)['image'])
             for domain in ('source', 'target')]
    panels[title] = dict(zip(('source', 'target'), domain_figures.tsne(sides), strict=True))
  charts.save(domain_figures.side_by_side(panels), path)
  study.picture(path, path)


PARTS = {f.__name__: f for f in (methods, candidates, selection)}


def main(argv=None):
  options = study.parser('dann', __doc__, seeds=5)
  study.add_parts(options, PARTS, ['methods'])
  options.add_argument('--task', choices=runs.TASKS, default='digits',
                       help='the two domains; %(default)s')
  options.add_argument('--root', default='data', help='the folder of MNIST and MNIST-M')
  known = list(runs.METHODS.values())
  options.add_argument('--methods', nargs='+', choices=known, default=known, metavar='METHOD',
                       help='rows of the table, source and dann at least; default: all of '
                       f'{", ".join(known)}')
  options.add_argument('--steps', help='of each run; by default those of the config')
  given = study.parse(options, argv, __file__)
  if not {'source', 'dann'} <= set(given.methods):
    options.error('--methods: source and dann must be among them; the figures compare them')
  if given.quick:
    given.methods = ['source', 'dann']
  return study.run_parts(PARTS, given)


if __name__ == '__main__':
  study.start(main)
