"""The methods of `python -m visionlab.understand`: what each makes of a run, as pictures."""

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np

from visionlab.config import check_choice
from visionlab.parts import bind, hints_of
from visionlab.understand.attribute import Attribution
from visionlab.understand.explain import EXPLANATIONS, explain
from visionlab.understand.heatmaps import heatmaps
from visionlab.understand.subject import Subject

COMPARED = ('saliency', 'smooth_grad', 'integrated_gradients', 'guided_backprop', 'grad_cam',
            'occlusion')
LOOK = inspect.Parameter('look', inspect.Parameter.KEYWORD_ONLY)
SUPPLIED = ('subject', 'images', 'target', 'given')    # of a function's parameters, by the command


class Seen(NamedTuple):
  """What there is to see so far: a picture (h w 3) uint8, the arrays behind it, and a line."""
  picture: np.ndarray
  arrays: Mapping[str, np.ndarray]
  text: str = ''


@dataclasses.dataclass(frozen=True)
class Look:
  """What a method is asked to look at.

  Attributes:
    subject: the network.
    read: () -> images (n h w c) and what each is called.
    target: a class's name or number, or None.
    source: () -> the source of the split that was named, for what goes through all of it.
    console: a `visionlab.training.console.Console`, where progress is said.
  """
  subject: Subject
  read: Callable
  target: str | None
  source: Callable
  console: Any

  @cached_property
  def images(self) -> np.ndarray:
    return self.read()[0]

  @cached_property
  def names(self) -> list[str]:
    return self.read()[1]

  def captions(self) -> list[str]:
    """What each image is called, and what is explained of it."""
    answer = jax.jit(self.subject.answer)(self.images)
    if self.target is not None:
      return [f'{name}: {self.target}' for name in self.names]
    logits = np.asarray(answer.get('logits', np.zeros((1, 1, 1, 1))))
    if logits.ndim != 2 or not self.subject.classes:
      return list(self.names)
    return [f'{name}: {self.subject.classes[k]}' for name, k in
            zip(self.names, logits.argmax(-1), strict=True)]


def attribution(method: str) -> Callable:
  """The command of one of `EXPLANATIONS`; its options are the function's."""
  function = EXPLANATIONS[method]
  kept = {name: p for name, p in inspect.signature(function).parameters.items()
          if name not in SUPPLIED}

  def look_at(look: Look, **options) -> Iterator[Seen]:
    found = explain(look.subject, look.images, method, look.target, **options)
    arrays = found._asdict() if isinstance(found, Attribution) else dict(values=found)
    text = (f'what the values leave unexplained: {np.abs(found.residual).max():.2g} at most'
            if isinstance(found, Attribution) else '')
    yield Seen(heatmaps(look.images, {method: arrays['values']}, captions=look.captions()),
               arrays | dict(images=look.images), text)
  look_at.__signature__ = inspect.Signature(
      [p.replace(kind=p.KEYWORD_ONLY) for p in (LOOK, *kept.values())])
  look_at.__annotations__ = {k: v for k, v in hints_of(function).items() if k in kept}
  look_at.__name__, look_at.__doc__ = method, function.__doc__
  return look_at


def compare(look: Look, *, methods: tuple[str, ...] = COMPARED) -> Iterator[Seen]:
  """Several attributions side by side, each with its defaults."""
  maps = {}
  for method in methods:
    check_choice(method, EXPLANATIONS, '--methods')
  for method in methods:
    with look.console.doing(method):
      found = explain(look.subject, look.images, method, look.target)
    maps[method] = found.values if isinstance(found, Attribution) else found
    yield Seen(heatmaps(look.images, maps, captions=look.captions()),
               maps | dict(images=look.images))


METHODS: dict[str, Callable[..., Iterator[Seen]]] = {
  **{name: attribution(name) for name in EXPLANATIONS},
  'compare': compare,
}


def options_of(method: Callable) -> dict[str, tuple[Any, Any]]:
  """name -> (annotation, default) of the options of a method."""
  hints = hints_of(method)
  return {name: (hints.get(name, Any), p.default)
          for name, p in inspect.signature(method).parameters.items() if name != 'look'}


def begun(method: str, look: Look, options: Mapping[str, Any]) -> Iterator[Seen]:
  """What the method shows, once its options are found to fit.

  Raises:
    ConfigError: an option of another kind.
  """
  return bind(METHODS[method], options, method, look=look)
