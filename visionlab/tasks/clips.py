"""Classification of clips: by their frames, or by the optical flow between them."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError, check_choice
from visionlab.data.source import Info
from visionlab.measures.classification import topk_correct
from visionlab.metrics import Ratio
from visionlab.models.fusion import for_flow
from visionlab.ops import optical_flow
from visionlab.ops.views import WHOLE
from visionlab.task import Evaluator
from visionlab.tasks.classify import Classify, classify, known
from visionlab.tasks.draws import draw_of

SEES = ('video', 'flow')
COLOURS = 1, 3                  # what the first layer of a network of images may see
FLOWS = ('given', 'horn_schunck', 'lucas_kanade', 'tv_l1')


@dataclasses.dataclass(frozen=True)
class Clips(Classify):
  """batch: `video` (b t h w c); `flow` (b t-1 h w 2), in pixels, x first, where it is given;
  `label` and `valid` as `Classify` has them.

  The network is shown `frames` of the t, a window: a random one in training; in evaluation
  `windows`, from the first to the last evenly spaced, whose probabilities are averaged.

  predict: `logits` (of the average), `probabilities` (b k), `prediction` (b,).
  """
  sees: str = field(default='video', kw_only=True)
  flow: str = field(default='given', kw_only=True)
  frames: int = field(default=0, kw_only=True)        # 0: all
  windows: int = field(default=1, kw_only=True)

  draws = True                    # where a window begins

  @property
  def mixable(self):
    return ('label',) if self.sees == 'video' else ()

  def init(self, key, batch):
    first = jnp.zeros(batch['video'].shape[0], jnp.int32)
    return super().init(key, self.window(batch, first) if self.frames else batch)

  def widened(self, kernel, channels):
    """See `visionlab.task`: of a network of images, repeated over time, or its first for flow."""
    if self.sees == 'flow' and kernel.shape[2] in COLOURS:
      return for_flow(kernel, channels)
    widen = getattr(self.model, 'widened', None)
    return widen(kernel, channels) if widen else None

  def seen(self, batch):
    if self.sees == 'video':
      return self.preprocess(batch['video'])
    if self.flow == 'given' and 'flow' not in batch:
      raise ConfigError('this network sees flow, and these clips have none; one with '
                        'config.task.flow="tv_l1" finds it')
    if self.flow == 'given':
      flow = batch['flow'].astype(jnp.float32)
    else:
      find = jax.vmap(jax.vmap(getattr(optical_flow, self.flow)))
      flow = find(batch['video'][:, :-1], batch['video'][:, 1:])
    return flow - flow.mean((2, 3), keepdims=True)    # most of a camera's movement goes with it

  def viewed(self, batch, view):
    if view is WHOLE:
      return batch
    if self.sees == 'flow' and self.flow == 'given':
      raise ConfigError('--ten_crop, --mirror and --scales: change frames, and not the flow '
                        'between them')
    b, t, *_ = batch['video'].shape
    frames = view.see(batch['video'].reshape(b * t, *batch['video'].shape[2:]))
    return {'video': frames.reshape(b, t, *frames.shape[1:])}

  def outputs(self, variables, batch, key=None, *, train=False):
    room = batch['video'].shape[1] - self.frames if self.frames else 0
    if not room:
      return super().outputs(variables, batch, key, train=train)
    if train:
      starts = jax.vmap(lambda key: jax.random.randint(key, (), 0, room + 1))(draw_of(batch, key))
      return super().outputs(variables, self.window(batch, starts), key, train=True)
    return {'logits': jnp.log(jnp.clip(self.of_windows(variables, batch).mean(0), 1e-12))}, {}

  def of_windows(self, variables, batch):
    """The probabilities (n b k) that each of the n windows is given."""
    b, t = batch['video'].shape[:2]
    room = t - self.frames if self.frames else 0
    starts = np.round(np.linspace(0, room, self.windows if room else 1)).astype(np.int32)
    if len(starts) == 1:          # from the middle
      starts = np.array([room // 2], np.int32)

    def of_one(start):            # one after the other: a film's windows need not fit at once
      shown = self.window(batch, jnp.full(b, start)) if room else batch
      return jax.nn.softmax(super(Clips, self).outputs(variables, shown)[0]['logits'])
    return jax.lax.map(of_one, starts) if room else of_one(0)[None]

  def window(self, batch, starts):
    """The batch with `frames` of each clip from starts (b,) on, and the flow between them."""
    def cut(values, length):
      return jax.vmap(lambda x, i: jax.lax.dynamic_slice_in_dim(x, i, length))(values, starts)
    flow = dict(flow=cut(batch['flow'], self.frames - 1)) if 'flow' in batch else {}
    return {**batch, 'video': cut(batch['video'], self.frames), **flow}

  def evaluators(self):
    return super().evaluators() | {'clips': Evaluator(self._windows_right, self._finish_windows)}

  def _windows_right(self, variables, batch, hp):
    p, label, valid = self.of_windows(variables, batch), batch['label'], known(batch)
    each = jnp.mean(jnp.stack([topk_correct(one, label, 1) for one in p]), 0)
    return dict(clip=Ratio.of(each, valid),
                **{f'video{k}': Ratio.of(topk_correct(p.mean(0), label, k), valid) for k in (1, 5)})

  def _finish_windows(self, stats):
    return {'clip@1': float(stats['clip'].value), 'video@1': float(stats['video1'].value),
            'video@5': float(stats['video5'].value)}


def clips(*, make_model: Callable, info: Info, example: Mapping[str, Any], sees: str = 'video',
          flow: str = 'given', frames: int = 0, windows: int = 1, mean: tuple = (),
          std: tuple = (), channel_order: str = 'RGB') -> Clips:
  """Which class a clip is of, by its frames or by the optical flow between them.

  Args:
    sees: 'video', or 'flow' (Simonyan and Zisserman 2014, the temporal stream): of a clip's flow
      fields, each without its mean. Runs of both, averaged by `visionlab.evaluate --workdir=a,b`,
      are their two streams.
    flow: 'given' by the source, or how it is found in the frames: 'horn_schunck', 'lucas_kanade' or
      'tv_l1', see `visionlab.ops.optical_flow`.
    frames: of a clip that the network is shown; 0: all.
    windows: of so many frames in each clip, over which an evaluation averages.
    mean, std, channel_order: what is done to frames before the network sees them, see
      `visionlab.ops.image.standardise`.
  """
  where = 'config.task'
  check_choice(sees, SEES, f'{where}.sees')
  check_choice(flow, FLOWS, f'{where}.flow')
  if 'video' not in example:
    raise ConfigError(f'{where}: clips needs a source of clips, such as actions; for images use '
                      'name="classify"')
  there = example['video'].shape[1]
  if frames > there or frames < 0 or sees == 'flow' and frames == 1:
    raise ConfigError(f'{where}.frames: expected 0 to {there}, the frames of these clips'
                      f'{", and 2 for a flow" * (sees == "flow")}; got {frames}')
  if windows < 1 or windows > 1 and frames in (0, there):
    raise ConfigError(f'{where}.windows: {windows} windows of '
                      f'{frames or there} frames in clips of {there}')
  if sees == 'flow' and flow == 'given' and 'flow' not in example:
    raise ConfigError(f'{where}.flow: these clips have none; have it found, by flow="tv_l1", or '
                      'use a source that knows it, such as actions with flow=True')
  plain = classify(make_model=make_model, info=info, mean=mean, std=std,
                   channel_order=channel_order)
  return Clips(plain.model, plain.classes, plain.head, plain.preprocess, sees=sees, flow=flow,
               frames=frames, windows=windows)
