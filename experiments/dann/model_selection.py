"""Choosing among adapted networks without labels of the target."""

from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from visionlab.config import ConfigError, from_json, to_json
from visionlab.data.pipeline import open_sources
from visionlab.data.source import Source
from visionlab.runs.run import Run

PSEUDO = 'pseudo_labelled.npz'


def mean_entropy(probabilities: np.ndarray) -> float:
  """How undecided predictions are: -sum_k p_k log p_k, in nats, the mean over images.

  The lower, the better the classes are thought to be apart; but a network that is surely wrong has
  a low one too (Morerio et al. 2018, https://arxiv.org/abs/1711.10288, choose by it).

  Args:
    probabilities: (n k).

  >>> round(mean_entropy(np.array([[.5, .5], [1., 0.]])), 3)     # (log 2 + 0) / 2
  0.347
  """
  p = np.asarray(probabilities, np.float64)
  return float(-np.where(p > 0, p * np.log(np.maximum(p, 1e-300)), 0).sum(-1).mean())


def target_entropy(run: Run, split: str = 'train') -> float:
  """`mean_entropy` of a run of task `adapt` on a split of its target."""
  return mean_entropy(run.predict(_target(run, split)['image'])['probabilities'])


def reverse_config(run: Run, folder: str | Path) -> ConfigDict:
  """The config of the way back: from the target, as `run` labels it, to the source.

  Reverse validation (Ganin et al. 2016, section 5.1.2, after Zhong et al. 2010, "Cross validation
  framework to choose amongst models and datasets for transfer learning", ECML): a network that
  labels the target well lets the same method, its domains exchanged, learn the source's labels
  again. Train this config; its error on the source (`source/top1_error` in its metrics) is the
  reverse validation risk, and the setting with the lowest is chosen. No label of the target is
  read. As in the paper, the way back starts from the weights of the way there.

  Args:
    run: of task `adapt`.
    folder: where the target's training images are written with the labels that `run` gives them.

  Returns:
    A config that is measured on `config.evals.source` alone, at its end.

  Raises:
    ConfigError: the run is of another task, or is not measured on images of the source that it was
      not trained on.
  """
  config = from_json(to_json(run.config))
  if config.task.name != 'adapt':
    raise ConfigError(f'{run.workdir}: reverse validation is for task adapt, not '
                      f'{config.task.name}')
  if 'source' not in config.evals:
    raise ConfigError(f'{run.workdir}: reverse validation needs config.evals.source')
  images = _target(run, config.split)['image']
  folder = Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  label = run.predict(images)['prediction'].astype(np.int32)
  np.savez(folder / PSEUDO, train_image=images, train_label=label)
  domains = config.data
  config.data = ConfigDict(dict(
      source=dict(name='arrays', path=str(folder / PSEUDO), classes=tuple(run.classes)),
      target=domains.source.to_dict()))
  config.evals = ConfigDict(dict(source={**config.evals.source.to_dict(), 'every': '100%'}))
  config.split, config.init_from = 'train', str(run.workdir)
  return config


def _target(run: Run, split: str):
  source: Source = open_sources(run.config.data.target.to_dict(), split)
  return source[np.arange(len(source))]
