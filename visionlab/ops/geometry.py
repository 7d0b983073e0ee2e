"""Geometry of one example: its image, label map, boxes, masks and keypoints move together.

`flip` and `pad_crop` only change the places of pixels and are exact. The others interpolate, so
they merely draw where to look, as matrices from output to input points and as displacements: a
chain of them is composed, and `look` resamples once.

An example is a dict of `image` (h w c) and possibly `label_map` (h w), `pixel_weight` (h w),
`flow` (h w 2), how far along x and y what is seen in a pixel is from there in the next frame,
`extent` (2), `proposals`: `boxes` (p 4), `valid` (p), and `objects`: `boxes` (n 4), `valid` (n),
`masks` (n h w), `keypoints` (n j 3), which are x, y, visibility. Objects and proposals that leave
the image become invalid and their boxes zero, keypoints that leave it become (0, 0, 0). Masks,
label maps, weights and flow take the nearest pixel.

`landmarks` (k 3) are such keypoints by themselves. Of driving there are `steering` and `previous`,
to the left where positive, and a `map` (m m c), the car's heading upwards; `flip` knows them.

`extent` is the height and width of the picture where it is smaller than the image, at whose top
left it lies; the rest is black. With `frames` (n 4) among the objects, `masks` (n s s) are crops of
these, outside of which there is nothing of their objects (see ops/masks.py). Frames may reach out
of the image. Crops can be moved, stretched and mirrored, but not turned, leaned or bent.
"""

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError, nearest
from visionlab.ops import warp
from visionlab.ops.landmarks import MIRRORED

IGNORE = 255     # what a label map says of pixels that came from outside the image
STEERED = ('steering', 'previous')               # to the left where positive
SLIVER = 1e-3    # pixels; a box left narrower than this is rounding error, not an object


def flip(key, example, p: float = .5, vertical: bool = False, keypoint_pairs: tuple = ()):
  """Mirrors left-right with chance p and, if `vertical`, up-down with chance p as well.

  A mirror turns a left hand into a right one: `keypoint_pairs`, such as ((5, 6), (7, 8)), lists
  the keypoints (j) or landmarks that then change places; of 5, 68 or 98 landmarks they are known. A
  picture smaller than the image stays at its top left. What was steered to the left is then to the
  right.
  """
  reach = example.get('extent', jnp.array(example['image'].shape[:2]))
  across, down = (jax.random.uniform(key, (2,)) < p) & jnp.array([True, vertical])
  def pick(array, *_):
    array = jnp.where(across, _mirrored(array, example, 1), array)
    return jnp.where(down, _mirrored(array, example, 0), array) if vertical else array
  def move(points):
    return jnp.where(jnp.stack([across, down]), reach[::-1] - points, points)
  example = _geometry(example, pick, move) | _steered(example, across)
  objects = dict(example.get('objects', {}))
  if 'frames' in objects:
    masks = jnp.where(across, objects['masks'][..., ::-1], objects['masks'])
    objects['masks'] = jnp.where(down, masks[..., ::-1, :], masks)
  if keypoint_pairs and 'keypoints' in objects:
    points = objects['keypoints']
    swapped = _swapped(points.shape[-2], keypoint_pairs)
    objects['keypoints'] = jnp.where(across ^ down, points[..., swapped, :], points)
  if 'landmarks' in example:
    points = example['landmarks']
    swapped = _swapped(points.shape[-2], keypoint_pairs)
    example['landmarks'] = jnp.where(across ^ down, points[..., swapped, :], points)
  return {**example, 'objects': objects} if objects else example


def _swapped(count, pairs):
  """Where each of so many landmarks is in a mirror."""
  pairs = pairs or MIRRORED.get(count)
  if not pairs or not all(0 <= i < count for pair in pairs for i in pair):
    raise ConfigError('config.augment.flip.keypoint_pairs: a mirror turns a left eye into a right '
                      f'one; must name those of the {count} landmarks that change places, e.g. '
                      '((0, 1),)')
  swapped = np.arange(count)
  for left, right in pairs:
    swapped[[left, right]] = right, left
  return swapped


def _steered(example, across):
  """What of an example of driving is another in a mirror."""
  turned = {name: jnp.where(across, -example[name], example[name])
            for name in STEERED if name in example}
  chart = example.get('map')
  return turned | ({} if chart is None else dict(map=jnp.where(across, chart[:, ::-1], chart)))


def _mirrored(array, example, axis):
  """An array (h w ...) with its part inside the extent, if there is one, reversed along an axis."""
  if 'extent' not in example:
    return jnp.flip(array, axis)
  i, side = jnp.arange(array.shape[axis]), jnp.round(example['extent'][axis]).astype(jnp.int32)
  return array.take(jnp.where(i < side, side - 1 - i, i), axis, mode='clip')


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


