"""The methods of `python -m visionlab.understand`: what each makes of a run, as pictures.

Each is a function of a `Look` and of its own options, and returns what there is to see at the end.
"""

import dataclasses
import inspect
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import numpy as np

from visionlab.config import ConfigError, bind, check_choice, hints_of
from visionlab.figures.drawing import as_picture
from visionlab.ops.hog import hog as histograms
from visionlab.options.kinds import Count, Natural
from visionlab.understand.attribute import Attribution
from visionlab.understand.detectors import segmented
from visionlab.understand.dissect import compared, dissect
from visionlab.understand.dream import dream, endless_zoom, shrunk
from visionlab.understand.evolve import evolve
from visionlab.understand.explain import EXPLANATIONS, explain
from visionlab.understand.filters import filter_sheet, first_filters
from visionlab.understand.fool import fool
from visionlab.understand.galleries import gallery, strip
from visionlab.understand.genomes import Direct, Indirect
from visionlab.understand.heatmaps import heatmaps
from visionlab.understand.hog import grey
from visionlab.understand.hoggles import PENALTY, hog_distance, invert_hog, learn_from
from visionlab.understand.invert import invert_layers
from visionlab.understand.look import SHOWN, Look, Seen
from visionlab.understand.page import Part, page as html_of
from visionlab.understand.patches import best_patches, patches
from visionlab.understand.style import style_transfer
from visionlab.understand.subject import Subject, floats
from visionlab.understand.unit_cards import detector_cards, hog_sheet, patch_sheet
from visionlab.understand.visualise import channel_images, class_images
from visionlab.weights.vgg_features import vgg_features

COMPARED = ('saliency', 'smooth_grad', 'integrated_gradients', 'guided_backprop', 'grad_cam',
            'occlusion')
PAGE = ('filters', 'compare', 'channels', 'unit_patches', 'dissection')
SIDE = 160                              # pixels of a picture at least
SUPPLIED = ('subject', 'images', 'target', 'given')    # of a function's parameters, by the command
LOOK = inspect.Parameter('look', inspect.Parameter.POSITIONAL_OR_KEYWORD)


def attribution(method: str) -> Callable:
  """The command of one of `EXPLANATIONS`; its options are the function's."""
  function = EXPLANATIONS[method]
  kept = {name: p for name, p in inspect.signature(function).parameters.items()
          if name not in SUPPLIED}

  def look_at(look: Look, **options) -> Seen:
    found = explain(look.subject, look.images, method, look.target, **options)
    arrays = found._asdict() if isinstance(found, Attribution) else dict(values=found)
    text = (f'what the values leave unexplained: {np.abs(found.residual).max():.2g} at most'
            if isinstance(found, Attribution) else '')
    return Seen(heatmaps(look.images, {method: arrays['values']}, captions=look.captions()),
                arrays | dict(images=look.images), text)
  look_at.__signature__ = inspect.Signature(
      [LOOK, *(p.replace(kind=p.KEYWORD_ONLY) for p in kept.values())])
  look_at.__annotations__ = {k: v for k, v in hints_of(function).items() if k in kept}
  look_at.__name__, look_at.__doc__ = method, function.__doc__
  return look_at


def compare(look: Look, *, methods: tuple[str, ...] = COMPARED) -> Seen:
  """Several attributions side by side, each with its defaults."""
  check_names(methods, EXPLANATIONS, '--methods')
  maps, captions = {}, look.captions()
  for i, method in enumerate(methods):
    found = explain(look.subject, look.images, method, look.target)
    maps[method] = found.values if isinstance(found, Attribution) else found
    seen = Seen(heatmaps(look.images, maps, captions=captions), maps | dict(images=look.images))
    look.progress(i + 1, len(methods))
    look.show(seen)
  return seen


def filters(look: Look) -> Seen:
  """The kernels of the first convolution, as pictures."""
  name, kernel = first_filters(look.subject)
  height, width, _, count = kernel.shape
  return Seen(filter_sheet(kernel), dict(kernel=kernel),
              f'{name}: {count} filters of {height} x {width}')


def unit_patches(look: Look, *, at: str = '', units: tuple[int, ...] = (), k: Count = 9,
                 deconvnet: bool = True, batch: Count = 64) -> Seen:
  """The parts of a split's images that excite a layer's units most, each with its deconvnet
  picture (Zeiler and Fergus 2014)."""
  at, source = at or look.subject.last_map(), look.source()
  best = best_patches(look.subject, source, at, k=k, batch=batch, progress=look.progress)
  units = units or tuple(range(min(SHOWN, len(best.values))))
  parts, shown = patches(look.subject, source, best, units, deconvnet=deconvnet)
  return Seen(patch_sheet(parts, shown, best, units),
              dict(values=best.values, images=best.images, places=best.places, patches=parts),
              f'{best.layer}: {len(best.values)} units, over {len(source):,} images')


