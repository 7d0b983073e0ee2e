"""Augmentations of one's own, named in config.augment as 'package.module:function'."""

import inspect
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from visionlab.config import ConfigError, resolve
from visionlab.options.mistakes import is_own, own_mistakes
from visionlab.options.parts import fitting, parameters_of

GIVEN = ('key', 'image', 'example')


def names_own(value: Any) -> bool:
  """Whether what config.augment has under a word is an augmentation of one's own."""
  return is_own(value) or hasattr(value, 'items') and 'name' in value


class OwnAugmentation(NamedTuple):
  """A function of one image (h w c), float32 in [0, 1], and perhaps of a `key` to draw by.

  It takes `image` and gives such a one of the same form, or takes `example`, with what lies on the
  image too (see `visionlab.ops.geometry`), and gives such a one.
  """
  word: str
  name: str
  function: Callable
  options: tuple                  # (name, value) pairs
  takes: tuple[str, ...]          # of `GIVEN`

  @property
  def where(self) -> str:
    return f'config.augment.{self.word}'

  @property
  def draw(self) -> int:
    """So that another word draws otherwise, whatever else there is."""
    return zlib.crc32(self.word.encode()) % 2**31

  def __call__(self, key: jax.Array, example: Mapping[str, Any]) -> dict[str, Any]:
    given = dict(key=key, image=example['image'], example=dict(example))
    with own_mistakes(self.where, self.name):
      found = self.function(**dict(self.options), **{k: given[k] for k in self.takes})
    if 'image' in self.takes:
      found = {**example, 'image': found}
      self._check(found, example, 'image')
    else:
      self._check(found, example, 'example')
    return {**found, 'image': found['image'].astype(jnp.float32)}

  def _check(self, found, example, what: str):
    """Raises `ConfigError` unless an example of the right form was given. Its size may be another
    where the whole example is the function's."""
    def form(tree):
      sizes = jnp.shape if what == 'image' else jnp.ndim
      return jax.tree.map(lambda x: (jnp.result_type(x).kind, sizes(x)), tree)
    try:
      right = form(found) == form(example)
    except TypeError:                  # of what is no array
      right = False
    if not right:
      got, wanted = (found['image'], example['image']) if what == 'image' else (found, example)
      raise ConfigError(f'{self.where}: {self.name} must give back an {what} of the form it is '
                        f'given, {_said(wanted)}, and gave {_said(got)}')


def own_augmentation(word: str, value: Any) -> OwnAugmentation:
  """Of what config.augment has under a word: 'package.module:function', or a dict of this `name`
  and options.

  Raises:
    ConfigError: no such function or option, or one that takes neither `image` nor `example`.
  """
  where = f'config.augment.{word}'
  options = dict(value) if hasattr(value, 'items') else {'name': value}
  name = options['name']
  function = resolve(name, {}, f'{where}.name')
  takes = tuple(k for k in GIVEN if k in parameters_of(function, where))
  if ('image' in takes) == ('example' in takes):
    raise ConfigError(f'{where}: {name}{inspect.signature(function)} must take either `image` (h w '
                      'c), to change its pixels, or `example`, with what lies on it; and `key` if '
                      'it draws')
  found = fitting(function, options, where, takes)
  return OwnAugmentation(word, name, function, tuple(found.items()), takes)


def _said(tree) -> str:
  def one(x):
    return f'{x.dtype} {x.shape}' if hasattr(x, 'dtype') else f'{x!r:.40}'
  return str(jax.tree.map(one, tree)).replace("'", '')[:200]
