"""Do attributions point at what they should? On digits among clutter, whose masks are known.

python -m experiments.understanding [classifier] [detector] [weights] \
    [--folder=runs/understanding]
"""

import time
from functools import partial

import jax
import numpy as np
from PIL import Image

import visionlab
from configs import scenes_faster_rcnn
from experiments import study
from experiments.understanding import clutter
from experiments.understanding.truth import Truth, truth_of
from visionlab.data.scenes.scenes import scenes
from visionlab.understand.attribute import (
  grad_cam,
  gradient_times_input,
  integrated_gradients,
  saliency,
  smooth_grad,
)
from visionlab.understand.backward import deconvnet, guided_backprop, guided_grad_cam
from visionlab.understand.heatmaps import heatmaps
from visionlab.understand.measures import by_place, cascade, deletion, iou, pointing_game
from visionlab.understand.occlusion import occlusion
from visionlab.understand.subject import Subject, in_chunks
from visionlab.understand.visual_backprop import visual_backprop

METHODS = {
    'saliency': saliency,
    'gradient x input': partial(gradient_times_input, baseline='mean'),
    'SmoothGrad': smooth_grad,
    'integrated gradients': lambda *given, **more: integrated_gradients(
        *given, baseline='mean', **more).values,
    'guided backpropagation': guided_backprop,
    'deconvnet': deconvnet,
    'VisualBackProp': lambda subject, images, target, **more: visual_backprop(
        subject, images, **more),
    'Grad-CAM': grad_cam,
    'guided Grad-CAM': guided_grad_cam,
    'occlusion': partial(occlusion, fill='mean'),
}
BLUR = 1.                      # pixels, of all maps: a point is a place, not the noise of one pixel
NEAR = 2.                      # pixels from a mask that still count, about half a stroke
SHOWN = 3                      # images in the picture
DRAWN = ('saliency', 'gradient x input', 'integrated gradients', 'guided backpropagation',
         'Grad-CAM', 'guided Grad-CAM', 'occlusion')
CHUNK = 16


def classifier(given, folder):
  """A network that says which digits there are, and was never told where"""
  run = trained('classifier', given, folder)
  truth = truth_of(clutter.drawn('test', size=run.canvas.shape[0], masks=True), given.images)
  return compared('classifier', Subject.of(run), truth, None, given)


def detector(given, folder):
  """A detector, asked about the box of a digit"""
  run = trained('detector', given, folder)
  own = {k: v for k, v in run.config.data.to_dict().items() if k not in ('name', 'examples')}
  truth = truth_of(scenes('test', **own | dict(masks=True)), given.images)
  return compared('detector', Subject.of(run), truth, dict(boxes=truth.boxes), given)


def weights(given, folder):
  """Layers drawn anew from the last on: rank correlation with the maps of the trained network"""
  subject = Subject.of(trained('classifier', given, folder))
  truth = truth_of(clutter.drawn('test', size=subject.shape[0], masks=True),
                   min(given.images, CHUNK))
  found = {}
  for title, method in METHODS.items():
    of_class = lambda subject, images, method=method: method(subject, images, truth.classes)
    for path, same in cascade(of_class, subject, truth.images):
      found.setdefault(path, {})[title] = f'{same.mean():.2f}'
  return [{'drawn anew, and all above': path, **row} for path, row in found.items()]


CONFIGS = dict(classifier=clutter, detector=scenes_faster_rcnn)


def trained(name, given, folder):
  config = study.changed(CONFIGS[name].get_config(*['smoke'] * given.quick))
  workdirs = study.run({f'{name}/0': config}, folder)
  return visionlab.load(workdirs[f'{name}/0'])


def compared(name: str, subject: Subject, truth: Truth, about: dict | None, given):
  """A row for each method; draws the first images. about: what answers are about, such as boxes."""
  rows, maps = [], {}
  def answer(images, about):
    return in_chunks(partial(_answer, subject), CHUNK, images, about)
  once = timed(answer, truth, about)[1]
  for title, method in METHODS.items():
    def explain(images, about, method=method):
      return method(subject, images, truth.classes[:len(images)], given=about, chunk=CHUNK)
    found, seconds = timed(explain, truth, about)
    maps[title] = blurred(by_place(found))
    rows.append({'method': title, **measured(subject, truth, maps[title], about),
                 'ms an image': f'{1000 * seconds:.1f}', 'answers': f'{seconds / once:.1f}'})
  noise = np.random.default_rng(0).random(truth.masks.shape)
  rows.append({'method': 'noise', **measured(subject, truth, noise, about),
               'ms an image': '-', 'answers': '-'})
  if given.figure:
    draw(given.figure.with_name(f'{name}.png'), truth, maps, subject.classes)
  return rows


def timed(method, truth, about):
  """What a method says, and its seconds for an image, once it is compiled."""
  method(*jax.tree.map(lambda x: x[:CHUNK], (truth.images, about)))
  begun = time.perf_counter()
  found = method(truth.images, about)
  return found, (time.perf_counter() - begun) / len(truth.images)


def measured(subject, truth, maps, about) -> dict[str, str]:
  points, near = (100 * pointing_game(maps, truth.masks, tolerance).mean()
                  for tolerance in (0, NEAR))
  curve = deletion(subject, truth.images, maps, truth.classes, fill='mean', given=about,
                   scale='sigmoid' if about is None else 'softmax')
  return {'on the digit, %': f'{points:.1f}', f'within {NEAR:.0f} px, %': f'{near:.1f}',
          'IoU, %': f'{100 * iou(maps, truth.masks).mean():.1f}',
          'deletion': f'{curve.area.mean():.3f}'}


def blurred(maps: np.ndarray) -> np.ndarray:
  from scipy.ndimage import gaussian_filter  # noqa: PLC0415
  return gaussian_filter(maps, (0, BLUR, BLUR))


def draw(path, truth, maps, classes):
  """The first images, what is asked about them, and what each method says."""
  captions = [f'What speaks for {classes[k]}?' for k in truth.classes[:SHOWN]]
  shown = {title: maps[title][:SHOWN] for title in DRAWN}
  picture = heatmaps(truth.images[:SHOWN], shown, captions=captions, masks=truth.masks[:SHOWN],
                     zoom=max(1, round(128 / truth.images.shape[1])))
  large = path.with_suffix('.large.png')
  Image.fromarray(picture).save(large)
  study.picture(large, path)
  large.unlink()
  print(path)


@jax.jit
def _answer(subject, images, about):
  return subject.answer(images, about)


PARTS = {f.__name__: f for f in (classifier, detector, weights)}


def main(argv=None):
  options = study.parser('understanding', __doc__, seeds=1)
  study.add_parts(options, PARTS, list(PARTS))
  options.add_argument('--images', type=int, help='test images that are explained; default: 200, '
                       'with --quick 4')
  given = study.parse(options, argv, __file__)
  given.images = given.images or (4 if given.quick else 200)
  return study.run_parts(PARTS, given)


if __name__ == '__main__':
  study.start(main)
