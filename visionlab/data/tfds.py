"""Any dataset that TensorFlow Datasets has prepared, read without TensorFlow."""

import re
from typing import Any

import numpy as np
from PIL import Image

from visionlab.config import ConfigError, nearest
from visionlab.data.images import Canvas
from visionlab.data.source import Info, check_split


class Tfds:
  """A source over a random-access tfds data source; see `tfds`."""

  def __init__(self, data: Any, info: Info, image_key: str, label_key: str, target: str,
               canvas: Canvas | None):
    self.data, self.info = data, info
    self.image_key, self.label_key, self.target = image_key, label_key, target
    self.canvas = canvas

  def __len__(self) -> int:
    return len(self.data)

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    indices = np.arange(len(self))[indices]  # tfds itself knows no negative indices
    examples = self.data.__getitems__(indices.tolist())
    images = [self._fit(example[self.image_key]) for example in examples]
    batch = {'image': np.stack(images)}
    if self.target:
      dtype = np.int32 if self.target == 'label' else np.float32
      batch[self.target] = np.array([example[self.label_key] for example in examples], dtype)
    return batch

  def _fit(self, pixels: np.ndarray) -> np.ndarray:
    if self.canvas is None:
      return pixels
    return self.canvas(Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels))


def tfds(split: str, *, root: str = '', dataset: str = '', image_key: str = 'image',
         label_key: str = 'label', size: int | tuple[int, int] | None = None,
         resize: str = 'crop', crop_fraction: float = 1., channels: int | None = None) -> Tfds:
  """A dataset of TensorFlow Datasets, prepared as array_record files.

  Nothing is downloaded here. Prepare a set once with
  `tfds build <dataset> --data_dir=<root> --file_format=array_record`, for which some sets need
  TensorFlow; reading never does.

  Args:
    split: a split of the dataset.
    root: tfds' data_dir; '' for its default, ~/tensorflow_datasets.
    dataset: the name, with config and version if need be: 'mnist', 'imagenette/160px-v2:1.0.0'.
    image_key: the feature with the image.
    label_key: the feature with the label, a scalar; '' for none. Integers become `label` (n,)
      int32, floats `target` (n,) float32.
    size, resize, crop_fraction, channels: the canvas, see `visionlab.data.images.Canvas`;
      without a `size` the images must all have the same.

  Returns:
    A source of `image` (n h w c) uint8 and the label.

  Raises:
    ConfigError: tfds is not installed, the dataset is unknown or not prepared, or has no such
      split or feature.
  """
  builder, features = _builder(dataset, root)
  for key, name in (('image_key', image_key), ('label_key', label_key)):
    if name not in features and (name or key == 'image_key'):
      raise ConfigError(f'tfds: {dataset} has no feature "{name}" for {key}; it has '
                        f'{", ".join(features)}{nearest(name, features)}')
  canvas = _canvas(features[image_key], f'tfds: {dataset}', size, resize, crop_fraction, channels)
  classes, target = (), ''
  if label_key:
    label = features[label_key]
    if label.shape != ():
      raise ConfigError(f'tfds: {dataset}: {label_key} is no scalar but {label}; expected a label')
    classes = tuple(getattr(label, 'names', None) or ())
    target = 'label' if np.issubdtype(label.np_dtype, np.integer) else 'target'
  if builder.info.splits:
    check_split(split, tuple(builder.info.splits), f'tfds: {dataset}')
  try:
    data = builder.as_data_source(split=split)
  except Exception as error:  # tfds has no type for "not prepared"
    where = f'--data_dir={root} ' if root else ''
    raise ConfigError(
        f'tfds: {dataset} is not prepared as array_record in {builder.data_dir}; run '
        f'"tfds build {dataset} {where}--file_format=array_record" ({_line(error)})') from error
  return Tfds(data, Info(classes), image_key, label_key, target, canvas)


def _builder(dataset: str, root: str):
  try:
    import tensorflow_datasets
  except ImportError as error:
    raise ConfigError("tfds needs its extra: pip install 'visionlab[tfds]'") from error
  if not dataset:
    raise ConfigError('tfds: dataset must name one, e.g. dataset="mnist"')
  try:
    builder = tensorflow_datasets.builder(dataset, data_dir=root or None, try_gcs=False)
  except Exception as error:  # unknown names, configs and versions raise different types
    # Listing the community's datasets as well would import TensorFlow.
    known = tensorflow_datasets.list_builders(with_community_datasets=False)
    name = re.split('[:/]', dataset)[0]
    hint = '' if name in known else nearest(name, known)
    raise ConfigError(f'tfds: {dataset} cannot be opened: {_line(error)}{hint}') from error
  return builder, dict(builder.info.features.items())


def _canvas(image, where: str, size, resize: str, crop_fraction: float,
            channels: int | None) -> Canvas | None:
  """The canvas for an image feature, or None when its arrays are right as they are."""
  shape = tuple(image.shape)
  if len(shape) != 3 or np.dtype(image.np_dtype) not in (np.uint8, np.uint16):
    raise ConfigError(f'{where}: the image feature must be (h w c) of 8 or 16 bits, not {image}')
  plain = None not in shape and image.np_dtype == np.uint8
  if size is None and None in shape[:2]:
    raise ConfigError(f'{where}: its images differ in size; set size, e.g. size=224')
  if size is None and plain and channels in (None, shape[2]):
    return None
  return Canvas(shape[:2] if size is None else size, resize, crop_fraction,
                channels or (1 if shape[2] == 1 else 3))


def _line(error: Exception) -> str:
  return (str(error).strip() or repr(error)).splitlines()[0]
