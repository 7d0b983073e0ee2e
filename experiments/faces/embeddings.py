"""Some people's photographs, seen as an embedding sees them: t-SNE."""

from collections.abc import Mapping

import numpy as np

from experiments.dann.domain_figures import tsne
from visionlab.figures import charts

PEOPLE, EACH = 12, 24


def near_own(points: np.ndarray, labels: np.ndarray, k: int = 5) -> float:
  """Of the k photographs next to each, by distance (n d), the share that is of the same person."""
  apart = ((points[:, None] - points) ** 2).sum(-1)
  np.fill_diagonal(apart, np.inf)
  nearest = np.argsort(apart, 1)[:, :k]
  return float((labels[nearest] == labels[:, None]).mean())


def maps(rows: Mapping[str, np.ndarray], labels: np.ndarray) -> np.ndarray:
  """Maps of the same photographs, a colour and a letter for each person.

  Args:
    rows: title -> (n d).
    labels: (n,), the person of each.

  Returns:
    (h w 3) uint8.
  """
  people = np.unique(labels)
  colours = charts.palette(list(map(str, people)))[np.searchsorted(people, labels)] / 255
  figure, axes = charts.new_axes(1, len(rows), (4.2 * len(rows), 4.2))
  for axis, (title, own) in zip(axes[0], rows.items(), strict=True):
    (points,) = tsne([own])
    axis.scatter(*points.T, s=14, c=colours, linewidths=0)
    for i, person in enumerate(people):
      middle = np.median(points[labels == person], 0)
      axis.text(*middle, chr(ord('A') + i), ha='center', va='center', weight='bold')
    axis.set(title=title, xticks=(), yticks=())
  return charts.rendered(figure)
