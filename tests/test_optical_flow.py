"""Optical flow against scikit-image, OpenCV, a direct solver, and the exact flow of scenes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, sparse

from visionlab.config import ConfigError
from visionlab.data.scenes.motion import exact_flow
from visionlab.data.scenes.scenes import scenes
from visionlab.measures.flow import end_point_errors
from visionlab.ops import optical_flow

PAIRS = 4
OPTIONS = dict(size=64, frames=2, objects=(1, 3), speed=.06)


@pytest.fixture(scope='module')
def moved():
  return exact_flow(scenes('test', **OPTIONS), np.arange(PAIRS))


@pytest.fixture(scope='module')
def grey(moved):
  """Pairs (n 2 h w) in [0, 1]; behind the scenes, two equal frames and two of one grey."""
  pairs = moved['image'] @ np.array([.2989, .587, .114], np.float32) / 255
  extra = np.stack([pairs[0, [0, 0]], np.full_like(pairs[0], .5)])
  return np.concatenate([pairs, extra]).astype(np.float32)


@pytest.fixture(scope='module')
def found(grey):
  """Each method's flow of all pairs, by one program."""
  methods = dict(horn_schunck=optical_flow.horn_schunck,
                 unfiltered=partial(optical_flow.horn_schunck, median=False),
                 lucas_kanade=optical_flow.lucas_kanade, tv_l1=optical_flow.tv_l1)
  def all_of(first, second):
    return {name: method(first, second) for name, method in methods.items()}
  return jax.device_get(jax.jit(jax.vmap(all_of))(grey[:, 0], grey[:, 1]))


def errors(flow, moved):
  """Mean end-point errors on the objects and on all pixels."""
  apart, moving = end_point_errors(flow[:PAIRS], moved['flow'][:, 0]), moved['moving'][:, 0]
  return np.array([apart[moving].mean(), apart.mean()])


def test_the_exact_flow_leads_to_the_same_pixels(moved, grey):
  flow, seen = moved['flow'][:, 0], moved['seen'][:, 0]
  inner = np.stack([ndimage.binary_erosion(m, iterations=2) for m in moved['moving'][:, 0]]) & seen
  back = np.stack([optical_flow.warp_back(b, f) for (_, b), f in zip(grey, flow, strict=False)])
  still, warped = (255 * abs(grey[:PAIRS, 0] - x)[inner].mean() for x in (grey[:PAIRS, 1], back))
  assert inner.sum() > 100 and warped < still / 8
  assert .9 < seen.mean() < 1 and not flow[~moved['moving'][:, 0]].any()
  # What is no longer seen differs, as it should, far more than what is.
  off = abs(grey[:PAIRS, 0] - back)
  assert off[~seen].mean() > 4 * off[seen].mean()


@pytest.mark.parametrize('options', [dict(frames=1), dict(frames=2, kind='figures'),
                                     dict(frames=2, masks=False)])
def test_flow_is_known_of_clips_of_digits_alone(options):
  with pytest.raises(ConfigError, match='expected scenes of kind "digits"'):
    exact_flow(scenes('test', size=32, **options), np.arange(1))


def check_as_good(found, peer, moved):
  """On objects and on all pixels, no more than 5 % worse, and worth something."""
  ours, theirs = errors(found, moved), errors(peer, moved)
  assert (ours <= 1.05 * theirs).all(), (ours, theirs)
  assert ours[0] < .6 * errors(0 * peer, moved)[0]


def test_lucas_kanade_errs_no_more_than_scikit_images(found, moved, grey):
  registration = pytest.importorskip('skimage.registration')
  peer = np.stack([np.stack(registration.optical_flow_ilk(a, b, prefilter=True)[::-1], -1)
                   for a, b in grey[:PAIRS]])
  check_as_good(found['lucas_kanade'], peer, moved)


def test_tv_l1_errs_no_more_than_opencvs(found, moved, grey):
  cv2 = pytest.importorskip('cv2')
  if not hasattr(cv2, 'optflow'):
    pytest.skip('opencv without its contributed modules')
  peer = cv2.optflow.DualTVL1OpticalFlow_create()
  theirs = np.stack([peer.calc(*(255 * pair).round().astype(np.uint8), None)
                     for pair in grey[:PAIRS]])
  check_as_good(found['tv_l1'], theirs, moved)


def test_a_pyramid_without_median_filtering_diverges(found, moved):
  filtered, unfiltered = (errors(found[name], moved)[0] for name in ('horn_schunck', 'unfiltered'))
  assert filtered < .5 * errors(0 * found['tv_l1'], moved)[0] and unfiltered > 1.5 * filtered


def test_nothing_moves_between_equal_frames_or_where_all_is_grey(found):
  for flow in found.values():
    assert abs(flow[PAIRS:]).max() < 1e-3


def test_colour_and_bytes_are_taken_as_they_are(moved, grey):
  one_scale = jax.jit(partial(optical_flow.lucas_kanade, warps=1, coarsest=64, median=False))
  first, second = moved['image'][0]
  np.testing.assert_allclose(one_scale(first, second), one_scale(*grey[0]), atol=1e-3)


def test_horn_and_schuncks_iterations_end_at_the_solution_of_their_equations():
  """Which are linear: alpha^2 (mean(f) - f) = slope (slope . f + rest), solved directly."""
  y, x = np.mgrid[:12, :14]
  first, second = (np.sin(.7 * x + shift) * np.cos(.5 * y) / 4 + .5 for shift in (0, .3))
  alpha = .1
  slope = np.stack(np.gradient((first + second) / 2)[::-1]).reshape(2, -1)
  rest = (second - first).ravel()
  kernel = np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]]) / 12
  n = first.size
  mean = np.stack([ndimage.correlate(one.reshape(first.shape), kernel, mode='nearest').ravel()
                   for one in np.eye(n)], 1)
  smooth = sparse.block_diag([alpha ** 2 * (np.eye(n) - mean)] * 2)
  data = sparse.bmat([[sparse.diags(a * b) for b in slope] for a in slope])
  wanted = sparse.linalg.spsolve((smooth + data).tocsc(), -(slope * rest).ravel())
  ours = optical_flow.horn_schunck(first, second, alpha=alpha, warps=1, iterations=4000,
                                   coarsest=12, median=False)
  np.testing.assert_allclose(np.moveaxis(ours, -1, 0).ravel(), wanted, atol=2e-4)
  assert abs(wanted).max() > .3


def test_the_median_is_scipys():
  field = np.random.default_rng(0).normal(size=(2, 7, 9)).astype(np.float32)
  wanted = ndimage.median_filter(field, (1, 3, 3), mode='nearest')
  np.testing.assert_array_equal(optical_flow.median_filter(field), wanted)


def test_the_divergence_is_less_the_adjoint_of_differences():
  rng = np.random.default_rng(0)
  field, dual = rng.normal(size=(2, 6, 5)), rng.normal(size=(2, 2, 6, 5))
  left = (np.asarray(optical_flow._forward(jnp.asarray(field))) * dual).sum()
  right = -(field * np.asarray(optical_flow._divergence(jnp.asarray(dual)))).sum()
  assert left == pytest.approx(right, rel=1e-5)
