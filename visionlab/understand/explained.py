"""What attributions have in common: images are checked, the target is fixed, results are judged."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from visionlab.config import ConfigError
from visionlab.understand.subject import Subject, floats, in_chunks
from visionlab.understand.targets import Answer, scores

FLAT = ('nothing near the image changes what is explained (a dead unit, a rounded answer, another '
        'target?)')


def explained(method: Callable, subject: Subject, images, target, given, chunk: int, *rows,
              zero: str = FLAT):
  """method(images, select, index, given, *rows) in chunks of images, the target resolved.

  Args:
    rows: arrays with a row for each image, such as baselines.
    zero: what it means where nothing is found.

  Raises:
    ConfigError: as from `checked` and `judged`; a chunk below 1.
  """
  images = checked(subject, images)
  if chunk < 1:
    raise ConfigError(f'chunk: at least one image at a time, not {chunk}')
  select, index = subject.target(target)
  if np.ndim(index) and len(index) != len(images):
    raise ConfigError(f'target: {len(index)} of them for {len(images)} images')
  given = in_chunks(subject.given, chunk, images) if given is None else given
  index = np.broadcast_to(index, (len(images),))
  return judged(in_chunks(lambda x, i, g, *more: method(x, select, i, g, *more), chunk,
                          images, index, given, *rows), zero)


def checked(subject: Subject, images) -> np.ndarray:
  """Images in [0, 1] that this network can look at.

  Raises:
    ConfigError: one image without an axis for several, another size or number of channels than the
      network can do with, NaN.
  """
  images, shape = floats(images), subject.shape
  if images.ndim == len(shape):
    raise ConfigError(f'images: expected (b h w c), got {images.shape}; give images[None]')
  if images.ndim != len(shape) + 1 or not len(images):
    raise ConfigError(f'images: expected (b {" ".join(map(str, shape))}), got {images.shape}')
  wrong = np.flatnonzero(~np.isfinite(images).all(tuple(range(1, images.ndim))))
  if len(wrong):
    raise ConfigError(f'images: image {wrong[0]} has pixels that are NaN or infinite')
  if images.shape[1:] != shape:
    try:
      jax.eval_shape(subject.answer, jax.ShapeDtypeStruct(images.shape, np.float32))
    except Exception as e:  # noqa: BLE001 - networks fail in many ways on another size
      raise ConfigError(f'images of {_by(images.shape[1:])}: this network is made for '
                        f'{_by(shape)}, and cannot look at others ({_first_line(e)})') from e
  return images


def judged(found, zero: str = FLAT):
  """What a method gave, (b ...) or a tree of such; says which are zero all over, and what that
  means.

  Raises:
    ConfigError: one is NaN or infinite.
  """
  first = np.asarray(jax.tree.leaves(found)[0])
  by_image = first.reshape(len(first), -1)
  wrong = np.flatnonzero(~np.isfinite(by_image).all(1))
  if len(wrong):
    raise ConfigError(f'what explains image {wrong[0]} is NaN or infinite, and so is what the '
                      'network answers, or its slope; look at its weights')
  silent = np.flatnonzero(~by_image.any(1))
  if len(silent):
    some = ', '.join(map(str, silent[:8])) + (', ...' if len(silent) > 8 else '')
    logging.warning('what explains %s %s is zero everywhere: %s',
                    'image' if len(silent) == 1 else 'images', some, zero)
  return found


def fixed(answer: Answer, select: Callable | None, index: jax.Array):
  """The weights of the answer's numbers that make the target, so that it stays the same one.

  An image that is changed may get another class as its largest, or other pixels of a class. Scores
  are linear in the answer where they do not choose, so that their gradient says what they chose.
  None for a function, which chooses what it likes.
  """
  if select is not None:
    return None
  real = {k: v for k, v in answer.items() if jnp.issubdtype(v.dtype, jnp.floating)}
  return jax.grad(lambda real: scores({**answer, **real}, None, index).sum())(real)


def scored(answer: Answer, select: Callable | None, weights: Mapping | None) -> jax.Array:
  """The target (b,) of an answer, with what `fixed` made of that to the image as it is."""
  if select is not None:
    return select(answer)
  parts = [(w * answer[k]).reshape(len(w), -1).sum(-1) for k, w in weights.items()]
  return sum(parts)


def _by(shape):
  return ' x '.join(map(str, shape))


def _first_line(error):
  return str(error).split('\n')[0][:120] or type(error).__name__
