"""Geometry of one example: its image, label map, boxes, masks and keypoints move together.

`flip` and `pad_crop` only change the places of pixels and are exact. The others interpolate, so
they merely draw where to look, as matrices from output to input points and as displacements: a
chain of them is composed, and `look` resamples once.

An example is a dict of `image` (h w c) and possibly `label_map` (h w), `pixel_weight` (h w) and
`objects`: `boxes` (n 4), `valid` (n), `masks` (n h w), `keypoints` (n j 3) as x, y, visibility.
Objects that leave the image become invalid and their boxes zero, keypoints that leave it become
(0, 0, 0). Masks, label maps and weights take the nearest pixel.
"""

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError, nearest
from visionlab.ops import warp

IGNORE = 255     # what a label map says of pixels that came from outside the image
SLIVER = 1e-3    # pixels; a box left narrower than this is rounding error, not an object


def flip(key, example, p: float = .5, vertical: bool = False, keypoint_pairs: tuple = ()):
  """Mirrors left-right with chance p and, if `vertical`, up-down with chance p as well.

  A mirror turns a left hand into a right one: `keypoint_pairs`, such as ((5, 6), (7, 8)), lists
  the keypoints (j) that then change places.
  """
  h, w = example['image'].shape[:2]
  across, down = (jax.random.uniform(key, (2,)) < p) & jnp.array([True, vertical])
  def pick(array, *_):
    array = jnp.where(across, array[:, ::-1], array)
    return jnp.where(down, array[::-1], array) if vertical else array
  def move(points):
    return jnp.where(jnp.stack([across, down]), jnp.array([w, h]) - points, points)
  example = _geometry(example, pick, move)
  if keypoint_pairs and 'keypoints' in example.get('objects', {}):
    points = example['objects']['keypoints']
    swapped = np.arange(points.shape[-2])
    for left, right in keypoint_pairs:
      swapped[[left, right]] = right, left
    points = jnp.where(across ^ down, points[..., swapped, :], points)
    example = {**example, 'objects': {**example['objects'], 'keypoints': points}}
  return example


def pad_crop(key, example, pad: int = 4, mode: str = 'zero'):
  """Moves the image by up to `pad` whole pixels each way, all (2 pad + 1)^2 shifts equally likely.

  The gap is black, or with mode='reflect' mirrored about the border pixel as in np.pad; labels
  and masks never cover it.
  """
  h, w = example['image'].shape[:2]
  if mode not in ('zero', 'reflect'):
    raise ConfigError(f'pad_crop.mode: expected "zero" or "reflect", got {mode!r}'
                      f'{nearest(mode, ("zero", "reflect"))}')
  if mode == 'reflect' and pad >= min(h, w):
    raise ConfigError(f'pad_crop.pad: expected less than the image of {h}x{w}, got {pad}')
  dy, dx = jax.random.randint(key, (2,), -pad, pad + 1)
  rows, columns = jnp.arange(h) + dy, jnp.arange(w) + dx
  inside = ((rows >= 0) & (rows < h))[:, None] & (columns >= 0) & (columns < w)
  def pick(array, fill, order):
    at = [(n - 1) - abs(n - 1 - abs(i)) if mode == 'reflect' else jnp.clip(i, 0, n - 1)
          for i, n in ((rows, h), (columns, w))]
    # One gather per image: on CPU twice as fast as pad + dynamic_slice, which vmap serialises.
    array = array.at[at[0][:, None], at[1]].get(mode='promise_in_bounds')
    return array if mode == 'reflect' and order else _inside(inside, array, fill)
  return _geometry(example, pick, lambda points: points - jnp.stack([dx, dy]))


def rotate(key, shape, degrees: float = 10., p: float = 1.):
  """Turns about the centre by an angle in [-degrees, degrees]: a matrix (3 3), see `affine`."""
  return affine(key, shape, degrees, 0., (1., 1.), 0., p)


def affine(key, shape, degrees: float = 10., translate: float = .1, scale: tuple = (.9, 1.1),
           shear: float = 0., p: float = 1.):
  """Zooms by a factor in `scale`, leans and turns about the centre, then moves.

  Angles are in [-shear, shear] and [-degrees, degrees]; the move is at most `translate` of each
  side. Returns the matrix (3 3) from output to input points of an image of shape (h, w).
  """
  h, w = shape
  chance, turn, lean, zoom, dx, dy = jax.random.uniform(key, (6,))
  turn, lean = (jnp.deg2rad(a * (2 * u - 1)) for a, u in ((degrees, turn), (shear, lean)))
  zoom = scale[0] + (scale[1] - scale[0]) * zoom
  there = warp.translation(w * (.5 + translate * (2 * dx - 1)),
                           h * (.5 + translate * (2 * dy - 1)))
  matrix = warp.invert(warp.compose(there, warp.rotation(turn), warp.shearing(lean),
                                    warp.scaling(zoom, zoom), warp.translation(-w / 2, -h / 2)))
  return jnp.where(chance < p, matrix, jnp.eye(3))


