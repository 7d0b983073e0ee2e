"""Autoencoders beside what is linear: of noisy digits, and of digits told by eight numbers."""

from pathlib import Path

import jax
import numpy as np
from scipy.ndimage import gaussian_filter

import visionlab
from configs import digits_autoencoder
from experiments import study
from visionlab.data.pipeline import open_sources
from visionlab.figures import charts
from visionlab.figures.drawing import as_picture, below, beside, captioned
from visionlab.measures.codes import probe_accuracy
from visionlab.ops.image import to_float

SIGMA = .3                                # of the noise, as `hp.noise_sigma` is by default
WIDTHS = np.arange(.3, 1.5, .05)          # standard deviations in pixels that are tried
SHOWN, ZOOM = 16, 5


def codes(given, folder):
  """What eight numbers tell of a digit of the test split"""
  runs = autoencoders('codes', '', given, folder)
  learnt, (tested, label) = digits('train[:80%]')[0], digits('test')
  told, made = principal_components(learnt, tested, runs[0].task.model.codes)
  last = {key: [study.last(run.workdir, f'test/{key}') for run in runs]
          for key in ('reconstruction_error', 'probe_accuracy')}

  def row(name, errors, accuracies):
    return {'': name, 'squared error of a pixel': study.spread(errors, 4, 1),
            'right by a linear classifier, %': study.spread(accuracies, 1)}
  flat = tested.reshape(len(tested), -1)
  return [row('all 64 pixels', [0.], [probe_accuracy(flat, label)]),
          row('principal components', [squared_error(made, tested)], [probe_accuracy(told, label)]),
          row('autoencoder', last['reconstruction_error'], last['probe_accuracy'])]


def denoising(given, folder):
  """What is left of the noise on digits of the test split"""
  runs = autoencoders('denoising', 'denoising', given, folder)
  learnt, tested = digits('train[:80%]')[0], digits('test')[0]
  seen = noisy(tested, 0)
  width = best_width(learnt, noisy(learnt, 1))
  clean = linear_denoiser(learnt, SIGMA)
  answers = {'noise': [seen], f'Gaussian filter of {width:.2f} pixels': [smoothed(seen, width)],
             'best linear': [clean(seen)],
             'autoencoder': [jax.jit(run.task.predict)(run.variables, dict(image=seen))[
                 'reconstruction'] for run in runs]}
  answers = {name: [np.clip(x, 0, 1) for x in found] for name, found in answers.items()}
  if given.figure:
    draw(given.figure.with_name('denoising.png'),
         dict(clean=tested, **{name: found[0] for name, found in answers.items()}))
  return [{'': name, 'squared error of a pixel':
           study.spread([squared_error(x, tested) for x in found], 4, 1)}
          for name, found in answers.items()]


def autoencoders(part, variant, given, folder):
  """The runs of a form of `configs/digits_autoencoder.py`, over seeds, trained in one program."""
  made = {}
  for seed in range(given.seeds):
    config = digits_autoencoder.get_config(variant)
    config.seed, config.steps = seed, given.steps or config.steps
    if given.quick:
      config.batch, config.task.model = 8, dict(name='autoencoder', codes=8, widths=(4,))
    made[f'seed={seed}'] = config
  return [visionlab.load(path) for path in study.run_together(made, folder / part)]


def digits(split: str) -> tuple[np.ndarray, np.ndarray]:
  """Images (n 8 8 1) in [0, 1] and labels (n,)."""
  source = open_sources(dict(name='digits'), split)
  rows = source[np.arange(len(source))]
  return np.asarray(to_float(rows['image'])), rows['label']


def noisy(images: np.ndarray, seed: int) -> np.ndarray:
  noise = np.random.default_rng(seed).normal(scale=SIGMA, size=images.shape)
  return (images + noise).astype(np.float32)


def smoothed(images: np.ndarray, width: float) -> np.ndarray:
  """Images (n h w c), the ground around them black. width: a standard deviation in pixels."""
  return gaussian_filter(images, (0, width, width, 0), mode='constant')


def best_width(images: np.ndarray, seen: np.ndarray) -> float:
  """Of `WIDTHS`, that with the least error on these."""
  return min(WIDTHS, key=lambda width: squared_error(smoothed(seen, width), images))


def linear_denoiser(images: np.ndarray, sigma: float):
  """A function of images (n ...) with normal noise of deviation `sigma`, the best that is linear:
  Wiener's filter, mean + C (C + sigma^2 I)^-1 (x - mean), with these images' mean and covariance C.
  """
  flat = np.asarray(images, np.float64).reshape(len(images), -1)
  mean, covariance = flat.mean(0), np.cov(flat.T, bias=True)
  gain = np.linalg.solve(covariance + sigma ** 2 * np.eye(len(mean)), covariance)

  def clean(seen):
    return (mean + (seen.reshape(len(seen), -1) - mean) @ gain).reshape(seen.shape)
  return clean


def principal_components(images: np.ndarray, tested: np.ndarray, d: int
                         ) -> tuple[np.ndarray, np.ndarray]:
  """The codes (n d) of images by the first components of others, and what these tell (n ...)."""
  flat, seen = (x.reshape(len(x), -1).astype(np.float64) for x in (images, tested))
  mean = flat.mean(0)
  axes = np.linalg.svd(flat - mean, full_matrices=False)[2][:d]
  told = (seen - mean) @ axes.T
  return told, (mean + told @ axes).reshape(tested.shape)


def squared_error(made: np.ndarray, images: np.ndarray) -> float:
  return float(((np.asarray(made, np.float64) - images) ** 2).mean())


def draw(path: Path, rows: dict[str, np.ndarray]) -> None:
  """The first images of each, a row each."""
  charts.save(below([captioned(beside([as_picture(image, ZOOM) for image in images[:SHOWN]], gap=3),
                               name, above=True) for name, images in rows.items()], gap=6), path)
  study.picture(path, path)
