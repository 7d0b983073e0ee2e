"""Gradients that pass at another strength than one: reversed, scaled, and scheduled.

Ganin et al. 2016, "Domain-adversarial training of neural networks" (JMLR 17, 59).
"""

import jax
import jax.numpy as jnp


@jax.custom_jvp
def scale_gradient(x: jax.Array, scale: jax.Array) -> jax.Array:
  """x itself, bit for bit; the gradient that comes back through it is multiplied by `scale`.

  Args:
    x: floating-point, of any shape.
    scale: a scalar, which may be traced. It gets no gradient.

  >>> jax.grad(lambda x: scale_gradient(x, .5) ** 2)(3.).item()
  3.0
  """
  del scale
  return x


@scale_gradient.defjvp
def _scaled(primals, tangents):
  (x, scale), (dx, _) = primals, tangents
  # Linear in dx, so that its transpose is the same: forward and reverse mode both work.
  return scale_gradient(x, scale), jnp.asarray(scale, dx.dtype) * dx


def gradient_reversal(x: jax.Array, scale: jax.Array) -> jax.Array:
  """The gradient reversal layer (section 4.2): x forward, -scale times the gradient backward.

  What lies above it is trained to lower a loss, what lies below to raise it.

  Args:
    x: floating-point, of any shape.
    scale: lambda, a scalar which may be traced. It gets no gradient.

  >>> jax.grad(lambda x: gradient_reversal(x, 2.) ** 2)(3.).item()
  -12.0
  """
  return scale_gradient(x, -scale)


def reversal_schedule(progress: jax.Array, gamma: jax.Array = 10.) -> jax.Array:
  """lambda_p = 2 / (1 + exp(-gamma p)) - 1 (section 5.2.2): from 0 at p = 0 to nearly 1 at p = 1.

  The paper's learning rate, lr / (1 + 10 p)^.75, is optim's schedule `inverse`.

  Args:
    progress: p, the part of training done, in [0, 1].
    gamma: how soon; 10 in the paper.

  >>> [round(float(reversal_schedule(p)), 3) for p in (0., .1, .5, 1.)]
  [0.0, 0.462, 0.987, 1.0]
  """
  return jnp.tanh(.5 * gamma * progress)       # the same function, without a difference near zero