def scale_jitter(key, shape, extent, scale: tuple = (.5, 1.5), visible: float = .3, p: float = 1.):
  """Zooms by a factor uniform in `scale`, then sees a random part of what is larger than the image.

  A picture that becomes smaller lies at the top left, and the rest is black; along a side that is
  longer than the image's all places are equally likely. This is torchvision's ScaleJitter followed
  by its FixedSizeCrop, and detectron2's large-scale jitter (Ghiasi et al. 2021, with (.1, 2)),
  where the picture fills the image to begin with. Below .5, shrinking aliases.

  Args:
    key: PRNG key.
    shape: (h, w) of the image.
    extent: (h, w) of the picture in it.
    scale: bounds of the factor.
    visible: objects of whose box a smaller share remains become invalid (`look` sees to that).
    p: the chance of it.

  Returns:
    The matrix (3 3) from output to input points.
  """
  del visible
  chance, zoom, *place = jax.random.uniform(key, (4,))
  zoom = scale[0] + (scale[1] - scale[0]) * zoom
  room = jnp.maximum(zoom * jnp.asarray(extent) - jnp.array(shape), 0)
  offset = jnp.stack(place) * room[::-1]
  matrix = warp.compose(warp.scaling(1 / zoom, 1 / zoom), warp.translation(*offset))
  return jnp.where(chance < p, matrix, jnp.eye(3))


def elastic(key, shape, alpha: float = 34., sigma: float = 4., p: float = 1.):
  """Bends the image by smooth random displacements (Simard et al. 2003); sigma in pixels.

  Returns the displacement (h w 2). Pixels move by about .16 alpha / sigma: 1.4 by default.
  """
  chance, noise = jax.random.fold_in(key, 0), jax.random.fold_in(key, 1)
  field = warp.elastic_displacement(noise, *shape, alpha=alpha, sigma=sigma)
  return jnp.where(jax.random.uniform(chance) < p, field, 0.)


def look(example, matrix, size, displacement=None, visible=0.):
  """The example as seen through a matrix (3 3) from output (of `size`) to input points.

  A displacement (h w 2) bends the result of the matrix. Boxes become the bounding boxes of what
  they turned into, clipped to the image; objects with a smaller share than `visible` of that area
  in the image become invalid. What comes from outside is black and unlabelled. If there are frames,
  the matrix must neither turn nor mirror.
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
  return _geometry(example, pick, move, size, 1 if displacement is None else 8, visible)


def _geometry(example, pick, move, size=None, steps=1, visible=0.):
  """Applies pick(array (h w ...), fill, order) to pictures and move(points (... 2)) to the rest."""
  def boxed(boxes):
    outline = move(_outline(boxes, steps))
    return outline.min(-2), outline.max(-2)
  out = {**example, 'image': pick(example['image'], 0, 1)}
  limit = jnp.array((size or example['image'].shape[:2])[::-1], jnp.float32)
  if 'label_map' in example:
    out['label_map'] = pick(example['label_map'], IGNORE, 0)
  if 'pixel_weight' in example:
    out['pixel_weight'] = pick(example['pixel_weight'], 0, 0)
  if 'flow' in example:    # both ends of each vector move
    here = warp.centres(*example['flow'].shape[:2])
    out['flow'] = pick(move(here + example['flow']) - move(here), 0, 0)
  if 'extent' in example:  # of a picture that moved away from the corner, where it ends
    whole = jnp.concatenate([jnp.zeros(2), example['extent'][::-1]])[None]
    out['extent'] = jnp.clip(boxed(whole)[1][0], 0, limit)[::-1]

  def boxes_of(part):
    whole = boxed(part['boxes'])
    low, high = (jnp.clip(corner, 0, limit) for corner in whole)
    valid = part['valid'] & jnp.all(high - low > SLIVER, axis=-1)
    valid &= jnp.prod(high - low, -1) >= visible * jnp.prod(whole[1] - whole[0], -1)
    boxes = jnp.where(valid[:, None], jnp.concatenate([low, high], -1), 0)
    return {**part, 'boxes': boxes, 'valid': valid}

  def points_of(points):
    points = points.astype(jnp.float32)
    moved = move(points[..., :2])
    seen = jnp.all((moved >= 0) & (moved <= limit), axis=-1) & (points[..., 2] > 0)
    points = jnp.concatenate([moved, points[..., 2:]], axis=-1)
    return jnp.where(seen[..., None], points, 0)
  if 'proposals' in example:
    out['proposals'] = boxes_of(example['proposals'])
  if 'objects' in example:
    out['objects'] = objects = boxes_of(example['objects'])
    if 'frames' in objects:
      frames = jnp.concatenate(boxed(objects['frames']), -1)
      objects['frames'] = jnp.where(objects['valid'][:, None], frames, 0)
    elif 'masks' in objects:  # the objects travel as channels: all are gathered at once
      masks = pick(jnp.moveaxis(objects['masks'], 0, -1), 0, 0)
      objects['masks'] = jnp.moveaxis(masks, -1, 0)
    if 'keypoints' in objects:
      objects['keypoints'] = points_of(objects['keypoints'])
  if 'landmarks' in example:
    out['landmarks'] = points_of(example['landmarks'])
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
