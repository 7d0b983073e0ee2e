"""Drawing what is known of an image onto it: boxes, masks, label maps, skeletons. On the host.

Pictures are (h w 3) uint8. Annotations are in pixels of the image; `zoom` enlarges both, so that
lines and names stay sharp where the image is small.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from visionlab.figures.charts import palette
from visionlab.figures.fonts import pil_font
from visionlab.ops.host_masks import paste_bitmaps

OPACITY = .55      # of a mask's veil
TAG = 13           # pixels of a tag's height
SIZES = 12, 11, 10  # of a caption's letters, the plain one first
SIDES = dict(right=(255, 145, 40), left=(60, 170, 255), middle=(255, 235, 90))


def as_picture(image: np.ndarray, zoom: int = 1) -> np.ndarray:
  """An image (h w), (h w 1) or (h w 3), uint8 or in [0, 1], with every pixel a square of `zoom`.

  >>> as_picture(np.array([[0., 1.]]), zoom=2)[..., 0].tolist()
  [[0, 0, 255, 255], [0, 0, 255, 255]]
  """
  image = np.asarray(image)
  if image.dtype != np.uint8:
    image = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
  image = image.reshape(*image.shape[:2], -1)
  colour = np.broadcast_to(image[..., :3] if image.shape[2] > 2 else image[..., :1],
                           (*image.shape[:2], 3))
  return colour.repeat(zoom, 0).repeat(zoom, 1)


def annotated(image: np.ndarray, objects: Mapping[str, np.ndarray], classes: Sequence[str], *,
              zoom: int = 1, limbs: Sequence = (), sides: Sequence[str] = (),
              colours: np.ndarray | None = None) -> np.ndarray:
  """The picture with all that `objects` hold drawn on it.

  Args:
    image: as `as_picture` takes it.
    objects: `boxes` (n 4), and if there are any `classes` (n,), `valid` (n,), `scores` (n,),
      `masks` (n h w), or (n s s) with the `frames` (n 4) that they depict, `keypoints` (n j 3).
    classes: their names.
    limbs, sides: see `draw_keypoints`.
    colours: (n 3) uint8; by default each object has its own.
  """
  objects = {k: np.asarray(v) for k, v in objects.items()}
  boxes = objects['boxes']
  valid = np.asarray(objects.get('valid', np.ones(len(boxes))), bool)
  objects = {k: v[valid] for k, v in objects.items()}
  colours = (palette(range(len(boxes))) if colours is None else np.asarray(colours))[valid]
  picture = as_picture(image, zoom)
  if 'frames' in objects:
    masks = paste_bitmaps(objects['masks'], objects['frames'] * zoom, picture.shape[:2])
    picture = draw_masks(picture, masks, colours)
  elif 'masks' in objects:
    picture = draw_masks(picture, objects['masks'], colours, zoom=zoom)
  names = [classes[k] for k in objects['classes']] if 'classes' in objects else [''] * valid.sum()
  if 'scores' in objects:
    names = [f'{name} {score:.2f}'.strip() for name, score in zip(names, objects['scores'],
                                                                  strict=True)]
  if 'keypoints' in objects:
    picture = draw_keypoints(picture, objects['keypoints'], limbs, sides, zoom=zoom)
  return draw_boxes(picture, objects['boxes'], colours, names, zoom=zoom)


def draw_boxes(picture: np.ndarray, boxes: np.ndarray, colours: np.ndarray, names: Sequence[str],
               *, zoom: int = 1, width: int = 0) -> np.ndarray:
  """Outlines of boxes (n 4) in colours (n 3), each with its name in a tag at its top left, or at
  another corner where that one is taken by a tag.

  width: of the lines; 0: two pixels, or one on a small picture.
  """
  width = width or (2 if zoom > 1 or max(picture.shape) > 200 else 1)
  canvas = Image.fromarray(picture)
  draw = ImageDraw.Draw(canvas)
  boxes = np.round(np.asarray(boxes) * zoom).astype(int).reshape(-1, 4).tolist()
  colours = [tuple(colour.tolist()) for colour in colours]
  for (x1, y1, x2, y2), colour in zip(boxes, colours, strict=True):
    # The outline lies inside: a box that ends at the image's edge is seen all round.
    draw.rectangle((x1, y1, max(x2 - 1, x1), max(y2 - 1, y1)), outline=colour, width=width)
  tags: list[tuple[int, int, int, int]] = []
  for box, colour, name in zip(boxes, colours, names, strict=True):       # no line crosses a name
    if name:
      font, name = pil_font(name, 11)
      left, top, right, bottom = _free_place(box, int(font.getlength(name)) + 4, canvas.size, tags)
      draw.rectangle((left, top, right, bottom), fill=colour)
      draw.text((left + 2, top), name, font=font, fill=_readable(colour))
      tags.append((left, top, right, bottom))
  return np.asarray(canvas)


def _free_place(box: Sequence[int], wide: int, size: tuple[int, int], taken: Sequence) -> tuple:
  """Where the tag of a box goes, `wide` pixels and inside a picture of `size`: above its top left,
  or at the first corner, out- or inside, that no other tag overlaps."""
  x1, y1, x2, y2 = box
  if y1 < TAG:
    y1 = max(y1, 0) + TAG                       # above is no room: at the top, inside
  corners = [(x1, y1 - TAG), (x2 - wide, y1 - TAG), (x1, y2), (x2 - wide, y2),
             (x1, y1), (x2 - wide, y1), (x1, y2 - TAG), (x2 - wide, y2 - TAG)]
  places = []
  for left, top in corners:
    left = min(max(left, 0), max(size[0] - wide, 0))
    top = min(max(top, 0), max(size[1] - TAG, 0))
    places.append((left, top, left + wide, top + TAG))
  return next((p for p in places if not any(_overlap(p, other) for other in taken)), places[0])


def _overlap(a: Sequence[int], b: Sequence[int]) -> bool:
  return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def draw_masks(picture: np.ndarray, masks: np.ndarray, colours: np.ndarray, *,
               zoom: int = 1) -> np.ndarray:
  """Masks (n h w) as veils in colours (n 3)."""
  picture = picture.astype(np.float32)
  for mask, colour in zip(np.asarray(masks, bool), colours, strict=True):
    mask = mask.repeat(zoom, 0).repeat(zoom, 1)
    picture[mask] += OPACITY * (colour.astype(np.float32) - picture[mask])
  return np.round(picture).astype(np.uint8)


def draw_keypoints(picture: np.ndarray, keypoints: np.ndarray, limbs: Sequence = (),
                   sides: Sequence[str] = (), *, zoom: int = 1) -> np.ndarray:
  """Skeletons of keypoints (n j 3) as x, y, visibility: 2 is a full dot, 1 a ring, 0 not drawn.

  Args:
    limbs: pairs of keypoints that a line joins.
    sides: of each keypoint 'right', 'left' or 'middle', for its colour.
  """
  # Drawn at four times the size and shrunk: Pillow's lines have no soft edges.
  fine = 4
  canvas = Image.fromarray(picture).resize((picture.shape[1] * fine, picture.shape[0] * fine))
  draw = ImageDraw.Draw(canvas)
  radius = max(2.2 if zoom > 1 else 1.2, zoom * .4) * fine
  for points in np.asarray(keypoints, np.float64) * [zoom * fine, zoom * fine, 1]:
    colours = [SIDES[side] for side in sides] or [SIDES['middle']] * len(points)
    for a, b in limbs:
      if points[a, 2] and points[b, 2]:
        ends = [tuple(points[i, :2]) for i in (a, b)]
        draw.line(ends, fill=(20, 20, 20), width=round(radius))
        draw.line(ends, fill=colours[a if sides and sides[a] != 'middle' else b],
                  width=round(radius * .6))
    for (x, y, seen), colour in zip(points, colours, strict=True):
      if seen:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=(20, 20, 20),
                     fill=colour if seen > 1 else (255, 255, 255), width=fine // 2)
  return np.asarray(canvas.resize(picture.shape[1::-1], Image.Resampling.LANCZOS))


def draw_label_map(label_map: np.ndarray, classes: Sequence[str], *, zoom: int = 1) -> np.ndarray:
  """A label map (h w) in the classes' colours; what is no class, such as 255, is white."""
  colours = np.concatenate([palette(classes), np.full((1, 3), 255, np.uint8)])
  label_map = np.asarray(label_map)
  known = (label_map >= 0) & (label_map < len(classes))
  return as_picture(colours[np.where(known, label_map, len(classes))], zoom)


