"""What convolution is worth: a fully connected against convolutional networks on MNIST.

python -m experiments.connectivity --root=<folder with MNIST> [--seeds=2] [--epochs=1] \
    [--folder=runs/connectivity]
"""

import jax
import numpy as np

import visionlab
from configs import mnist_cnn, mnist_mlp
from experiments import study
from visionlab.data.pipeline import open_sources

SHIFTS = tuple(range(5))                                           # pixels
SMALL = dict(name='cnn', widths=(16, 32), hidden=128)              # half the MLP's parameters
MOVED = dict(pad_crop=2)
NETWORKS = {
    'fully connected': (mnist_mlp, dict(augment={})),
    'convolutional': (mnist_cnn, dict(augment={}, task__model=SMALL)),
    'fully connected, trained on shifted digits': (mnist_mlp, dict(augment=MOVED)),
    'convolutional, trained on shifted digits': (mnist_cnn, dict(augment=MOVED,
                                                                 task__model=SMALL)),
    'convolutional, large': (mnist_cnn, dict(augment={})),
}
COLOURS = {'fully connected': 'C0', 'convolutional': 'C1', 'convolutional, large': 'C2'}


def configs(given):
  made = {}
  for network in given.networks:
    file, changes = NETWORKS[network]
    for seed in range(1 if 'large' in network else given.seeds):
      config = file.get_config('smoke' if given.quick else '')
      more = dict(seed=seed, data_seed=seed, split='train', checkpoint__best='',
                  evals=dict(test=dict(split='test', every='100%', batch=500)))
      more |= dict(steps=60) if given.quick else dict(steps=f'{given.epochs} epochs',
                                                      data__root=given.root)
      made[f'{network}/{seed}'] = study.changed(config, **changes, **more)
  return made


def shifted(images: np.ndarray, down: int, right: int) -> np.ndarray:
  """Images (n h w c) moved by whole pixels; what comes in is black, what leaves is lost.

  >>> shifted(np.arange(4).reshape(1, 2, 2, 1), 0, 1)[0, ..., 0].tolist()
  [[0, 0], [0, 2]]
  """
  h, w = images.shape[1:3]
  room = max(abs(down), abs(right))
  padded = np.pad(images, ((0, 0), (room, room), (room, room), (0, 0)))
  return padded[:, room - down:room - down + h, room - right:room - right + w]


def accuracies(run, examples) -> list[float]:
  """Accuracy at each of SHIFTS, the mean over up, down, left and right."""
  def accuracy(down, right):
    said = run.predict(shifted(examples['image'], down, right))['prediction']
    return float((said == examples['label']).mean())
  return [float(np.mean([accuracy(*way) for way in (
      {(s, 0), (-s, 0), (0, s), (0, -s)})])) for s in SHIFTS]


def main(argv=None):
  options = study.parser('connectivity', __doc__, seeds=2)
  options.add_argument('--root', default='data/mnist', help='the folder with MNIST')
  options.add_argument('--epochs', type=int, default=1, help='%(default)s')
  given = study.parse(options, argv, __file__)
  given.networks = list(NETWORKS)[:2 if given.quick else None]
  with study.kept_in(given.folder) as folder:
    workdirs = study.run(configs(given), folder)
    rows, curves = [], {}
    for network in given.networks:
      own = [path for name, path in workdirs.items() if name.startswith(f'{network}/')]
      runs = [visionlab.load(path) for path in own]
      source = open_sources(runs[0].config.data, f'test[:{60 if given.quick else 2000}]')
      examples = source[np.arange(len(source))]
      moved = np.array([accuracies(run, examples) for run in runs])
      curves[network] = (SHIFTS, 100 * moved, dict(
          color=COLOURS[network.removesuffix(', trained on shifted digits')],
          linestyle='--' if 'shifted' in network else '-'))
      rows.append({
          'network': network,
          'parameters': f'{sum(x.size for x in jax.tree.leaves(runs[0].variables["params"])):,}',
          'runs': len(runs),
          'test accuracy, %': study.spread([study.last(path, 'test/accuracy') for path in own]),
          **{f'{s} px': study.spread(moved[:, i], 1) for i, s in enumerate(SHIFTS) if s}})
  return study.report(rows, given.figure, [study.Panel(
      'MNIST, test digits moved', 'shift, pixels', 'accuracy, %', curves)])


if __name__ == '__main__':
  study.start(main)
