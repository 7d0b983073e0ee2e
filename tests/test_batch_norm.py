"""BatchNorm against linen's, whose every number it shares."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.models.batch_norm import BatchNorm

SETTINGS = dict(momentum=.8, epsilon=1e-3)
X = np.random.default_rng(0).normal(2, 3, (6, 5, 4, 3)).astype(np.float32)
VARIABLES = dict(
    params=dict(scale=np.array([1, 2, -.5], np.float32), bias=np.array([0, .1, 3], np.float32)),
    batch_stats=dict(mean=np.array([1, 2, 3], np.float32), var=np.array([.5, 9, 2], np.float32)))


def both(**settings):
  return BatchNorm(**SETTINGS, **settings), nn.BatchNorm(**SETTINGS, **settings)


def same(ours, theirs):
  jax.tree.map(partial(np.testing.assert_allclose, rtol=2e-6, atol=2e-6),
               *jax.tree.map(lambda x: np.asarray(x, np.float32), (ours, theirs)))


@pytest.mark.parametrize('average', [False, True])
@pytest.mark.parametrize('dtype', [None, jnp.float32, jnp.bfloat16])
def test_outputs_averages_and_gradients_are_linens(average, dtype):
  def results(layer):
    def loss(variables, x):
      y, new = layer.apply(variables, x, mutable=['batch_stats'])
      return (y.astype(jnp.float32) ** 3).mean(), (y, new)
    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))(
        VARIABLES, X if dtype != jnp.bfloat16 else X.astype(dtype))
  ours, theirs = map(results, both(use_running_average=average, dtype=dtype))
  assert ours[0][1][0].dtype == theirs[0][1][0].dtype == (dtype or jnp.float32)
  same(*((found, of_variables['params'], of_x)
         for found, (of_variables, of_x) in (ours, theirs)))


def test_fresh_variables_are_linens_and_initialisation_moves_nothing():
  ours, theirs = (layer.init(jax.random.key(0), X)
                  for layer in both(use_running_average=False, axis_name='unbound'))
  assert jax.tree.structure(ours) == jax.tree.structure(theirs)
  jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.parametrize('mapped', [jax.vmap, jax.pmap])
def test_statistics_are_shared_over_the_mapped_axis(mapped):
  """On each half of the examples what one layer gives of all of them."""
  layer, _ = both(use_running_average=False, axis_name='data')
  whole, _ = both(use_running_average=False)
  y, new = whole.apply(VARIABLES, X, mutable=['batch_stats'])
  halves, moved = mapped(lambda x: layer.apply(VARIABLES, x, mutable=['batch_stats']),
                         axis_name='data')(X.reshape(2, 3, *X.shape[1:]))
  same(halves.reshape(X.shape), y)
  same(jax.tree.map(lambda a: a[1], moved), new)


def test_a_call_says_whether_to_average_where_the_layer_was_not_told():
  layer, theirs = both()
  same(layer.apply(VARIABLES, X, use_running_average=True),
       theirs.apply(VARIABLES, X, use_running_average=True))
  with pytest.raises(ValueError, match='use_running_average'):
    layer.apply(VARIABLES, X)


def test_layers_of_one_shape_are_traced_once():
  class Three(nn.Module):
    @nn.compact
    def __call__(self, x):
      for _ in range(3):
        x = BatchNorm(use_running_average=False)(x)
      return x
  variables = Three().init(jax.random.key(0), X)
  jaxpr = jax.make_jaxpr(partial(Three().apply, mutable=['batch_stats']))(variables, X)
  called = [e.params for e in jaxpr.eqns if e.params.get('name') == '_normalised']
  assert len(called) == 3 and len({id(p['jaxpr']) for p in called}) == 1
