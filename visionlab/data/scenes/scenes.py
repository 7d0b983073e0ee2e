"""Scenes: handwritten digits, or stick figures, on photographs, with all their ground truth.

Every dense task trains on them with no download: scikit-learn ships the digits and photographs.
Scenes are drawn on the device as they are needed, and scene i is a function of (seed, split, i).
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import jax
import numpy as np

from visionlab.config import ConfigError, check_choice
from visionlab.data.drawn import draw
from visionlab.data.scenes import assets
from visionlab.data.scenes.captions import Group, caption, caption_facts, words
from visionlab.data.scenes.render import KINDS, Recipe, scene
from visionlab.data.source import Arrays, Info, check_split
from visionlab.data.text.caption_rows import caption_rows
from visionlab.data.text.vocabulary import SPECIAL, Vocabulary

EXAMPLES = dict(train=10_000, validation=1_000, test=1_000)
SCALES = dict(digits=(.25, .5), figures=(.45, .85))
CHUNK = 32                      # scenes drawn by one call from the host


def scenes(split: str, *, root: str = '', size: int = 64, objects: tuple[int, int] = (1, 5),
           kind: str = 'digits', glyphs: str = 'digits', examples: int = 0, seed: int = 0,
           frames: int = 1, masks: bool = True, scale: tuple[float, float] | None = None,
           degrees: float = 20., contrast: float = .25, visible: float = .4,
           speed: float = .04, captions: int = 0, keep: bool = False) -> 'Scenes | Arrays':
  """Objects at varied size, rotation, colour, contrast and overlap on patches of photographs.

  The splits share no glyph and no region of a photograph.

  Args:
    split: 'train', 'validation' or 'test'.
    root: the folder with MNIST's files, if glyphs='mnist'.
    size: height and width in pixels.
    objects: at least and at most so many are placed; those that others hide are left out.
    kind: 'digits', or 'figures': articulated people with 14 keypoints, named by
      `visionlab.data.scenes.figures.JOINTS`.
    glyphs: 'digits' (scikit-learn's) or 'mnist'.
    examples: how many there are; 0 stands for 10,000 of 'train' and 1,000 of the others. Scene i is
      the same whatever their number.
    seed: other seeds give other scenes.
    frames: 1 for images; more for clips in which the objects move.
    masks: whether `objects` has the masks of instances.
    scale: the objects' heights, upright, as shares of `size`; by default (.25, .5), of figures
      (.45, .85).
    degrees: rotations are uniform in [-degrees, degrees].
    contrast: the least difference in luminance, of 1, from the photograph underneath; up to .3.
    visible: an object of which a smaller share can be seen is not drawn, nor in any ground truth.
    speed: the fastest objects move by that share of `size` a frame.
    captions: of each scene, begun with as many groups in turn. If above 0, all scenes are drawn
      once, in .5 ms each, and kept.
    keep: whether all are drawn once, and kept in memory, instead of anew in each epoch.

  Returns:
    A source of `image` (n h w 3) uint8; `label_map` (n h w) int32, 0 for background, else 1 + the
    class of the object in front; and `objects` as visionlab/ops/geometry.py has them: `boxes`
    (n k 4) tight around what is seen, `classes` (n k) int32, `valid` (n k), `masks` (n k h w) bool
    of what is seen, and for figures `keypoints` (n k 14 3). With frames > 1, a t follows each n.
    With captions there are `image`, `caption` as in `visionlab.data.text.caption_rows`, and
    `objects` without masks and keypoints.

  Raises:
    ConfigError: an option out of its range, or files that are missing.

  >>> source = scenes('train', size=32)
  >>> example = source[np.arange(2)]
  >>> example['image'].shape, example['objects']['boxes'].shape
  ((2, 32, 32, 3), (2, 5, 4))
  """
  check_split(split, assets.SPLITS, 'scenes')
  check_choice(kind, KINDS, 'scenes: kind')
  check_choice(glyphs, assets.GLYPHS, 'scenes: glyphs')
  scale = tuple(scale or SCALES[kind])
  _check(size=size, objects=objects, examples=examples, frames=frames, scale=scale,
         contrast=contrast, visible=visible)
  if captions < 0 or captions and frames > 1:
    raise ConfigError(f'scenes: captions must be 0 or more, and 0 for clips, not {captions}')
  recipe = Recipe(kind, size, most=objects[1], frames=frames, masks=masks and not captions)
  numbers = dict(fewest=objects[0], scale=scale, degrees=degrees, speed=speed, contrast=contrast,
                 visible=visible)
  arrays = {**assets.backgrounds(split, size), 'seed': np.uint32(seed % 2**32),
            'split': np.int32(assets.SPLITS.index(split)),
            **{name: np.float32(value) for name, value in numbers.items()}}
  if kind == 'digits':
    arrays |= assets.glyphs(split, glyphs, root)
  source = Scenes(recipe, arrays, examples or EXAMPLES[split])
  if captions:
    return captioned(source, captions)
  return Arrays(source[np.arange(len(source))], source.info) if keep else source


def _check(*, objects, scale, contrast, visible, **least_one):
  for name, value in least_one.items():
    if not isinstance(value, int) or value < (name != 'examples'):
      raise ConfigError(f'scenes: {name} must be a positive integer, not {value!r}')
  for name, pair, limit in (('objects', objects, 99), ('scale', scale, 1)):
    if len(pair) != 2 or not 0 <= pair[0] <= pair[1] <= limit or not pair[1]:
      raise ConfigError(f'scenes: {name} must be (least, most) with 0 <= least <= most <= {limit}, '
                        f'not {pair!r}')
  for name, value, limit in (('contrast', contrast, .3), ('visible', visible, 1)):
    if not 0 <= value <= limit:
      raise ConfigError(f'scenes: {name} must lie between 0 and {limit}, not {value!r}')


class Scenes:
  """The source that `scenes` opens; it holds what scenes are made of, and draws them.

  Args:
    recipe: the options that shape the program.
    arrays: the glyphs and photographs, at most some megabytes, and the numbers among the options.
    examples: how many there are.
  """

  def __init__(self, recipe: Recipe, arrays: Mapping[str, np.ndarray], examples: int):
    self.recipe, self.arrays, self.examples = recipe, dict(arrays), examples
    kind = KINDS[recipe.kind]
    self.info = Info(classes=kind.CLASSES, map_classes=('background', *kind.CLASSES),
                     joints=kind.JOINTS, limbs=kind.LIMBS)

  def __len__(self) -> int:
    return self.examples

  def gather(self, arrays: Mapping[str, jax.Array], indices: jax.Array) -> dict:
    """The scenes at traced indices (n,), for use inside a compiled loop; arrays: `self.arrays`."""
    return _draw(self.recipe, arrays, indices)

  def __getitem__(self, indices: np.ndarray) -> dict:
    return draw(partial(self.gather, self.arrays), indices, len(self), CHUNK)

  def captions(self, indices: np.ndarray, variant: int = 0) -> list[str]:
    """A true sentence about each scene (about a clip's first frame).

    It counts and names all objects, says which are large or small, and how the two foremost classes
    lie to each other, such as 'a large seven left of two small threes'. Other variants begin with
    other classes.
    """
    objects = self[indices]['objects']
    if self.recipe.frames > 1:
      objects = {k: v[:, 0] for k, v in objects.items()}
    return [caption(groups, variant) for groups in self.facts(objects)]

  def facts(self, objects: Mapping[str, np.ndarray]) -> list[tuple[Group, ...]]:
    """What captions may say of the objects (n k ...) of n scenes."""
    scale = tuple(self.arrays['scale'].tolist())
    return [caption_facts({k: v[i] for k, v in objects.items()}, self.recipe.size, scale,
                          self.info.classes) for i in range(len(objects['valid']))]


def captioned(source: Scenes, captions: int) -> Arrays:
  """All scenes of a source with so many captions each; their words are those of the grammar."""
  scenes, most = source[np.arange(len(source))], source.recipe.most
  objects = {k: scenes['objects'][k] for k in ('boxes', 'classes', 'valid')}
  vocabulary = Vocabulary((*SPECIAL, *words(source.info.classes, most)))
  # A scene with fewer groups has fewer captions.
  said = [list(dict.fromkeys(caption(groups, variant) for variant in range(captions)))
          for groups in source.facts(objects)]
  # Four words for each object: count, size, name, and a comma, "and", or its share of a relation.
  rows = caption_rows(said, vocabulary, length=4 * most + 2, most=captions, where='scenes')
  info = replace(source.info, words=vocabulary.words, scale=tuple(source.arrays['scale'].tolist()))
  return Arrays(dict(image=scenes['image'], caption=rows, objects=objects), info)


# Both are compiled for what they save in tracing: a scene is traced once, for however many.
_scene = jax.jit(scene, static_argnums=0)


@partial(jax.jit, static_argnums=0)
def _draw(recipe, arrays, indices):
  return jax.vmap(partial(_scene, recipe, arrays))(indices)