def dissection(look: Look, *, at: str = '', units: Count = SHOWN, controls: bool = False,
               batch: Count = 32) -> Seen:
  """What a layer's units detect of a split's label maps (Bau et al. 2017): the best of them, each
  with its concept, its IoU and the images that excite it most. With controls also the share of
  units that are detectors before training, and turned at random."""
  at, source = at or look.subject.last_map(), look.source()
  if controls:
    every = compared(look.run, source, at, batch=batch, progress=look.progress)
  else:
    every = dict(trained=dissect(look.subject, source, at, batch=batch, progress=look.progress))
  found = every['trained']
  order = np.argsort(-found.best, kind='stable')[:units]
  best = best_patches(look.subject, source, at, k=4, batch=batch, progress=look.progress)
  images, masks = segmented(look.subject, source, best, order)
  shares = ', '.join(f'{name} {one.detectors().mean():.0%}' for name, one in every.items())
  return Seen(detector_cards(found, images, masks, order), dict(iou=found.iou,
                                                                thresholds=found.thresholds),
              f'{found.layer}: units that are detectors: {shares} of {len(found.best)}')


def class_image(look: Look, *, steps: Count = 200, penalty: float = 10., rate: float = .01,
                size: tuple[int, int] | None = None) -> Seen:
  """What the network would have of a class (Simonyan et al. 2013). --class=shark,goldfish."""
  names = look.targets()
  draw = partial(gallery, captions=names)
  found = class_images(look.subject, names, steps=steps, penalty=penalty, rate=rate, size=size,
                       callback=look.watch(draw))
  return Seen(draw(found.images), found._asdict())


def channels(look: Look, *, at: str = '', units: tuple[int, ...] = (), steps: Count = 256,
             size: tuple[int, int] | None = None) -> Seen:
  """What channels of a layer look for: feature visualisation (Olah et al. 2017)."""
  at = look.subject.layer(at) if at else look.subject.last_map()
  units = units or tuple(range(min(SHOWN, look.subject.layers()[at][-1])))
  names = [f'{at} {unit}' for unit in units]
  found = channel_images(look.subject, at, units, steps=steps, size=size, callback=look.watch(
      lambda images: gallery(images, names)))
  return Seen(gallery(found.images, names), found._asdict())


def inversion(look: Look, *, layers: tuple[str, ...] = (), steps: Count = 400,
              restarts: Count = 1) -> Seen:
  """An image from what layers keep of it (Mahendran and Vedaldi 2015); of the first image."""
  image = look.images[:1]
  layers = layers or tuple(getattr(look.subject.model, 'strides', ())) or (
      look.subject.last_map(),)
  found = invert_layers(look.subject, image, layers, steps=steps, restarts=restarts,
                        callback=look.watch(lambda images: gallery(images, [''] * len(images))))
  names = [look.named[1][0], *(f'{at}, error {one.errors[0]:.3f}' for at, one in found.items())]
  images = np.concatenate([floats(image), *(one.images for one in found.values())])
  return Seen(gallery(images, names), dict(images=images))


def deep_dream(look: Look, *, at: str = '', octaves: Count = 4, scale: float = 1.4,
               steps: Count = 10, frames: Natural = 24, tile: Natural = 0) -> Seen:
  """Deep Dream of the first image at its own size; with an output that ends in .gif, falling into
  it, `frames` pictures long."""
  at, image = at or look.subject.last_map(), look.whole()[0]
  options = dict(steps=steps, tile=tile or None)
  if look.film:
    made = []
    for frame in endless_zoom(look.subject, image, at, frames, **options):
      made.append(frame)
      look.progress(len(made), frames)
    return Seen(strip(made[:1]), dict(frames=np.stack(made)), frames=made)
  made = dream(look.subject, image, at, octaves=octaves, scale=scale, callback=look.watch(
      lambda images: strip(_large(images))), **options)
  return Seen(strip(_large([image, made])), dict(image=made))


def style(look: Look, *, vgg: str = '', steps: Count = 200, weights: tuple[float, ...] = (),
          content_weight: float = 1e-8, keep_colour: bool = False,
          content_at: tuple[str, ...] = ('conv4_2',),
          style_at: tuple[str, ...] = tuple(f'conv{i}_1' for i in range(1, 6)),
          tile: Natural = 0) -> Seen:
  """The first image painted as the others are (Gatys et al. 2016), at its own size. vgg: a file of
  VGG-19's convolutions alone (`visionlab.weights.vgg_features`), in place of a run."""
  content, *styles = look.whole()
  if not styles:
    raise ConfigError('style: name the content first, and then at least one picture of a style')
  if not (content_at or style_at):
    raise ConfigError('style: --content_at or --style_at must name a layer')
  subject = Subject.of(vgg_features(vgg), content.shape) if vgg else look.subject
  found = style_transfer(subject, content, styles, weights=weights or None, steps=steps,
                         content_weight=content_weight, keep_colour=keep_colour,
                         content_at=content_at, style_at=style_at, tile=tile or None,
                         callback=look.watch(lambda images: strip(_large(images))))
  return Seen(strip(_large([content, found.images[0]])), found._asdict())


