"""Pictures of driving: what is seen, the map, and how probable each way to steer is."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from visionlab.figures.charts import new_axes, rendered
from visionlab.figures.drawing import as_picture
from visionlab.figures.fonts import pil_font

WIDEST = .16                     # curvature, 1/m, that is shown at least
WIDE = 480                       # pixels of a film, about
ROAD, ROUTE, CAR, COMMAND = (150, 150, 150), (240, 190, 60), (60, 170, 255), (220, 30, 50)


def distributions(batch: Mapping, predictions: Mapping, most: int = 12) -> np.ndarray:
  """Views with the density of steering beside each, to the left on the left; lines are what was
  driven (solid) and, where they are known, the other branches (dotted).

  Args:
    batch: `image` (n h w c), `steering` (n,), and perhaps `map` (n m m 2), `admissible`, `there`.
    predictions: `weights`, `means`, `sigmas` (n k).
  """
  count = min(most, len(batch['steering']))
  wide = 3 if 'map' in batch else 2
  rows = -(-count // 2)
  figure, axes = new_axes(rows, 2 * wide, (11, 1.15 * rows))
  cells = np.asarray(axes).reshape(2 * rows, wide)
  widest = max(WIDEST, 1.3 * float(np.abs(batch['steering'][:count]).max()))
  steering = np.linspace(-widest, widest, 400)
  for cell in cells.ravel():
    cell.axis('off')
  for i in range(count):
    cells[i, 0].imshow(np.asarray(batch['image'][i]), aspect='auto')
    if wide == 3:
      cells[i, 1].imshow(np.asarray(batch['map'][i])[..., 0], cmap='gray')
    density = density_of(steering, *(predictions[k][i] for k in ('weights', 'means', 'sigmas')))
    axis = cells[i, -1]
    axis.axis('on')
    axis.fill_between(-steering, density, color='tab:blue', alpha=.5)
    for way, there in zip(*(batch[k][i] for k in ('admissible', 'there')), strict=True) if (
        'admissible' in batch) else ():
      if there:
        axis.axvline(-way, color='black', linestyle=':', linewidth=1)
    axis.axvline(-batch['steering'][i], color='tab:red', linewidth=1.2)
    axis.set_xlim(-widest, widest)
    axis.set_yticks([])
    axis.set_xticks([-.6 * widest, 0, .6 * widest], ['left', '', 'right'], fontsize=6)
  return rendered(figure)


def density_of(steering: np.ndarray, weights: np.ndarray, means: np.ndarray, sigmas: np.ndarray
               ) -> np.ndarray:
  """The density (n,) of a mixture (k,) at some curvatures (n,)."""
  each = np.exp(-.5 * ((steering[:, None] - means) / sigmas) ** 2) / sigmas
  return each @ weights / np.sqrt(2 * np.pi)


def driven(image: np.ndarray, chart: np.ndarray, mixture: Mapping[str, np.ndarray], command: float,
           here: float, text: str, alarm: bool = False) -> np.ndarray:
  """A frame of a film: the view; below it the map, with the car where it is thought to be, and how
  probable each way to steer is, to the left on the left, with the command that was taken.

  Args:
    image: (h w 3); chart: (m m 2), of all roads and of the route.
    mixture: `weights`, `means`, `sigmas` (k,).
    here: rows of the map, of 1, above the car.
    text: a line above; alarm: whether it is red.
  """
  zoom = max(1, WIDE // image.shape[1])
  view = as_picture(image, zoom)
  wide, head = view.shape[1], 20
  side = wide * 2 // 5
  canvas = Image.new('RGB', (wide, head + len(view) + side), (255, 255, 255))
  canvas.paste(Image.fromarray(view), (0, head))
  draw = ImageDraw.Draw(canvas)
  font, text = pil_font(text, 12)
  draw.text((4, 2), text, font=font, fill=COMMAND if alarm else (0, 0, 0))
  top = head + len(view)
  canvas.paste(Image.fromarray(coloured(chart)).resize((side, side), Image.Resampling.NEAREST),
               (0, top))
  x, y = side / 2, top + here * side
  draw.polygon([(x, y - 9), (x + 6, y + 7), (x, y + 3), (x - 6, y + 7)], fill=CAR,
               outline=(0, 0, 0))
  _distribution(draw, (side + 12, top + 8, wide - 12, top + side - 22), mixture, command)
  return np.asarray(canvas)


def coloured(chart: np.ndarray) -> np.ndarray:
  """A map (m m 2) uint8 as a picture: roads grey, the route amber."""
  roads, route = (chart[..., i, None].astype(np.float32) / 255 for i in (0, 1))
  picture = roads * ROAD
  return (picture + route * (np.array(ROUTE) - picture)).astype(np.uint8)


def _distribution(draw: ImageDraw.ImageDraw, box: tuple, mixture: Mapping, command: float):
  left, top, right, bottom = box
  steering = np.linspace(WIDEST, -WIDEST, right - left)
  density = density_of(steering, *(mixture[k] for k in ('weights', 'means', 'sigmas')))
  # Narrow peaks would leave all others flat: heights are roots.
  heights = np.sqrt(density / max(density.max(), 1e-9)) * (bottom - top)
  points = [(left + i, bottom - float(h)) for i, h in enumerate(heights)]
  draw.polygon([(left, bottom), *points, (right, bottom)], fill=(165, 200, 235))
  draw.line((left, bottom, right, bottom), fill=(0, 0, 0))

  def place(curvature):
    share = (WIDEST - float(np.clip(curvature, -WIDEST, WIDEST))) / (2 * WIDEST)
    return left + share * (right - left)
  for value, name in ((.1, 'left'), (0, '0'), (-.1, 'right')):
    font, name = pil_font(name, 11)
    draw.line((place(value), bottom, place(value), bottom + 4), fill=(0, 0, 0))
    draw.text((place(value), bottom + 5), name, font=font, fill=(0, 0, 0), anchor='mt')
  draw.line((place(command), top, place(command), bottom), fill=COMMAND, width=3)
