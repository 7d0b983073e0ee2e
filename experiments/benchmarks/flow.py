"""Optical flow of clips of scenes beside scikit-image and OpenCV: how long it takes, how far off.

python -m experiments.benchmarks flow
python -m experiments.benchmarks.flow --figure=flow.png: prints the errors alone, and draws some
"""

import argparse
import importlib.util
import time
from collections.abc import Callable, Iterator
from functools import partial

import jax
import numpy as np

from experiments.benchmarks.harness import Row, Skip, in_turn
from visionlab.data.scenes.motion import exact_flow
from visionlab.data.scenes.scenes import scenes
from visionlab.figures import charts
from visionlab.figures.flow import compared
from visionlab.measures.flow import end_point_errors, flow_scores
from visionlab.ops import optical_flow

PAIRS, SIDE, SHOWN = 16, 96, 2
Method = Callable[[np.ndarray], np.ndarray]      # pairs (n 2 h w) in [0, 1] -> flow (n h w 2)
SKIMAGES = dict(attachment=15., filters=1, iterations=10, tolerance=1e-4)


def flow(repeats: int) -> Iterator[Row]:
  """Seconds for a pair, once compiled, of as many pairs as there are here."""
  truth, pairs = clips(PAIRS)
  theirs = peers()
  for name, method in methods().items():
    both = [m for m in (method, theirs.get(name)) if m]
    errors = ' and '.join(f'{objects_and_all(m(pairs), truth)[0]:.3f}' for m in both)
    taken = in_turn(repeats, *(partial(timed, m, pairs) for m in both))
    yield Row(f'flow/{name}', *taken, note=f'{SIDE} x {SIDE}; px off on objects: {errors}')
  missing = [name for name in ('cv2', 'skimage') if importlib.util.find_spec(name) is None]
  if missing:
    raise Skip(f'without {" and ".join(missing)}, which are the peers')


def clips(n: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
  """Pairs of frames with all that is known of them, and these in grey (n 2 h w)."""
  source = scenes('test', size=SIDE, frames=2, objects=(1, 3), speed=.04)
  truth = exact_flow(source, np.arange(n))
  grey = truth['image'] @ np.array([.2989, .587, .114], np.float32) / 255
  return {k: v if k == 'image' else v[:, 0] for k, v in truth.items()}, grey.astype(np.float32)


def methods() -> dict[str, Method]:
  def batched(method, **options):
    program = jax.jit(jax.vmap(partial(method, **options)))
    return lambda pairs: np.asarray(program(pairs[:, 0], pairs[:, 1]))
  plain = dict(coarsest=SIDE, warps=1, iterations=200, median=False)
  return {'horn_schunck_1981': batched(optical_flow.horn_schunck, **plain),
          'horn_schunck': batched(optical_flow.horn_schunck),
          'lucas_kanade': batched(optical_flow.lucas_kanade),
          'tv_l1': batched(optical_flow.tv_l1),
          'tv_l1_as_skimage': batched(optical_flow.tv_l1, **SKIMAGES)}


def peers() -> dict[str, Method]:
  """The same methods of others, pair by pair, as far as they are installed."""
  found = {}
  if importlib.util.find_spec('skimage'):
    from skimage import registration

    def skimage(method, pairs):
      return np.stack([np.stack(method(a, b, prefilter=True)[::-1], -1) for a, b in pairs])
    found |= {'lucas_kanade': partial(skimage, registration.optical_flow_ilk),
              'tv_l1_as_skimage': partial(skimage, registration.optical_flow_tvl1)}
  if importlib.util.find_spec('cv2'):
    import cv2

    def pyramidal(pairs):           # a method for some points, given them all
      some = np.stack(np.meshgrid(*map(np.arange, pairs.shape[:1:-1])), -1).astype(np.float32)
      return np.stack([cv2.calcOpticalFlowPyrLK(*pair, some.reshape(-1, 1, 2), None,
                                                winSize=(15, 15), maxLevel=2)[0].reshape(some.shape)
                       for pair in as_bytes(pairs)]) - some
    found['lucas_kanade_opencv'] = pyramidal
    if hasattr(cv2, 'optflow'):
      tv = cv2.optflow.DualTVL1OpticalFlow_create()

      def opencv(pairs):
        return np.stack([tv.calc(*pair, None) for pair in as_bytes(pairs)])
      found['tv_l1'] = opencv
  return found


def as_bytes(pairs: np.ndarray) -> np.ndarray:
  return (255 * pairs).round().astype(np.uint8)


def objects_and_all(found: np.ndarray, truth) -> tuple[float, float]:
  """Mean end-point errors, in pixels."""
  apart = end_point_errors(found, truth['flow'])
  return float(apart[truth['moving']].mean()), float(apart.mean())


def timed(method: Method, pairs: np.ndarray) -> float:
  begun = time.perf_counter()
  method(pairs)
  return (time.perf_counter() - begun) / len(pairs)


def main():
  parser = argparse.ArgumentParser(description='Errors of optical flow on clips of scenes.')
  parser.add_argument('--pairs', type=int, default=64)
  parser.add_argument('--figure', help='a file for a picture of the first pairs')
  given = parser.parse_args()
  truth, pairs = clips(given.pairs)
  theirs = {f'{name}, peer': peer for name, peer in peers().items()}
  found = {'nothing': 0 * truth['flow']}
  print('| method | objects | all | angle | off by > 3 px |\n|---|---|---|---|---|')
  for name, method in {'nothing': None, **methods(), **theirs}.items():
    found[name] = method(pairs) if method else found[name]
    scores = flow_scores(found[name], truth['flow'])
    objects, whole = objects_and_all(found[name], truth)
    print(f'| {name} | {objects:.3f} | {whole:.3f} | {scores["angular_error"]:.2f} | '
          f'{scores["outliers"]:.2%} |', flush=True)
  if given.figure:
    some = {'true': truth['flow'][:SHOWN]}
    some |= {name: found[name][:SHOWN] for name in methods() if name != 'horn_schunck_1981'}
    apart = {name: end_point_errors(field, truth['flow'][:SHOWN]) for name, field in some.items()}
    captions = [['' if name == 'true' else f'{e[i][truth["moving"][i]].mean():.2f} px'
                 for name, e in apart.items()] for i in range(SHOWN)]
    charts.save(compared(truth['image'][:SHOWN, 0], some, captions), given.figure)


if __name__ == '__main__':
  main()