def resized_crop(key, shape, scale: tuple = (.08, 1.), ratio: tuple = (3 / 4, 4 / 3),
                 size: int | tuple | None = None):
  """Sees a random part of the image at the size of the whole, or at `size` (Szegedy et al. 2014).

  The part covers a share in `scale` of the area and its width / height is log-uniform in `ratio`.
  As in torchvision, the first of ten draws that fits is taken, but edges need not be whole pixels.
  Returns the matrix (3 3) from output to input points.
  """
  h, w = shape
  area, aspect, place = jax.random.uniform(key, (3, 10))
  area = h * w * (scale[0] + (scale[1] - scale[0]) * area)
  aspect = jnp.exp(np.log(ratio[0]) + np.log(ratio[1] / ratio[0]) * aspect)
  wide, high = jnp.sqrt(area * aspect), jnp.sqrt(area / aspect)
  first = jnp.argmax((wide <= w) & (high <= h))
  wide, high = jnp.minimum(wide[first], w), jnp.minimum(high[first], h)
  new_h, new_w = sides(size, shape)
  return warp.compose(warp.translation(place[0] * (w - wide), place[1] * (h - high)),
                      warp.scaling(wide / new_w, high / new_h))


def elastic(key, shape, alpha: float = 34., sigma: float = 4., p: float = 1.):
  """Bends the image by smooth random displacements (Simard et al. 2003); sigma in pixels.

  Returns the displacement (h w 2). Pixels move by about .16 alpha / sigma: 1.4 by default.
  """
  chance, noise = jax.random.fold_in(key, 0), jax.random.fold_in(key, 1)
  field = warp.elastic_displacement(noise, *shape, alpha=alpha, sigma=sigma)
  return jnp.where(jax.random.uniform(chance) < p, field, 0.)


def look(example, matrix, size, displacement=None):
  """The example as seen through a matrix (3 3) from output (of `size`) to input points.

  A displacement (h w 2) bends the result of the matrix. Boxes become the bounding boxes of what
  they turned into, clipped to the image. What comes from outside is black and unlabelled.
  """
  coords, back = warp.centres(*size), warp.invert(matrix)
  if displacement is not None:
    coords = coords + displacement
  coords = warp.transform(matrix, coords)
  h, w = example['image'].shape[:2]
  inside = jnp.all((coords >= 0) & (coords < jnp.array([w, h])), axis=-1)
  def pick(array, fill, order):
    # Border pixels reach to the image's edge, not faded towards black from their centres on.
    return _inside(inside, warp.sample(array, coords, order=order, mode='edge'), fill)
  def move(points):
    points = goal = warp.transform(back, points)
    if displacement is not None:
      for _ in range(10):  # points go where the field at their goal comes from: a fixed point
        points = goal - warp.sample(displacement, points, mode='edge')
    return points
  return _geometry(example, pick, move, size, steps=1 if displacement is None else 8)


def _geometry(example, pick, move, size=None, steps=1):
  """Applies pick(array (h w ...), fill, order) to pictures and move(points (... 2)) to the rest."""
  out = {**example, 'image': pick(example['image'], 0, 1)}
  limit = jnp.array((size or example['image'].shape[:2])[::-1], jnp.float32)
  if 'label_map' in example:
    out['label_map'] = pick(example['label_map'], IGNORE, 0)
  if 'pixel_weight' in example:
    out['pixel_weight'] = pick(example['pixel_weight'], 0, 0)
  if 'objects' in example:
    out['objects'] = objects = dict(example['objects'])
    outline = move(_outline(objects['boxes'], steps))
    low, high = (jnp.clip(m(outline, axis=-2), 0, limit) for m in (jnp.min, jnp.max))
    objects['valid'] &= jnp.all(high - low > SLIVER, axis=-1)
    objects['boxes'] = jnp.where(objects['valid'][:, None], jnp.concatenate([low, high], -1), 0)
    if 'masks' in objects:  # the objects travel as channels: all are gathered at once
      masks = pick(jnp.moveaxis(objects['masks'], 0, -1), 0, 0)
      objects['masks'] = jnp.moveaxis(masks, -1, 0)
    if 'keypoints' in objects:
      points = objects['keypoints'].astype(jnp.float32)
      moved = move(points[..., :2])
      seen = jnp.all((moved >= 0) & (moved <= limit), axis=-1) & (points[..., 2] > 0)
      points = jnp.concatenate([moved, points[..., 2:]], axis=-1)
      objects['keypoints'] = jnp.where(seen[..., None], points, 0)
  return out


def _outline(boxes, steps):
  """Points along the four edges of boxes (n 4), `steps` on each from its corner on: (n m 2)."""
  there = np.arange(steps) / steps
  x = np.concatenate([there, np.ones(steps), 1 - there, np.zeros(steps)])[:, None]
  y = np.roll(x, steps, axis=0)
  share = jnp.asarray(np.concatenate([x, y], axis=-1), jnp.float32)
  return boxes[:, None, :2] * (1 - share) + boxes[:, None, 2:] * share


def _inside(inside, array, fill):
  inside = inside.reshape(*inside.shape, *[1] * (array.ndim - 2))
  return jnp.where(inside, array, jnp.asarray(fill, array.dtype))


def sides(size, default):
  """(h, w) from what an option says: None for the default, one number for a square, or a pair."""
  return default if size is None else (size, size) if isinstance(size, int) else tuple(size)
