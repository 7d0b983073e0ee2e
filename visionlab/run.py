"""A finished, or unfinished, run: reloaded from its workdir in one line."""

import dataclasses
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging
from PIL import Image, ImageOps

from visionlab import config as configs
from visionlab.build import Facts, build_task
from visionlab.config import ConfigError
from visionlab.data.images import Canvas, to_mode
from visionlab.data.pipeline import eval_batches
from visionlab.data.source import Arrays, Info
from visionlab.paths import local
from visionlab.storage import checkpoint
from visionlab.storage.workdir import member_folder, outcome
from visionlab.task import Task, Variables
from visionlab.training import log
from visionlab.weights.files import (
  EXPORT,
  HUB,
  HUB_FILES,
  Weights,
  download,
  read_weights,
)
from visionlab.weights.fit import fit


@dataclasses.dataclass(frozen=True)
class Run:
  """What `load` gives.

  Attributes:
    config: as it was trained.
    task: with its model; `task.predict(variables, batch)` may be traced, differentiated, exported.
    variables: the weights (averaged, where an average was kept) and other collections.
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
  def metrics(self) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl: `step`, and values such as `train/loss` or `test/accuracy`."""
    return log.read_metrics(self.workdir)

  @cached_property
  def canvas(self) -> Canvas:
    """How an image of any size is made one of the size and channels this run was trained on."""
    height, width, channels = self.facts.image.shape[1:]
    options = {k: v for k, v in self.config.data.items() if k in ('resize', 'crop_fraction')}
    return Canvas((height, width), channels=channels, **options)

  @cached_property
  def _predict(self):
    return jax.jit(self.task.predict)

  @property
  def batch(self) -> int:
    """Examples at a time that fit, as far as the config tells: its largest batch."""
    evals = self.config.evals.values() if 'evals' in self.config else ()
    return max(self.config.batch, *(options.get('batch', 1) for options in evals), 1)

  def predict(self, images, *, batch: int = 0) -> dict[str, np.ndarray]:
    """What the network says of images, as arrays with one row each.

    Args:
      images: uint8 (n h w c), (n h w) or one (h w c); or a list of uint8 arrays and PIL images of
        any size and mode, which are brought to the run's own size. Preprocessing is the run's.
      batch: images at a time, by default the run's; the last batch is filled up, so that one
        program serves all.

    A task that answers for every pixel does so at each image's own size, and gives lists, unless
    the images are an array of the run's size.

    >>> run = visionlab.load('runs/digits')                                   # doctest: +SKIP
    >>> run.predict(images)['prediction']                                     # doctest: +SKIP
    """
    whole = isinstance(images, np.ndarray) and images.shape[1:] == self.canvas.shape
    # Proposals are made of one image at a time, on the host.
    if self.dense and not (whole and getattr(self.task, 'propose', None) is None):
      # Where training shrank whole images to one size, so must this; else pixels are as they are.
      scale = 'fit' if 'size' in self.config.data and 'resize' in self.config.data else 1.
      return self.task.predict_images(self.variables, self.pixels(images), self.canvas.shape[:2],
                                      scale=scale)
    pixels = self.fit(images)
    batch = min(batch or self.batch, 1 << (len(pixels) - 1).bit_length())
    rows = []
    for part in eval_batches(Arrays({'image': pixels}), batch, workers=0):
      valid = part.pop('valid')
      rows.append(jax.tree.map(lambda x, v=valid: np.asarray(x)[v],
                               self._predict(self.variables, part)))
    return jax.tree.map(lambda *x: np.concatenate(x), *rows)

  @property
  def dense(self) -> bool:
    """Whether the task answers for images of any size."""
    return hasattr(self.task, 'predict_images')

  def fit(self, images) -> np.ndarray:
    """Images as `predict` takes them -> (n h w c) uint8 of the run's size and channels."""
    images = _one_or_many(images)
    if isinstance(images, np.ndarray) and images.shape[1:] == self.canvas.shape:
      return images
    return np.stack([self.canvas(_pil(image)) for image in images])

  def pixels(self, images) -> list[np.ndarray]:
    """Images as `predict` takes them -> (h w c) uint8 each, upright, with the run's channels."""
    c = self.canvas.shape[-1]
    modes = {1: 'L', 3: 'RGB'}
    upright = [to_mode(ImageOps.exif_transpose(_pil(image)), modes[c])
               for image in _one_or_many(images)]
    return [np.asarray(image).reshape(image.height, image.width, c) for image in upright]


