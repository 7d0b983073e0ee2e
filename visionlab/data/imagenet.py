"""The 1,000 classes of ImageNet's classification challenge (ILSVRC 2012)."""

from importlib import resources


def synsets() -> dict[str, str]:
  """WordNet id -> a name, in the order of the classes, which is that of the ids.

  The names are the first of each synset's lemmas in WordNet 3.0, told apart where two are equal.

  >>> list(synsets().items())[985]
  ('n11939491', 'daisy')
  """
  text = resources.files('visionlab.data').joinpath('imagenet.txt').read_text()
  return dict(line.split(' ', 1) for line in text.splitlines())