def fooling(look: Look, *, steps: Count = 50, near: float = 0.) -> Seen:
  """Images that the network is sure are of a class, and are not (Nguyen et al. 2015): changed by
  the gradient, from the images that are named. --class=shark."""
  if look.target is None:
    raise ConfigError('fooling: name what it is to be taken for: --class=...')
  names = (look.targets() * len(look.images))[:len(look.images)]
  found = fool(look.subject, look.images, names, steps=steps, near=near,
               callback=look.watch(lambda images: gallery(images, [''] * len(images))))
  said = [f'{name} {p:.2%}' for name, p in zip(names, found.confidences, strict=True)]
  return Seen(gallery(found.images, said), found._asdict())


def hog(look: Look, *, size: Count = 256, atoms: Count = 256, samples: Count = 10_000,
        epochs: Count = 3, penalty: float = PENALTY) -> Seen:
  """The HOG of the first image, and what it leaves of it: its inverse by paired dictionaries learnt
  of the other images (HOGgles, Vondrick et al. 2013). Needs no network. size: of longer sides."""
  image, *others = [shrunk(one, size) for one in look.whole()]
  plain = np.asarray(grey(image[None]))
  features = np.asarray(histograms(plain))[0]
  seen = Seen(hog_sheet(image, features), dict(image=image, hog=features),
              'name other images after the first, and its inverse is learnt of these')
  if not others:
    return seen
  look.show(seen)
  pair = learn_from(others, samples, atoms=atoms, epochs=epochs, penalty=penalty,
                    progress=look.progress)
  inverse = invert_hog(features, pair, penalty=penalty)
  off = hog_distance(plain[0, :inverse.shape[0], :inverse.shape[1], 0], inverse)
  return Seen(hog_sheet(image, features, inverse), seen.arrays | dict(inverse=inverse),
              f'its own HOG is {off:.0%} off; that of an even image is 100% off')


def evolution(look: Look, *, generations: Count = 200, children: Count = 64,
              indirect: bool = True) -> Seen:
  """Images that evolved to be taken for each class (MAP-Elites, Nguyen et al. 2015): drawn by small
  networks, or pixel by pixel."""
  encoding = (Indirect if indirect else Direct)(look.subject.shape)
  classes = look.subject.classes or tuple(map(str, range(10_000)))

  def draw(images, confidences=None):
    said = [''] * len(images) if confidences is None else [f'{p:.1%}' for p in confidences]
    names = [f'{name} {p}' for name, p in zip(classes, said, strict=False)]
    return gallery(images[:48], names[:48])
  found = evolve(look.subject, encoding, generations=generations, children=children,
                 callback=look.watch(draw))
  return Seen(draw(found.images, found.confidences),
              dict(images=found.images, confidences=found.confidences, curve=found.curve))


def page(look: Look, *, parts: tuple[str, ...] = PAGE, at: str = '', steps: Count = 64) -> Seen:
  """What several methods show, on one page (.html) that needs nothing but itself; what a method
  lacks is said there. at, steps: of those methods that have such an option."""
  check_names(parts, [name for name in METHODS if name != 'page'], '--parts')
  quiet, done, arrays, missing = dataclasses.replace(look, show=lambda seen: None), [], {}, {}
  for name in parts:
    own = options_of(METHODS[name])
    options = {k: v for k, v in dict(at=at, steps=steps).items() if k in own}
    about = ' '.join(inspect.getdoc(METHODS[name]).split('\n\n')[0].split())
    try:
      part = METHODS[name](quiet, **options)
    except ConfigError as e:
      missing[name] = str(e)
      part = Seen(None, {}, f'left out: {e}')
    arrays |= {f'{name}.{k}': v for k, v in part.arrays.items()}
    done.append(Part(name.replace('_', ' '), [about, *[part.text] * bool(part.text)],
                     part.picture))
    seen = Seen(None, arrays, page=html_of('What a network sees', [repr(look.run)], done))
    look.show(seen)
  return seen._replace(text='\n'.join(f'left out: {name}: {why}' for name, why in missing.items()))


METHODS: dict[str, Callable[..., Seen]] = {
  **{name: attribution(name) for name in EXPLANATIONS},
  **{f.__name__: f for f in (compare, filters, unit_patches, dissection, class_image, channels,
                             inversion, deep_dream, style, fooling, evolution, hog, page)}}
WITHOUT_NETWORK = ('hog',)              # of them, what looks at images alone


def options_of(method: Callable) -> dict[str, tuple[Any, Any]]:
  """name -> (annotation, default) of the options of a method."""
  hints = hints_of(method)
  return {name: (hints.get(name, Any), p.default)
          for name, p in inspect.signature(method).parameters.items() if name != 'look'}


def seen(method: str, look: Look, options: Mapping[str, Any]) -> Seen:
  """What the method shows.

  Raises:
    ConfigError: an option that it does not take, or of another kind.
  """
  return bind(METHODS[method], options, method, look=look)


def check_names(names: Collection[str], there: Collection[str], flag: str) -> None:
  """Raises a ConfigError unless at least one is named, and all of them are there."""
  for name in names or ('',):
    check_choice(name, there, flag)


def _large(images):
  """Images (h w c) of one size, each pixel so large that they can be seen."""
  zoom = max(1, SIDE // min(np.shape(images[0])[:2]))
  return [as_picture(image, zoom) for image in images]