def load(workdir: str | Path, *, step: int | str | None = None,
         member: int | str | None = None) -> Run:
  """Reloads a run: its config, its task, its weights, without its data or its optimiser.

  Args:
    workdir: a run's folder; an export (see `visionlab.export`); or weights that another library
      trained, in any form `config.init_from` takes, such as 'resnet50.pth' or 'hf://owner/name'.
    step: a checkpoint's step, or 'best' for the best one kept; by default the newest.
    member: of a sweep, whose folder `workdir` then is: a setting's name or its number.

  Raises:
    ConfigError: there is no run, not that checkpoint, or no network known that the weights are of.

  >>> run = visionlab.load('runs/digits')                                     # doctest: +SKIP
  """
  text = str(workdir)
  if text.startswith(HUB):
    workdir = download(text.removeprefix(HUB))
  workdir = local(workdir, 'load').expanduser()
  if member is not None:
    workdir = member_folder(workdir, member)
  if not (workdir / 'data.json').exists():
    if workdir.is_dir() and not any((workdir / name).exists() for name in HUB_FILES[:2]):
      raise ConfigError(f'{workdir}: no run here (there is no config.json)')
    return _pretrained(workdir)
  config = configs.from_json((workdir / 'config.json').read_text())
  facts = Facts.from_json((workdir / 'data.json').read_text())
  if outcome(workdir).get('status') == 'diverged' and (workdir / checkpoint.MEMBER).exists():
    raise ConfigError(f'{workdir}: diverged at step {outcome(workdir)["step"]}; it has no weights')
  task = build_task(config, facts)
  if (workdir / EXPORT).exists():
    if step is not None:
      raise ConfigError(f'{workdir} is an export: it holds one checkpoint, and no {step}')
    return Run(workdir, config, task, _variables(task, facts.example, read_weights(workdir)), {}, 0,
               facts)
  at, fields = _checkpoint(workdir, step)
  return Run(workdir, config, task, checkpoint.weights_of(fields), fields['hp'], at, facts)


def _checkpoint(workdir: Path, step: int | str | None):
  if step is None:
    found = checkpoint.read_newest(workdir, ('model',))
    if found is None:
      raise ConfigError(f'{workdir}: no checkpoint yet')
    return found
  place = checkpoint.home(workdir)
  folder = place.folder / ('best' if step == 'best' else 'checkpoints')
  there = checkpoint.steps_of(folder)
  if not there or step not in ('best', *there):
    raise ConfigError(f'{folder}: no checkpoint {step}; there are: '
                      f'{", ".join(map(str, there)) or "none"}')
  at = there[-1] if step == 'best' else step
  fields = checkpoint.read_row(place, folder.name, at, ('model', 'loop'))
  if step == 'best' and not fields['step']:
    raise ConfigError(f'{workdir}: no best checkpoint yet')
  return int(fields['step']), fields


def _pretrained(place: Path) -> Run:
  """A run that was never one of ours: its config says what the weights need to be used."""
  weights = read_weights(place)
  for remark in weights.remarks:
    logging.warning('%s: %s', place, remark)
  size, channels = weights.data['size'], weights.data.get('channels', 3)
  example = dict(image=jax.ShapeDtypeStruct((1, size, size, channels), np.uint8))
  if weights.kind == 'classify':
    example['label'] = jax.ShapeDtypeStruct((1,), np.int32)
  config = configs.experiment(
      steps=0, batch=64 if weights.kind == 'classify' else 4,
      data=dict(name='folder', **weights.data), optim=dict(name='sgd'), hp={},
      task=dict(name=weights.kind, model=weights.model, **weights.task))
  facts = Facts(Info(weights.classes), example, 0)
  task = build_task(config, facts)
  return Run(place, config, task, _variables(task, example, weights), {}, 0, facts)


def _variables(task: Task, example, weights: Weights) -> Variables:
  """Those of a task, all of them from the weights."""
  shapes = jax.eval_shape(task.init, jax.random.key(0), example)
  variables, report = fit(weights, shapes)
  if report.missing or report.fresh:
    raise ConfigError(f'{weights.where}: these weights are not complete\n{report}')
  return variables


def _one_or_many(images):
  """(n h w c) uint8, or a list of images that are not alike."""
  if isinstance(images, np.ndarray | jax.Array):
    images = np.asarray(images)
    if images.ndim == 3:           # one (h w c) image, or (n h w) grey ones
      images = images[None] if images.shape[-1] in (1, 3, 4) else images[..., None]
    if images.dtype != np.uint8:
      raise ConfigError(f'predict: expected uint8 images in 0..255, got {images.dtype}')
    return images
  images = list(images)
  if not images:
    raise ConfigError('predict: no images')
  return images


def _pil(image) -> Image.Image:
  if isinstance(image, Image.Image):
    return image
  array = np.asarray(image)
  return Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array)
