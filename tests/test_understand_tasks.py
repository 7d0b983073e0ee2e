"""Attributions of every task: a segmenter, a detector's box, a captioner's word, two domains."""

import importlib
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from visionlab import build
from visionlab.understand.attribute import grad_cam, gradient
from visionlab.understand.backward import guided_backprop
from visionlab.understand.occlusion import occlusion
from visionlab.understand.subject import Subject
from visionlab.understand.targets import scores


def third(answer):
  """The mean over all pixels of a class's logits."""
  return answer['logits'][..., 3].mean((1, 2))


# What is asked about: a class, a word's place or a function; and what the answer is about.
ASKED = {
    'scenes_fcn': (third, None),
    'scenes_faster_rcnn': (6, dict(boxes=np.float32([[8, 8, 40, 52], [30, 20, 90, 80]]))),
    'scenes_captioner': (1, dict(tokens=np.int32([[4, 9, 2, 0, 0, 0, 0, 0, 0, 0]] * 2))),
    'digits_dann': (3, None),
}


@pytest.fixture(scope='module', params=list(ASKED))
def asked(request):
  """(subject, images, target, given) of a task whose weights are random, its last layers' too."""
  config = importlib.import_module(f'configs.{request.param}').get_config('smoke')
  config.parallel.devices = 1
  job = build.assemble(config)
  state, shape = jax.device_get(job.init()), job.facts.image.shape[1:]
  rng = np.random.default_rng(0)
  params = jax.tree.map(lambda w: w + .1 * rng.normal(size=w.shape).astype(w.dtype),
                        state.variables['params'])
  run = SimpleNamespace(task=job.task, facts=job.facts, classes=(),
                        variables={**state.variables, 'params': params})
  return Subject.of(run, shape), rng.random((2, *shape), np.float32), *ASKED[request.param]


@pytest.fixture(scope='module')
def answer(asked):
  """images -> the target (b,)."""
  subject, _, target, given = asked
  select, index = subject.target(target)
  return jax.jit(lambda x: scores(subject.answer(x, given), select, index))


def test_a_block_over_all_of_it_takes_the_whole_answer(asked, answer):
  subject, x, target, given = asked
  fall = answer(x) - answer(np.full_like(x, .5))
  hidden = occlusion(subject, x, target, window=x.shape[1:3], given=given)
  np.testing.assert_allclose(hidden, np.broadcast_to(fall[:, None, None], hidden.shape), rtol=1e-3,
                             atol=1e-5)


def test_the_gradient_is_the_slope_of_the_answer(asked, answer):
  subject, x, target, given = asked
  slopes = gradient(subject, x, target, given=given)
  assert abs(slopes).reshape(2, -1).max(1).min() > 0
  way = slopes / abs(slopes).max((1, 2, 3), keepdims=True)
  step = 3e-3                                  # beyond rounding; a few ReLUs open or close on it
  rise = (answer(x + step * way) - answer(x - step * way)) / (2 * step)
  np.testing.assert_allclose((slopes * way).sum((1, 2, 3)), rise, rtol=.1)


def test_maps_of_the_size_of_the_image(asked):
  subject, x, target, given = asked
  cam = grad_cam(subject, x, target, given=given)
  assert cam.shape == x.shape[:3] and cam.min() >= 0 and cam.max() <= 1
  guided = guided_backprop(subject, x, target, given=given)
  assert guided.shape == x.shape and guided.any()
