"""Recurrent cells against torch's, and what masks, layers and dropout promise."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.ops import recurrent
from visionlab.ops.recurrent import CELLS, GRU, LSTM, RNN

GOLDEN = np.load(Path(__file__).parent / 'golden/recurrent.npz')
each_cell = pytest.mark.parametrize('name', CELLS)


def from_torch(name, weights, layer, suffix=''):
  """A layer's parameters; torch has two biases, whose sum counts except in a GRU's candidate.
  Given gradients by the suffix, the parameters' gradients."""
  w_input, w_state, b_input, b_state = (
      np.array(weights[f'{part}_l{layer}{suffix}'])
      for part in ('weight_ih', 'weight_hh', 'bias_ih', 'bias_hh'))
  params = dict(input_kernel=w_input.T, state_kernel=w_state.T, bias=b_input)
  gates = len(b_input) * 2 // 3 if name == 'gru' else len(b_input)
  if not suffix:
    params['bias'][:gates] += b_state[:gates]
  if name == 'gru':
    params['state_bias'] = b_state[gates:]
  return params


def close(a, b, tolerance=1e-5):
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance), a, b)


@each_cell
def test_equals_torch_forward_and_gradient(name):
  """On sequences of different lengths, with two layers and a state to begin with."""
  g = {k.split('/')[1]: v for k, v in GOLDEN.items() if k.startswith(f'{name}/')}
  cell, parts = CELLS[name], range(CELLS[name].parts)
  valid = np.arange(g['xs'].shape[1]) < GOLDEN['lengths'][:, None]

  def weighed(layers, states, xs):
    outputs, after = xs, []
    for params, state in zip(layers, states, strict=True):
      outputs, state = recurrent.run(cell, params, state, outputs, valid)
      after.append(state)
    outputs = jnp.where(valid[..., None], outputs, 0)         # as torch pads
    after = [jnp.stack([state[i] for state in after]) for i in parts]
    weighings = [g['outputs_weighing'], *(g[f'after{i}_weighing'] for i in parts)]
    total = sum((w * x).sum() for w, x in zip(weighings, (outputs, *after), strict=True))
    return total, (outputs, after)
  layers = [from_torch(name, g, layer) for layer in range(2)]
  states = [tuple(g[f'state{i}'][layer] for i in parts) for layer in range(2)]
  gradient = jax.jit(jax.grad(weighed, argnums=(0, 1, 2), has_aux=True))
  (d_layers, d_states, d_xs), (outputs, after) = gradient(layers, states, g['xs'])
  close(outputs, g['outputs'])
  close(after, [g[f'after{i}'] for i in parts])
  close(d_xs, g['xs_gradient'])
  close(d_layers, [from_torch(name, g, layer, '_gradient') for layer in range(2)])
  close(d_states, [tuple(g[f'state{i}_gradient'][layer] for i in parts) for layer in range(2)])


@each_cell
def test_equals_the_torch_that_is_installed(name):
  torch = pytest.importorskip('torch')
  net = getattr(torch.nn, name.upper())(7, 9, batch_first=True)
  xs = torch.randn(4, 11, 7)
  with torch.no_grad():
    expected = net(xs)[0].numpy()
  weights = {k: v.detach().numpy() for k, v in net.named_parameters()}
  params, cell = from_torch(name, weights, 0), CELLS[name]
  state = recurrent.zero_state(cell, params, 4)
  close(recurrent.run(cell, params, state, xs.numpy())[0], expected)


def random_layer(name, b=3, t=6, d=4, h=5):
  cell, rng = CELLS[name], np.random.default_rng(0)
  shapes = jax.eval_shape(lambda key: recurrent.init(key, cell, d, h), jax.random.key(0))
  params = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)
  state = tuple(rng.normal(size=(b, h)).astype(np.float32) for _ in range(cell.parts))
  return cell, params, state, rng.normal(size=(b, t, d)).astype(np.float32)


@each_cell
def test_run_is_step_after_step(name):
  cell, params, state, xs = random_layer(name)
  outputs, after = recurrent.run(cell, params, state, xs)
  for i in range(xs.shape[1]):
    state = cell.update(params, state, recurrent.project(params, xs[:, i]))
    close(outputs[:, i], state[0])
  close(after, state)


