"""The names other libraries give to the layers of vision transformers (see `families`).

The number of heads is nowhere among the weights: published networks have 64 features for each, but
for H/14 of 80.
"""

import math
import re
from collections.abc import Mapping

import numpy as np

from visionlab.weights.resnets import Claim, Shapes, is_not

EXPANSION = 4                # of the hidden layer of a block, to the width
FEATURES = {1280: 80}        # of a head, by the width, where they are not 64

TIMM = (
  (r'patch_embed\.proj', 'embed'), (r'positions', 'tokens'),
  (r'blocks\.(\d+)\.(norm[12])', r'block\1/\2'),
  (r'blocks\.(\d+)\.attn\.qkv', r'block\1/attention/qkv'),
  (r'blocks\.(\d+)\.attn\.proj', r'block\1/attention/out'),
  (r'blocks\.(\d+)\.mlp\.(fc[12])', r'block\1/\2'),
  (r'(fc_)?norm', 'norm'), (r'head', 'head'),
)
LAYER = r'encoder\.layers\.encoder_layer_(\d+)\.'
TORCHVISION = (
  (r'conv_proj', 'embed'), (r'positions', 'tokens'), (LAYER + r'ln_([12])', r'block\1/norm\2'),
  (LAYER + r'self_attention\.in_proj', r'block\1/attention/qkv'),
  (LAYER + r'self_attention\.out_proj', r'block\1/attention/out'),
  (LAYER + r'mlp\.(0|linear_1)', r'block\1/fc1'),
  (LAYER + r'mlp\.(3|linear_2)', r'block\1/fc2'),
  (r'encoder\.ln', 'norm'), (r'heads\.head', 'head'),
)


def timm_vit(shapes: Shapes) -> Claim:
  """timm's plain vision transformers, DeiT's too, with a class token."""
  if 'patch_embed.proj.weight' not in shapes or 'blocks.0.attn.qkv.weight' not in shapes:
    return None
  if 'pre_logits.fc.weight' in shapes:
    return 'it has a layer before its head (pre_logits.fc)'
  claim = _vit(shapes, 'patch_embed.proj.weight', 'cls_token', 'pos_embed', r'blocks\.(\d+)\.',
               'blocks.0.mlp.fc1.weight')
  if isinstance(claim, dict) and 'fc_norm.weight' in shapes:
    claim['pool'] = 'mean'
  return claim


def torchvision_vit(shapes: Shapes) -> Claim:
  """torchvision's vision transformers."""
  fc1 = next((name for name in shapes if re.fullmatch(
      r'encoder\.layers\.encoder_layer_0\.mlp\.(0|linear_1)\.weight', name)), None)
  if 'conv_proj.weight' not in shapes or fc1 is None:
    return None
  return _vit(shapes, 'conv_proj.weight', 'class_token', 'encoder.pos_embedding', LAYER, fc1)


def _vit(shapes, embed, token, positions, block, fc1) -> Claim:
  for name in (token, positions):
    if name not in shapes:
      return f'there is no {name}'
  kernel, places = shapes[embed], shapes[positions]
  if len(kernel) != 4 or kernel[2] != kernel[3]:
    return is_not(embed, kernel, '(d, c, patch, patch)')
  width = kernel[0]
  if len(places) != 3 or places[::2] != (1, width) or not _side(places):
    return is_not(positions, places, f'(1, 1 + side * side, {width})')
  if shapes.get(fc1) != (EXPANSION * width, width):
    return is_not(fc1, shapes.get(fc1, ()), f'({EXPANSION * width}, {width})')
  of_head = FEATURES.get(width, 64)
  if width % of_head:
    return f'how many heads it has cannot be told: its width of {width} is no multiple of {of_head}'
  depth = len({match[1] for name in shapes if (match := re.match(block, name))})
  return dict(patch=kernel[2], width=width, depth=depth, heads=width // of_head)


def apart(foreign: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Arrays of either library, where one of theirs is several of ours: the class token, its position
  and those of the patches, a square, become 'positions.*'; and those without a layer of their own
  get one."""
  arrays = {}
  for name, array in foreign.items():
    if name in ('cls_token', 'class_token'):
      arrays['positions.token'] = array.reshape(-1)
    elif name in ('pos_embed', 'encoder.pos_embedding'):
      side = _side(array.shape)
      arrays['positions.token_position'] = array[0, 0]
      arrays['positions.positions'] = array[0, 1:].reshape(side, side, -1)
    else:
      arrays[re.sub(r'in_proj_(weight|bias)$', r'in_proj.\1', name)] = array
  return arrays


def image_side(arrays: Mapping[str, np.ndarray]) -> int:
  """Of the images that a network was trained for, in pixels, from our arrays."""
  return len(arrays['params/tokens/positions']) * len(arrays['params/embed/kernel'])


def _side(places: tuple[int, ...]) -> int:
  """Of the square of patches among (1, 1 + side * side, d) positions; 0: there is none."""
  side = math.isqrt(max(places[1] - 1, 0))
  return side if side * side == places[1] - 1 else 0
