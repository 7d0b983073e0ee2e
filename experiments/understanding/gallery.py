"""Pictures of what published networks see: attributions, classes, channels, dreams, inversions.

  python -m experiments.understanding.gallery --resnet=resnet50.npz --vgg=vgg19.npz classes dream

The networks are those of `experiments/understanding/README.md`; the photographs are scikit-learn's,
and those of --photo.
"""

import time
from pathlib import Path

import jax
import numpy as np
from absl import app, flags
from PIL import Image
from sklearn.datasets import load_sample_image

import visionlab
from visionlab.figures.drawing import as_picture
from visionlab.understand import Subject
from visionlab.understand.ascend import adam
from visionlab.understand.attribute import Attribution
from visionlab.understand.dream import dream, endless_zoom, resized
from visionlab.understand.explain import explain
from visionlab.understand.fool import fool, probabilities
from visionlab.understand.galleries import gallery, strip, write_film
from visionlab.understand.heatmaps import heatmaps
from visionlab.understand.invert import invert_layers
from visionlab.understand.measures import by_place
from visionlab.understand.objectives import output
from visionlab.understand.style import style_transfer
from visionlab.understand.transforms import Jitter
from visionlab.understand.visualise import channel_images, class_images, visualise
from visionlab.weights.vgg_features import vgg_features

RESNET = flags.DEFINE_string('resnet', None, 'Weights of a ResNet-50 of ImageNet.')
VGG = flags.DEFINE_string('vgg', None, 'Weights of VGG-19\'s convolutions.')
PHOTO = flags.DEFINE_multi_string('photo', [], 'Another photograph that attributions are shown of.')
OUTPUT = flags.DEFINE_string('output', str(Path(__file__).parent), 'Where pictures are written.')

CLASSES = ('tiger shark', 'goldfinch', 'pineapple')
MOST = 60_000                  # bytes of a picture
SIDE, DRAWN = 224, 96          # of a photograph that attributions are shown of, and of its picture
METHODS = {                    # of these: a heading, and the method's options
    'saliency': ('saliency', {}),
    'smooth_grad': ('SmoothGrad', {}),
    'integrated_gradients': ('integrated gradients', dict(baseline='mean', steps=32)),
    'grad_cam': ('Grad-CAM', {}),
    'guided_backprop': ('guided backpropagation', {}),
    'occlusion': ('occlusion', dict(window=48, stride=24)),
}
DEPTHS = ('stem', 'stage1', 'stage2', 'stage3', 'stage4')


def photograph(name: str, size: tuple[int, int]) -> np.ndarray:
  """One of scikit-learn's photographs, (h w 3) in [0, 1]."""
  return resized(load_sample_image(name).astype(np.float32) / 255, size)


def told(done: int, of: int, images: np.ndarray) -> None:
  """Progress on the screen."""
  print(f'{done} / {of}', flush=True)


def save(picture: np.ndarray, path: Path) -> None:
  """As a JPEG of at most `MOST` bytes: a PNG of what is made of photographs is twice as large."""
  for quality in range(75, 25, -10):
    Image.fromarray(as_picture(picture)).save(path, quality=quality, optimize=True)
    if path.stat().st_size <= MOST:
      break


def resnet() -> Subject:
  """The pretrained ResNet-50."""
  return Subject.of(visionlab.load(RESNET.value))


def untrained(subject: Subject) -> Subject:
  """The same network with weights drawn by chance: of each array the values, mixed."""
  rng = np.random.default_rng(0)
  mixed = jax.tree.map(lambda x: rng.permutation(np.asarray(x).ravel()).reshape(x.shape),
                       subject.variables['params'])
  return Subject(dict(subject.variables, params=mixed), subject.ask, subject.find, subject.model,
                 subject.rebuilt, subject.shape, subject.classes)


def attribution() -> np.ndarray:
  """Six attributions of photographs; and of the first by a network of random weights."""
  photographs = {name: load_sample_image(name) for name in ('china.jpg', 'flower.jpg')}
  for path in PHOTO.value:
    with Image.open(path) as opened:
      photographs[Path(path).name] = np.asarray(opened.convert('RGB'))
  images = np.stack([resized(cut(image).astype(np.float32) / 255, (SIDE, SIDE))
                     for image in photographs.values()])
  subject, maps = resnet(), {}
  said = probabilities(subject, images)
  asked = (subject, images, said.argmax(-1)), (untrained(subject), images[:1], said.argmax(-1)[:1])
  for method, (heading, options) in METHODS.items():
    made = [explain(network, shown, method, wanted, **options)
            for network, shown, wanted in asked]
    made = [by_place(one.values if isinstance(one, Attribution) else one) for one in made]
    maps[heading] = small(np.concatenate(made)[..., None])[..., 0]
    told(len(maps), len(METHODS), images)
  captions = [f'{name}: {subject.classes[p.argmax()]} {p.max():.0%}'
              for name, p in zip(photographs, said, strict=True)]
  return heatmaps(small(np.concatenate([images, images[:1]])), maps, zoom=1,
                  captions=[*captions, f'{captions[0].split(":")[0]}, random weights'])


