"""Which pixels an answer hangs on: attributions by gradients and by maps."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError
from visionlab.understand.subject import Subject, Target, floats, in_chunks, scores

EPSILON = 1e-7                 # of the division by a map's maximum, which may be 0


def saliency(subject: Subject, images: jax.Array, target: Target | Sequence = None, *,
             given: Mapping | None = None, chunk: int = 16) -> np.ndarray:
  """The largest gradient, in size, of a pixel's channels (Simonyan et al. 2013, section 3).

  Args:
    images: (b h w c), uint8 or in [0, 1].
    target: what is explained: a class's number or name, one for each image, a function of the
      answer that gives (b,), or None, the largest score. See `visionlab.understand.subject.scores`.
    given: what the answer is about, such as `boxes` (b 4); by default what the network finds.
    chunk: images at a time, which bounds the memory.

  Returns:
    (b h w), not negative.
  """
  return np.abs(gradient(subject, images, target, given=given, chunk=chunk)).max(-1)


def gradient(subject: Subject, images: jax.Array, target: Target | Sequence = None, *,
             given: Mapping | None = None, chunk: int = 16) -> np.ndarray:
  """The gradient (b h w c) of a target by images in [0, 1]. Arguments as for `saliency`."""
  return explained(_gradient, subject, images, target, given, chunk)


def grad_cam(subject: Subject, images: jax.Array, target: Target | Sequence = None, *,
             at: str | None = None, given: Mapping | None = None, relu: bool = True,
             chunk: int = 16) -> np.ndarray:
  """Grad-CAM (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391, equations 1 and 2).

  A map's channels, weighed by the mean of the target's gradient over the places, summed; of that
  what is positive, enlarged to the image bilinearly, and divided by its maximum.

  Args:
    at: the layer, see `Subject.layers`; by default the last map.
    relu: keep what is positive alone; else negative values are kept, and nothing is divided.
    Others as for `saliency`.

  Returns:
    (b h w) in [0, 1]; all 0 where nothing speaks for the target.

  Raises:
    ConfigError: no such layer, one without places, or a network that has none with.
  """
  at = subject.layer(at, images) if at else subject.last_map(images)
  shape = subject.layers(images)[at]
  if len(shape) != 4:
    raise ConfigError(f'layer {at!r}: Grad-CAM looks at maps (b h w c), and this one has the shape '
                      f'{shape}')
  return explained(partial(_grad_cam, at=at, relu=relu), subject, images, target, given, chunk)


def explained(method: Callable, subject: Subject, images: jax.Array, target, given, chunk: int):
  """method(subject, images, select, index, given) in chunks of images, the target resolved."""
  images = floats(images)
  select, index = subject.target(target)
  given = in_chunks(subject.given, chunk, images) if given is None else given
  index = np.broadcast_to(index, (len(images),))
  return in_chunks(lambda x, i, g: method(subject, x, select, i, g), chunk, images, index, given)


@partial(jax.jit, static_argnames='select')
def _gradient(subject, images, select, index, given):
  def total(images):
    return scores(subject.answer(images, given), select, index).sum()
  return jax.grad(total)(images)


@partial(jax.jit, static_argnames=('select', 'at', 'relu'))
def _grad_cam(subject, images, select, index, given, at, relu):
  def total(offset):
    answer, maps = subject.read(images, [at], given, {at: offset})
    return scores(answer, select, index).sum(), maps[at]
  shape = jax.eval_shape(lambda: subject.read(images, [at], given)[1][at])
  slopes, maps = jax.grad(total, has_aux=True)(jnp.zeros(shape.shape, shape.dtype))
  cam = jnp.einsum('bhwc,bc->bhw', maps, slopes.mean((1, 2)))
  cam = jnp.maximum(cam, 0) if relu else cam
  cam = jax.image.resize(cam, images.shape[:3], 'bilinear')
  return cam / (cam.max((1, 2), keepdims=True) + EPSILON) if relu else cam
