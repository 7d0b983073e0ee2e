"""Are these photographs of one person? python -m visionlab.verify --workdir=runs/faces a.jpg b.jpg

Prints how alike each two of them are, and what the run's threshold says; with one more photograph
than two, a table. --output draws the pairs. Faces should fill the photographs, or --detector names
a run that finds them: the whole chain is then
  --detector=runs/crowds_faster_rcnn --landmarks=runs/faces_landmarks
"""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from absl import flags

from visionlab import commandline
from visionlab.config import ConfigError
from visionlab.figures import charts
from visionlab.predict import check_output, find, read
from visionlab.runs.aligned import finder, moved
from visionlab.runs.face_crops import Found, cut_out, face_finder, in_profile, landmarks_of
from visionlab.runs.load import load
from visionlab.runs.run import Run


def threshold_of(run: Run) -> tuple[float, str]:
  """The threshold that was best for all pairs in the newest evaluation up to the run's step, and
  which evaluation that was.

  Raises:
    ConfigError: nothing was measured yet.
  """
  for line in reversed(run.metrics):
    found = {name: value for name, value in line.items() if name.endswith('/threshold')}
    if found and line['step'] <= run.step:
      name = next((n for n in found if n.startswith('val')), next(iter(found)))
      return found[name], f'{name.removesuffix("/threshold")} at step {line["step"]}'
  raise ConfigError(f'{run.workdir}: no evaluation says which threshold is best; give --threshold')


def faces_of(run: Run, images: Sequence, landmarks: str = '', found: Sequence[Found] = ()
             ) -> tuple[np.ndarray, np.ndarray]:
  """Images as `Run.predict` takes them, as the run was trained to see faces: aligned, where it was;
  and which (n,) of them hide an eye, as far as that is known.

  Args:
    landmarks: a run that finds them, if the one that the data name is not to be used.
    found: the faces in the images, if those are to be cut out.
  """
  data = run.config.data
  if data.get('name') != 'aligned':
    if landmarks:
      raise ConfigError(f'--landmarks: {run.workdir} was trained on faces as they are, and must '
                        'see them so')
    shown = cut_out(found, run.facts.image.shape[1]) if found else images
    return run.fit(shown), np.zeros(len(images), bool)
  landmarks = landmarks or data.get('landmarks', '')
  if not landmarks:
    raise ConfigError(f'{run.workdir} was trained on faces that are aligned by known landmarks; '
                      'name a run that finds them: --landmarks=runs/faces_landmarks')
  if found:
    pixels, place, _ = landmarks_of(load(landmarks), found)
  else:
    pixels, place = finder(landmarks)(images)
  return (moved(pixels, place, run.facts.image.shape[1]),
          in_profile(place, pixels.shape[1]))


def with_faces(detector: str, files: Sequence[str]) -> tuple[list[str], list[Found]]:
  """Of photographs those in which a face is found, and what is found there. Says which have none,
  or several.

  Raises:
    ConfigError: fewer than two have a face.
  """
  there, faces = [], []
  for file, found in zip(files, face_finder(detector)(files), strict=True):
    if not len(found.boxes):
      print(f'{file}: no face is found in it; it is left out')
      continue
    if len(found.boxes) > 1:
      x, y = (found.boxes[0, :2] + found.boxes[0, 2:]) / 2
      print(f'{file}: {len(found.boxes)} faces; what is compared is the surest '
            f'({found.scores[0]:.0%}), about ({x:.0f}, {y:.0f})')
    there.append(file)
    faces.append(found)
  if len(there) < 2:
    raise ConfigError(f'{detector} finds a face in {len(there)} of {len(files)} photographs, and '
                      'two are needed to compare')
  return there, faces


def main(argv):
  options = flags.FLAGS
  if options.output:
    check_output(options.output)
  files = find(argv[1:], options.output)
  if len(files) < 2:
    raise ConfigError(f'name two photographs or more; there {"is one" if files else "are none"}')
  run = load(options.workdir, step=commandline.chosen_step())
  if run.config.task.name != 'verify':
    raise ConfigError(f'{run.workdir}: {run.kind}; to verify takes a run of the task "verify", '
                      'such as of configs/faces_verify.py')
  given = options.threshold
  threshold, where = threshold_of(run) if given is None else (given, 'as given')
  _, good, bad = read(run, files)
  if bad:
    raise ConfigError(bad[0])
  print(f'{run.workdir}: {run.which}; threshold {threshold:.3f} ({where})')
  found: list[Found] = []
  detector = options.detector or run.config.data.get('detector', '')
  if detector:
    good, found = with_faces(detector, good)
  faces, hidden = faces_of(run, good, options.landmarks, found)
  for i in np.flatnonzero(hidden):
    print(f'{good[i]}: its eyes lie as close to each other as if one were hidden; by such a face '
          'people are hardly known')
  embedding = run.predict(faces)['embedding']
  alike = run.task.alike(embedding)
  wide = max(map(len, good))
  captions, pictures, same = [], [], []
  for i, j in combinations(range(len(good)), 2):
    one = alike[i, j] >= threshold
    said = 'one person' if one else 'two people'
    print(f'{good[i]:<{wide}}  {good[j]:<{wide}}  {alike[i, j]:6.3f}  {said}')
    captions.append(f'{said}: {alike[i, j]:.2f}')
    pictures.append(np.concatenate([faces[i], faces[j]], 1))
    same.append(one)
  if options.output:
    some = np.stack(pictures[:24])
    charts.save(charts.image_grid(some, captions[:24], np.array(same[:24]), str(run.workdir),
                                  columns=4), Path(options.output))
    print(f'picture: {options.output}')


if __name__ == '__main__':
  flags.DEFINE_string('workdir', None, 'The run.', required=True)
  flags.DEFINE_string('detector', '', 'A run that finds faces, where they do not fill the '
                      'photographs; default: that of the run\'s data.')
  flags.DEFINE_string('landmarks', '', 'A run that finds five landmarks, by which faces are '
                      'aligned; default: that of the run\'s data.')
  flags.DEFINE_float('threshold', None, 'From which score on two photographs are of one person; '
                     'default: the run\'s own.', lower_bound=-1, upper_bound=1)
  flags.DEFINE_string('output', '', 'Where a picture of the pairs goes.')
  commandline.step_flag()
  commandline.run(main, words='images')
