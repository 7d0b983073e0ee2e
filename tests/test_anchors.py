"""ops/anchors.py against torchvision's anchors."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.ops.anchors import cell_anchors, grid_anchors, pyramid_anchors

GOLDEN = np.load(Path(__file__).parent / 'golden' / 'detection.npz')


def test_a_pyramids_anchors_are_torchvisions():
  levels = pyramid_anchors([(4, 6), (2, 3)], [8, 16], [[8, 12], [32, 47]], [.5, 1., 2.])
  assert [a.shape for a in levels] == [(4 * 6 * 6, 4), (2 * 3 * 6, 4)]
  np.testing.assert_array_equal(jnp.concatenate(levels), GOLDEN['anchors.all'])


def test_sizes_and_ratios():
  cells = cell_anchors([128, 256, 512], [.5, 1, 2])
  w, h = cells[:, 2] - cells[:, 0], cells[:, 3] - cells[:, 1]
  np.testing.assert_allclose(h / w, np.repeat([.5, 1, 2], 3), rtol=.02)
  np.testing.assert_allclose(np.sqrt(w * h), np.tile([128, 256, 512], 3), rtol=.01)
  np.testing.assert_array_equal(cells, np.round(cells))
  np.testing.assert_array_equal(cells[:, :2], -cells[:, 2:])


def test_the_order_is_rows_columns_cells():
  cells = cell_anchors([8, 16], [1])
  anchors = grid_anchors(cells, (3, 5), 4).reshape(3, 5, 2, 4)
  np.testing.assert_array_equal(anchors[2, 4, 1], cells[1] + [16, 8, 16, 8])


def test_as_many_sizes_as_maps():
  with pytest.raises(ConfigError, match='1 lists of sizes and 2 strides for 2 feature maps'):
    pyramid_anchors([(4, 6), (2, 3)], [8, 16], [[8]], [1.])
