"""Vision transformers: torch's logits, timm's and torchvision's names, positions of other grids."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_models import build, shapes, variables_of

from visionlab.config import ConfigError
from visionlab.models.network import Style
from visionlab.models.vit import Block, resampled
from visionlab.runs.load import load
from visionlab.weights.families import near_misses, recognise
from visionlab.weights.files import flat, nested, read_weights
from visionlab.weights.fit import fit

torch = pytest.importorskip('torch', reason='compares with torch, which is not installed')
nn = torch.nn
FIELDS = dict(patch=8, width=128, depth=2, heads=2)
TORCHVISION = (('embed', 'conv_proj'), (r'^token', 'class_token'),
               (r'positions', 'encoder.pos_embedding'),
               (r'blocks\.(\d)', r'encoder.layers.encoder_layer_\1'), (r'\.norm', '.ln_'),
               ('self_attn', 'self_attention'), ('linear1', 'mlp.0'), ('linear2', 'mlp.3'),
               ('^norm', 'encoder.ln'), ('head', 'heads.head'))
TIMM = (('embed', 'patch_embed.proj'), (r'^token', 'cls_token'), ('positions', 'pos_embed'),
        (r'self_attn\.in_proj_', 'attn.qkv.'), (r'self_attn\.out_proj', 'attn.proj'),
        ('linear', 'mlp.fc'))


class Torch(nn.Module):
  """The network of torch's own layers."""

  def __init__(self):
    super().__init__()
    self.embed = nn.Conv2d(3, 128, 8, 8)
    self.token, self.positions = (nn.Parameter(torch.zeros(1, n, 128)) for n in (1, 17))
    self.blocks = nn.Sequential(*(nn.TransformerEncoderLayer(
        128, 2, 512, 0., 'gelu', 1e-6, batch_first=True, norm_first=True) for _ in range(2)))
    self.norm, self.head = nn.LayerNorm(128, 1e-6), nn.Linear(128, 5)

  def tokens(self, x):
    x = self.embed(x).flatten(2).transpose(1, 2)
    return self.blocks(torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions)

  def features(self, x):
    return self.norm(self.tokens(x)[:, 0])


@pytest.fixture(scope='module')
def network():
  """With random numbers in every array."""
  torch.manual_seed(0)
  model = Torch().eval()
  for name, parameter in model.named_parameters():
    scale = re.search(r'norm\d?\.weight', name)
    nn.init.uniform_(parameter, .5, 1.5) if scale else nn.init.normal_(parameter, std=.1)
  return model


@pytest.fixture
def save(tmp_path):
  def save(state, name='vit.pth'):
    torch.save(state, tmp_path / name)
    return tmp_path / name
  return save


def under(names, network):
  """Its arrays as another library calls them."""
  renamed = {}
  for name, array in network.state_dict().items():
    for pattern, theirs in names:
      name = re.sub(pattern, theirs, name)
    renamed[name] = array
  return renamed


def test_torchs_logits_and_features(network, save):
  run = load(save(under(TORCHVISION, network)))
  assert run.config.task.model.to_dict() == dict(name='vit', **FIELDS)
  assert run.canvas.shape == (32, 32, 3)
  images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
  mean, std = np.array([.485, .456, .406]), np.array([.229, .224, .225])
  x = torch.tensor(((images / 255 - mean) / std).transpose(0, 3, 1, 2), dtype=torch.float32)
  with torch.no_grad():
    features = network.features(x)
    expected = network.head(features).numpy()
  assert np.ptp(expected) > 1 and np.ptp(expected, 0).max() > .1
  np.testing.assert_allclose(run.predict(images)['logits'], expected, atol=1e-4)
  np.testing.assert_allclose(run.features(images), features.numpy(), atol=1e-4)


def test_timms_names_give_the_same_arrays(network, save):
  theirs = read_weights(save(under(TORCHVISION, network)))
  timms = read_weights(save({'model': under(TIMM, network)}, 'deit.pth'))
  assert timms.model == theirs.model and not timms.skipped and timms.data == theirs.data
  jax.tree.map(np.testing.assert_array_equal, nested(timms.arrays), nested(theirs.arrays))
  assert timms.task['mean'] == (.5, .5, .5) and 'DeiT' in timms.remarks[0]
  assert theirs.task['mean'] == (.485, .456, .406) and not theirs.remarks


def test_the_mean_of_the_patches_is_what_timm_classifies(network, save):
  """Its `fc_norm` comes after the mean."""
  run = load(save(under((*TIMM, ('^norm', 'fc_norm')), network)))
  assert run.task.model.pool == 'mean'
  x = np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype(np.float32)
  with torch.no_grad():
    tokens = network.tokens(torch.tensor(x.transpose(0, 3, 1, 2)))
    expected = network.head(network.norm(tokens[:, 1:].mean(1)))
  np.testing.assert_allclose(jax.jit(run.task.model.apply)(run.variables, x), expected, atol=1e-4)


