"""Any dataset that TensorFlow Datasets has prepared, read without TensorFlow."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from visionlab.config import ConfigError, nearest
from visionlab.data.images.crop import RandomCrop
from visionlab.data.images.decode import Canvas, Cut, open_image, upright_size
from visionlab.data.images.files import reason
from visionlab.data.images.masks import Labels, label_map
from visionlab.data.source import Info, check_split
from visionlab.ops.geometry import IGNORE


class Tfds:
  """A source over a random-access tfds data source; see `tfds`."""

  def __init__(self, data: Any, info: Info, image_key: str, label_key: str, target: str,
               canvas: Canvas | None, channels: int, mask_key: str = '',
               labels: Labels | None = None):
    self.data, self.info = data, info
    self.mask_key, self.labels = mask_key, labels
    self.image_key, self.label_key, self.target = image_key, label_key, target
    self.canvas, self.channels = canvas, channels

  def __len__(self) -> int:
    return len(self.data)

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    return self._read(indices, self.canvas)

  def crops(self, indices: np.ndarray, crop: RandomCrop, draws: np.ndarray):
    """As `source[indices]`, but a random part of each image; see `visionlab.data.source.Source`."""
    return self._read(indices, *crop.cuts(draws, self.channels))

  def _read(self, indices: np.ndarray, canvas: Canvas | None, cuts: Sequence = ()):
    indices = np.arange(len(self))[indices]  # tfds itself knows no negative indices
    examples = self.data.__getitems__(indices.tolist())
    cuts = cuts or [None] * len(examples)
    images = [_pixels(example[self.image_key], canvas, cut, f'{self.image_key} of example {i}')
              for i, example, cut in zip(indices.tolist(), examples, cuts, strict=True)]
    batch = {'image': np.stack(images)}
    if self.target:
      dtype = np.int32 if self.target == 'label' else np.float32
      batch[self.target] = np.array([example[self.label_key] for example in examples], dtype)
    if self.labels:
      batch['label_map'] = np.stack([self._mask(*args, canvas, cut) for *args, cut in zip(
          indices.tolist(), examples, cuts, strict=True)])
    return batch

  def _mask(self, index: int, example: dict, canvas: Canvas | None, cut: Cut | None):
    mask, where = example[self.mask_key][..., 0], f'tfds: {self.mask_key} of example {index}'
    (h, w), size = mask.shape, _size(example[self.image_key])
    if (w, h) != size:
      raise ConfigError(f'{where} is {w}x{h} pixels; expected {size[0]}x{size[1]}, the size of '
                        f'{self.image_key}')
    if canvas is None:
      return self.labels.numbers(mask, where)
    return label_map(mask, self.labels, canvas, where, cut)


def _size(image: np.ndarray | bytes) -> tuple[int, int]:
  """Width and height of the upright image."""
  if isinstance(image, bytes):
    with open_image(image) as opened:
      return upright_size(opened)
  return image.shape[1], image.shape[0]


def _pixels(image: np.ndarray | bytes, canvas: Canvas | None, cut: Cut | None, where: str
            ) -> np.ndarray:
  if canvas is None:
    return image
  if isinstance(image, bytes):
    try:
      return canvas.read(image, cut)
    except Exception as error:  # what decoders raise for damaged files knows no bounds
      raise ConfigError(f'tfds: {where} cannot be decoded: {reason(error)}') from error
  if image.dtype == np.uint16 and image.shape[-1] > 1:     # for which Pillow has no mode
    image = ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
  return canvas(Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image), cut)


def tfds(split: str, *, root: str = '', dataset: str = '', image_key: str = 'image',
         label_key: str = 'label', size: int | tuple[int, int] | None = None,
         resize: str = 'crop', crop_fraction: float = 1., channels: int | None = None,
         mask_key: str = '', mask_classes: tuple[str, ...] = (), mask_offset: int = 0,
         mask_ignore: int = IGNORE) -> Tfds:
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
    size, resize, crop_fraction, channels: the canvas, see `visionlab.data.images.decode.Canvas`;
      without a `size` the images must all have the same.
    mask_key: a feature (h w 1) with the class of every pixel; '' for none. It becomes `label_map`
      (n h w) int32 on the same canvas.
    mask_classes: the names of the mask's classes 0, 1, ...
    mask_offset: what is added to the mask's values. Oxford's pets are counted from 1:
      dataset='oxford_iiit_pet', mask_key='segmentation_mask', mask_offset=-1,
      mask_classes=('pet', 'background', 'outline').
    mask_ignore: a value of the mask, before the offset, that counts nowhere, besides 255.

  Returns:
    A source of `image` (n h w c) uint8, the label and the label map.

  Raises:
    ConfigError: tfds is not installed, the dataset is unknown or not prepared, or has no such
      split or feature; a mask's values are no classes, or its size is not its image's (known
      only when it is read).
  """
  builder, features = _builder(dataset, root)
  for key, name in (('image_key', image_key), ('label_key', label_key), ('mask_key', mask_key)):
    if name not in features and (name or key == 'image_key'):
      raise ConfigError(f'tfds: {dataset} has no feature "{name}" for {key}; it has '
                        f'{", ".join(features)}{nearest(name, features)}')
  image = features[image_key]
  canvas = _canvas(image, f'tfds: {dataset}', size, resize, crop_fraction, channels)
  classes, target = (), ''
  if label_key:
    label = features[label_key]
    if label.shape != ():
      raise ConfigError(f'tfds: {dataset}: {label_key} is no scalar but {label}; expected a label')
    classes = tuple(getattr(label, 'names', None) or ())
    target = 'label' if np.issubdtype(label.np_dtype, np.integer) else 'target'
  labels = None
  if mask_key:
    labels = _labels(features[mask_key], f'tfds: {dataset}: {mask_key}',
                     Labels(tuple(mask_classes), mask_ignore, mask_offset))
  if builder.info.splits:
    check_split(split, tuple(builder.info.splits), f'tfds: {dataset}')
  try:
    data = builder.as_data_source(split=split, decoders=_decoders(image_key, image, canvas))
  except Exception as error:  # tfds has no type for "not prepared"
    where = f'--data_dir={root} ' if root else ''
    raise ConfigError(
        f'tfds: {dataset} is not prepared as array_record in {builder.data_dir}; run '
        f'"tfds build {dataset} {where}--file_format=array_record" ({_line(error)})') from error
  return Tfds(data, Info(classes, tuple(mask_classes)), image_key, label_key, target, canvas,
              canvas.channels if canvas else 1 if image.shape[2] == 1 else 3, mask_key, labels)


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
  if shape[2] not in (1, 3, 4, None):
    raise ConfigError(f'{where}: the image feature has {shape[2]} channels; expected 1, 3 or 4')
  return Canvas(shape[:2] if size is None else size, resize, crop_fraction,
                channels or (1 if shape[2] == 1 else 3))


def _labels(mask, where: str, labels: Labels) -> Labels:
  """`labels` once the mask's feature and they are found to be right."""
  if len(mask.shape) != 3 or mask.shape[2] != 1 or not np.issubdtype(mask.np_dtype, np.integer):
    raise ConfigError(f'{where} is no mask (h w 1) of class numbers but {mask}')
  if not labels.classes:
    raise ConfigError(f'{where}: mask_classes must name what its values stand for, e.g. '
                      "mask_classes=('background', 'cat')")
  return labels


def _decoders(image_key: str, image, canvas: Canvas | None) -> dict | None:
  """Leaves images encoded: the canvas decodes no more of them than it shows."""
  import tensorflow_datasets
  if canvas is None or not isinstance(image, tensorflow_datasets.features.Image):
    return None
  return {image_key: tensorflow_datasets.decode.SkipDecoding()}


def _line(error: Exception) -> str:
  return (str(error).strip() or repr(error)).splitlines()[0]
