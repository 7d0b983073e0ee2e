"""What a class, a channel or a unit looks for: images made to excite it."""

from collections.abc import Sequence

import jax
import numpy as np

from visionlab.understand.ascend import Ascent, adam, ascend
from visionlab.understand.images import fourier, pixels
from visionlab.understand.objectives import channel, output
from visionlab.understand.regularisers import alpha_norm
from visionlab.understand.subject import Subject
from visionlab.understand.terms import Objective
from visionlab.understand.transforms import STANDARD


def class_images(subject: Subject, classes: Sequence[str | int], *, penalty: float = 10.,
                 steps: int = 200, rate: float = .01, size: tuple[int, int] | None = None,
                 transforms: Sequence = (), **options) -> Ascent:
  """Class-model images (Simonyan et al. 2013, https://arxiv.org/abs/1312.6034, equation 1).

  The image I with the largest logit S(I) - penalty * mean((I - .5)^2), from even grey: what the
  network would have of a class if there were nothing but the network. For images one can make
  something of see `visualise`.

  Args:
    classes: names or numbers.
    penalty: the paper's lambda; here of the mean over pixels, so that it has the same effect on
      images of any size.
    size: (h, w); by default what the network is made for.
    options: of `ascend`.

  Returns:
    images (len(classes) h w c), and the objective at each step.
  """
  h, w = size or subject.shape[:2]
  start = np.full((len(classes), h, w, subject.shape[2]), .5, np.float32)
  return ascend(subject, output(subject, list(classes)) - penalty * alpha_norm(2.), pixels(start),
                steps=steps, optimizer=adam(rate), transforms=transforms, **options)


def visualise(subject: Subject, objective: Objective, n: int = 1, *, steps: int = 512,
              rate: float = .05, size: tuple[int, int] | None = None,
              transforms: Sequence = STANDARD, key: jax.Array | None = None,
              **options) -> Ascent:
  """Feature visualisation (Olah et al. 2017, https://distill.pub/2017/feature-visualization).

  Ascent in `fourier`'s decorrelated space under transformations.

  Args:
    objective: what to excite.
    n: images, which start from different noise; as many as the objective has rows, if it has.
    size: (h, w); by default what the network is made for. A network that takes any size sees
      details at one scale alone: 128 x 128 is plenty for most.
    options: of `ascend`.

  Returns:
    images (n h w c), and the objective at each step.
  """
  key = jax.random.key(0) if key is None else key
  start, moves = jax.random.split(key)
  shape = (*(size or subject.shape[:2]), subject.shape[2])
  return ascend(subject, objective, fourier(n, shape, start), steps=steps, optimizer=adam(rate),
                transforms=transforms, key=moves, **options)


def channel_images(subject: Subject, at: str, channels: Sequence[int], **options) -> Ascent:
  """What some channels of a layer look for, one image each: `visualise` with `channel`."""
  return visualise(subject, channel(subject, at, channels), len(channels), **options)
