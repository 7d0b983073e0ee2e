"""Recurrent cells from their equations, and running them over time.

A cell's state is a tuple of arrays (b h), the first of which is its output. It is float32 whatever
the dtype of the parameters, as are the gates: in bfloat16 a cell that adds 1/256 a step would stand
still at 1, and one that keeps all but 1/512 would keep all. Its parameters are

  input_kernel (d g*h), state_kernel (h g*h), bias (g*h); for a GRU also state_bias (h)

with the g gates side by side, in PyTorch's order. With [a, ...] = x input_kernel + bias and
[a', ...] = h state_kernel, sigma the sigmoid and * the product of elements:

  rnn   h <- tanh(n + n')                                              (Elman 1990)
  lstm  c <- sigma(f + f') * c + sigma(i + i') * tanh(g + g')          (Gers et al. 2000;
        h <- sigma(o + o') * tanh(c)                                    gates i, f, g, o)
  gru   h <- (1 - z) * tanh(n + r * (n' + state_bias)) + z * h         (Cho et al. 2014;
        r = sigma(r + r'), z = sigma(z + z')                            gates r, z, n)

The GRU resets after the product with state_kernel, as cuDNN and PyTorch do, where the paper resets
before it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.nn.initializers import glorot_uniform, orthogonal

from visionlab.config import ConfigError

Params = Mapping[str, jax.Array]
State = tuple[jax.Array, ...]


class Cell(NamedTuple):
  """A kind of cell.

  Attributes:
    gates: g, the width of a kernel in units of the state's.
    parts: how many arrays (b h) a state has.
    update: (params, state, projected (b g*h)) -> state, where `projected` is `project`'s.
  """
  gates: int
  parts: int
  update: Callable[[Params, State, jax.Array], State]


def rnn_update(params: Params, state: State, projected: jax.Array) -> State:
  (h,) = state
  return (jnp.tanh(_wide(projected + _recurrent(params, h))),)


def lstm_update(params: Params, state: State, projected: jax.Array) -> State:
  h, c = state
  gates = _wide(projected + _recurrent(params, h))
  # One sigmoid of all four and one unused: on CPU a quarter faster than three.
  i, f, _, o = jnp.split(jax.nn.sigmoid(gates), 4, axis=-1)
  g = jnp.tanh(jnp.split(gates, 4, axis=-1)[2])
  c = f * c + i * g
  return o * jnp.tanh(c), c


def gru_update(params: Params, state: State, projected: jax.Array) -> State:
  (h,) = state
  recurrent, projected = _wide(_recurrent(params, h)), _wide(projected)
  gates = h.shape[-1] * 2
  r, z = jnp.split(jax.nn.sigmoid(projected[..., :gates] + recurrent[..., :gates]), 2, axis=-1)
  n = jnp.tanh(projected[..., gates:] + r * (recurrent[..., gates:] + params['state_bias']))
  return ((1 - z) * n + z * h,)


def _recurrent(params, h):
  """The product with the state, in the dtype of the parameters."""
  kernel = params['state_kernel']
  return h.astype(kernel.dtype) @ kernel


def _wide(x):
  """In float32 at least."""
  return x.astype(jnp.promote_types(x.dtype, jnp.float32))


RNN = Cell(1, 1, rnn_update)
LSTM = Cell(4, 2, lstm_update)
GRU = Cell(3, 1, gru_update)
CELLS = dict(rnn=RNN, lstm=LSTM, gru=GRU)


def init(key: jax.Array, cell: Cell, inputs: int, features: int, *, forget_bias: float = 1.,
         memory: int = 0) -> dict[str, jax.Array]:
  """Fresh parameters of one layer, float32.

  Each gate's state kernel is orthogonal (Saxe et al. 2014) and each gate's input kernel Glorot
  uniform (Glorot & Bengio 2010).

  Args:
    key: typed PRNG key.
    inputs, features: d and h, the widths of x and of the state.
    forget_bias: an LSTM's bias of f, so that it remembers at first (Jozefowicz et al. 2015);
      all other biases are 0.
    memory: for how many steps an LSTM or a GRU is to remember, which it then does at first: each
      unit forgets at a rate of its own, over 2 to `memory` steps (Tallec & Ollivier 2018,
      https://arxiv.org/abs/1804.11188). The bias of f, or of z, is the logarithm of a uniform
      number in [1, memory - 1], that of i its negative. In place of forget_bias; 0 leaves it out.

  Raises:
    ConfigError: a memory of 1 or 2 steps.
  """
  if memory and memory < 3:
    raise ConfigError(f'memory: must be at least 3 steps, or 0, not {memory}')
  input_key, state_key = jax.random.split(key)

  def kernel(draw, key, rows):
    gates = [draw(k, (rows, features)) for k in jax.random.split(key, cell.gates)]
    return jnp.concatenate(gates, axis=1)
  params = dict(input_kernel=kernel(glorot_uniform(), input_key, inputs),
                state_kernel=kernel(orthogonal(), state_key, features),
                bias=jnp.zeros(cell.gates * features))
  if cell is LSTM:
    params['bias'] = params['bias'].at[features:2 * features].set(forget_bias)
  if cell is GRU:
    params['state_bias'] = jnp.zeros(features)
  if memory and cell is not RNN:
    stay = jnp.log(1 + (memory - 2) * jax.random.uniform(jax.random.fold_in(key, 2), (features,)))
    params['bias'] = params['bias'].at[features:2 * features].set(stay)
    if cell is LSTM:
      params['bias'] = params['bias'].at[:features].set(-stay)
  return params


def zero_state(cell: Cell, params: Params, b: int) -> State:
  """The state (b h) of one layer that has seen nothing."""
  kernel = params['state_kernel']
  return (_wide(jnp.zeros((b, len(kernel)), kernel.dtype)),) * cell.parts


def project(params: Params, x: jax.Array) -> jax.Array:
  """A cell's view of its input, (..., d) -> (..., g*h); it does not depend on the state, so that
  it can be computed for all steps, or for a table of word embeddings, at once."""
  return x @ params['input_kernel'] + params['bias']


def run(cell: Cell, params: Params, state: State, xs: jax.Array,
        valid: jax.Array | None = None) -> tuple[jax.Array, State]:
  """One layer over time.

  The inputs of all steps are projected in one product; only the product with the state is left to
  the scan.

  Args:
    state: before the first step, arrays (b h); made float32 if they are narrower.
    xs: (b t d).
    valid: (b t) bool. Where it is False the state is kept as it was, so that the last output of a
      padded sequence is that of its last valid step, and xs may be anything but NaN there.

  Returns:
    The outputs (b t h), in the dtype of `project`'s, and the state after the last step.
  """
  state = tuple(map(_wide, state))
  projected = project(params, jnp.moveaxis(xs, 1, 0))
  valid = None if valid is None else jnp.moveaxis(valid, 1, 0)[..., None]

  def advance(state, now):
    projected, valid = now
    new = cell.update(params, state, projected)
    if valid is not None:
      new = tuple(jnp.where(valid, a, b) for a, b in zip(new, state, strict=True))
    new = tuple(a.astype(b.dtype) for a, b in zip(new, state, strict=True))
    return new, new[0].astype(projected.dtype)
  state, outputs = lax.scan(advance, state, (projected, valid))
  return jnp.moveaxis(outputs, 0, 1), state


def run_layers(cell: Cell, layers: Sequence[Params], states: Sequence[State],
               xs: jax.Array, *, dropout: float = 0.,
               key: jax.Array | None = None) -> tuple[jax.Array, list[State]]:
  """Layers over time, each on the outputs of the one before.

  Args:
    layers, states: parameters and state of each layer; otherwise as in `run`.
    dropout: the share in [0, 1) of each layer's outputs that the next one does not see, drawn
      anew at each step. Never between one step and the next (Zaremba et al. 2014, section 3.2).
    key: typed PRNG key; None turns dropout off.

  Returns:
    The last layer's outputs (b t h), and every layer's state after the last step.

  Raises:
    ConfigError: there are not as many states as layers, or dropout is not in [0, 1).
  """
  if len(layers) != len(states):
    raise ConfigError(f'run_layers: {len(states)} states for {len(layers)} layers')
  if not 0 <= dropout < 1:
    raise ConfigError(f'dropout: must be at least 0 and below 1, not {dropout}')
  after = []
  for i, (params, state) in enumerate(zip(layers, states, strict=True)):
    if i and dropout and key is not None:
      keep = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - dropout, xs.shape)
      xs = jnp.where(keep, xs / (1 - dropout), 0)
    xs, state = run(cell, params, state, xs)
    after.append(state)
  return xs, after
