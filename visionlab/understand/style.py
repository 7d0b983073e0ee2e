"""Neural style: the content of one picture, painted as others are."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

from visionlab.config import ConfigError
from visionlab.ops.colour import luma
from visionlab.understand.ascend import Ascent, ascend, lbfgs
from visionlab.understand.images import pixels
from visionlab.understand.objectives import features_like, gram_like
from visionlab.understand.regularisers import total_variation
from visionlab.understand.subject import Subject, floats
from visionlab.understand.terms import Objective

CONTENT = ('conv4_2',)
STYLE = ('conv1_1', 'conv2_1', 'conv3_1', 'conv4_1', 'conv5_1')


def style_transfer(subject: Subject, content: np.ndarray, styles: Sequence[np.ndarray], *,
                   weights: Sequence[float] | None = None, content_weight: float = 1e-8,
                   smooth: float = 0., keep_colour: bool = False, start: str = 'content',
                   content_at: Sequence[str] = CONTENT, style_at: Sequence[str] = STYLE,
                   steps: int = 200, optimizer: optax.GradientTransformation | None = None,
                   key: jax.Array | None = None, tile: int | None = None,
                   overlap: int | None = None, **options) -> Ascent:
  """Image style transfer (Gatys et al. 2016, https://doi.org/10.1109/CVPR.2016.265).

  The picture with the least  content_weight * sum_l C_l + sum_s weight_s * mean_l E_l,  where C_l
  is half the squared distance of a layer's features to those of the content, and E_l that of its
  Gram matrix to a style's (see `gram_like`).

  Args:
    subject: a network with such layers; VGG-19 by default. The sizes of their features decide what
      the weights mean: the defaults fit `visionlab.weights.vgg_features`, whose mean is 1.
    content: (h w 3), uint8 or in [0, 1], of any size.
    styles: (h w 3) each, of any size: larger than the content, its strokes are larger.
    weights: of the styles; by default they share 1. With 0 the content comes back.
    content_weight: the paper's alpha, where beta is the weights of the styles. C_l is a sum, so
      four times the pixels need a quarter of it.
    smooth: weight of the total variation.
    keep_colour: the style changes the lightness alone (Gatys et al. 2016,
      https://arxiv.org/abs/1606.05897, section 5).
    start: 'content' or 'noise'.
    optimizer: by default L-BFGS.
    key: of the noise.
    tile, overlap: the network sees tiles of that many pixels; see `ascend`.
    options: of `ascend`.

  Returns:
    images (1 h w 3) and the objective at each step.
  """
  content, styles = floats(content), [floats(style) for style in styles]
  for image in (content, *styles):
    if image.ndim != 3:
      raise ConfigError(f'style: expected images (h w c), not an array {image.shape}')
  if start not in ('content', 'noise'):
    raise ConfigError(f'style: start must be content or noise, not {start!r}')
  if keep_colour:
    coloured, content, *styles = content, *map(_grey, (content, *styles))
  wanted = style_objective(subject, content, styles, weights=weights, smooth=smooth,
                           content_weight=content_weight, content_at=content_at,
                           style_at=style_at, tile=tile)
  first = content
  if start == 'noise':
    key = jax.random.key(0) if key is None else key
    first = np.asarray(jax.random.uniform(key, content.shape))
  # Unbounded on the way, as in the paper: a line search does not like walls.
  images, curve = ascend(subject, wanted, pixels(first[None], 'none'), steps=steps,
                         optimizer=optimizer or lbfgs(), tile=tile, overlap=overlap, **options)
  if keep_colour:
    images = coloured + np.asarray(luma(jnp.asarray(images)) - luma(jnp.asarray(content)))
  return Ascent(np.clip(images, 0, 1), curve)


def style_objective(subject: Subject, content: np.ndarray, styles: Sequence[np.ndarray], *,
                    weights: Sequence[float] | None = None, content_weight: float = 1e-8,
                    smooth: float = 0., content_at: Sequence[str] = CONTENT,
                    style_at: Sequence[str] = STYLE, tile: int | None = None) -> Objective:
  """What `style_transfer` wants. Arguments are its own.

  Raises:
    ConfigError: not as many weights as styles, or no such layer.
  """
  weights = [1 / len(styles)] * len(styles) if weights is None else list(weights)
  if len(weights) != len(styles):
    raise ConfigError(f'style: {len(styles)} styles and {len(weights)} weights')
  terms = [content_weight * features_like(subject, at, content[None], relative=False, tile=tile)
           for at in content_at]
  terms += [weight / len(style_at) * gram_like(subject, at, style[None], tile=tile)
            for weight, style in zip(weights, styles, strict=True) for at in style_at]
  if smooth:
    terms.append(-smooth * total_variation())
  wanted, *others = terms
  for term in others:
    wanted = wanted + term
  return wanted


def _grey(image):
  return np.repeat(np.asarray(luma(jnp.asarray(image))), 3, -1)
