"""Gradients whose way back through ReLUs is another: guided backpropagation and the deconvnet.

The two differ from the gradient, and from each other, in one rule: what a ReLU sends back of g.

  gradient                  g where x > 0
  deconvnet                 g where g > 0
  guided backpropagation    g where both are

The way back through max-pooling is by its switches, the places of the maxima, in all three. What is
shown depends little on the class: both look much like the image's edges whatever the weights of the
upper layers are (Adebayo et al. 2018); see `visionlab.understand.measures.cascade`.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from visionlab.understand.attribute import grad_cam, gradient_program
from visionlab.understand.explained import checked, explained
from visionlab.understand.subject import Subject, in_chunks
from visionlab.understand.targets import Target


@jax.custom_vjp
def guided_relu(x: jax.Array) -> jax.Array:
  """ReLU, which sends back what is positive of the gradient, where it was open.

  >>> jax.grad(lambda x: (guided_relu(x) * jnp.array([2., -2., 2.])).sum())(
  ...     jnp.array([1., 1., -1.])).tolist()
  [2.0, 0.0, 0.0]
  """
  return nn.relu(x)


guided_relu.defvjp(lambda x: (nn.relu(x), x > 0),
                   lambda was_open, g: (jnp.where(was_open, jnp.maximum(g, 0), 0),))


@jax.custom_vjp
def deconvnet_relu(x: jax.Array) -> jax.Array:
  """ReLU, which sends back what is positive of the gradient, wherever.

  >>> jax.grad(lambda x: (deconvnet_relu(x) * jnp.array([2., -2., 2.])).sum())(
  ...     jnp.array([1., 1., -1.])).tolist()
  [2.0, 0.0, 2.0]
  """
  return nn.relu(x)


deconvnet_relu.defvjp(lambda x: (nn.relu(x), None), lambda _, g: (jnp.maximum(g, 0),))


def guided_backprop(subject: Subject, images: jax.Array, target: Target | Sequence = None, *,
                    given: Mapping | None = None, chunk: int = 16) -> np.ndarray:
  """Guided backpropagation (b h w c) (Springenberg et al. 2014, https://arxiv.org/abs/1412.6806).

  Arguments as for `visionlab.understand.attribute.saliency`.

  Raises:
    ConfigError: a network whose activations are not ReLUs, or cannot be changed from outside.
  """
  return _with_rule(guided_relu, subject, images, target, given, chunk)


def deconvnet(subject: Subject, images: jax.Array, target: Target | Sequence = None, *,
              given: Mapping | None = None, chunk: int = 16) -> np.ndarray:
  """The deconvnet (b h w c) of Zeiler and Fergus (2014, https://arxiv.org/abs/1311.2901).

  Its maps are what their deconvolutions show where ReLU comes before max-pooling, as in their
  network. Where pooling comes first, as in `visionlab.models.cnn`, so it does on the way back.
  Arguments and errors as for `guided_backprop`.
  """
  return _with_rule(deconvnet_relu, subject, images, target, given, chunk)


def guided_grad_cam(subject: Subject, images: jax.Array, target: Target | Sequence = None, *,
                    at: str | None = None, given: Mapping | None = None,
                    chunk: int = 16) -> np.ndarray:
  """Guided backpropagation times Grad-CAM (b h w c): the edges of what speaks for the target
  (Selvaraju et al. 2017, section 3.2). Arguments as for `grad_cam`, errors as for both."""
  cam = grad_cam(subject, images, target, at=at, given=given, chunk=chunk)
  return cam[..., None] * guided_backprop(subject, images, target, given=given, chunk=chunk)


def _with_rule(rule, subject, images, target, given, chunk):
  if given is None:                        # by the network as it is: nothing is compiled anew
    given = in_chunks(subject.given, chunk, checked(subject, images))
  return explained(partial(gradient_program, subject.with_act(rule)), subject, images, target,
                   given, chunk)
