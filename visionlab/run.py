"""A finished, or unfinished, run: reloaded from its workdir in one line."""

import dataclasses
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from visionlab import checkpoint, config as configs, log
from visionlab.build import Facts, build_task
from visionlab.config import ConfigError
from visionlab.data.images import Canvas
from visionlab.data.pipeline import eval_batches
from visionlab.data.source import Arrays
from visionlab.task import Task, Variables


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
    return self.facts.info.classes

  @property
  def metrics(self) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl: `step`, and values such as `train/loss` or `test/accuracy`."""
    return log.read_metrics(self.workdir)

  @cached_property
  def canvas(self) -> Canvas:
    """How an image of any size is made one of the size and channels this run was trained on."""
    height, width, channels = self.facts.example['image'].shape[1:]
    options = {k: v for k, v in self.config.data.items() if k in ('resize', 'crop_fraction')}
    return Canvas((height, width), channels=channels, **options)

  @cached_property
  def _predict(self):
    return jax.jit(self.task.predict)

  def predict(self, images, *, batch: int = 256) -> dict[str, np.ndarray]:
    """What the network says of images, as arrays with one row each.

    Args:
      images: uint8 (n h w c), (n h w) or one (h w c); or a list of uint8 arrays and PIL images of
        any size and mode, which are brought to the run's own size. Preprocessing is the run's.
      batch: images at a time; the last batch is filled up, so that one program serves all.

    >>> run = visionlab.load('runs/digits')                                   # doctest: +SKIP
    >>> run.predict(images)['prediction']                                     # doctest: +SKIP
    """
    pixels = self.fit(images)
    batch = min(batch, 1 << (len(pixels) - 1).bit_length())
    rows = []
    for part in eval_batches(Arrays({'image': pixels}), batch, workers=0):
      valid = part.pop('valid')
      rows.append(jax.tree.map(lambda x, v=valid: np.asarray(x)[v],
                               self._predict(self.variables, part)))
    return jax.tree.map(lambda *x: np.concatenate(x), *rows)

  def fit(self, images) -> np.ndarray:
    """Images as `predict` takes them -> (n h w c) uint8 of the run's size and channels."""
    if isinstance(images, np.ndarray | jax.Array):
      images = np.asarray(images)
      shape = self.canvas.shape
      if images.ndim == 3:           # one (h w c) image, or (n h w) grey ones
        images = images[None] if images.shape[-1] in (1, 3, 4) else images[..., None]
      if images.dtype != np.uint8:
        raise ConfigError(f'predict: expected uint8 images in 0..255, got {images.dtype}')
      if images.shape[1:] == shape:
        return images
    images = list(images)
    if not images:
      raise ConfigError('predict: no images')
    return np.stack([self.canvas(_pil(image)) for image in images])


def load(workdir: str | Path, *, step: int | str | None = None) -> Run:
  """Reloads a run: its config, its task, its weights, without its data or its optimiser.

  Args:
    step: a checkpoint's step, or 'best' for the best one kept; by default the newest.

  Raises:
    ConfigError: the folder holds no run, or not that checkpoint.

  >>> run = visionlab.load('runs/digits')                                     # doctest: +SKIP
  """
  workdir = Path(workdir)
  if not (workdir / 'config.json').exists():
    raise ConfigError(f'{workdir}: no run here (there is no config.json)')
  config = configs.from_json((workdir / 'config.json').read_text())
  facts = Facts.from_json((workdir / 'data.json').read_text())
  task = build_task(config, facts)
  if step is None:
    found = checkpoint.read_newest(workdir, ('model',))
    if found is None:
      raise ConfigError(f'{workdir}: no checkpoint yet')
    at, fields = found
  else:
    folder = workdir / ('best' if step == 'best' else 'checkpoints')
    there = checkpoint.steps_of(folder)
    if not there or step not in ('best', *there):
      raise ConfigError(f'{folder}: no checkpoint {step}; there are: '
                        f'{", ".join(map(str, there)) or "none"}')
    at = there[-1] if step == 'best' else step
    fields = checkpoint.read(folder, at, ('model',))
  params = fields['params'] if fields['ema'] is None else fields['ema']
  return Run(workdir, config, task, {'params': params, **fields['collections']}, fields['hp'], at,
             facts)


def _pil(image) -> Image.Image:
  if isinstance(image, Image.Image):
    return image
  array = np.asarray(image)
  return Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array)
