"""The table of results by class."""

import numpy as np

from visionlab.measures.class_table import class_table


def test_columns_line_up_and_the_last_line_sums_up():
  results = dict(box_ap=.5, class_objects=np.array([1200, 3, 0]),
                 class_box_ap=np.array([1., .25, np.nan]), class_iou=np.array([.1, .2, .3]),
                 confusion=np.eye(3), absent_classes=np.array(['unicorn']),
                 class_mask_ap50=np.full(3, np.nan))
  lines = class_table(results, ('cat', 'grizzly bear', 'unicorn')).splitlines()
  assert lines[0].split('  ')[0] == 'class'
  assert lines[0].split()[1:] == ['objects', 'box', 'AP', 'IOU', 'mask', 'AP50']
  assert [line.split()[-4:] for line in lines[1:]] == [
    ['1200', '100.0', '10.0', '-'], ['3', '25.0', '20.0', '-'], ['0', '-', '30.0', '-'],
    ['1203', '62.5', '20.0', '-']]
  assert len({len(line) for line in lines}) == 1
