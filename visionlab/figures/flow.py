"""Pictures of optical flow: the hue says where to, the strength how far (Baker et al. 2011)."""

from collections.abc import Mapping, Sequence

import numpy as np

from visionlab.figures.drawing import as_picture, below, beside, captioned

# The colours that the hue passes, and in how many steps it goes on from each: as many as the eye
# tells apart there (the article's section 4.3, after Scharstein's colorcode.cpp).
CORNERS = ((255, 0, 0), (255, 255, 0), (0, 255, 0), (0, 255, 255), (0, 0, 255), (255, 0, 255))
STEPS = 15, 6, 4, 11, 13, 6
PANEL = 160                     # pixels that a picture is enlarged to, about


def colour_wheel() -> np.ndarray:
  """The hues (55 3) in [0, 1], from red by way of yellow, green, cyan, blue and magenta."""
  hues = [corner + np.trunc((np.array(after) - corner) * np.arange(n)[:, None] / n)
          for n, corner, after in zip(STEPS, CORNERS, CORNERS[1:] + CORNERS[:1], strict=True)]
  return np.concatenate(hues) / 255


def coloured(flow: np.ndarray, longest: float = 0., valid: np.ndarray | None = None) -> np.ndarray:
  """The flow (h w 2), in pixels and x first, in colours (h w 3) uint8; white does not move.

  Args:
    longest: the length, in pixels, that is shown in full strength; 0 for that of the longest
      vector. Longer ones are darkened.
    valid: (h w), where it is known; elsewhere it is black.
  """
  flow = np.asarray(flow, np.float64)
  known = np.isfinite(flow).all(-1) & (True if valid is None else np.asarray(valid, bool))
  flow = np.where(known[..., None], flow, 0)
  length = np.sqrt((flow ** 2).sum(-1))
  length = length / (longest or length.max() or 1)
  wheel = colour_wheel()
  place = (np.arctan2(-flow[..., 1], -flow[..., 0]) / np.pi + 1) / 2 * (len(wheel) - 1)
  low = np.floor(place).astype(int)
  part = (place - low)[..., None]
  hue = (1 - part) * wheel[low] + part * wheel[(low + 1) % len(wheel)]
  strength = length[..., None]
  shown = np.where(strength <= 1 + 1e-9, 1 - strength * (1 - hue), .75 * hue)
  return np.floor(255 * np.where(known[..., None], np.clip(shown, 0, 1), 0)).astype(np.uint8)


def key(side: int = PANEL) -> np.ndarray:
  """What the colours mean, (side side 3): the vectors from the middle, the longest at the rim."""
  x, y = np.meshgrid(*[np.linspace(-1, 1, side)] * 2)
  inside = x ** 2 + y ** 2 <= 1
  return np.where(inside[..., None], coloured(np.stack([x, y], -1), 1.), 255).astype(np.uint8)


def compared(frames: np.ndarray, fields: Mapping[str, np.ndarray],
             captions: Sequence[Sequence[str]], longest: float = 0.) -> np.ndarray:
  """A row for each pair of frames: the first, then each field, and the key at the end.

  Args:
    frames: (n h w c), the first of each pair.
    fields: name -> (n h w 2).
    captions: for each pair a line under each field.
    longest: see `coloured`; 0 for the longest vector of the first field of the pair.
  """
  zoom = max(1, round(PANEL / frames.shape[1]))
  rows = []
  for i, frame in enumerate(frames):
    whole = longest or float(np.linalg.norm(next(iter(fields.values()))[i], axis=-1).max())
    row = [captioned(as_picture(frame, zoom), 'first frame')]
    row += [captioned(as_picture(coloured(field[i], whole), zoom), f'{name} {caption}'.strip())
            for (name, field), caption in zip(fields.items(), captions[i], strict=True)]
    row.append(captioned(key(frame.shape[0] * zoom), f'rim: {whole:.1f} pixels'))
    rows.append(beside(row))
  return below(rows)
