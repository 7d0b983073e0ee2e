"""Actions: what they show is what their labels and their flow say, and one frame does not tell."""

from functools import cache

import jax
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.data.actions.actions import CLASSES, actions
from visionlab.data.actions.render import HUES, MOVEMENTS
from visionlab.ops import warp

N = 50


@cache
def some(**options):
  """The source, and its first clips; all by two programs."""
  source = actions('test', clips=400, size=24, frames=4, flow=True, label='both', keep=False,
                   **options)
  return source, source[np.arange(N)]


def test_a_clip_is_a_function_of_seed_split_and_index():
  source, clips = some()
  again = source[np.array([7, -1, 3])]
  for key, value in clips.items():
    np.testing.assert_array_equal(again[key][[0, 2]], value[[7, 3]])
  assert abs(again['video'][1].astype(int) - clips['video'][0]).max() > 50
  other = actions('test', clips=50, size=24, frames=4, flow=True, label='both', keep=False, seed=1)
  assert abs(other[np.arange(N)]['video'].astype(int) - clips['video']).mean() > 20


def test_labels_are_names_for_the_same_clips():
  _, clips = some()
  kept = {label: actions('test', clips=N, size=24, frames=4, flow=True, label=label)
          for label in CLASSES}
  for label, source in kept.items():
    np.testing.assert_array_equal(source.arrays['video'], clips['video'])
    assert source.info.classes == CLASSES[label]
  movement, hue = np.divmod(clips['label'], len(HUES))
  np.testing.assert_array_equal(kept['movement'].arrays['label'], movement)
  np.testing.assert_array_equal(kept['appearance'].arrays['label'], hue)
  name = f'{HUES[hue[0]]} {MOVEMENTS[movement[0]]}'
  assert kept['both'].info.classes[clips['label'][0]] == name


def moving(clips):
  """(n t-1 h w), where a clip's flow is not zero."""
  return abs(clips['flow']).sum(-1) > 1e-6


@jax.jit
@jax.vmap
@jax.vmap
def warped(frame, flow):
  return warp.sample(frame, warp.centres(24, 24) + flow, mode='edge')


def test_flow_brings_the_next_frame_back():
  """But for what is at an outline, where pixels are of both and some are uncovered."""
  _, clips = some()
  video = clips['video'].astype(np.float32)

  left, before, wrong = (abs(warped(video[:, 1:], share * clips['flow']) - video[:, :-1])
                         .mean(-1)[moving(clips)].mean() for share in (1, 0, -1))
  assert left < .5 * before < .3 * wrong


def test_what_is_not_seen_again_is_covered_or_uncovered():
  """By warping: the next frame agrees with what is seen, and not with what is not."""
  source, clips = some(pan=2.)
  shown = source.with_seen(np.arange(N))
  for key, value in clips.items():
    np.testing.assert_array_equal(shown[key], value)
  seen, video = shown['seen'], clips['video'].astype(np.float32)
  goal = np.asarray(warp.centres(24, 24)) + clips['flow']
  outside = ((goal < 0) | (goal >= 24)).any(-1)
  assert outside.any() and not seen[outside].any()
  off = abs(warped(video[:, 1:], clips['flow']) - video[:, :-1]).mean(-1)
  hidden = ~seen & ~outside
  assert .005 < hidden.mean() < .05
  assert np.median(off[hidden]) > 4 * np.median(off[seen])
  with pytest.raises(ConfigError, match='flow=True'):
    actions('test', clips=2, keep=False).with_seen(np.arange(1))


def test_movements_are_what_their_names_say():
  _, clips = some()
  along = np.arange(24) + .5
  place = np.stack(np.meshgrid(along, along), -1)
  movement = clips['label'] // len(HUES)
  assert set(movement) == set(range(8))
  for flow, mask, name in zip(clips['flow'][:, 1], moving(clips)[:, 1],
                              np.array(MOVEMENTS)[movement], strict=True):
    v, p = flow[mask], place[mask]
    x, y = v.mean(0)
    if name in ('left', 'right', 'up', 'down'):
      expected = dict(left=-x, right=x, up=-y, down=y)[name]
      assert .5 < expected < 1 and np.ptp(v, 0).max() < 1e-4        # .7 to 1.2 of 32 pixels
      continue
    # v = a (p - c) + b turned (p - c): growth a and turn b, whatever c.
    p, v = p - p.mean(0), v - v.mean(0)
    growth = (p * v).sum() / (p * p).sum()
    turn = (p[:, 0] * v[:, 1] - p[:, 1] * v[:, 0]).sum() / (p * p).sum()
    found = dict(grow=growth, shrink=-growth, clockwise=turn, anticlockwise=-turn)
    assert max(found, key=found.get) == name and .045 < found[name] < .15


def test_the_camera_moves_all_that_does_not_move_by_itself():
  _, still = some()
  _, clips = some(pan=2.)
  pan = clips['flow'] - still['flow']
  corner = clips['flow'][:, :, 0, 0]
  np.testing.assert_allclose(corner, corner[:, :1].repeat(3, 1), atol=1e-5)
  assert np.hypot(*corner[:, 0].T).min() > 0 and 1 < np.hypot(*corner[:, 0].T).max() <= 2
  assert (abs(pan - corner[:, :, None, None]).max(-1) < 1e-3).mean() > .8     # all but what passes


def test_a_middle_frame_is_as_likely_under_a_movement_as_under_its_opposite():
  """Of an odd number of frames: played backwards, a movement is its opposite; the middle stays."""
  clips = actions('test', clips=20, size=24, frames=3, label='movement')
  middle = clips.arrays['video'][:, 1]
  alone = actions('test', clips=20, size=24, frames=5, label='movement').arrays['video'][:, 2]
  np.testing.assert_array_equal(middle, alone)       # however long it moved, and from wherever


@pytest.mark.parametrize('options, said', [
    (dict(label='motion'), 'actions: label'), (dict(frames=1), 'frames must lie between 2 and 64'),
    (dict(pan=9.), 'pan must lie between 0 and 4'), (dict(scale=(.6, .5)), 'scale must lie'),
    (dict(spread=.7), 'spread must lie'), (dict(seed=-1), 'seed must be 0 or more')])
def test_options_out_of_range_are_named(options, said):
  with pytest.raises(ConfigError, match=said):
    actions('test', **options)
  with pytest.raises(ConfigError, match='no split "val"'):
    actions('val')
