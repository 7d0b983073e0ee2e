"""The exact optical flow of clips of scenes, which is in how their digits move."""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError
from visionlab.data.drawn import draw
from visionlab.data.scenes.render import journey, position, rehearse, scene
from visionlab.data.scenes.scenes import CHUNK, Scenes
from visionlab.ops.warp import centres, sample


def exact_flow(source: Scenes, indices: np.ndarray) -> dict[str, np.ndarray]:
  """Clips with the flow from each frame to the next.

  Args:
    source: what `scenes` opens with frames > 1, masks, and kind='digits', which move as a whole.
    indices: (n,).

  Returns:
    `image` (n t h w c) uint8; `flow` (n t-1 h w 2) float32, in pixels, x first, zero on the
    photograph; `moving` (n t-1 h w) bool, pixels of digits; `seen` (n t-1 h w) bool, whether what
    a pixel shows is still seen in the next frame, neither covered nor outside.

  Raises:
    ConfigError: another source.
  """
  recipe = source.recipe
  if recipe.frames < 2 or recipe.kind != 'digits' or not recipe.masks:
    raise ConfigError('exact_flow: expected scenes of kind "digits" with frames of 2 or more and '
                      f'masks=True, not {recipe}')
  return draw(partial(_gather, recipe, source.arrays), indices, len(source), CHUNK)


@partial(jax.jit, static_argnums=0)
def _gather(recipe, arrays: Mapping, indices):
  return jax.vmap(partial(_of_scene, recipe, arrays))(indices)


def _of_scene(recipe, arrays, index):
  drawn = scene(recipe, arrays, index)
  _, _, place, actors = rehearse(recipe, arrays, index)
  route = journey(place, actors['reach'], recipe, arrays)
  places = centres(recipe.size, recipe.size)
  masks = drawn['objects']['masks']                                      # (t n h w)
  label = jnp.where(masks.any(1), jnp.argmax(masks, 1), -1)              # (t h w): whose pixel

  def between(t):
    def of(one):
      (before, turn), (after, turned) = position(one, t), position(one, t + 1)
      cos, sin = jnp.cos(turned - turn), jnp.sin(turned - turn)
      x, y = jnp.moveaxis(places - before, -1, 0)
      return jnp.stack([cos * x - sin * y, sin * x + cos * y], -1) + after - places
    flow = (jax.vmap(of)(route) * masks[t, ..., None]).sum(0)
    goal = places + flow
    there = sample(label[t + 1], goal, order=0, mode='edge')
    inside = ((goal >= 0) & (goal <= recipe.size)).all(-1)
    return dict(flow=flow, moving=label[t] >= 0, seen=inside & (there == label[t]))
  return dict(image=drawn['image'], **jax.vmap(between)(jnp.arange(recipe.frames - 1)))
