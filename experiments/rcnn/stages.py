"""What the detectors make of one image, step by step."""

import jax
import numpy as np
from matplotlib.patches import Rectangle

from visionlab.data.selective_search import in_colour_space, segments
from visionlab.figures.charts import new_axes, rendered
from visionlab.measures.average_precision import box_iou

SCALE = 2.                       # of the configs' segmentation


def picture(runs, batch):
  """Twelve panels, (h w 3) uint8, of the first image of a batch with proposals, as runs by name see
  it."""
  image = batch['image'][0]
  proposals = batch['proposals']['boxes'][0][batch['proposals']['valid'][0]]
  truth = batch['objects']['boxes'][0][batch['objects']['valid'][0]]
  near = box_iou(truth, proposals)
  best = near.argmax(1)
  figure, axes = new_axes(3, 4, (9, 7.2))
  panels = iter(axes.ravel())

  def panel(title, shown, **options):
    axis = next(panels)
    axis.imshow(shown, **options)
    axis.set_title(title, fontsize=9)
    axis.axis('off')
    return axis
  outline(panel('image and truth', image), truth, 'white')
  labels = segments(in_colour_space(image, 'hsv'), 50 * SCALE)
  panel(f'first regions ({labels.max() + 1})', shuffled(labels), cmap='nipy_spectral')
  axis = panel(f'Selective Search ({len(proposals)} boxes)', image)
  outline(axis, proposals, 'white', .4)
  outline(axis, proposals[near.max(0) >= .5], 'lime')
  panel('R-CNN: warped regions', mosaic(warped(runs['R-CNN'], batch)[0][spread(best, proposals)]))
  maps, pooled = pooled_cells(runs['Fast R-CNN'], batch)
  axis = panel('Fast R-CNN: map, one region', maps[0].mean(-1), cmap='viridis',
               extent=(0, image.shape[1], image.shape[0], 0))
  outline(axis, proposals[best[:1]], 'red')
  panel('its cells after RoIPool', pooled[0, best[0]].mean(-1), cmap='viridis')
  for name, run in runs.items():
    said = jax.tree.map(lambda x: np.asarray(x[0]), jax.jit(run.task.predict)(run.variables, batch))
    detected(panel(name, image), said, run.classes)
  return rendered(figure)


def outline(axis, boxes, colour, width=1.2):
  for x1, y1, x2, y2 in boxes - .5:          # imshow puts the centres of pixels at whole numbers
    axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color=colour, lw=width))


def detected(axis, said, classes):
  """What is found with a score of .5, or the best if nothing is, with the class."""
  sure = said['valid'] & ((said['scores'] >= .5) | (np.arange(len(said['valid'])) < 1))
  outline(axis, said['boxes'][sure], 'yellow')
  for box, k, score in zip(said['boxes'][sure], said['classes'][sure], said['scores'][sure]):
    axis.text(box[0], box[1] - 1, f'{classes[k]} {score:.2f}', color='black', fontsize=6,
              bbox=dict(facecolor='yellow', pad=.6, lw=0), va='bottom')


def shuffled(labels):
  """So that neighbours have colours apart."""
  return np.random.default_rng(0).permutation(labels.max() + 1)[labels]


def spread(best, proposals, count=16):
  """The proposals nearest to objects, and others from all over the list."""
  others = np.setdiff1d(np.linspace(0, len(proposals) - 1, 4 * count).astype(int), best)
  return np.concatenate([best, others])[:count]


def warped(run, batch):
  """What R-CNN's network is given, in [0, 1]: (b m s s 3)."""
  model = run.task.model
  crops = model.pool([batch['image'] / np.float32(255)], batch['proposals']['boxes'], model.side)
  return np.clip(np.asarray(crops), 0, 1)


def mosaic(images, columns=4):
  """Images (n s s 3) in rows, with a white line between them."""
  framed = np.pad(images, ((0, -len(images) % columns), (1, 1), (1, 1), (0, 0)), constant_values=1)
  n, h, w, c = framed.shape
  grid = framed.reshape(n // columns, columns, h, w, c).swapaxes(1, 2)
  return grid.reshape(n // columns * h, columns * w, c)


def pooled_cells(run, batch):
  """The map (b h w c) of a detector on given proposals, and what is pooled from it (b m s s c)."""
  model = run.task.model

  def ask(model, x):
    maps = model.maps(x)
    return maps[0], model.pool(maps, batch['proposals']['boxes'], model.pool_size)
  return jax.device_get(model.apply(run.variables, run.task.pixels(batch), method=ask))
