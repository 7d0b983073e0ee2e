"""The captioner against PyTorch's LSTM, the papers' equations in NumPy, and itself step by step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.models.captioner import Captioner, pooled
from visionlab.models.cnn import CNN
from visionlab.models.segnet import Encoder
from visionlab.ops.attention import attend, init_attention
from visionlab.ops.scheduled_sampling import scheduled

V, B = 11, 3
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(B, 16, 16, 3)).astype(np.float32)
TOKENS = RNG.integers(0, V, (2 * B, 6)).astype(np.int32)
TINY = dict(words=V, width=8, embedding=6)
KINDS = dict(told=dict(pool='flatten'), points=dict(pool='points', cell='rnn'),
             mean=dict(cell='gru', layers=2),
             language=dict(backbone=None),
             attention=dict(attention=5, level='pool0', position=True, detected=3),
             attention_gru=dict(attention=5, cell='gru'))


def close(a, b, atol=2e-5):
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=atol), a, b)


def made(**options):
  """A captioner and its variables, all of them random so that none is without effect."""
  model = Captioner(**{**TINY, 'backbone': CNN(1, widths=(4, 7)), **options})
  variables = jax.jit(model.init)(jax.random.key(0), IMAGES)
  rng = np.random.default_rng(1)
  draw = lambda low, high: lambda x: rng.uniform(low, high, x.shape).astype(np.float32)
  return model, {k: jax.tree.map(draw(.5, 2) if k == 'batch_stats' else draw(-1, 1), v)
                 for k, v in variables.items()}


def encoded(model, variables, images=IMAGES):
  return jax.jit(lambda images: model.apply(variables, images, method='encode'))(images)


@pytest.fixture(params=KINDS, scope='module')
def kind(request):
  return made(**KINDS[request.param])


def test_teaching_is_stepping(kind):
  model, variables = kind
  memory = encoded(model, variables)
  taught = jax.jit(lambda: model.apply(variables, memory, TOKENS, method='teach'))()
  state = model.apply(variables, memory, method='start')
  state = jax.tree.map(lambda x: jnp.repeat(x, 2, axis=0), state)
  step = jax.jit(lambda state, token: model.apply(variables, memory, state, token, method='step'))
  for i in range(TOKENS.shape[1]):
    logits, state = step(state, TOKENS[:, i])
    close(logits, taught.logits[:, i])
  assert taught.logits.shape == (2 * B, 6, V) and taught.logits.dtype == jnp.float32


def test_what_follows_depends_on_what_was_before_and_on_the_own_image(kind):
  model, variables = kind
  @jax.jit
  def taught(images, tokens):
    return model.apply(variables, model.apply(variables, images, method='encode'), tokens,
                       method='teach').logits
  before = taught(IMAGES, TOKENS)
  after = taught(IMAGES, np.where(np.arange(6) == 3, (TOKENS + 1) % V, TOKENS))
  close(before[:, :3], after[:, :3])
  assert (np.abs(before - after)[:, 3:].max(-1) > 1e-4).all()
  other = taught(IMAGES + np.float32([1, 0, 0])[:, None, None, None], TOKENS)
  close(before[2:], other[2:])                       # two captions for each image, side by side
  if model.backbone is not None:
    assert (np.abs(before - other)[:2].max((-1, -2)) > 1e-4).all()


def normed(variables, name, x):
  params, stats = variables['params'][name], variables['batch_stats'][name]
  x = (x - stats['mean']) / np.sqrt(stats['var'] + 1e-5)
  return x * params['scale'] + params['bias']


def test_show_and_tell_equals_torch():
  torch = pytest.importorskip('torch')
  model, variables = made(pool='flatten', layers=2)
  params = variables['params']
  memory = encoded(model, variables)
  lstm = torch.nn.LSTM(6, 8, num_layers=2, batch_first=True)
  with torch.no_grad():
    for i in range(2):
      own = params[f'layer{i}']
      for name, value in {'weight_ih': own['input_kernel'].T, 'weight_hh': own['state_kernel'].T,
                          'bias_ih': own['bias'], 'bias_hh': 0 * own['bias']}.items():
        getattr(lstm, f'{name}_l{i}').copy_(torch.tensor(value))
    image = np.repeat(memory['vector'], 2, axis=0)[:, None]
    inputs = np.concatenate([image, params['table'][TOKENS]], axis=1)      # the image at step -1
    outputs = lstm(torch.tensor(inputs))[0].numpy()[:, 1:]
  expected = outputs @ params['head']['kernel'] + params['head']['bias']
  taught = jax.jit(lambda: model.apply(variables, memory, TOKENS, method='teach'))()
  close(taught.logits, expected)
  maps = model.backbone.apply({'params': params['backbone']}, IMAGES, method='features')
  flat = np.asarray(maps['pool1']).reshape(B, -1)
  vector = flat @ params['image']['kernel'] + params['image']['bias']
  close(memory['vector'], normed(variables, 'norm', vector), 1e-4)


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def test_attention_equals_the_papers_equations():
  """Xu et al. 2015, equations 1 to 7 and 13, one caption and one place at a time."""
  model, variables = made(attention=5, level='pool0', position=True)
  params = variables['params']
  maps = model.backbone.apply({'params': params['backbone']}, IMAGES, method='features')
  dense = lambda name, x: x @ params[name]['kernel'] + params[name]['bias']
  for b in range(B):
    seen = np.asarray(maps['pool0'][b])
    side = seen.shape[0]
    whole = normed(variables, 'norm', dense('image', [*seen.mean((0, 1)), 0, 0]))
    places = normed(variables, 'place_norm', np.stack([
        dense('place', [*seen[y, x], 2 * x / (side - 1) - 1, 2 * y / (side - 1) - 1])
        for y in range(side) for x in range(side)]))
    own, layer = params['attend'], params['layer0']
    h, c = np.split(np.tanh(dense('first', whole)), 2)
    expected, weights = [], []
    for token in TOKENS[2 * b]:
      e = np.concatenate([np.tanh(dense('key', a) + h @ own['query']) @ own['score']
                          for a in places])
      alpha = np.exp(e - e.max()) / np.exp(e - e.max()).sum()
      beta = sigmoid(h @ own['gate'] + own['gate_bias'])
      z = beta * sum(w * a for w, a in zip(alpha, places, strict=True))
      x = params['table'][token]
      gates = np.concatenate([x, z]) @ layer['input_kernel'] + h @ layer['state_kernel']
      i, f, g, o = np.split(gates + layer['bias'], 4)
      c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
      h = sigmoid(o) * np.tanh(c)
      expected.append(dense('head', x + dense('from_state', h) + dense('from_context', z)))
      weights.append(alpha.reshape(side, side))
    memory = encoded(model, variables, IMAGES[b:b + 1])
    taught = jax.jit(lambda memory, b=b: model.apply(
        variables, memory, TOKENS[2 * b:2 * b + 1], method='teach'))(memory)
    close(taught.logits[0], np.array(expected), 1e-4)
    close(taught.alpha[0], np.array(weights))


def test_attention_weighs_places():
  params = init_attention(jax.random.key(0), 8, 5)
  keys, places = RNG.normal(size=(2, 7, 5)), RNG.normal(size=(2, 7, 4))
  context, alpha = attend(params, keys, places, RNG.normal(size=(2, 8)))
  np.testing.assert_allclose(alpha.sum(-1), 1, rtol=1e-6)
  np.testing.assert_allclose(context, .5 * (alpha[..., None] * places).sum(1), rtol=1e-5)
  order = np.random.default_rng(1).permutation(7)
  state = RNG.normal(size=(2, 8))
  close(attend(params, keys[:, order], places[:, order], state)[0],
        attend(params, keys, places, state)[0])
  sharp = {**params, 'score': np.full((5, 1), 99.), 'gate_bias': np.full(1, 99.)}
  keys = np.zeros((2, 7, 5))
  keys[0, 3] = keys[1, 6] = 5
  close(attend(sharp, keys, places, 0 * state)[0], np.stack([places[0, 3], places[1, 6]]))


def test_attention_is_computed_in_float32_in_full():
  params = init_attention(jax.random.key(0), 8, 5)
  half = [jnp.ones(shape, jnp.bfloat16) for shape in ((2, 7, 5), (2, 7, 4), (2, 8))]
  lowered = jax.jit(attend).lower(params, *half)
  assert {x.dtype for x in lowered.out_info} == {jnp.dtype('float32')}
  products = [line for line in lowered.as_text().splitlines() if 'stablehlo.dot_general' in line]
  assert len(products) == 4 and all('HIGHEST, HIGHEST' in line for line in products)


def test_parameters():
  options = dict(words=V, width=8, embedding=6, backbone=Encoder((4,), (1,)))
  shapes = lambda **more: jax.eval_shape(Captioner(**options, **more).init, jax.random.key(0),
                                         IMAGES)['params']
  count = lambda tree: sum(x.size for x in jax.tree.leaves(tree))
  told, image = shapes(), 4 * 6 + 6 + 2 * 6
  assert set(told) == {'backbone', 'table', 'image', 'norm', 'layer0', 'head'}
  assert count(told.pop('backbone')) == 27 * 4 + 2 * 4
  assert count(told) == V * 6 + image + (6 + 8 + 1) * 4 * 8 + 8 * V + V
  looked = shapes(attention=5)
  places = image + 6 * 5 + 5 + 8 * 5 + 5 + 8 + 1                    # with keys and attention
  outputs = 6 * 16 + 16 + 8 * 6 + 6 + 6 * 6 + 6 + 6 * V + V         # the first state; equation 7
  assert count(looked) - count(looked['backbone']) == (
      V * 6 + image + places + (6 + 6 + 8 + 1) * 4 * 8 + outputs)


def test_points():
  x = RNG.normal(size=(2, 3, 5, 4)).astype(np.float32)
  mean, top, across, down = np.split(pooled(x, 'points'), 4, axis=-1)
  np.testing.assert_allclose(mean, x.mean((1, 2)), atol=1e-6)
  np.testing.assert_array_equal(top, x.max((1, 2)))
  weights = np.exp(x) / np.exp(x).sum((1, 2), keepdims=True)
  rows, columns = np.mgrid[-1:1:3j, -1:1:5j]
  np.testing.assert_allclose(across, (weights * columns[..., None]).sum((1, 2)), atol=1e-6)
  np.testing.assert_allclose(down, (weights * rows[..., None]).sum((1, 2)), atol=1e-6)


def test_words_are_detected_where_they_are():
  """A word is absent if it is at no place (noisy-or), and its scores are among the features."""
  model, variables = made(detected=3, pool='points')
  params = variables['params']
  memory = encoded(model, variables)
  maps = model.backbone.apply({'params': params['backbone']}, IMAGES, method='features')
  seen = np.float64(maps['pool1'])
  scores = seen @ params['detector']['kernel'] + params['detector']['bias']
  absent = (1 - sigmoid(scores)).prod((1, 2))
  np.testing.assert_allclose(np.exp(memory['absent']), absent, rtol=1e-4, atol=1e-30)
  whole = np.concatenate([pooled(np.concatenate([seen, scores], -1), 'points'), 1 - absent], -1)
  vector = whole @ params['image']['kernel'] + params['image']['bias']
  close(memory['vector'], normed(variables, 'norm', vector), 1e-3)
  fresh = jax.jit(model.init)(jax.random.key(0), IMAGES)
  assert np.exp(encoded(model, fresh)['absent']).min() > .8


def test_dropout_is_drawn_anew_at_each_step_and_off_in_evaluation(kind):
  model, variables = kind
  model = model.copy(dropout=.4)
  memory = encoded(model, variables)
  same = np.zeros((B, 6), np.int32)
  logits = jax.jit(lambda **options: model.apply(variables, memory, same, method='teach',
                                                 **options).logits, static_argnames='train')
  whole = jax.jit(lambda: model.copy(dropout=0.).apply(variables, memory, same, method='teach'))
  close(logits(), whole().logits)
  a, b = (logits(train=True, rngs={'dropout': jax.random.key(i)}) for i in range(2))
  assert np.abs(a - b).max() > 1e-3
  with pytest.raises(Exception, match='dropout'):
    logits(train=True)


def test_half_precision_is_for_the_image():
  model, variables = made(dtype=jnp.bfloat16)
  memory = encoded(model, variables)
  assert memory['vector'].dtype == jnp.float32
  whole = encoded(made()[0], variables)
  np.testing.assert_allclose(memory['vector'], whole['vector'], atol=.05, rtol=.05)


def test_errors():
  for options, message in ((dict(cell='lsmt'), 'did you mean "lstm"'),
                           (dict(pool='flaten'), 'did you mean "flatten"'),
                           (dict(attention=4, backbone=None), 'needs a backbone'),
                           (dict(attention=4, layers=2), 'layers=1'),
                           (dict(detected=8), "between 0 and the vocabulary's 7 words, not 8")):
    with pytest.raises(ConfigError, match=message):
      made(**options)
  with pytest.raises(ConfigError, match=r'no map .pol1. \(did you mean "pool1"\?\)'):
    made(level='pol1')


def chain(p):
  """A model whose next word depends on the last alone, by a table of probabilities (v v)."""
  return lambda state, token: (jnp.log(p)[token], state)


def test_scheduled_sampling():
  p = RNG.dirichlet(np.ones(4), 4).astype(np.float32)
  tokens = np.tile(np.int32([3, 0, 1, 2]), (40_000, 1))
  close(scheduled(jax.random.key(0), chain(p), (), tokens, 0.), tokens)
  drawn = np.asarray(scheduled(jax.random.key(0), chain(p), (), tokens, 1.))
  assert (drawn[:, 0] == 3).all()
  np.testing.assert_allclose(np.bincount(drawn[:, 1], minlength=4) / 40_000, p[3], atol=.01)
  np.testing.assert_allclose(np.bincount(drawn[:, 2], minlength=4) / 40_000, p[3] @ p, atol=.01)
  some = np.asarray(scheduled(jax.random.key(1), chain(p), (), tokens, .3))
  # A third word that is not the true one was drawn after what was given before it.
  given = .7 * np.eye(4)[0] + .3 * p[3]
  np.testing.assert_allclose(np.bincount(some[:, 2], minlength=4) / 40_000,
                             .7 * np.eye(4)[1] + .3 * (given @ p), atol=.01)