@each_cell
def test_padded_steps_change_nothing(name):
  cell, params, state, xs = random_layer(name)
  valid = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0], [0, 1, 0, 1, 0, 0]], bool)
  outputs, after = recurrent.run(cell, params, state, xs, valid)
  for row in range(3):
    own = tuple(part[row:row + 1] for part in state)
    alone, end = recurrent.run(cell, params, own, xs[row:row + 1, valid[row]])
    close(outputs[row][valid[row]], alone[0])
    close(jnp.stack(after)[:, row], jnp.stack(end)[:, 0])
  close(outputs[:, -1], after[0])                     # the last valid one is carried to the end
  padding = np.where(valid[..., None], xs, 1e6)
  gradient = jax.grad(lambda p, x: recurrent.run(cell, p, state, x, valid)[0].sum(), (0, 1))
  (d_params, d_xs), (d_padded, d_padding) = gradient(params, xs), gradient(params, padding)
  close(d_params, d_padded)
  assert (np.asarray(d_xs)[~valid] == 0).all() and (np.asarray(d_padding)[~valid] == 0).all()


def test_what_an_lstm_is_for():
  """With f = 1 and i = 0 the memory stays, and so does its gradient, however long; a plain RNN's
  fades."""
  t, h = 200, 3
  params = recurrent.init(jax.random.key(0), LSTM, 1, h)
  params['bias'] = jnp.repeat(jnp.array([-1e3, 1e3, 0., 0.]), h)
  state = (jnp.zeros((1, h)), jnp.array([[.5, -1., 2.]]))
  keep = lambda c: recurrent.run(LSTM, params, (state[0], c), jnp.ones((1, t, 1)))[1][1]
  close(keep(state[1]), state[1])
  close(jax.jacobian(keep)(state[1])[0, :, 0], np.eye(h))
  params = jax.tree.map(lambda x: x * .9, recurrent.init(jax.random.key(0), RNN, 1, h))
  fade = lambda x: recurrent.run(RNN, params, (x,), jnp.ones((1, t, 1)))[1][0]
  assert np.abs(jax.jacobian(fade)(state[1])).max() < 1e-6


@each_cell
def test_fresh_parameters(name):
  cell, d, h = CELLS[name], 7, 5
  params = recurrent.init(jax.random.key(0), cell, d, h)
  assert params['input_kernel'].shape == (d, cell.gates * h)
  for gate in np.split(np.asarray(params['state_kernel']), cell.gates, axis=1):
    close(gate @ gate.T, np.eye(h))
  forget = np.zeros(cell.gates * h)
  if cell is LSTM:
    forget[h:2 * h] = 1
  assert (np.asarray(params['bias']) == forget).all()
  assert ('state_bias' in params) == (cell is GRU)
  plain = recurrent.init(jax.random.key(0), cell, d, h, forget_bias=0.)
  assert not any(plain[k].any() for k in plain if k.endswith('bias'))


@pytest.mark.parametrize('name', ['lstm', 'gru'])
def test_memory_is_what_fresh_cells_have(name):
  """Of 1 the share left after t steps is (1 - 1 / T) ** t for a time T of 2 to `memory` steps."""
  h, memory = 2000, 50
  params = recurrent.init(jax.random.key(0), CELLS[name], 1, h, memory=memory)
  plain = {k: v for k, v in params.items() if k != 'bias'}
  # Nothing but the gates' biases: what is kept at each step, by the cell itself.
  blank = {**jax.tree.map(jnp.zeros_like, plain), 'bias': params['bias']}
  one = (jnp.ones((1, h)),) if name == 'gru' else (jnp.zeros((1, h)), jnp.ones((1, h)))
  after = CELLS[name].update(blank, one, recurrent.project(blank, jnp.zeros((1, 1))))[-1]
  times = 1 / (1 - np.asarray(after)[0])
  assert 2 <= times.min() < 2.2 and memory - 1 < times.max() <= memory
  np.testing.assert_allclose(times.mean(), (memory + 2) / 2, rtol=.03)      # uniformly
  if name == 'lstm':
    close(params['bias'][:h], -params['bias'][h:2 * h])     # what is kept, is not written over
  assert not params['bias'][2 * h:].any()
  same = recurrent.init(jax.random.key(0), CELLS[name], 1, h)
  assert (same['input_kernel'] == params['input_kernel']).all()


