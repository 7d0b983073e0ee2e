"""Two domains' features, seen: t-SNE before and after adaptation."""

from collections.abc import Mapping, Sequence

import jax
import numpy as np

from visionlab.config import ConfigError
from visionlab.figures import charts
from visionlab.runs.run import Run

COLOURS = {'source': 'tab:blue', 'target': 'tab:red'}


def representations(run: Run, images: np.ndarray, *, batch: int = 500) -> np.ndarray:
  """What the heads of an adapted network stand on.

  Args:
    images: uint8 (n h w c), of the run's size.
    batch: images at a time.

  Returns:
    (n d) float32.

  Raises:
    ConfigError: the run's network has no heads on features.
  """
  model = run.task.model
  if not hasattr(model, 'label_logits'):
    raise ConfigError(f'{run.workdir}: {type(model).__name__} has no heads on its features, as a '
                      '"dann" has')

  @jax.jit
  def features(variables, images):
    return model.apply(variables, run.task.preprocess(images), method='features')
  parts = [features(run.variables, images[i:i + batch]) for i in range(0, len(images), batch)]
  return np.concatenate(parts).astype(np.float32)


def tsne(domains: Sequence[np.ndarray], *, seed: int = 0) -> list[np.ndarray]:
  """One map of several sets of features (n d), by t-SNE (van der Maaten and Hinton 2008,
  "Visualizing data using t-SNE", JMLR 9): (n 2) of each."""
  from sklearn.manifold import TSNE  # noqa: PLC0415 - a second that only this function needs
  together = np.concatenate(domains)
  perplexity = min(30., (len(together) - 1) / 3)
  points = TSNE(perplexity=perplexity, init='pca', random_state=seed).fit_transform(together)
  return np.split(points, np.cumsum([len(x) for x in domains])[:-1])


def side_by_side(panels: Mapping[str, Mapping[str, np.ndarray]]) -> np.ndarray:
  """Maps of two domains as in figure 5 of Ganin et al. 2016: source in blue, target in red.

  Args:
    panels: title -> {'source': (n 2), 'target': (n 2)}.

  Returns:
    (h w 3) uint8.
  """
  figure, axes = charts.new_axes(1, len(panels), (4.4 * len(panels), 4.4))
  for axis, (title, domains) in zip(axes[0], panels.items(), strict=True):
    # Point by point in a random order: neither domain hides the other.
    points = np.concatenate(list(domains.values()))
    colours = np.repeat([COLOURS[name] for name in domains], [len(x) for x in domains.values()])
    order = np.random.default_rng(0).permutation(len(points))
    axis.scatter(*points[order].T, s=7, c=colours[order], linewidths=0, alpha=.8)
    axis.set(title=title, xticks=(), yticks=())
  for name in domains:
    axis.scatter([], [], s=20, c=COLOURS[name], label=name)
  axis.legend(loc='lower right', fontsize=8)
  return charts.rendered(figure)
