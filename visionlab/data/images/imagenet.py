"""The 1,000 classes of ImageNet's classification challenge (ILSVRC 2012)."""

import re
from collections.abc import Sequence
from importlib import resources

WORDNET_ID = re.compile(r'(n\d{8})(?!\d)')


def synsets() -> dict[str, str]:
  """WordNet id -> a name, in the order of the classes, which is that of the ids.

  The names are the first of each synset's lemmas in WordNet 3.0, told apart where two are equal.

  >>> list(synsets().items())[985]
  ('n11939491', 'daisy')
  """
  text = resources.files('visionlab.data.images').joinpath('imagenet.txt').read_text()
  return dict(line.split(' ', 1) for line in text.splitlines())


def aliases(names: Sequence[str], classes: Sequence[str]) -> dict[str, str]:
  """For each of the names that is none of the classes, the class of the same synset.

  A name that begins with the WordNet id of one of the 1,000 classes is that class, whatever
  follows, as in folders called n02012849_crane.

  >>> aliases(['n11939491_daisy', 'n02504458', 'dog'], ['daisy', 'African elephant'])
  {'n11939491_daisy': 'daisy', 'n02504458': 'African elephant'}
  """
  known = synsets()

  def synset(name):
    match = WORDNET_ID.match(name)
    return known.get(match[1], name) if match else name
  named = {synset(one): one for one in classes}
  return {name: named[synset(name)] for name in names
          if name not in classes and synset(name) in named}
