"""Images that fool networks, by gradient and by evolution."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from understood import Linear, Smooth, photos, subject_of

from visionlab.config import ConfigError
from visionlab.understand.evolve import evolve
from visionlab.understand.fool import also_fooled, confidences, fool, probabilities
from visionlab.understand.genomes import INPUTS, Direct, Indirect

SHAPE = (6, 6, 1)


def sure_of(direction):
  """A linear network that says 'bee' the more the image is like a direction."""
  subject = subject_of(Linear(), SHAPE)
  kernel = np.zeros((36, 3), np.float32)
  kernel[:, 1] = 3 * np.asarray(direction).ravel()
  return dataclasses.replace(subject, variables=dict(params=dict(head=dict(
      kernel=kernel, bias=np.zeros(3, np.float32)))))


DIRECTION = np.sign(np.random.default_rng(0).normal(size=SHAPE))


def test_a_network_is_fooled_one_like_it_too_and_its_opposite_not():
  subject = sure_of(DIRECTION)
  start = photos(3, SHAPE)
  images, sure = fool(subject, start, 'bee', steps=60, rate=.1)
  assert (confidences(subject, start, 'bee') < sure).all() and sure.min() > .999
  assert images.min() >= 0 and images.max() <= 1
  logits = images.reshape(3, -1) @ (3 * DIRECTION.ravel())
  np.testing.assert_allclose(sure, 1 / (1 + 2 * np.exp(-logits)), rtol=1e-5)
  too, confidence = also_fooled(sure_of(DIRECTION), images, 'bee')
  assert too.all() and (confidence > .99).all()
  too, confidence = also_fooled(sure_of(-DIRECTION), images, ['bee'] * 3)
  assert not too.any() and (confidence < .01).all()


def test_it_may_stay_near_the_start():
  subject, start = sure_of(DIRECTION), photos(2, SHAPE)
  far, close = (fool(subject, start, 'bee', steps=40, near=near).images for near in (0., 1e3))
  assert np.abs(close - start).max() < .2 * np.abs(far - start).max()


def test_what_has_no_classes_is_not_fooled():
  subject = subject_of(Smooth())
  maps = dataclasses.replace(subject, ask=lambda variables, images, given: dict(
      logits=images))
  with pytest.raises(ConfigError, match='a logit for each class'):
    probabilities(maps, photos(1))


@pytest.mark.parametrize('encoding', [Direct(SHAPE), Indirect(SHAPE)],
                         ids=lambda e: type(e).__name__)
def test_an_archive_never_falls(encoding):
  subject, told = subject_of(Linear(), SHAPE), []
  subject = dataclasses.replace(subject, variables=jax.tree.map(lambda x: 6 * x, subject.variables))
  key = jax.random.key(1)
  archive = evolve(subject, encoding, generations=30, children=8, key=key,
                   callback=lambda done, of, images: told.append((done, of, images.shape)))
  assert told == [(20, 30, (3, *SHAPE)), (30, 30, (3, *SHAPE))]
  assert (np.diff(archive.curve, axis=0) >= 0).all() and archive.curve.shape == (30, 3)
  assert (archive.curve[-1] > archive.curve[0]).all()
  # What is said of the images is what the network says of them.
  np.testing.assert_allclose(confidences(subject, archive.images, [0, 1, 2]), archive.confidences,
                             atol=1e-5)
  assert archive.images.min() >= 0 and archive.images.max() <= 1
  # Left and gone on with, it is bit for bit the same.
  half = evolve(subject, encoding, generations=20, children=8, key=key)
  rest = evolve(subject, encoding, generations=10, children=8, key=key, start=half)
  np.testing.assert_array_equal(rest.images, archive.images)
  np.testing.assert_array_equal(rest.curve, archive.curve)


def test_children_of_pixels_differ_in_some_by_little():
  encoding = Direct((50, 50, 1), rate=.2)
  parent, born = (encoding.born(jax.random.key(i)) for i in range(2))
  child = np.asarray(encoding.mutated(jax.random.key(2), parent))
  changed = child != parent
  assert abs(changed.mean() - .2) < .03 and abs(float(born.mean()) - .5) < .02
  by = np.abs(child - parent)[changed]
  # Polynomial mutation: |d| = 1 - u^(1/16), u even in (0, 1), whose mean is 1/17.
  assert abs(by.mean() - 1 / 17) < .01


def test_a_drawing_network_by_hand():
  """x -> sine -> hidden node 0 (linear) -> the output, and y straight to the output."""
  encoding = Indirect((3, 5, 1), hidden=2)
  weight, wired = np.zeros((3, INPUTS + 3), np.float32), np.zeros((3, INPUTS + 3), bool)
  for node, source, w in ((0, 0, .5), (2, INPUTS, .8), (2, 1, .1), (1, 3, 9.)):
    weight[node, source], wired[node, source] = w, True
  weight[2, 3] = 5.                                   # not wired: it does not count
  image = encoding.drawn(dict(weight=weight, wired=wired, kind=jnp.array([0, 1, 3])))
  y, x = np.mgrid[-1:1:3j, -1:1:5j]
  np.testing.assert_allclose(image[..., 0], .5 + .5 * (.8 * np.sin(np.pi * .5 * x) + .1 * y),
                             atol=1e-6)


def test_wiring_grows_and_never_runs_back():
  encoding = Indirect((2, 2, 3), hidden=4)
  genome = encoding.born(jax.random.key(0))
  first = int(genome['wired'].sum())
  mutated = jax.jit(encoding.mutated)
  for i in range(60):
    genome = mutated(jax.random.key(i), genome)
  wired = np.asarray(genome['wired'])
  assert wired.sum() > first
  assert not np.triu(wired[:, INPUTS:]).any()
