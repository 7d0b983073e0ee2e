"""Clips: their frames are augmented alike, a run of them is loaded, asked and measured."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from visionlab.augmentation.augment import make_augment
from visionlab.config import ConfigError
from visionlab.data.films.clip import fitted_clips
from visionlab.data.images.decode import Canvas
from visionlab.data.own import adapted
from visionlab.data.source import Arrays, Info
from visionlab.facts import Facts
from visionlab.ops import warp

RNG = np.random.default_rng(0)
VIDEO = RNG.integers(0, 256, (2, 3, 8, 8, 3), np.uint8)


def test_frames_of_a_clip_are_augmented_as_images_are():
  """Each as if it were alone: all of what is drawn is drawn once."""
  augment = jax.jit(make_augment(dict(flip=True, pad_crop=2, rotate=30., grey=.5, cutout=3)))
  clips = augment(jax.random.key(1), dict(video=VIDEO))['video']
  for t in range(3):
    image = augment(jax.random.key(1), dict(image=VIDEO[:, t]))['image']
    np.testing.assert_allclose(clips[:, t], image, atol=1e-5)


def test_a_mirrored_flow_points_the_other_way():
  flow = RNG.normal(size=(2, 2, 8, 8, 2)).astype(np.float32)
  out = jax.jit(make_augment(dict(flip=1.)))(jax.random.key(0), dict(video=VIDEO, flow=flow))
  np.testing.assert_allclose(out['flow'], flow[:, :, :, ::-1] * [-1, 1], atol=1e-5)
  np.testing.assert_allclose(out['video'] * 255, VIDEO[:, :, :, ::-1], atol=1e-3)


def test_a_turned_flow_still_leads_to_what_it_led_to():
  """A pattern that moves by (1.5, -.5) a frame, turned and enlarged: the flow, which moved with it,
  brings the next frame back to the one before."""
  x, y = np.moveaxis(np.asarray(warp.centres(32, 32)), -1, 0)
  frames = [np.sin((x - 1.5 * t) / 3) + np.cos((y + .5 * t) / 4) for t in range(2)]
  video = np.stack(frames)[None, ..., None].astype(np.float32) / 4 + .5
  flow = np.broadcast_to(np.float32([1.5, -.5]), (1, 1, 32, 32, 2))
  turning = dict(affine=dict(degrees=40., scale=(1.3, 1.5), translate=0.))
  out = jax.jit(make_augment(turning))(jax.random.key(3), dict(video=video, flow=flow))
  before, after = out['video'][0]
  assert abs(jnp.linalg.norm(out['flow'], axis=-1) - np.hypot(1.5, .5)).min() > .3
  back = warp.sample(after, warp.centres(32, 32) + out['flow'][0, 0])
  inner = np.s_[8:-8, 8:-8]
  assert abs(back - before)[inner].mean() < .1 * abs(after - before)[inner].mean()


def test_policies_would_move_pixels_and_not_the_flow():
  batch = dict(video=VIDEO, flow=np.zeros((2, 2, 8, 8, 2), np.float32))
  with pytest.raises(ConfigError, match='moves the pixels and not "flow"'):
    make_augment(dict(trivial_augment=True))(jax.random.key(0), batch)


def test_mixing_takes_the_same_box_of_all_frames():
  batch = dict(video=VIDEO, label=np.array([0, 1]))
  out = jax.jit(make_augment(dict(cutmix=True)))(jax.random.key(2), batch)
  own = np.isclose(out['video'], VIDEO / 255., atol=1e-6).all(-1)
  assert (own == own[:, :1]).all() and 0 < own.mean() < 1
  np.testing.assert_allclose(out['mix_weight'], own.mean((1, 2, 3)), atol=.02)


def test_facts_of_clips_are_saved_and_give_the_form_of_a_frame():
  facts = Facts.of(Arrays(dict(video=VIDEO, label=np.zeros(2, np.int32)), Info(('a', 'b'))))
  again = Facts.from_json(facts.to_json())
  assert again.frames == facts.frames == 3
  assert again.image == jax.ShapeDtypeStruct((1, 8, 8, 3), np.uint8)


def test_clips_of_ones_own_stay_uint8():
  class Mine:
    classes = ('a', 'b')

    def __len__(self):
      return 2

    def __getitem__(self, i):
      return dict(video=VIDEO[i], label=i)
  assert adapted(Mine(), 'config.data')[np.arange(2)]['video'].dtype == np.uint8


def test_clips_in_every_form_become_arrays_of_one_size(tmp_path):
  frames = [Image.fromarray(np.full((8, 8, 3), 40 * i, np.uint8)) for i in range(6)]
  path = tmp_path / 'film.gif'
  frames[0].save(path, save_all=True, append_images=frames[1:])
  canvas = Canvas((4, 4))
  assert fitted_clips(VIDEO, Canvas((8, 8)), 3).tolist() == VIDEO.tolist()
  for clips in (path, [str(path)], [frames], np.stack(frames)):
    made = fitted_clips(clips, canvas, 3)
    assert made.shape == (1, 3, 4, 4, 3)
    assert abs(made[0, :, 0, 0, 0].astype(int) - [40, 120, 200]).max() < 9    # frames 1, 3 and 5


@pytest.mark.parametrize('clips, said', [
    ([], 'no clips'), (np.zeros((4, 4)), 'clip 0: expected frames'),
    ([5], 'clip 0: expected frames'), (['no.gif'], 'no such file')])
def test_what_is_no_clip_is_named(clips, said):
  with pytest.raises(ConfigError, match=said):
    fitted_clips(clips, Canvas((4, 4)), 3)
