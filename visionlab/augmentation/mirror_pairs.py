"""Whether a mirror is told right which joints change places in it."""

from collections.abc import Mapping, Sequence
from typing import Any

from visionlab.config import ConfigError
from visionlab.ops.joint_words import mirrored, turned, words_of

WHERE = 'config.augment.flip.keypoint_pairs'


def check_mirror(options: Mapping[str, Any], joints: Sequence[str], example: Mapping[str, Any]):
  """Raises ConfigError where mirrored people would have a left hand at their right arm.

  Args:
    options: of augmentation, see `visionlab.augmentation.augment.make_augment`.
    joints: names of the keypoints of objects; where they do not tell left from right nothing is
      known.
    example: the entries of a batch.
  """
  own = (options or {}).get('flip')
  pairs = mirrored(joints)
  if not own or not pairs or 'keypoints' not in example.get('objects', {}):
    return
  given = own.get('keypoint_pairs', ()) if hasattr(own, 'get') else ()
  should = f'; expected {pairs}, by their names'
  if not given:
    raise ConfigError(f'{WHERE}: is empty, and a mirror turns {joints[pairs[0][0]]} into '
                      f'{joints[pairs[0][1]]}{should}')
  for a, b in given:
    if not (0 <= a < len(joints) and 0 <= b < len(joints)):
      raise ConfigError(f'{WHERE}: {(a, b)} are none of the {len(joints)} joints{should}')
    if turned(words_of(joints[a])) != words_of(joints[b]):
      raise ConfigError(f'{WHERE}: {(a, b)} are {joints[a]} and {joints[b]}, which are not each '
                        f'other in a mirror{should}')
