"""Attributions by the name of the method: what `run.explain` and the command call."""

from collections.abc import Callable, Sequence

import numpy as np

from visionlab.config import check_choice
from visionlab.options.parts import bind
from visionlab.understand.attribute import (
  Attribution,
  grad_cam,
  gradient,
  gradient_times_input,
  integrated_gradients,
  saliency,
  smooth_grad,
)
from visionlab.understand.backward import deconvnet, guided_backprop, guided_grad_cam
from visionlab.understand.occlusion import occlusion
from visionlab.understand.subject import Subject
from visionlab.understand.targets import Target
from visionlab.understand.visual_backprop import visual_backprop

EXPLANATIONS: dict[str, Callable] = {f.__name__: f for f in (
  grad_cam, saliency, gradient, gradient_times_input, smooth_grad, integrated_gradients,
  guided_backprop, deconvnet, guided_grad_cam, occlusion, visual_backprop)}


def explain(subject: Subject, images: np.ndarray, method: str = 'grad_cam',
            target: Target | Sequence = None, **options) -> np.ndarray | Attribution:
  """Which pixels of images (b h w c) an answer hangs on.

  Args:
    method: one of `EXPLANATIONS`, functions of `visionlab.understand`.
    target: what is explained, see `visionlab.understand.attribute.saliency`; `visual_backprop` has
      none.
    options: the method's own, such as `at` of grad_cam or `window` of occlusion.

  Returns:
    A map (b h w), or (b h w c) of methods that tell channels apart; of integrated_gradients an
    `Attribution`.

  Raises:
    ConfigError: no such method, or an option that it does not take.
  """
  check_choice(method, EXPLANATIONS, 'method')
  return bind(EXPLANATIONS[method], options, method, subject=subject, images=images, target=target)
