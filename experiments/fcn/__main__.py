"""Fully convolutional segmentation: strides, kinds of unpooling, and what sharing saves.

python -m experiments.fcn --root=<folder with camvid_144x192.npz> [--folder=runs/fcn]
python -m experiments.fcn strides | networks | unpooling | sharing
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

import visionlab
from configs import camvid_fcn, camvid_segnet, camvid_unet, scenes_unet
from experiments import study
from visionlab.data.sources.arrays import arrays
from visionlab.figures import drawing
from visionlab.models.patches import PatchClassifier, classify_patches
from visionlab.models.segnet import UNPOOLS

METRICS = {'pixel accuracy': 'pixel_accuracy', 'mean accuracy': 'mean_accuracy',
           'mean IoU': 'mean_iou', 'f.w. IoU': 'frequency_weighted_iou',
           'boundary F1': 'boundary_f1'}
STRIDES = {f'FCN-{n}s': f'{n}s' for n in (32, 16, 8)}


def camvid(config, given, seed, epochs):
  """A config on CamVid, measured once at the end."""
  if given.quick:
    return study.changed(config, seed=seed, data_seed=seed)
  return study.changed(
      config, steps=f'{epochs} epochs', data__root=given.root, seed=seed, data_seed=seed,
      evals=dict(test=dict(split='test', every='100%', batch=16)))


def strides(given, folder):
  """FCN-32s, -16s and -8s from scratch, trained alike."""
  made = {f'{name}/{seed}': camvid(camvid_fcn.get_config('smoke' if given.quick else variant),
                                   given, seed, given.epochs)
          for seed in range(given.seeds) for name, variant in some(STRIDES, given)}
  return rows_of(study.run(made, folder))


def networks(given, folder):
  """The decoders of U-Net and SegNet."""
  files = {'U-Net': camvid_unet, 'SegNet': camvid_segnet}
  made = {f'{name}/{seed}': camvid(file.get_config(*['smoke'] * given.quick), given, seed,
                                   given.epochs)
          for seed in range(given.other_seeds) for name, file in some(files, given)}
  return rows_of(study.run(made, folder))


def unpooling(given, folder):
  """The same encoder and decoder with five ways to enlarge a map, on scenes."""
  made = {f'{unpool}/{seed}': study.changed(
      scenes_unet.get_config(*['smoke'] * given.quick), seed=seed, data_seed=seed,
      task__model=dict(name='segnet', widths=(16, 32, 64), convs=(1, 2, 2), unpool=unpool),
      **({} if given.quick else dict(
          steps=given.steps, batch=16,
          evals=dict(test=dict(split='test', every='100%', batch=50)))))
          for seed in range(given.seeds) for unpool in some(UNPOOLS, given)}
  return rows_of(study.run(made, folder))


def sharing(given, folder):
  """A patch classifier on one image, patch by patch and in one pass."""
  size, patches = ((12, 16), 16) if given.quick else ((144, 192), 512)
  image = np.random.default_rng(0).standard_normal((1, *size, 3), np.float32)
  rows = []
  for patch in some((33, 49, 65), given):
    model = PatchClassifier(11, patch)
    variables = jax.jit(model.init)(jax.random.key(0), image)
    slow = jax.jit(lambda v, x, m=model: classify_patches(m, v, x, chunk=patches))
    fast = jax.jit(model.apply)
    apart, shared = timed((slow, fast), variables, image)
    difference = jnp.abs(slow(variables, image) - fast(variables, image)).max()
    rows.append({'patch': patch, 'patch by patch, s': f'{apart:.2f}', 'shared, s': f'{shared:.3f}',
                 'ratio': f'{apart / shared:.0f}', 'largest difference': f'{difference:.1e}'})
  return rows


def timed(functions, *arguments, repeats=3):
  """The least seconds of each, measured in turns."""
  seconds = [[] for _ in functions]
  for i in range(repeats + 1):                       # the first compiles
    for f, own in zip(functions, seconds, strict=True):
      begun = time.perf_counter()
      jax.block_until_ready(f(*arguments))
      own += [time.perf_counter() - begun] if i else []
  return [min(own) for own in seconds]


def some(names, given):
  """All, or with --quick the first, of a tuple or of the items of a dict."""
  names = list(names.items() if isinstance(names, dict) else names)
  return names[:1] if given.quick else names


def rows_of(workdirs):
  """A row for each kind of run, over its seeds."""
  rows = []
  for name, own in study.by_kind(workdirs).items():
    row = {'network': name,
           'parameters': f'{parameters(visionlab.load(own[0])):,}', 'runs': len(own)}
    for title, key in METRICS.items():
      row[f'{title}, %'] = study.spread([study.last(path, f'test/{key}') for path in own], 1)
    rows.append(row)
  return rows


def parameters(run):
  return sum(x.size for x in jax.tree.leaves(run.variables['params']))


def picture(given, folder, path, count=3):
  """Test images, the truth, and what the first run of each kind says."""
  names = [name for name in (*STRIDES, 'SegNet', 'U-Net') if (folder / name / '0').exists()]
  runs = {name: visionlab.load(folder / name / '0') for name in names}
  source = arrays('test', root=given.root, path='camvid_144x192.npz', ignore=11,
                  classes=camvid_fcn.CLASSES)
  chosen = source[np.linspace(0, len(source) - 1, count).round().astype(int)]
  columns = {'image': chosen['image'], 'truth': chosen['label_map'],
             **{name: run.predict(chosen['image'])['prediction'] for name, run in runs.items()}}
  drawn = []
  for title, maps in columns.items():
    pictures = [drawing.as_picture(m) if title == 'image' else
                drawing.draw_label_map(m, camvid_fcn.CLASSES) for m in maps]
    drawn.append(drawing.captioned(drawing.below(pictures), title))
  sheet = drawing.beside(drawn)
  sheet = drawing.below([sheet, drawing.legend(camvid_fcn.CLASSES, sheet.shape[1])])
  picture = Image.fromarray(sheet).quantize(64, dither=Image.Dither.NONE)
  picture.save(path, optimize=True)


PARTS = {f.__name__: f for f in (strides, networks, unpooling, sharing)}


def main(argv=None):
  options = study.parser('fcn', __doc__, seeds=3)
  study.add_parts(options, PARTS, list(PARTS))
  options.add_argument('--root', default='data/camvid', help='the folder with camvid_144x192.npz')
  options.add_argument('--epochs', type=int, default=12, help='on CamVid; %(default)s')
  options.add_argument('--steps', type=int, default=400, help='on scenes; %(default)s')
  options.add_argument('--other_seeds', type=int, default=1, help='of networks; %(default)s')
  given = study.parse(options, argv, __file__)
  with study.kept_in(given.folder) as given.folder:       # the picture is of what is kept there
    found = study.run_parts(PARTS, given)
    if given.figure and 'strides' in found:
      picture(given, given.folder, given.figure)
      print(given.figure)
  return found


if __name__ == '__main__':
  study.start(main)
