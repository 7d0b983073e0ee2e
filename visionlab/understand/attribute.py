"""Which pixels an answer hangs on: attributions by gradients and by maps."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError
from visionlab.understand.baselines import baseline as baseline_of
from visionlab.understand.explained import checked, explained, fixed, scored
from visionlab.understand.subject import Subject, floats
from visionlab.understand.targets import Target, scores

EPSILON = 1e-7                 # of the division by a map's maximum, which may be 0


class Attribution(NamedTuple):
  """What each value of an image adds to its answer.

  Attributes:
    values: (b h w c).
    residual: (b,), the difference of the answers to an image and to its baseline, less the sum of
      its values: 0 where the attribution is complete.
  """
  values: np.ndarray
  residual: np.ndarray


def saliency(subject: Subject, images: jax.Array, target: Target | Sequence = None, *,
             given: Mapping | None = None, chunk: int = 16) -> np.ndarray:
  """The largest gradient, in size, of a pixel's channels (Simonyan et al. 2013, section 3).

  Args:
    images: (b h w c), uint8 or in [0, 1].
    target: what is explained: a class's number or name, one for each image, a function of the
      answer that gives (b,), or None, the largest score. See `visionlab.understand.targets.scores`.
    given: what the answer is about, such as `boxes` (b 4); by default what the network finds.
    chunk: images at a time, which bounds the memory.

  Returns:
    (b h w), not negative.

  Raises:
    ConfigError: no such class; images that the network cannot look at; what is found is NaN.
  """
  return np.abs(gradient(subject, images, target, given=given, chunk=chunk)).max(-1)


def gradient(subject: Subject, images: jax.Array, target: Target | Sequence = None, *,
             given: Mapping | None = None, chunk: int = 16) -> np.ndarray:
  """The gradient (b h w c) of a target by images in [0, 1]. Arguments as for `saliency`."""
  return explained(partial(gradient_program, subject), subject, images, target, given, chunk)


def gradient_times_input(subject: Subject, images: jax.Array, target: Target | Sequence = None, *,
                         baseline='black', given: Mapping | None = None,
                         chunk: int = 16) -> np.ndarray:
  """The gradient times what each value is above its baseline, (b h w c): what it adds to the answer
  of a network that is linear (Shrikumar et al. 2016, https://arxiv.org/abs/1605.01713).

  Arguments as for `saliency` and `integrated_gradients`.
  """
  images = floats(images)
  slopes = gradient(subject, images, target, given=given, chunk=chunk)
  return slopes * (images - baseline_of(images, baseline))


def smooth_grad(subject: Subject, images: jax.Array, target: Target | Sequence = None, *,
                samples: int = 25, sigma: float = .15, seed: int = 0,
                given: Mapping | None = None, chunk: int = 16) -> np.ndarray:
  """SmoothGrad (Smilkov et al. 2017, https://arxiv.org/abs/1706.03825): the mean gradient (b h w c)
  over noisy copies of an image.

  Args:
    samples: noisy copies.
    sigma: the noise's standard deviation, as a share of each image's range of values.
    seed: of the noise, which is the same for all images.
    Others as for `saliency`. The class that None stands for is that of the image without noise.
  """
  if samples < 1 or sigma < 0:
    raise ConfigError('smooth_grad: it needs at least one sample and no negative sigma, not '
                      f'samples={samples}, sigma={sigma}')
  method = partial(_smooth, subject, samples=samples, sigma=sigma, key=jax.random.key(seed))
  return explained(method, subject, images, target, given, chunk)


def integrated_gradients(subject: Subject, images: jax.Array, target: Target | Sequence = None, *,
                         steps: int = 64, baseline='black', given: Mapping | None = None,
                         chunk: int = 16) -> Attribution:
  """Integrated gradients (Sundararajan et al. 2017, https://arxiv.org/abs/1703.01365, equation 1).

  The mean gradient on the straight line from the baseline to the image, at the midpoints of `steps`
  equal parts, times the difference of the two. Its values add up to the difference of the answers
  as far as the steps are fine enough: networks of ReLUs have many kinks, so look at the residual.

  Args:
    steps: points on the line.
    baseline: where it begins, as `visionlab.understand.baselines.baseline` takes it.
    Others as for `saliency`. The class that None stands for is that of the image.
  """
  if steps < 1:
    raise ConfigError(f'integrated_gradients: steps must be at least 1, not {steps}')
  images = floats(images)
  start = baseline_of(images, baseline)
  values, residual = explained(
      lambda x, select, i, g, x0: _integrated(subject, x, select, i, g, x0, steps),
      subject, images, target, given, chunk, start)
  return Attribution(values, residual)


def grad_cam(subject: Subject, images: jax.Array, target: Target | Sequence = None, *,
             at: str | None = None, given: Mapping | None = None, relu: bool = True,
             chunk: int = 16) -> np.ndarray:
  """Grad-CAM (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391, equations 1 and 2).

  A map's channels, weighed by the mean of the target's gradient over the places, summed; of that
  what is positive, enlarged to the image bilinearly (as torch with align_corners=False), and
  divided by its maximum.

  Args:
    at: the layer, see `Subject.layers`; by default the last map.
    relu: keep what is positive alone; else negative values are kept, and nothing is divided.
    Others as for `saliency`.

  Returns:
    (b h w) in [0, 1]; all 0 where nothing speaks for the target.

  Raises:
    ConfigError: no such layer, one without places, or a network that has none with.
  """
  images = checked(subject, images)
  at = subject.layer(at, images) if at else subject.last_map(images)
  shape = subject.layers(images)[at]
  if len(shape) != 4:
    raise ConfigError(f'layer {at!r}: Grad-CAM looks at maps (b h w c), and this one has the shape '
                      f'{shape}')
  return explained(partial(_grad_cam, subject, at=at, relu=relu), subject, images, target, given,
                   chunk, zero=f'no place of {at!r} speaks for the target; with relu=False there '
                   'is what speaks against it')


@partial(jax.jit, static_argnames='select')
def gradient_program(subject, images, select, index, given):
  """`gradient` of one chunk, its target as `Subject.target` gives it."""
  return _slope(subject, images, given, lambda answer: scores(answer, select, index))


def _slope(subject, images, given, score):
  return jax.grad(lambda images: score(subject.answer(images, given)).sum())(images)


@partial(jax.jit, static_argnames='select')
def _smooth(subject, images, select, index, given, samples, sigma, key):
  weights = fixed(subject.answer(images, given), select, index)
  inner = tuple(range(1, images.ndim))
  spread = sigma * (images.max(inner, keepdims=True) - images.min(inner, keepdims=True))

  def more(i, total):
    noise = jax.random.normal(jax.random.fold_in(key, i), images.shape[1:])
    return total + _slope(subject, images + spread * noise, given,
                          lambda answer: scored(answer, select, weights))
  return jax.lax.fori_loop(0, samples, more, jnp.zeros_like(images)) / samples


@partial(jax.jit, static_argnames='select')
def _integrated(subject, images, select, index, given, start, steps):
  answer = subject.answer(images, given)
  weights = fixed(answer, select, index)
  score = lambda answer: scored(answer, select, weights)
  change = images - start

  def more(i, total):
    return total + _slope(subject, start + (i + .5) / steps * change, given, score)
  mean = jax.lax.fori_loop(0, steps, more, jnp.zeros_like(images)) / steps
  values = change * mean
  gained = score(answer) - score(subject.answer(start, given))
  return values, gained - values.reshape(len(values), -1).sum(-1)


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
