"""Classes of data numbered as a network has them."""

import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.data.images.imagenet import aliases, synsets
from visionlab.data.relabelled import Relabelled
from visionlab.data.source import Arrays, Info

ALL = np.arange(2)


def test_class_names_of_imagenet():
  names = synsets()
  assert len(names) == 1000 == len(set(names.values())) and list(names) == sorted(names)
  assert list(names.values()).index('golden retriever') == 207


@pytest.mark.parametrize('name, number', [
    ('n02012849', 134), ('n02012849_crane', 134), ('n02012849-crane bird', 134),
    ('n03126707_crane', 517), ('golden retriever', 207)])
def test_a_folder_begins_with_a_wordnet_id(name, number):
  known = tuple(synsets().values())
  assert known.index(aliases([name], known).get(name, name)) == number


def test_what_is_no_known_id_stays_what_it_is():
  known = tuple(synsets().values())
  assert aliases(['n00000000_dog', 'n020128490', 'xn02012849', 'tench'], known) == {}
  own = ('n02012849_crane', 'other')                     # a run that was trained on such folders
  assert aliases(['n02012849_crane'], own) == {}
  assert aliases(['n02012849'], own) == {'n02012849': 'n02012849_crane'}


def test_weights_are_measured_on_some_of_their_classes():
  """Folders named by WordNet ids, two of a thousand classes, in another order than theirs."""
  known = tuple(synsets().values())
  source = Arrays({'label': np.array([1, 0, 0, 1])}, Info(('n02504458', 'palace')))
  labels = Relabelled(source, known, synsets())[np.array([0, 1, 3])]['label']
  assert [known[i] for i in labels] == ['palace', 'African elephant', 'palace']
  with pytest.raises(ConfigError, match=r'knows no class "palce" \(did you mean "palace"\?\)'):
    Relabelled(Arrays({'label': np.array([0])}, Info(('palce',))), known, {})


def test_several_labels_keep_their_places():
  source = Arrays({'label': np.array([[1, 0], [.25, .75]], np.float32)}, Info(('dog', 'cat')))
  labels = Relabelled(source, ('cow', 'cat', 'dog'), {})[ALL]['label']
  np.testing.assert_array_equal(labels, [[0, 0, 1], [0, .75, .25]])


def test_objects_and_label_maps_are_numbered_too():
  objects = {'classes': np.array([[0, 1], [1, 0]]), 'valid': np.ones((2, 2), bool)}
  maps = np.array([[[0, 1, 255]], [[1, 1, 0]]], np.int32)
  source = Arrays({'objects': objects, 'label_map': maps}, Info(('dog', 'cat'), ('sky', 'road')))
  new = Relabelled(source, ('cat', 'dog'), {}, ('road', 'car', 'sky'))
  assert new.info.classes == ('cat', 'dog') and new.info.map_classes == ('road', 'car', 'sky')
  assert new[ALL]['objects']['classes'].tolist() == [[1, 0], [0, 1]]
  assert new[ALL]['label_map'].tolist() == [[[2, 0, 255]], [[0, 0, 2]]]
  assert source[ALL]['objects']['classes'].tolist() == [[0, 1], [1, 0]]       # not in place
  with pytest.raises(ConfigError, match='no class "sky"'):
    Relabelled(source, ('cat', 'dog'), {}, ('road', 'car'))


def test_data_without_classes_stay_as_they_are():
  source = Arrays({'label': np.array([3, 4])}, Info())
  assert Relabelled(source, ('cat',), {})[ALL]['label'].tolist() == [3, 4]
  named = Arrays({'label': ALL}, Info(('a', 'b')))
  assert Relabelled(named, (), {})[ALL]['label'].tolist() == [0, 1]