def cut(image: np.ndarray) -> np.ndarray:
  """The largest square in the middle of an image (h w c)."""
  side = min(image.shape[:2])
  top, left = ((n - side) // 2 for n in image.shape[:2])
  return image[top:top + side, left:left + side]


def small(images: np.ndarray) -> np.ndarray:
  """Images (n h w c) as large as they are drawn."""
  return np.stack([resized(image, (DRAWN, DRAWN)) for image in images])


def classes() -> np.ndarray:
  """Class-model images; the same by feature visualisation; and of a network of random weights."""
  subject, size, moves = resnet(), (112, 112), (Jitter(8),)
  plain = class_images(subject, CLASSES, size=size, steps=60, callback=told).images
  wanted = output(subject, list(CLASSES))
  better = visualise(subject, wanted, len(CLASSES), size=size, steps=80, transforms=moves,
                     callback=told).images
  nothing = visualise(untrained(subject), wanted, len(CLASSES), size=size, steps=30,
                      transforms=moves, callback=told).images
  captions = [f'{kind}{name}' for kind in ('', 'Fourier: ', 'random: ') for name in CLASSES]
  return gallery(np.concatenate([plain, better, nothing]), captions, 'What ResNet-50 knows',
                 columns=len(CLASSES))


def channels() -> np.ndarray:
  """Channels of three depths."""
  subject, images, captions = resnet(), [], []
  for at in ('stage1', 'stage2', 'stage3', 'stage4'):
    numbers = (3, 40)
    images.append(channel_images(subject, at, numbers, size=(128, 128), steps=100,
                                 transforms=(Jitter(8),), callback=told).images)
    captions += [f'{at}, channel {i}' for i in numbers]
  return gallery(np.concatenate(images), captions, 'Channels of ResNet-50', columns=4)


def dreams() -> np.ndarray:
  """china.jpg, and what two layers make of it."""
  subject, image = resnet(), photograph('china.jpg', (213, 320))
  made = [dream(subject, image, at, octaves=3, steps=10, callback=told)
          for at in ('stage2', 'stage3')]
  return strip([image, *made])


def zoom() -> None:
  """A film of falling into a dream."""
  frames = endless_zoom(resnet(), photograph('flower.jpg', (96, 144)), 'stage3', 16, octaves=2,
                        steps=6, callback=told)
  write_film(Path(OUTPUT.value) / 'zoom.gif', frames, .12)


def inversion() -> np.ndarray:
  """flower.jpg from five depths."""
  image = photograph('flower.jpg', (128, 128))[None]
  subject = resnet()
  made = invert_layers(subject, image, DEPTHS, steps=200, callback=told)
  captions = ['the picture', *(f'{at}, error {found.errors[0]:.3f}' for at, found in made.items())]
  return gallery(np.concatenate([image, *(found.images for found in made.values())]), captions,
                 'flower.jpg from five depths of ResNet-50')


def style() -> np.ndarray:
  """china.jpg painted as flower.jpg is, by L-BFGS and by Adam, after 20 steps."""
  content, painted = photograph('china.jpg', (96, 144)), photograph('flower.jpg', (128, 192))
  subject = Subject.of(vgg_features(VGG.value), (96, 144, 3))
  made = [style_transfer(subject, content, [painted], steps=20, optimizer=optimizer, every=5,
                         callback=told).images[0] for optimizer in (None, adam(.02))]
  return strip([content, *made])


def fooling() -> np.ndarray:
  """flower.jpg and noise, which ResNet-50 is sure are something else."""
  subject = resnet()
  start = np.stack([photograph('flower.jpg', (128, 128)),
                    np.random.default_rng(0).uniform(.4, .6, (128, 128, 3))]).astype(np.float32)
  images, sure = fool(subject, start, ['tiger shark', 'goldfinch'], steps=20, callback=told)
  captions = [f'tiger shark {sure[0]:.2%}', f'goldfinch {sure[1]:.2%}']
  return gallery(images, captions, 'Fooled')


PICTURES = dict(attribution=attribution, classes=classes, channels=channels, dream=dreams,
                zoom=zoom, inversion=inversion, style=style, fooling=fooling)


def main(argv):
  for name in argv[1:] or PICTURES:
    start = time.time()
    picture = PICTURES[name]()
    if picture is not None:
      save(picture, Path(OUTPUT.value) / f'{name}.jpg')
    print(f'{name}: {time.time() - start:.0f} s')


if __name__ == '__main__':
  app.run(main)