def legend(classes: Sequence[str], width: int) -> np.ndarray:
  """The classes' names beside their colours, in as many rows as a picture of that width takes."""
  swatch, row = 14, 20
  places, x, y = [], 4, 3
  fonts, names = zip(*(pil_font(name, 12) for name in classes), strict=True)
  for font, name in zip(fonts, names, strict=True):
    needed = swatch + 5 + int(font.getlength(name)) + 12
    if x + needed > width and x > 4:
      x, y = 4, y + row
    places.append((x, y))
    x += needed
  canvas = Image.new('RGB', (width, y + row), 'white')
  draw = ImageDraw.Draw(canvas)
  for font, name, colour, (x, y) in zip(fonts, names, palette(classes), places, strict=True):
    draw.rectangle((x, y, x + swatch, y + swatch), fill=tuple(colour.tolist()), outline='grey')
    draw.text((x + swatch + 5, y), name, font=font, fill='black')
  return np.asarray(canvas)


def captioned(picture: np.ndarray, text: str, *, lines: int = 1, above: bool = False,
              colour: str = 'black') -> np.ndarray:
  """The picture above (or below) a text, broken to its width and at least `lines` high.

  Its letters are smaller where that keeps a word whole.
  """
  width, row = picture.shape[1] - 4, 16
  font, text = _fitting(text, width)
  broken = ['']
  for word in _short(text.split(), font, width):
    longer = f'{broken[-1]} {word}'.strip()
    if font.getlength(longer) <= width:
      broken[-1] = longer
    else:
      broken.append(word)
  strip = Image.new('RGB', (picture.shape[1], 4 + row * max(lines, len(broken))), 'white')
  draw = ImageDraw.Draw(strip)
  for i, line in enumerate(broken):
    draw.text((2, 1 + row * i), line, font=font, fill=colour)
  parts = [picture, np.asarray(strip)]
  return np.concatenate(parts[::-1] if above else parts)


