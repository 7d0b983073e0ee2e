"""A finished, or unfinished, run: reloaded from its workdir in one line."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np

from visionlab.config import ConfigError
from visionlab.data.films.clip import fitted_clips
from visionlab.data.images.bands import BandCanvas
from visionlab.data.images.decode import Canvas
from visionlab.data.images.fitted import fitted, upright
from visionlab.data.pipeline import eval_batches
from visionlab.data.placing import placing
from visionlab.data.source import Arrays
from visionlab.data.text.sentence_rows import alone
from visionlab.facts import Facts
from visionlab.runs.codes import decode, sample
from visionlab.storage.selection import best_step, newest_step
from visionlab.task import Task, Variables
from visionlab.training import log
from visionlab.training.frame import frame
from visionlab.understand.features import features_of


@dataclasses.dataclass(frozen=True, repr=False)
class Run:
  """What `load` gives.

  Attributes:
    config: as it was trained.
    task: with its model; `task.predict(variables, batch)` may be traced, differentiated, exported.
    variables: the weights (averaged, where an average was kept) and other collections.
    hp: the scalars that the loss and the optimiser read.
    step: updates made.
    facts: of the data: `facts.info.classes`, `facts.example`.
  """
  workdir: Path
  config: Any
  task: Task
  variables: Variables
  hp: dict[str, jax.Array]
  step: int
  facts: Facts

  @property
  def classes(self) -> tuple[str, ...]:
    """Of images or objects; of pixels, where the data has label maps alone."""
    return self.facts.info.classes or self.facts.info.map_classes

  @property
  def best_step(self) -> int | None:
    """The step of the best checkpoint, if one was kept; `load(..., step='best')` gives it."""
    return best_step(self.workdir)

  @property
  def kind(self) -> str:
    """What it does, and by which network: 'classify by resnet'."""
    model = self.config.task.get('model', {}).get('name', 'its own model')
    return f'{self.config.task.name} by {model}'

  @property
  def which(self) -> str:
    """Which checkpoint this is, and which others there are that one may want."""
    if not self.facts.examples:
      return 'weights alone'
    best, newest = self.best_step, newest_step(self.workdir)
    by = f'the best by {self.config.checkpoint.best}' if best is not None else ''
    others = [f'the newest is step {newest}: --step=newest'] if self.step != newest else []
    if by and self.step != best:
      others.insert(0, f'{by} is step {best}: --step=best')
    return (f'step {self.step}' + (f', {by}' if by and self.step == best else '')
            + (f' ({"; ".join(others)})' if others and newest is not None else ''))

  @property
  def metrics(self) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl: `step`, and values such as `train/loss` or `test/accuracy`."""
    return log.read_metrics(self.workdir)

  def frame(self):
    """The same as a pandas DataFrame: a row for each step, NaN where nothing was measured.

    Raises:
      ConfigError: pandas is not installed.
    """
    return frame(self.metrics)

  def __repr__(self) -> str:
    if self.facts.sentences:
      return f'Run({self.workdir}: {self.kind}, {self.which}, of sentences)'
    size = 'x'.join(map(str, self.facts.image.shape[1:]))
    of = f'clips of {self.facts.frames}x{size}' if self.facts.frames else f'images of {size}'
    return f'Run({self.workdir}: {self.kind}, {self.which}, {len(self.classes)} classes, {of})'

  @cached_property
  def placing(self) -> dict[str, Any]:
    """Of the options of the data, those by which an image is put on a canvas."""
    data = self.config.data.to_dict()
    if 'name' not in data:                # several sources; the facts are the first one's
      data = data[next(iter(self.facts.example))]
    return placing(data)

  @cached_property
  def canvas(self) -> Canvas | BandCanvas:
    """How an image of any size is made one of the size and channels this run was trained on."""
    height, width, channels = self.facts.image.shape[1:]
    options = {k: v for k, v in self.placing.items() if k in ('resize', 'crop_fraction')}
    kind = Canvas if channels in (1, 3) else BandCanvas
    return kind((height, width), channels=channels, **options)

  @property
  def batch(self) -> int:
    """Examples at a time that fit, as far as the config tells: its largest batch."""
    evals = self.config.evals.values() if 'evals' in self.config else ()
    return max(self.config.batch, *(options.get('batch', 1) for options in evals), 1)

  def predict(self, images, *, batch: int = 0, beside: Mapping[str, np.ndarray] | None = None
              ) -> dict[str, np.ndarray]:
    """What the network says of images, as arrays with one row each; one image gives one row.

    Args:
      images: one image or several in a list, of any size: arrays (h w) or (h w c), PIL images, and
        names or bytes of files; or an array (n h w c) or (n h w). Arrays may be uint8, floats in
        0..1, uint16 in 0..65535 and booleans (see `visionlab.data.images.any_image.eight_bits`).
        All are brought to the run's own size and channels; preprocessing is the run's.
      batch: images at a time, by default the run's; the last batch is filled up, so that one
        program serves all. Of images of their own sizes a segmenter takes so many tiles at a time,
        a detector one image.
      beside: what a task sees beside each image, by the names of its `beside`: dict(map=...),
        arrays (n ...) as the data have them.

    A run of clips takes those, one or several (see `visionlab.data.films.clip.fitted_clips`).

    A task that answers for every pixel does so at each image's own size, and gives lists, unless
    the images are an array of the run's size.

    Raises:
      ConfigError: no images, or one that is none; the text says which.

    >>> run = visionlab.load('runs/digits')                                   # doctest: +SKIP
    >>> run.predict(images)['prediction']                                     # doctest: +SKIP
    """
    whole = np.shape(images)[1:] == self.canvas.shape if hasattr(images, '__array__') else False
    # Proposals are made of one image at a time, on the host.
    if self.dense and not (whole and getattr(self.task, 'propose', None) is None):
      # Where training shrank whole images to one size, so must this; else pixels are as they are.
      scale = 'fit' if self.placing.get('size') and 'resize' in self.placing else 1.
      options = dict(scale=scale) | ({'batch': batch} if batch else {})
      return self.task.predict_images(self.variables, self.pixels(images), self.canvas.shape[:2],
                                      **options)
    return self._in_batches(self.task.predict, images, batch, beside)

  def features(self, images, maps: str | Sequence[str] = (), *, batch: int = 0):
    """What the network sees of images, for retrieval, clustering or a classifier of one's own.

    Args:
      images, batch: as `predict` takes them; all are brought to the run's own size.
      maps: the name of one map, names of several, or 'all'.

    Returns:
      Without `maps` (n d) float32: what a classifier's last layer is given, as timm's networks give
      with `num_classes=0`; of a detector, segmenter or captioner the mean of its backbone's last
      map. With one name that map (n h w c); with several, or 'all', a dict of them, in the order of
      the network: those its `features` names ('stage3'), or the outputs of its layers.

    Raises:
      ConfigError: no images; no map of that name, and which there are; a run of clips.

    >>> run.features(images).shape                                            # doctest: +SKIP
    >>> {name: x.shape for name, x in run.features(images, 'all').items()}    # doctest: +SKIP
    """
    if self.facts.frames:
      raise ConfigError(f'{self!r}: features are those of images, and it sees clips')
    maps = maps if isinstance(maps, str) else tuple(maps)
    ask, names = self._features(maps)
    found = self._in_batches(ask, images, batch)
    return {name: found[name] for name in names} if isinstance(found, dict) else found

  def explain(self, images, method: str = 'grad_cam', target=None, **options):
    """Which pixels an answer hangs on.

    Args:
      images: as `predict` takes them; all are brought to the run's own size.
      method, target, options: see `visionlab.understand.explain.explain`. target: a class's name or
        number, or one for each image; by default what the network finds likeliest.

    Returns:
      A map (n h w), or (n h w c); of integrated_gradients its values and what they leave out.

    >>> run.explain('china.jpg', 'grad_cam', 'palace').shape                  # doctest: +SKIP
    (1, 224, 224)
    """
    from visionlab.understand.explain import Subject, explain  # noqa: PLC0415 - few need it
    return explain(Subject.of(self), self.fit(images), method, target, **options)

  def embed(self, sentences: str | Sequence[str], *, batch: int = 0) -> np.ndarray:
    """The vectors (n d) float32 of sentences, by a network that reads such; of words it does not
    know `visionlab.runs.expansion.expand` tells it. What is longer than the run's sentences is cut.

    Raises:
      ConfigError: a network of images alone; no sentences, or one without words.

    >>> run.embed(['A dog runs.', 'A cat sleeps.']).shape                     # doctest: +SKIP
    """
    if not hasattr(self.task, 'embed'):
      raise ConfigError(f'{self!r}: its network reads no sentences')
    texts = [sentences] if isinstance(sentences, str) else list(sentences)
    if not texts or not all(isinstance(text, str) for text in texts):
      raise ConfigError(f'embed: expected sentences, one text or several, got {sentences!r:.60}')
    return self._rows(self._embed, dict(sentence=alone(texts, self.task.vocabulary,
                                                       self.task.length)), batch)

  @cached_property
  def _embed(self):
    return jax.jit(lambda variables, batch: self.task.embed(variables, batch['sentence']))

  def encode(self, images, *, batch: int = 0) -> np.ndarray:
    """The codes (n d) that an autoencoder tells images by."""
    found = self.predict(images, batch=batch)
    if 'codes' not in found:
      raise ConfigError(f'{self!r}: this network has no codes; an autoencoder has')
    return found['codes']

  def decode(self, codes) -> np.ndarray:
    """The images (n h w c) in [0, 1] that codes (n d) tell."""
    return decode(self.task, self.variables, codes)

  def sample(self, n: int, seed: int = 0, asked: str = '') -> np.ndarray:
    """n images (n h w c) in [0, 1] of codes that are drawn with that seed; asked: of which class,
    where the network was trained to be asked."""
    return sample(self.task, self.variables, n, seed, asked)

  @cached_property
  def _features(self):
    def compiled(maps):
      ask, names = features_of(self.task, maps)
      return jax.jit(ask), names
    return cache(compiled)

  def _in_batches(self, ask, images, batch: int, beside: Mapping | None = None):
    """ask(variables, batch) of all images, with a row for each."""
    pixels = self.fit(images)
    (kind,) = self.facts.shown
    return self._rows(ask, {kind: pixels, **self._beside(beside or {}, len(pixels))}, batch)

  def _rows(self, ask, entries: Mapping, batch: int):
    """ask(variables, batch) of examples in arrays."""
    examples, rows = Arrays(entries), []
    batch = min(batch or self.batch, 1 << (len(examples) - 1).bit_length())
    for part in eval_batches(examples, batch, workers=0):
      valid = part.pop('valid')
      rows.append(jax.tree.map(lambda x, v=valid: np.asarray(x)[v], ask(self.variables, part)))
    return jax.tree.map(lambda *x: np.concatenate(x), *rows)

  def _beside(self, given: Mapping[str, np.ndarray], n: int) -> dict[str, np.ndarray]:
    """What is given beside n images, if that is what the task sees."""
    needed = {name: self.facts.example[name] for name in getattr(self.task, 'beside', ())}
    found = {name: np.asarray(values) for name, values in given.items()}
    if {k: x.shape for k, x in found.items()} != {k: (n, *x.shape[1:]) for k, x in needed.items()}:
      forms = ', '.join(f'{k} {(n, *x.shape[1:])} {x.dtype}' for k, x in needed.items())
      got = ', '.join(f'{k} {x.shape}' for k, x in found.items()) or 'nothing'
      raise ConfigError(f'{self.workdir}: beside {n} images this run sees {forms or "nothing"}; '
                        f'beside= gives {got}')
    return found

  @property
  def dense(self) -> bool:
    """Whether the task answers for images of any size."""
    return hasattr(self.task, 'predict_images')

  def fit(self, images) -> np.ndarray:
    """Images as `predict` takes them -> (n h w c) uint8 of the run's size and channels.

    Of a run that was trained on floats, arrays of floats of that size stay what they are. Of a run
    of clips these are clips, as `visionlab.data.films.clip.fitted_clips` takes them,
    -> (n t h w c).
    """
    if self.facts.frames:
      return fitted_clips(images, self.canvas, self.facts.frames)
    return fitted(images, self.canvas, np.issubdtype(self.facts.image.dtype, np.floating))

  def pixels(self, images) -> list[np.ndarray]:
    """Images as `predict` takes them -> (h w c) uint8 each, upright, with the run's channels."""
    return upright(images, self.canvas)
