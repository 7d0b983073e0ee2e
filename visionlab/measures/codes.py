"""What codes tell of labels."""

import numpy as np


def probe_accuracy(codes: np.ndarray, labels: np.ndarray, *, parts: int = 5,
                   ridge: float = 1e-3) -> float:
  """The accuracy of a linear classifier of codes (n d), least squares to one-hot labels (n,), on
  the parts of the examples that it was not fitted to.

  Args:
    parts: into which examples fall, every parts-th to one.
    ridge: of the fit, times the codes' mean variance.

  Returns:
    The share of examples; nan for fewer than `parts`.

  >>> codes = np.array([[0.], [1], [0], [1], [1], [0]])
  >>> probe_accuracy(codes, np.array([0, 1, 0, 1, 1, 0]), parts=2)
  1.0
  """
  if len(codes) < parts:
    return float('nan')
  x = np.concatenate([np.asarray(codes, np.float64), np.ones((len(codes), 1))], 1)
  classes, index = np.unique(labels, return_inverse=True)
  wanted = np.eye(len(classes))[index]
  part, right = np.arange(len(x)) % parts, 0
  for k in range(parts):
    fitted, held_out = part != k, part == k
    spread = ridge * x[fitted, :-1].var(0).mean() * fitted.sum()
    penalty = spread * np.diag([1.] * (x.shape[1] - 1) + [0.])
    weights = np.linalg.solve(x[fitted].T @ x[fitted] + penalty + 1e-12 * np.eye(x.shape[1]),
                              x[fitted].T @ wanted[fitted])
    right += ((x[held_out] @ weights).argmax(1) == index[held_out]).sum()
  return float(right / len(x))