def beside(pictures: Sequence[np.ndarray], gap: int = 6) -> np.ndarray:
  """The pictures in a row on white, their tops aligned."""
  height = max(picture.shape[0] for picture in pictures)
  width = sum(picture.shape[1] for picture in pictures) + gap * (len(pictures) - 1)
  sheet, left = np.full((height, width, 3), 255, np.uint8), 0
  for picture in pictures:
    sheet[:picture.shape[0], left:left + picture.shape[1]] = picture
    left += picture.shape[1] + gap
  return sheet


def below(pictures: Sequence[np.ndarray], gap: int = 6) -> np.ndarray:
  """The pictures in a column on white, their left sides aligned."""
  return beside([picture.swapaxes(0, 1) for picture in pictures], gap).swapaxes(0, 1)


def _fitting(text: str, width: int) -> tuple:
  """The largest font in which no word is wider than `width`, and the text as `pil_font` gives it;
  the plain one where none is small enough."""
  for size in SIZES:
    font, spelt = pil_font(text, size)
    if all(font.getlength(word) <= width for word in spelt.split()):
      return font, spelt
  return pil_font(text, SIZES[0])


def _short(words: Sequence[str], font, width: int) -> list[str]:
  """The words, those wider than `width` in pieces: scripts without spaces have long ones."""
  pieces = []
  for word in words:
    while len(word) > 1 and font.getlength(word) > width:
      n = next(n for n in range(len(word) - 1, 0, -1)
               if n == 1 or font.getlength(word[:n]) <= width)
      pieces.append(word[:n])
      word = word[n:]
    pieces.append(word)
  return pieces


def _readable(colour) -> str:
  """Black or white, whichever stands out from a colour."""
  return 'black' if np.dot(colour, (.299, .587, .114)) > 140 else 'white'
