"""What a network says of images, as plain values for files: JSON, or a table where they fit one."""

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.relabelled import Relabelled
from visionlab.data.source import Concat, Source, Subset
from visionlab.runs.run import Run


def records_of(run: Run, files: Sequence[str], said: Mapping[str, Any]) -> list[dict[str, Any]]:
  """A dict for each image, of what `run.predict` gave.

  `file`, and
    of classes: `prediction`, and `scores` by class;
    of labels: `predictions` and `scores`;
    of numbers: a list by the name of each target, or `prediction`;
    of objects: `objects`, each with `class`, `score`, `box` (x1, y1, x2, y2), and where there are
      some `mask`, COCO's compressed run lengths, and `keypoints`;
    of captions: `captions`, each with `text` and `log_probability`;
    of label maps: `areas`, the share of the image by class;
    of autoencoders: `error`, of the image made again, which is large where it is unlike those that
      were learnt from; and `codes`.
  """
  of = next((reader for key, reader in READERS.items() if key in said), _numbers)
  if 'prediction' in said and np.ndim(said['prediction'][0]) == 2:
    of = _areas
  return [{'file': file, **of(run, said, i)} for i, file in enumerate(files)]


def names_of_examples(source: Source) -> list[str]:
  """The files of all examples, or their numbers where they are none."""
  if isinstance(source, Subset):
    whole = names_of_examples(source.source)
    return [whole[i] for i in source.indices]
  if isinstance(source, Concat):
    return [name for part in source.sources for name in names_of_examples(part)]
  if isinstance(source, Relabelled):
    return names_of_examples(source.source)
  files = getattr(source, 'files', None)
  if files is None:
    return list(map(str, range(len(source))))
  return [os.fsdecode(name if np.ndim(name) == 0 else name[0]) for name in files]


def as_json(records: Sequence[Mapping]) -> str:
  return json.dumps(list(records), indent=1, ensure_ascii=False, allow_nan=False) + '\n'


def as_csv(records: Sequence[Mapping]) -> str:
  """file, prediction and a column for each score or number.

  Raises:
    ConfigError: an image has more than one answer.
  """
  if any(key in records[0] for key in ('objects', 'captions')):
    raise ConfigError('--csv: what is said of these images is no row of a table; use --json')
  rows = [_row(record) for record in records]
  text = io.StringIO()
  writer = csv.DictWriter(text, list(rows[0]), lineterminator='\n')
  writer.writeheader()
  writer.writerows(rows)
  return text.getvalue()


def _row(record) -> dict[str, Any]:
  row = {}
  for name, value in record.items():
    if name == 'predictions':
      row['prediction'] = ' '.join(value)
    elif isinstance(value, Mapping):
      row |= value
    elif isinstance(value, list):
      row |= {f'{name}_{i}': v for i, v in enumerate(value)}
    else:
      row[name] = value
  return row


def _classes(run: Run, said, i: int):
  scores = dict(zip(run.classes, map(_number, said['probabilities'][i]), strict=True))
  chosen = said['prediction'][i]
  if np.ndim(chosen):
    return {'predictions': [c for c, yes in zip(run.classes, chosen, strict=True) if yes],
            'scores': scores}
  return {'prediction': run.classes[int(chosen)], 'scores': scores}


def _objects(run: Run, said, i: int):
  return {'objects': [_object(run, {k: v[i][n] for k, v in said.items()})
                      for n in range(len(said['scores'][i]))]}


def _object(run: Run, one: Mapping) -> dict[str, Any]:
  found = {'class': run.classes[int(one['classes'])], 'score': _number(one['scores']),
           'box': list(map(_number, one['boxes']))}
  if 'masks' in one:
    from faster_coco_eval.core import mask  # noqa: PLC0415 - few need it
    lengths = mask.encode(np.asfortranarray(one['masks'], np.uint8))
    found['mask'] = {'size': list(map(int, lengths['size'])), 'counts': lengths['counts'].decode()}
  if 'keypoints' in one:
    found['keypoints'] = [list(map(_number, point)) for point in one['keypoints']]
  return found


def _captions(run: Run, said, i: int):
  return {'captions': [{'text': text, 'log_probability': _number(p)}
                       for text, p in run.task.sentences(said, i)]}


def _areas(run: Run, said, i: int):
  label_map = np.asarray(said['prediction'][i])
  counts = np.bincount(label_map.ravel(), minlength=len(run.task.classes))
  return {'areas': {name: _number(n / label_map.size)
                    for name, n in zip(run.task.classes, counts, strict=False)}}


def _numbers(run: Run, said, i: int):
  return {name: list(map(_number, np.ravel(values[i]))) for name, values in said.items()}


def _remade(run: Run, said, i: int):
  return {'error': _number(said['error'][i]), 'codes': list(map(_number, said['codes'][i]))}


READERS = dict(boxes=_objects, tokens=_captions, probabilities=_classes, reconstruction=_remade)


def _number(x) -> float:
  """Seven digits are all that float32 has."""
  return float(f'{float(x):.7g}')
