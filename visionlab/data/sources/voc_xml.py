"""The xml of PASCAL VOC, a file for each image: its size, and a box for each object."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from visionlab.config import ConfigError, nearest
from visionlab.data.sources.annotation_files import Faults
from visionlab.data.sources.fields import flag, pixels
from visionlab.data.text.text_files import MARKS, decode

SIDES = ('xmin', 'ymin', 'xmax', 'ymax')


def read_xml(path: Path) -> ElementTree.Element:
  """The <annotation> of a file, in whatever encoding it declares.

  Raises:
    ConfigError: it cannot be read, is broken, or is another kind of xml.
  """
  text = _text(path)
  try:
    tree = ElementTree.fromstring(text)
  except (ElementTree.ParseError, ValueError) as error:
    raise ConfigError(f'{path} is no sound xml: {error}') from error
  if tree.tag.lower() != 'annotation':
    raise ConfigError(f'{path} holds <{tree.tag:.60}>; expected <annotation>, as VOC has it')
  return tree


def _text(path: Path) -> str:
  try:
    content = path.read_bytes()
  except OSError as error:
    raise ConfigError(f'{path} cannot be read: {error.strerror}') from error
  declared = re.match(rb'\s*<\?xml[^>]*encoding\s*=\s*["\']([^"\'>]*)', content)
  encoding = declared[1].decode('ascii', 'replace') if declared else 'utf-8'
  # That the declaration could be read tells that it is no UTF-16, whatever it says.
  plain = encoding.lower().replace('_', '-').startswith(('utf-8', 'utf8', 'utf-16', 'utf-32'))
  if plain or any(content.startswith(mark) for mark, _ in MARKS):
    return decode(content, path).strip()
  try:
    return content.decode(encoding).strip()
  except LookupError:
    raise ConfigError(f'{path} declares the encoding "{encoding}", and there is none of that name; '
                      'save it as UTF-8') from None
  except UnicodeError as error:
    raise ConfigError(f'{path} is not in {encoding}, the encoding that it declares: {error}'
                      ) from error


def size_of(tree: ElementTree.Element) -> list[int]:
  """Height and width of the image, zeros where they are not known."""
  return [pixels(tree.findtext(f'size/{side}')) for side in ('height', 'width')]


class Box(NamedTuple):
  """An object: the number of its class, whether it is difficult, its corners as written."""
  kind: int
  difficult: bool
  corners: list[float]


def read_object(one: ElementTree.Element, classes: Sequence[str], where: str,
                faults: Faults) -> Box | None:
  """What an <object> says; None, and a fault, where something is wrong with it."""
  name = (one.findtext('name') or '').strip()
  if name not in classes:
    faults.add('objects of no class', f'{where}: name is "{name:.60}"; expected one of '
               f'{", ".join(classes)}{nearest(name, classes)}')
    return None
  corners = [one.findtext(f'bndbox/{side}') for side in SIDES]
  try:
    numbers = [float(corner) for corner in corners]
  except (TypeError, ValueError):
    faults.add('objects without a box', f'{where}: bndbox is {corners}; expected the numbers '
               f'{", ".join(SIDES)}')
    return None
  try:
    return Box(classes.index(name), flag(one.findtext('difficult')), numbers)
  except ValueError as error:
    faults.add('objects whose difficult is no flag', f'{where}: difficult is {error}')
    return None