@pytest.mark.parametrize('grid', [(7, 9), (3, 2)])
def test_positions_are_interpolated_as_in_timm(grid):
  positions = np.random.default_rng(0).standard_normal((4, 6, 5)).astype(np.float32)
  expected = torch.nn.functional.interpolate(
      torch.tensor(positions.transpose(2, 0, 1)[None]), grid, mode='bicubic', antialias=True)
  np.testing.assert_allclose(resampled(positions, grid), expected[0].permute(1, 2, 0), atol=1e-5)


def test_weights_for_images_of_another_size(network, save):
  """As if the network they are of was shown these images."""
  weights, model = read_weights(save(under(TIMM, network))), build('vit', classes=5, **FIELDS)
  variables, report = fit(weights, shapes(model, (48, 64, 3)))
  assert report.resampled == ['params/tokens/positions'] and not report.missing + report.fresh
  assert 'resampled to the images of this run: 1: params/tokens/positions' in str(report)
  assert variables['params']['tokens']['positions'].shape == (6, 8, 128)
  said = lambda variables: str(jax.make_jaxpr(model.apply)(variables, jnp.zeros((1, 48, 64, 3))))
  assert 'resize' not in said(variables) and 'resize' in said(nested(weights.arrays))


@pytest.mark.parametrize('name, shape, said', [
    ('pos_embed', (1, 18, 128), r'\(1, 18, 128\), not \(1, 1 \+ side \* side, 128\)'),
    ('cls_token', None, 'there is no cls_token'),
    ('blocks.0.mlp.fc1.weight', (384, 128), r'not \(512, 128\)'),
    ('patch_embed.proj.weight', (128, 3, 8, 4), r'not \(d, c, patch, patch\)'),
    ('pre_logits.fc.weight', (128, 128), 'a layer before its head')])
def test_transformers_that_are_others(network, name, shape, said):
  there = {name: tuple(array.shape) for name, array in under(TIMM, network).items()}
  assert recognise(there)[1] == FIELDS
  there = {**there, name: shape} if shape else {n: s for n, s in there.items() if n != name}
  assert recognise(there) is None
  assert re.search(said, near_misses(there)[0])


def test_registers_have_no_place_here(network, save):
  state = {**under(TIMM, network), 'reg_token': torch.ones(1, 4, 128)}
  with pytest.raises(ConfigError, match='this is no plain timm ViT, .*reg_token'):
    read_weights(save(state))


@pytest.mark.parametrize('fields, said', [
    (dict(heads=5), r'model.heads of vit: 5 heads do not divide a width of 384; 4 do'),
    (dict(pool='max'), "model.pool of vit: 'max' is not one of"),
    (dict(patch=5), r'model.patch of vit: 5 does not divide images of 32 x 48; 4 does')])
def test_mistakes(fields, said):
  with pytest.raises(ConfigError, match=said):
    shapes(build('vit', classes=3, **fields), (32, 48, 3))


def test_the_cost_of_an_image():
  """Touvron et al. 2021 count 4.6 G multiplications with additions."""
  def products(depth, d=384, t=197):
    return (t - 1) * 16 * 16 * 3 * d + depth * (t * d * 12 * d + 2 * t * t * d) + d * 1000
  assert round(products(12) / 1e9, 1) == 4.6
  model, x = build('vit', classes=1000, depth=2), jax.ShapeDtypeStruct((1, 224, 224, 3), np.float32)
  cost = jax.jit(model.apply).lower(shapes(model, (224, 224, 3)), x).cost_analysis()
  assert 2 * products(2) < cost['flops'] < 2.1 * products(2)        # norms, GELU, softmax


def test_a_branch_is_left_out_of_whole_examples():
  """Of two branches the first adds nothing here; what the second adds is 1 / .6 as large, or 0."""
  block = Block(Style(), heads=2, dropout=0., drop_path=.4)
  x = np.random.default_rng(0).standard_normal((200, 3, 8)).astype(np.float32)
  model = build('vit', classes=2, patch=2, width=8, depth=1, heads=2)
  variables = {'params': variables_of(model, (2, 4, 1))['params']['block0']}
  variables['params']['attention']['out'] = dict(kernel=np.zeros((8, 8)), bias=np.zeros(8))
  whole, part = jax.jit(lambda key: [
      block.apply(variables, x, train, rngs=dict(dropout=key)) - x for train in (False, True)])(
          jax.random.key(0))
  none = np.abs(part).max((1, 2)) == 0
  assert .3 < none.mean() < .5
  np.testing.assert_allclose(part[~none], whole[~none] / .6, atol=1e-4)


def test_paths_of_arrays():
  assert set(flat(shapes(build('vit', classes=3, depth=1), (32, 32, 3)))) == {
      f'params/{name}' for name in (
          'embed/kernel', 'embed/bias', 'tokens/token', 'tokens/token_position',
          'tokens/positions', 'block0/norm1/scale', 'block0/norm1/bias',
          'block0/attention/qkv/kernel', 'block0/attention/qkv/bias',
          'block0/attention/out/kernel', 'block0/attention/out/bias', 'block0/norm2/scale',
          'block0/norm2/bias', 'block0/fc1/kernel', 'block0/fc1/bias', 'block0/fc2/kernel',
          'block0/fc2/bias', 'norm/scale', 'norm/bias', 'head/kernel', 'head/bias')}
