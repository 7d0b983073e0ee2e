"""Images that fool a network: it is sure of what is not there."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError
from visionlab.understand.ascend import adam, ascend
from visionlab.understand.dream import resized
from visionlab.understand.images import pixels
from visionlab.understand.objectives import output
from visionlab.understand.regularisers import AlphaNorm
from visionlab.understand.subject import Subject, floats, in_chunks


class Fooled(NamedTuple):
  """Attributes:
    images: (b h w c) float32 in [0, 1].
    confidences: (b,), the probability of each image's target.
  """
  images: np.ndarray
  confidences: np.ndarray


def fool(subject: Subject, images: jax.Array, targets: str | int | Sequence, *, steps: int = 50,
         rate: float = .05, near: float = 0., **options) -> Fooled:
  """Fooling by gradient (Nguyen et al. 2015, https://arxiv.org/abs/1412.1897, section 2.5).

  Ascent of the targets' logits, through pixels' logits, which keeps them in [0, 1].

  Args:
    images: (b h w c), the start: noise, or pictures of something else.
    targets: a class's name or number, or one for each image.
    near: weight of the mean squared distance to the start.
    options: of `ascend`.
  """
  images = np.asarray(floats(images))
  wanted = output(subject, targets)
  if near:
    wanted = wanted - near * AlphaNorm(images, np.ones(1, np.float32), 2.)
  found, _ = ascend(subject, wanted, pixels(images, 'sigmoid'), steps=steps,
                    optimizer=adam(rate), **options)
  return Fooled(found, confidences(subject, found, targets))


def confidences(subject: Subject, images: jax.Array, targets: str | int | Sequence,
                chunk: int = 16) -> np.ndarray:
  """The probability (b,) of a class, or of one for each image."""
  select, index = subject.target(targets)
  said = probabilities(subject, images, chunk)
  return said[np.arange(len(said)), np.broadcast_to(index, len(said))]


def also_fooled(subject: Subject, images: jax.Array, targets: str | int | Sequence,
                chunk: int = 16) -> tuple[np.ndarray, np.ndarray]:
  """Whether images that fool one network fool this one, which they were not made for.

  Args:
    subject: the other network; images are brought to the size it is made for.
    targets: classes, by name where the two networks number them differently.

  Returns:
    (b,) whether its answer is the target, whose mean is how often it is fooled; and (b,) the
    probability it gives the target.
  """
  size = tuple(subject.shape[:2])
  images = np.stack([resized(image, size) for image in np.asarray(floats(images))])
  _, index = subject.target(targets)
  said = probabilities(subject, images, chunk)
  index = np.broadcast_to(index, len(said))
  return said.argmax(-1) == index, said[np.arange(len(said)), index]


def probabilities(subject: Subject, images: jax.Array, chunk: int = 16) -> np.ndarray:
  """The probabilities (b k) of all classes.

  Raises:
    ConfigError: a network that does not sort whole images into classes.
  """
  return in_chunks(lambda x: softmax(subject, x), chunk, floats(images))


@jax.jit
def softmax(subject: Subject, images: jax.Array) -> jax.Array:
  """`probabilities`, traceable."""
  answer = subject.answer(images)
  if 'logits' not in answer or answer['logits'].ndim != 2:
    shapes = ', '.join(f'{name} {x.shape}' for name, x in answer.items())
    raise ConfigError(f'fooling needs a network with a logit for each class, and this one answers '
                      f'{shapes}')
  return jax.nn.softmax(answer['logits'].astype(jnp.float32))
