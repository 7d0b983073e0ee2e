"""What predicted numbers are judged by."""

import numpy as np


def regression_scores(prediction, target) -> dict[str, float]:
  """Root of the mean squared error, mean absolute error and R^2, in float64.

  R^2 of several outputs is that of their joint variance (scikit-learn's 'variance_weighted'). Sums
  of squares would not do for it: those of targets of 1000 +- 1 have no digits left for the 1.

  Args:
    prediction, target: (n d).

  Returns:
    rmse, mae and r2, which is 0 where targets do not vary; without any example all are nan.

  >>> regression_scores([[1001.], [1000.], [1001.]], [[1001.], [999.], [1000.]])['r2']
  0.0
  """
  prediction, target = (np.asarray(x, np.float64) for x in (prediction, target))
  if not len(target):
    return dict.fromkeys(('rmse', 'mae', 'r2'), np.nan)
  error = prediction - target
  varies = (target != target[:1]).any()
  total = ((target - target.mean(0)) ** 2).sum()
  return dict(rmse=float(np.sqrt((error ** 2).mean())), mae=float(np.abs(error).mean()),
              r2=float(1 - (error ** 2).sum() / total) if varies else 0.)
