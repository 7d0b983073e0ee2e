"""What is known of the data: all that a task is built from, and so all that a run needs of them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import jax
import numpy as np

from visionlab.config import ConfigError, with_tuples
from visionlab.data.balance import class_counts, steering_std_of
from visionlab.data.box_sizes import Anchors
from visionlab.data.pipeline import Sources, examples, load, parts
from visionlab.data.source import Arrays, Info


@dataclass(frozen=True)
class Facts:
  """What of the data a task is built from; saved with a run, which then needs no data to reload.

  Attributes:
    info: of the source, or of the first where there are several.
    example: one example's arrays, as shapes with a leading axis of 1; by source, where there are
      several.
    examples: in an epoch.
    infos: of every source by name, where there are several.
    counts: examples of each class, where that is known (see `visionlab.data.balance`).
    anchors: fitted to the boxes, where the config asks for it (see `visionlab.data.box_sizes`).
    steering_std: the standard deviation of steering, where that is known; else 0.
  """
  info: Info
  example: Any
  examples: int
  infos: Mapping[str, Info] = field(default_factory=dict)
  counts: tuple[int, ...] = ()
  anchors: Anchors | tuple = ()
  steering_std: float = 0.

  @property
  def image(self) -> jax.ShapeDtypeStruct:
    """Of one image, one frame of a clip, or one image of the first source, (1 h w c).

    Raises:
      ConfigError: the data are sentences alone.
    """
    example = self.example
    if self.sentences:
      raise ConfigError('this is for images, and these data are sentences; run.embed(sentences) '
                        'gives the vectors of such')
    if self.frames:
      _, _, *shape = example['video'].shape
      return jax.ShapeDtypeStruct((1, *shape), example['video'].dtype)
    return (example if 'image' in example else next(iter(example.values())))['image']

  @property
  def shown(self) -> dict[str, jax.ShapeDtypeStruct]:
    """What a network is given to predict from: {'image': (1 h w c)}, or {'video': (1 t h w c)}."""
    return {'video': self.example['video']} if self.frames else {'image': self.image}

  @property
  def sentences(self) -> bool:
    """Whether there are sentences, and no images."""
    return 'sentence' in self.example and not {'image', 'video'} & set(self.example)

  @property
  def frames(self) -> int:
    """Of a clip; 0 where there are images."""
    return self.example['video'].shape[1] if 'video' in self.example else 0

  @classmethod
  def of(cls, sources: Sources) -> 'Facts':
    named = {name: source for name, (source, _) in parts(sources).items()}
    for name, source in named.items():
      if not len(source):
        raise ConfigError(f'config.data{"." + name if name else ""}: the split has no examples')
    first = {name: _first(source) for name, source in named.items()}
    infos = {} if '' in named else {name: source.info for name, source in named.items()}
    counts = class_counts(named['']) if '' in named else ()
    steering_std = steering_std_of(named['']) if '' in named else 0.
    return cls(next(iter(named.values())).info, first.get('', first), examples(sources), infos,
               counts, steering_std=steering_std)

  def to_json(self) -> str:
    example = jax.tree.map(lambda x: f'{x.dtype} {" ".join(map(str, x.shape))}', self.example)
    infos = {name: asdict(info) for name, info in self.infos.items()}
    return json.dumps(dict(asdict(self.info), example=example, examples=self.examples, infos=infos,
                           counts=self.counts, anchors=self.anchors,
                           steering_std=self.steering_std), indent=2)

  @classmethod
  def from_json(cls, text: str) -> 'Facts':
    saved = with_tuples(json.loads(text))

    def spec(text):
      dtype, *shape = text.split()
      return jax.ShapeDtypeStruct(tuple(map(int, shape)), dtype)
    # Older runs lack the newer fields.
    def info(saved):
      return Info(**{k: saved[k] for k in Info.__dataclass_fields__ if k in saved})
    infos = {name: info(part) for name, part in saved.get('infos', {}).items()}
    return cls(info(saved), jax.tree.map(spec, saved['example']), saved['examples'], infos,
               saved.get('counts', ()), Anchors(*saved['anchors']) if saved.get('anchors') else (),
               saved.get('steering_std', 0.))


def _first(source):
  """The form of one example. What is drawn by a program is not drawn for this: to compile it takes
  seconds."""
  if hasattr(source, 'gather') and not isinstance(source, Arrays):
    one = jax.eval_shape(source.gather, source.arrays, np.zeros(1, np.int32))
    return {'valid': jax.ShapeDtypeStruct((1,), bool), **one}
  example = load(source, np.zeros(1, np.int64))
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype), example)
