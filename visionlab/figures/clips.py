"""Pictures of clips: some of their frames side by side."""

from collections.abc import Sequence

import numpy as np

from visionlab.figures.drawing import as_picture, below, beside, captioned

SHOWN = 4                  # frames of a clip
SIDE = 64                  # pixels that a frame is at least wide
COLUMNS = 3


def film_strips(video: Sequence[np.ndarray], captions: Sequence[str], right: Sequence[bool] | None,
                title: str) -> np.ndarray:
  """Clips (t h w c), uint8 or in [0, 1], each as a strip of frames from its first to its last,
  above its caption; wrong ones in red. At most 15 of them."""
  right = [True] * len(video) if right is None else right
  strips = [captioned(strip(clip), caption, lines=2, colour='black' if sure else 'crimson')
            for clip, caption, sure in list(zip(video, captions, right, strict=True))[:15]]
  rows = [beside(strips[i:i + COLUMNS], gap=12) for i in range(0, len(strips), COLUMNS)]
  return captioned(below(rows), title, above=True)


def strip(clip: np.ndarray, shown: int = SHOWN) -> np.ndarray:
  """Frames (t h w c) -> a picture (h' w' 3), `shown` of them side by side."""
  frames = clip[np.round(np.linspace(0, len(clip) - 1, min(shown, len(clip)))).astype(int)]
  zoom = max(1, -(-SIDE // frames.shape[2]))
  return beside([as_picture(frame, zoom) for frame in frames], gap=2)
