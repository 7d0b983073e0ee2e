"""Annotations in the forms that others write, for tests of the sources that read them."""

import json

from pictured import write


def coco_json(root, annotations, sizes=((40, 60), (60, 30)), split='train', **entries):
  """Writes a json of images 11, 12, ... with categories 7 ('dog') and 3 ('cat')."""
  content = dict(
      images=[dict(id=11 + i, file_name=f'{i}.png', height=h, width=w)
              for i, (h, w) in enumerate(sizes)],
      categories=[dict(id=7, name='dog'), dict(id=3, name='cat', keypoints=['nose', 'tail'],
                                               skeleton=[[1, 2]])],
      annotations=[dict(id=100 + i) | one for i, one in enumerate(annotations)])
  path = root / 'annotations' / f'instances_{split}.json'
  write(path, json.dumps(content | entries))
  return path


def one(box=(6, 8, 30, 20), image=11, category=7, **more):
  return dict(image_id=image, category_id=category, bbox=list(box), **more)


def xml(path, objects, size=(40, 60)):
  inner = ''.join(
      f'<object><name>{name}</name><difficult>{hard}</difficult><bndbox>'
      + ''.join(f'<{side}>{v}</{side}>' for side, v in zip(('xmin', 'ymin', 'xmax', 'ymax'), box))
      + '</bndbox></object>' for name, hard, box in objects)
  write(path, f'<annotation><size><width>{size[1]}</width><height>{size[0]}</height></size>'
              f'{inner}</annotation>')