def test_dropout_is_between_layers_only():
  b, t, h = 8, 6, 100
  # The second layer's outputs are tanh of what it sees.
  layers = [recurrent.init(jax.random.key(0), RNN, 4, h),
            dict(input_kernel=jnp.eye(h), state_kernel=jnp.zeros((h, h)), bias=jnp.zeros(h))]
  states = [recurrent.zero_state(RNN, p, b) for p in layers]
  xs = jax.random.normal(jax.random.key(1), (b, t, 4))
  run = lambda n, **options: recurrent.run_layers(RNN, layers[:n], states[:n], xs, **options)
  key = jax.random.key(2)
  whole, _ = run(1)
  close(jnp.arctanh(run(2, dropout=.3)[0]), whole, 1e-4)     # without a key
  close(run(1, dropout=.3, key=key)[0], whole)
  outputs, after = run(2, dropout=.3, key=key)
  seen, dropped = np.arctanh(outputs), np.asarray(outputs) == 0
  close(seen[~dropped], whole[~dropped] / .7, 1e-3)
  assert abs(dropped.mean() - .3) < .03
  assert (dropped[:, 0] != dropped[:, 1]).any()              # drawn anew at each step
  close(after[0][0], whole[:, -1])


def test_half_precision_keeps_its_state():
  cell, params, state, xs = random_layer('lstm')
  half = lambda tree: jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), tree)
  outputs, after = recurrent.run(cell, half(params), half(state), half(xs))
  assert outputs.dtype == jnp.bfloat16 and {x.dtype for x in after} == {jnp.dtype('float32')}
  outputs32, _ = recurrent.run(cell, params, state, xs)
  close(outputs.astype(jnp.float32), outputs32, .1)
  mixed, _ = recurrent.run(cell, params, state, half(xs))    # what bfloat16 features give
  assert mixed.dtype == jnp.float32


def with_biases(cell, *biases, features=3):
  """Parameters in bfloat16 of a cell that does the same whatever it sees and was."""
  shapes = jax.eval_shape(lambda key: recurrent.init(key, cell, 1, features), jax.random.key(0))
  params = jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.bfloat16), shapes)
  return params | dict(bias=jnp.repeat(jnp.asarray(biases, jnp.bfloat16), features))


def test_an_lstm_adds_up_small_numbers_in_half_precision():
  """600 times tanh(1/256) is 2.34; a sum in bfloat16 stays at .5 or 1."""
  params = with_biases(LSTM, 30., 30., 1 / 256, 30.)
  _, (h, c) = recurrent.run(LSTM, params, recurrent.zero_state(LSTM, params, 1),
                            jnp.zeros((1, 600, 1), jnp.bfloat16))
  np.testing.assert_allclose(c, 600 * np.tanh(1 / 256), rtol=1e-4)
  np.testing.assert_allclose(h, np.tanh(600 * np.tanh(1 / 256)), rtol=1e-4)


def test_a_gru_forgets_slowly_in_half_precision():
  """The share that is kept, sigma(6.25) = .99807, has two neighbours in bfloat16: .996 and 1."""
  params = with_biases(GRU, 0., 6.25, 0.)
  ones, xs = jnp.ones((1, 3), jnp.bfloat16), jnp.zeros((1, 256, 1), jnp.bfloat16)
  _, (h,) = recurrent.run(GRU, params, (ones,), xs)
  np.testing.assert_allclose(h, (1 / (1 + np.exp(-6.25))) ** 256, rtol=1e-4)


def test_errors():
  layers = [recurrent.init(jax.random.key(0), RNN, 2, 2)] * 2
  states = [recurrent.zero_state(RNN, p, 1) for p in layers]
  xs = jnp.zeros((1, 3, 2))
  with pytest.raises(ConfigError, match='1 states for 2 layers'):
    recurrent.run_layers(RNN, layers, states[:1], xs)
  with pytest.raises(ConfigError, match='dropout: .* not 1'):
    recurrent.run_layers(RNN, layers, states, xs, dropout=1)
  with pytest.raises(ConfigError, match='memory: .* not 2'):
    recurrent.init(jax.random.key(0), LSTM, 2, 2, memory=2)
