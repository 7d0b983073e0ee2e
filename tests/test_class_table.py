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


def test_a_thousand_classes_are_a_screen():
  """The worst are shown, those without a result are not, and the last line is still of all."""
  accuracy = np.linspace(1, 0, 1000)
  accuracy[-1] = np.nan
  results = dict(class_objects=np.full(1000, 3), class_accuracy=accuracy)
  names = [f'n{i}' for i in range(1000)]
  lines = class_table(results, names, most=40).splitlines()
  assert len(lines) == 1 + 20 + 1 + 1
  assert [line.split()[0] for line in lines[1:4]] == ['n998', 'n997', 'n996']
  assert lines[-2].split() == ['all', '3000', f'{100 * accuracy[:-1].mean():.1f}']
  assert lines[-1] == '(the 20 of 1,000 classes that are lowest in accuracy)'
  assert len(class_table(results, names).splitlines()) == 1002


def test_wide_letters_take_two_columns():
  lines = class_table(dict(class_iou=np.array([.5, 1.])), ('猫', 'dog')).splitlines()
  assert lines[1:3] == ['猫      50.0', 'dog    100.0'] and lines[0] == 'class    IOU'
