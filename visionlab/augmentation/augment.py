"""Augmentation on the device: batched, a pure function of a key, the same however a batch is split.

A config names what it wants, `augment = dict(flip=True, pad_crop=4, colour=dict(brightness=.4))`,
and `make_augment` turns that into `augment(key, batch, offset) -> batch`. Whatever the order in
the config, augmentations happen in this one:

  geometry  flip, pad_crop, rotate, affine, scale_jitter, resized_crop, elastic (ops/geometry.py)
  policies  rand_augment, trivial_augment (ops/policies.py)
  colour    colour, grey (ops/photometric.py)
  noise     blur, noise
  erasing   cutout, erase
  own       `package.module:function`, see `own_augment.py`; in the order of their words
  mixing    mixup, cutmix
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.augmentation.own_augment import OwnAugmentation, names_own, own_augmentation
from visionlab.config import ConfigError, bind, check_choice
from visionlab.ops import warp
from visionlab.ops.geometry import (
  STEERED,
  affine,
  elastic,
  flip,
  look,
  pad_crop,
  resized_crop,
  rotate,
  scale_jitter,
  sides,
)
from visionlab.ops.image import to_float
from visionlab.ops.photometric import (
  blur,
  colour,
  cutout,
  erase,
  grey,
  noise,
  rand_augment,
  trivial_augment,
)


def mixup(key, image, partner, alpha: float = .2, p: float = 1.):
  """Blends in the partner: own share Beta(alpha, alpha) (Zhang et al. 2018). (image, share)."""
  weight = _own_share(key, alpha, p)
  return weight * image + (1 - weight) * partner, weight


def cutmix(key, image, partner, alpha: float = 1., p: float = 1.):
  """Pastes a box of the partner, of an area Beta(alpha, alpha) before clipping (Yun et al. 2019).

  Returns the image and the exact share of its pixels that are its own.
  """
  h, w = image.shape[-3:-1]
  side = jnp.sqrt(1 - _own_share(jax.random.fold_in(key, 0), alpha, p))
  y, x = jax.random.uniform(jax.random.fold_in(key, 1), (2,))
  rows, columns = (abs(jnp.arange(n) + .5 - u * n) < side * n / 2 for n, u in ((h, y), (w, x)))
  mine = ~(rows[:, None] & columns)
  return jnp.where(mine[..., None], image, partner), mine.mean(dtype=jnp.float32)


def _own_share(key, alpha, p):
  """One with chance 1 - p, else Beta(alpha, alpha), exactly and without rejection.

  t / sqrt(2 alpha + t^2) of a Student t with 2 alpha degrees of freedom is a symmetric beta on
  [-1, 1]; Bailey (1994) gives such a t from two uniforms, its radius and its direction.
  """
  chance, radius, turn = jax.random.uniform(key, (3,))
  radius, direction = radius ** (1 / alpha), jnp.cos(2 * jnp.pi * turn)
  length = jnp.sqrt(radius + (1 - radius) * direction ** 2)
  share = .5 + .5 * jnp.sqrt(1 - radius) * direction / jnp.maximum(length, 1e-30)
  return jnp.where(chance < p, share, 1.)


EXACT, DRAWN = (flip, pad_crop), (rotate, affine, scale_jitter, resized_crop, elastic)
PIXELS = (rand_augment, trivial_augment, colour, grey, blur, noise, cutout, erase)
MIXED = (mixup, cutmix)
MOVING = (rand_augment, trivial_augment)         # pixels, and nothing that lies on them
RANGES = dict(p=(0, 1), visible=(0, 1), hue=(0, .5), alpha=(1e-3, math.inf),
              sigma=(.1, math.inf))  # else >= 0
ORDER = {f.__name__: f for f in (*EXACT, *DRAWN, *PIXELS, *MIXED)}
TURNS = {rotate: ('degrees',), affine: ('degrees', 'shear'), elastic: ('alpha',)}
MOVED = ('label_map', 'pixel_weight', 'flow', 'extent', 'objects', 'proposals', 'landmarks')
# A function draws by its place here, so that what the others draw stays as it is: new ones go last.
DRAWS = (flip, pad_crop, rotate, affine, resized_crop, elastic, colour, grey, noise, cutout, mixup,
         cutmix, 'mixup or cutmix', scale_jitter, rand_augment, trivial_augment, blur, erase)


def make_augment(options: Mapping[str, Any]) -> Callable[..., dict]:
  """Returns augment(key, batch, offset=0) -> batch, to be called under jit.

  `options` maps names of functions in this file to dicts of their keywords, to a bare value for
  their first keyword, to True for their defaults, or to False, None or 0 to leave them out; and
  words of one's own to 'package.module:function', or a dict of such a `name` and its keywords.

  The batch has `image` (b h w c), uint8 or float in [0, 1], which becomes float32 in [0, 1], and
  may have `label` (b ...), and `label_map`, `extent`, `objects` and `proposals` as ops/geometry.py
  describes them, each with a leading b. All else passes (`original` too, which is then no longer
  what `extent` was scaled from). A batch without `image` is a dict of batches, such as
  {'source': ..., 'target': ...}, each augmented with randomness of its own. One of clips has
  `video` (b t h w c) and may have `flow` (b t-1 h w 2): what happens to a clip's frames is alike.

  What happens to an image depends on the key and on offset + its index alone. With `offset` the
  global index of a device's first image, splitting a batch over devices changes nothing, if the
  parts are even: mixing pairs image 2i with 2i + 1, and only with one that `valid` (b) allows.
  Mixing adds `label_mixed`, the partner's label, and `mix_weight` (b), the share of the own label.
  With both mixup and cutmix a fair coin decides for each image.

  Raises ConfigError for unknown names and keywords, wrong types and batches that do not fit.

  >>> augment = make_augment(dict(flip=True, pad_crop=dict(pad=2)))
  >>> batch = augment(jax.random.key(0), {'image': np.zeros((8, 28, 28, 1), np.uint8)})
  >>> batch['image'].shape, batch['image'].dtype.name
  ((8, 28, 28, 1), 'float32')
  """
  chosen = _parse(options)
  def augment(key, batch, offset=0):
    kind = 'video' if 'video' in batch else 'image'
    if kind not in batch:
      if not batch or not all(isinstance(part, Mapping) for part in batch.values()):
        raise ConfigError(f'augment: expected a batch with "image", got {sorted(batch)}')
      return {name: augment(jax.random.fold_in(key, i), batch[name], offset)
              for i, name in enumerate(sorted(batch))}  # sorted, as jit does with dicts
    _check(batch, chosen)
    example = {k: batch[k] for k in (*MOVED, *STEERED, 'map', kind) if k in batch}
    index = offset + jnp.arange(len(batch[kind]))
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, index)
    augment_one = _augment_clip if kind == 'video' else _augment_one
    example = jax.vmap(lambda key, one: augment_one(key, one, chosen))(keys, example)
    mixes = {f: chosen[f] for f in MIXED if f in chosen}
    return _mix(keys, {**batch, **example}, mixes, kind) if mixes else {**batch, **example}
  return augment


def _key_of(key, function):
  """So that switching one augmentation on leaves what the others draw as it was."""
  own = isinstance(function, OwnAugmentation)
  return jax.random.fold_in(key, function.draw if own else DRAWS.index(function))


def _augment_one(key, example, chosen):
  for f in EXACT:
    if f in chosen:
      example = f(_key_of(key, f), example, **chosen[f])
  example = {**example, 'image': to_float(example['image'])}
  shape = size = example['image'].shape[:2]
  if any(f in chosen for f in DRAWN):
    matrix, field = jnp.eye(3), None
    for f in (f for f in DRAWN if f in chosen):
      size = sides(chosen[f].get('size'), size)
      places = {elastic: (size,), scale_jitter: (shape, example.get('extent', shape))}
      drawn = f(_key_of(key, f), *places.get(f, (shape,)), **chosen[f])
      matrix, field = (matrix, drawn) if f is elastic else (warp.compose(matrix, drawn), field)
    visible = _option(chosen, scale_jitter, 'visible') if scale_jitter in chosen else 0.
    example = look(example, matrix, size, field, visible)
  for f in PIXELS:
    if f in chosen:
      example = f(_key_of(key, f), example, **chosen[f])
  for own in sorted(f for f in chosen if isinstance(f, OwnAugmentation)):
    example = own(_key_of(key, own), example)
  return example


def _augment_clip(key, example, chosen):
  """One key for all frames: they are moved, coloured and cut alike."""
  frames = {'image': example['video']}
  if 'flow' in example:          # from the last frame there is none
    frames['flow'] = jnp.pad(example['flow'], [(0, 1)] + [(0, 0)] * 3)
  seen = jax.vmap(lambda frame: _augment_one(key, frame, chosen))(frames)
  flow = {'flow': seen['flow'][:-1]} if 'flow' in example else {}
  return {'video': seen['image'], **flow}


def _option(chosen, function, name):
  return chosen[function].get(name, inspect.signature(function).parameters[name].default)


def _mix(keys, batch, mixes, kind):
  image = batch[kind]
  own = np.arange(len(image))
  partner = np.minimum(own ^ 1, len(image) - 1)
  if 'valid' in batch:
    partner = jnp.where(batch['valid'][partner], partner, own)
  results = [jax.vmap(lambda k, a, b, f=f: f(_key_of(k, f), a, b, **mixes[f]))(
      keys, image, image[partner]) for f in mixes]
  if len(results) == 2:
    coin = jax.vmap(lambda k: jax.random.uniform(_key_of(k, 'mixup or cutmix')) < .5)(keys)
    results[0] = tuple(jnp.where(coin.reshape(-1, *[1] * (a.ndim - 1)), a, b)
                       for a, b in zip(*results, strict=True))
  out = {**batch, kind: results[0][0], 'mix_weight': results[0][1]}
  return {**out, 'label_mixed': batch['label'][partner]} if 'label' in batch else out


def check_mixing(options: Mapping[str, Any], mixable: Sequence[str],
                 example: Mapping[str, Any]) -> None:
  """Raises ConfigError where mixing would blend images, and what is learnt of them would not know.

  Args:
    options: as for `make_augment`.
    mixable: the targets whose mixtures (`label_mixed`, `mix_weight`) the task's loss reads.
    example: the entries of a batch, or of a batch of each source.
  """
  mixing = [f.__name__ for f in MIXED if f in _parse(options or {})]
  for name in mixing:
    where = f'config.augment.{name}'
    if not mixable:
      raise ConfigError(f'{where}: images would be blended, and the targets of this task would not;'
                        ' mixing is for tasks that learn labels of whole images, such as classify')
    for entries in [example] if {'image', 'video'} & set(example) else example.values():
      if 'labelled' in entries:
        raise ConfigError(f'{where}: a label that is known would be mixed with one that is hidden; '
                          'leave mixing out where labels are partly known')
      _check_whole(entries, where)


def _check_whole(entries, where):
  for name in ('objects', 'label_map', 'proposals', 'flow'):
    if name in entries:
      raise ConfigError(f'{where}: mixes labels of whole images, but this batch has "{name}"')


def _check(batch, chosen):
  image = batch.get('video', batch.get('image'))
  form, ndim = ('clips (b t h w c)', 5) if 'video' in batch else ('images (b h w c)', 4)
  if image.ndim != ndim or not (
      image.dtype == jnp.uint8 or jnp.issubdtype(image.dtype, jnp.floating)):
    raise ConfigError(f'augment: expected {form} of uint8, or of float in [0, 1], '
                      f'got {image.dtype} {image.shape}')
  for f in MIXED:
    if f in chosen:
      _check_whole(batch, f'config.augment.{f.__name__}')
  for f in (f for f in MOVING if f in chosen):
    for name in (name for name in MOVED if name in batch):
      raise ConfigError(f'config.augment.{f.__name__}: moves the pixels and not "{name}"; use '
                        'affine and colour, which know both')
  if flip in chosen and {'video', STEERED[0]} <= set(batch):
    raise ConfigError('config.augment.flip: mirrors clips, and not how their frames are steered')
  if 'frames' in batch.get('objects', {}):
    for f, names in TURNS.items():
      turned = [name for name in names if f in chosen and _option(chosen, f, name)]
      if turned:
        raise ConfigError(f'config.augment.{f.__name__}.{turned[0]}: masks that are crops cannot '
                          f'be turned, leaned or bent; leave {f.__name__} out, or use a source '
                          'whose masks are bitmaps')


def _parse(options):
  """{function: keywords} in canonical order, from what a config says."""
  chosen = {}
  for name, value in options.items():
    if names_own(value) and name not in ORDER:
      chosen[own_augmentation(name, value)] = {}
      continue
    check_choice(name, ORDER, f'config.augment.{name}')
    if value is None or value is False or (not hasattr(value, 'items') and value == 0):
      continue
    chosen[ORDER[name]] = _keywords(ORDER[name], value, f'config.augment.{name}')
  return chosen


def _keywords(function, value, where):
  """The keywords of a function that a config asks for by a dict, a value of the first, or True."""
  known = {name: p for name, p in inspect.signature(function).parameters.items()
           if p.default is not p.empty}
  if not hasattr(value, 'items'):
    value = {} if value is True else {next(iter(known)): value}
  value = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
  given = bind(_taking(function, known), value, where)
  for key, v in given.items():
    _check_range(v, RANGES.get(key, (0, math.inf)), known[key].default, f'{where}.{key}')
  return given


def _taking(function, known):
  """A function of the `known` parameters alone that returns what it is given."""
  def keywords(**given):
    return given
  keywords.__signature__ = inspect.Signature(
      [p.replace(kind=p.KEYWORD_ONLY) for p in known.values()])
  keywords.__annotations__ = {name: p.annotation for name, p in known.items()}
  return keywords


def _check_range(value, range_, default, where):
  low, high = range_
  if isinstance(value, int | float) and not low <= value <= high:
    raise ConfigError(f'{where}: expected a value in [{low}, {high}], got {value!r}')
  if isinstance(value, tuple) and default and (
      len(value) != len(default) or not all(isinstance(v, int | float) for v in value)):
    raise ConfigError(f'{where}: expected tuple, such as {default!r}, got {value!r}')
