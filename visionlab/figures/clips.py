"""Pictures of clips: some of their frames side by side."""

from collections.abc import Sequence

import numpy as np

from visionlab.figures import charts

SHOWN = 4                  # frames of a clip


def film_strips(video: np.ndarray, captions: Sequence[str], right: np.ndarray | None, title: str
                ) -> np.ndarray:
  """Clips (n t h w c), uint8 or in [0, 1], each as a strip of frames from its first to its last,
  under its caption; wrong ones in red. At most 15 of them, in three columns."""
  strips = np.stack([strip(clip) for clip in video[:15]])
  right = None if right is None else right[:15]
  return charts.image_grid(strips, captions[:15], right, title, columns=3)


def strip(clip: np.ndarray, shown: int = SHOWN) -> np.ndarray:
  """Frames (t h w c) -> (h w' c), `shown` of them side by side."""
  frames = clip[np.round(np.linspace(0, len(clip) - 1, min(shown, len(clip)))).astype(int)]
  return np.concatenate(list(frames), axis=1)
