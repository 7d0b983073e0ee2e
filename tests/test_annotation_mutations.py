"""Sound annotations with something replaced at random are read, or the mistake is named."""

import copy
import json
import random
import re

import numpy as np
import pytest
from absl import logging
from annotated import coco_json, one, xml
from pictured import everything, picture, write

from visionlab.config import ConfigError
from visionlab.data.sources.coco import coco
from visionlab.data.sources.voc import voc_objects
from visionlab.data.sources.yolo import yolo

TRIES = 60
VALUES = [0, -1, 3.7, float('nan'), float('inf'), 1e308, 10**30, '', 'x', '1', '\ud800', '\0', True,
          [], {}, None, [1], [[1, 2]], {'a': 1}, [None], '../..']
WORDS = ['0', '-1', '3.7', 'nan', 'inf', '1e308', '', 'x', 'True', '[]', '{}', 'None', '&', '2']


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
  monkeypatch.setattr(logging, 'warning', lambda *_: None)


def places(value, path=()):
  """The paths of all there is in a JSON value."""
  inner = value.items() if isinstance(value, dict) else (
      enumerate(value) if isinstance(value, list) else ())
  return [path] + [p for key, part in inner for p in places(part, (*path, key))]


def replaced(value, path, new):
  if not path:
    return new
  value = copy.copy(value)
  value[path[0]] = replaced(value[path[0]], path[1:], new)
  return value


def check(open_source):
  """What a source gives is finite and inside its image; what it does not is a ConfigError."""
  try:
    source = open_source()
  except ConfigError as error:
    assert len(str(error)) < 900
    return 0
  batch = everything(source)
  objects = batch['objects']
  for name, value in objects.items():
    assert np.isfinite(value).all(), name
  low, high = objects['boxes'][..., :2], objects['boxes'][..., 2:]
  assert ((low < high).all(-1) == objects['valid']).all()
  assert (low >= 0).all() and (high <= batch['extent'][:, None, ::-1] + 1e-4).all()
  return 1


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('seed', range(3))
def test_values_of_json(tmp_path, seed):
  rng = random.Random(seed)
  for i in range(2):
    picture(tmp_path / 'train' / f'{i}.png')
  path = coco_json(tmp_path, sizes=((40, 60), (40, 60)), annotations=[
      one(segmentation=[[6, 8, 36, 8, 36, 28]], keypoints=[9, 9, 2, 0, 0, 0], area=9., iscrowd=0),
      one(image=12, category=3, segmentation=dict(size=[40, 60], counts=[480, 20, 1900]))])
  content, read = json.loads(path.read_text()), 0
  for where in rng.choices(places(content), k=TRIES):
    path.write_text(json.dumps(replaced(content, where, rng.choice(VALUES))))
    read += check(lambda: coco('train', root=str(tmp_path), size=16, masks=rng.random() < .5,
                               keypoints=rng.random() < .5, check=rng.random() < .5,
                               on_broken=rng.choice(['skip', 'stop'])))
  assert 0 < read < TRIES


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('seed', range(2))
def test_text_of_xml(tmp_path, seed):
  rng, options = random.Random(seed), dict(root=str(tmp_path), size=16, classes=('cat', 'dog'))
  path, read = tmp_path / 'Annotations' / 'a.xml', 0
  picture(tmp_path / 'JPEGImages' / 'a.png')
  xml(path, [('dog', 0, (1, 1, 30, 20)), ('cat', 1, (5, 5, 9, 9))])
  text = path.read_text()
  parts = [match.span() for match in re.finditer(r'(?<=>)[^<>]+|</?\w+>', text)]
  for start, stop in rng.choices(parts, k=TRIES):
    path.write_text(text[:start] + rng.choice(WORDS) + text[stop:])
    read += check(lambda: voc_objects('train', **options, check=rng.random() < .5))
  assert 0 < read < TRIES


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('seed', range(2))
def test_words_of_yolo(tmp_path, seed):
  rng, read = random.Random(seed), 0
  picture(tmp_path / 'images' / 'train' / 'a.png')
  labels = '0 .5 .5 .2 .2 .45 .45 2 .55 .55 1\n1 .4 .4 .2 .2 .35 .35 2 .45 .45 1\n'
  yaml = 'kpt_shape: [2, 3]\nnc: 2\nnames: {0: cat, 1: dog}\n'
  for i in range(TRIES):
    texts = [labels, yaml]
    start, stop = rng.choice([match.span() for match in re.finditer(r'[^\s,]+', texts[i % 2])])
    texts[i % 2] = texts[i % 2][:start] + rng.choice(WORDS) + texts[i % 2][stop:]
    write(tmp_path / 'labels' / 'train' / 'a.txt', texts[0])
    write(tmp_path / 'data.yaml', texts[1])
    read += check(lambda: yolo('train', root=str(tmp_path), size=16, classes='data.yaml',
                               masks=rng.random() < .3, keypoints=rng.random() < .5))
  assert 0 < read < TRIES
