"""Actions: clips in which a digit moves, and what is to be told is its movement, its hue, or both.

The movement cannot be told from one frame, nor the hue from the flow. Clip i is a function of
(seed, split, i), drawn on the device like the scenes of `visionlab.data.scenes`.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError, check_choice
from visionlab.data.actions.render import HUES, MOVEMENTS, Form, clip
from visionlab.data.drawn import draw
from visionlab.data.scenes import assets
from visionlab.data.source import Arrays, Info, check_ranges, check_seed, check_split

CLIPS = dict(train=6000, validation=750, test=1500)
CLASSES = dict(movement=MOVEMENTS, appearance=HUES,
               both=tuple(f'{hue} {movement}' for movement in MOVEMENTS for hue in HUES))
CHUNK = 50                      # clips drawn by one call from the host


def actions(split: str, *, root: str = '', label: str = 'movement', size: int = 32,
            frames: int = 8, clips: int = 0, seed: int = 0, scale: tuple[float, float] = (.45, .6),
            spread: float = .15, pan: float = 0., distractor: bool = False, flow: bool = False,
            keep: bool = True) -> 'Actions | Arrays':
  """Clips of a handwritten digit that moves before a photograph.

  The splits share no digit and no region of a photograph.

  Args:
    split: 'train', 'validation' or 'test'.
    root: unused.
    label: 'movement': left, right, up, down, turning either way, growing, shrinking; 'appearance':
      one of six hues; 'both', their 48 pairs. The clips are the same.
    size: height and width in pixels.
    frames: of a clip.
    clips: how many there are; 0: 6,000 of 'train', 750 of 'validation', 1,500 of 'test'.
    seed: other seeds give other clips.
    scale: the digit's height in the middle of a clip, at least and at most, as a share of the size.
    spread: how far, as a share of the size, it is then at most from the centre, along x and y.
    pan: pixels a frame that the camera moves at most, in any direction, and all that is seen moves.
    distractor: whether there is a second digit behind it, of half the size, that moves otherwise
      and has another hue.
    flow: whether the clips have it, exact.
    keep: whether all are drawn once and kept; else as they are needed, anew in each epoch.

  Returns:
    A source of `video` (n t h w 3) uint8, `label` (n,) int32 and, if wanted, `flow` (n t-1 h w 2)
    float32: in pixels, x first, how far what is seen in a pixel is from there in the next frame,
    though something else may then hide it.

  Raises:
    ConfigError: an option out of its range, or scikit-learn is not installed.

  >>> some = actions('test', clips=3, flow=True, keep=False)[np.arange(2)]
  >>> some['video'].shape, some['flow'].shape
  ((2, 8, 32, 32, 3), (2, 7, 32, 32, 2))
  """
  del root
  check_split(split, assets.SPLITS, 'actions')
  check_seed(seed, 'actions')
  check_choice(label, CLASSES, 'actions: label')
  clips = clips or CLIPS[split]
  check_ranges('actions', size=(size, 16, 256), frames=(frames, 2, 64), clips=(clips, 1, 1 << 24),
               spread=(spread, 0, .5), pan=(pan, 0, size / 8), scale=(scale[0], .1, 1))
  check_ranges('actions', scale=(scale[1], scale[0], 1))
  margin = int(np.ceil(pan * (frames - 1) / 2)) + 1 if pan else 0
  form = Form(size, frames, margin, distractor, flow)
  arrays = {**assets.glyphs(split, 'digits', ''), **assets.backgrounds(split, size),
            'seed': np.uint32(seed % 2**32), 'split': np.int32(assets.SPLITS.index(split)),
            'scale': np.float32(scale), 'spread': np.float32(spread), 'pan': np.float32(pan)}
  source = Actions(form, label, arrays, clips)
  return Arrays(source[np.arange(clips)], source.info) if keep else source


class Actions:
  """The source that `actions` opens; it holds what clips are made of, and draws them.

  Args:
    form: what the program depends on.
    label: 'movement', 'appearance' or 'both'.
    arrays: glyphs, photographs, at most some megabytes, and the numbers among the options.
    clips: how many there are.
  """

  def __init__(self, form: Form, label: str, arrays: Mapping[str, np.ndarray], clips: int):
    self.form, self.label, self.arrays, self.clips = form, label, dict(arrays), clips
    self.info = Info(classes=CLASSES[label])

  def __len__(self) -> int:
    return self.clips

  def gather(self, arrays: Mapping[str, jax.Array], indices: jax.Array) -> dict:
    """The clips at traced indices (n,), for use inside a compiled loop; arrays: `self.arrays`."""
    return _draw(self.form, self.label, arrays, indices)

  def __getitem__(self, indices: np.ndarray) -> dict:
    return draw(partial(self.gather, self.arrays), indices, len(self), CHUNK)

  def with_seen(self, indices: np.ndarray) -> dict:
    """The clips at indices (n,) with, beside their `flow`, `seen` (n t-1 h w) bool: whether what a
    pixel shows is still seen in the next frame, neither covered nor outside.

    Raises:
      ConfigError: they were opened without flow.
    """
    if not self.form.flow:
      raise ConfigError('actions: what is seen again is known beside the flow: flow=True')
    form = replace(self.form, seen=True)
    return draw(partial(_draw, form, self.label, self.arrays), indices, len(self), CHUNK)


@partial(jax.jit, static_argnums=(0, 1))
def _draw(form, label, arrays, indices):
  drawn = jax.vmap(partial(clip, form, arrays))(jnp.asarray(indices))
  movement, hue = drawn.pop('movement'), drawn.pop('hue')
  labels = dict(movement=movement, appearance=hue, both=movement * len(HUES) + hue)
  return dict(drawn, label=labels[label])
