"""Makes golden/hf with the package `datasets`, as its users would: pip install datasets pillow.

python tests/golden/make_hf.py        # made with datasets 5.2.0
"""

from pathlib import Path

from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from PIL import Image as pil

FOLDER = Path(__file__).parent / 'hf'
FEATURES = Features(image=Image(), label=ClassLabel(names=['cat', 'dog']), age=Value('float32'))


def split(shades, labels):
  images = [pil.new('RGB', (6, 4), (shade,) * 3) for shade in shades]
  return Dataset.from_dict(dict(image=images, label=labels, age=[s / 4 for s in shades]),
                           features=FEATURES)


train, test = split([10, 20, 30], [0, 1, 1]), split([40, 50], [1, 0])
DatasetDict(train=train, test=test).save_to_disk(FOLDER / 'splits')
train.save_to_disk(FOLDER / 'one', num_shards=2)
for name, part in dict(train=train, test=test).items():
  for i in range(2):
    part.shard(2, i).to_parquet(FOLDER / 'hub' / 'data' / f'{name}-{i:05}-of-00002.parquet')
