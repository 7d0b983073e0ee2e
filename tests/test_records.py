"""What is said of images, in files that other programs read."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from faster_coco_eval.core import mask as coco

from visionlab.config import ConfigError
from visionlab.runs.records import as_csv, as_json, records_of

CLASSES = ('cat', 'dog')
FILES = ['a, b.png', 'c.png']


def run(**task):
  return SimpleNamespace(classes=CLASSES, task=SimpleNamespace(classes=CLASSES, **task))


SOFT = dict(probabilities=np.float32([[.9, .1], [.25, .75]]), prediction=np.array([0, 1]))


def test_classes_with_all_scores():
  records = records_of(run(), FILES, SOFT)
  assert json.loads(as_json(records))[1] == {
      'file': 'c.png', 'prediction': 'dog', 'scores': {'cat': .25, 'dog': .75}}
  rows = list(csv.DictReader(as_csv(records).splitlines()))
  assert rows[0] == {'file': 'a, b.png', 'prediction': 'cat', 'cat': '0.9', 'dog': '0.1'}


def test_labels_numbers_and_several_targets():
  labels = records_of(run(), FILES, SOFT | dict(prediction=np.array([[True, True], [False] * 2])))
  assert [r['predictions'] for r in labels] == [['cat', 'dog'], []]
  numbers = records_of(run(), FILES, dict(prediction=np.float32([[1.5, 2], [3, 4]])))
  assert as_csv(numbers).splitlines()[1:] == ['"a, b.png",1.5,2.0', 'c.png,3.0,4.0']
  several = records_of(run(), FILES, dict(ink=np.float32([1, 2]), prediction=np.array([7, 8])))
  assert several[1] == {'file': 'c.png', 'ink': [2.], 'prediction': [8.]}


def test_objects_with_masks_as_run_lengths():
  mask = np.zeros((1, 6, 8), bool)
  mask[0, 2:4, 3:7] = True
  said = dict(boxes=[np.float32([[3, 2, 7, 4]]), np.zeros((0, 4))], scores=[np.float32([.5]), []],
              classes=[np.array([1]), []], masks=[mask, np.zeros((0, 6, 8), bool)])
  some, none = json.loads(as_json(records_of(run(), FILES, said)))
  (found,) = some['objects']
  assert (found['class'], found['score'], found['box']) == ('dog', .5, [3, 2, 7, 4])
  assert np.array_equal(coco.decode(found['mask']), mask[0]) and none['objects'] == []
  with pytest.raises(ConfigError, match='--csv: .*use --json'):
    as_csv(records_of(run(), FILES, said))


def test_areas_and_captions():
  said = dict(prediction=[np.array([[0, 1], [1, 1]]), np.zeros((2, 2), int)])
  assert [r['areas'] for r in records_of(run(), FILES, said)] == [
      {'cat': .25, 'dog': .75}, {'cat': 1., 'dog': 0.}]
  words = run(sentences=lambda said, i: [('a dog', -1.25)])
  assert records_of(words, FILES[:1], dict(tokens=np.zeros((1, 1, 3))))[0]['captions'] == [
      {'text': 'a dog', 'log_probability': -1.25}]
