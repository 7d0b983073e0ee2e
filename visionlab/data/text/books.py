"""Books as plain text or EPUB, in paragraphs and sentences."""

import posixpath
import re
import zipfile
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
from absl import logging

from visionlab.config import ConfigError
from visionlab.data.text.sentences import paragraphs, sentences
from visionlab.data.text.text_files import decode, read_text

SUFFIXES = ('.txt', '.epub')
BLOCKS = frozenset((
    'p', 'div', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'li', 'blockquote', 'br', 'hr', 'tr', 'td',
    'dt', 'dd', 'section', 'article', 'pre', 'body', 'figcaption'))
HIDDEN = frozenset(('head', 'script', 'style', 'svg'))
_CONTAINER = 'META-INF/container.xml'


class Book(NamedTuple):
  """Attributes:
    sentences: in reading order.
    paragraph: (m,) int32, rising from 0, that of each sentence.
  """
  sentences: tuple[str, ...]
  paragraph: np.ndarray


def read_book(path: str | Path) -> Book:
  """A book by its file: .epub, or else text, whose paragraphs are parted by blank lines; without
  any, each line is one.

  Raises:
    ConfigError: it cannot be read, or has no words.
  """
  path = Path(path)
  blocks = _of_epub(path) if path.suffix.lower() == '.epub' else _of_text(read_text(path))
  parted = [[said for said in sentences(text) if re.search(r'\w', said)] for text in blocks]
  parted = [found for found in parted if found]
  if not parted:
    raise ConfigError(f'{path}: a book without words')
  return Book(tuple(text for found in parted for text in found),
              np.repeat(np.arange(len(parted)), [len(found) for found in parted]).astype(np.int32))


def _of_text(text: str) -> list[str]:
  parted = paragraphs(text)
  return parted if len(parted) > 1 else text.split('\n')


def _of_epub(path: Path) -> list[str]:
  """The paragraphs of the files that the spine of an EPUB (the standard's 3.3, section 5.7) names,
  in its order. Files that it marks as beside the way (linear="no") are left out, and named."""
  try:
    with zipfile.ZipFile(path) as archive:
      root = _xml(archive, _CONTAINER, path)
      packages = [e.get('full-path') for e in _all(root, 'rootfile')]
      if not packages:
        raise ConfigError(f'{path}: {_CONTAINER} names no package')
      package = _xml(archive, packages[0], path)
      base = posixpath.dirname(packages[0])
      files = {e.get('id'): posixpath.normpath(posixpath.join(base, unquote(e.get('href', ''))))
               for e in _all(package, 'item')}
      spine = _all(package, 'itemref')
      beside = [files.get(e.get('idref'), '?') for e in spine if e.get('linear') == 'no']
      if beside:
        logging.warning('%s: beside the way, and left out: %s', path, ', '.join(beside))
      locked = _locked(archive, path)
      blocks = []
      for entry in spine:
        if entry.get('linear') == 'no':
          continue
        name = files.get(entry.get('idref'))
        if name is None:
          raise ConfigError(f'{path}: its spine names {entry.get("idref")!r}, which is not among '
                            'its files')
        if name in locked:
          raise ConfigError(f'{path}: {name} is encrypted (DRM), and cannot be read')
        blocks += _of_page(_member(archive, name, path), f'{path}: {name}')
      return blocks
  except (OSError, zipfile.BadZipFile) as error:
    raise ConfigError(f'{path} is no EPUB that can be read: {error}') from error


def _of_page(content: bytes, where: str) -> list[str]:
  """The blocks of text of an XHTML page; as browsers do, whatever is wrong with its tags."""
  declared = re.match(rb'<\?xml[^>]*encoding=["\']([\w.-]+)', content)
  encoding = declared[1].decode() if declared else 'utf-8'
  try:
    text = content.decode(encoding) if encoding.lower() not in ('utf-8', 'utf-16') else decode(
        content, where)
  except (LookupError, UnicodeDecodeError) as error:
    raise ConfigError(f'{where} is not in {encoding}, as it says: {error}') from error
  page = _Page()
  page.feed(text)
  page.close()
  return page.blocks


class _Page(HTMLParser):
  """Attributes: blocks, texts that stand on their own."""

  def __init__(self):
    super().__init__(convert_charrefs=True)
    self.blocks, self.hidden = [''], 0

  def handle_starttag(self, tag, attrs):
    self.hidden += tag in HIDDEN
    if tag in BLOCKS:
      self.blocks.append('')

  def handle_endtag(self, tag):
    self.hidden = max(self.hidden - (tag in HIDDEN), 0)
    if tag in BLOCKS:
      self.blocks.append('')

  def handle_startendtag(self, tag, attrs):
    if tag in BLOCKS:
      self.blocks.append('')

  def handle_data(self, data):
    if not self.hidden:
      self.blocks[-1] += data


def _locked(archive: zipfile.ZipFile, path: Path) -> set[str]:
  """Files that cannot be read; fonts may be, too, in books that can."""
  name = 'META-INF/encryption.xml'
  if name not in archive.namelist():
    return set()
  return {unquote(e.get('URI', '')) for e in _all(_xml(archive, name, path), 'CipherReference')}


def _xml(archive: zipfile.ZipFile, name: str, path: Path) -> ElementTree.Element:
  try:
    return ElementTree.fromstring(_member(archive, name, path))
  except ElementTree.ParseError as error:
    raise ConfigError(f'{path}: {name} is no XML: {error}') from error


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
  try:
    return archive.read(name)
  except KeyError:
    raise ConfigError(f'{path}: there is no {name} in it, which an EPUB needs') from None


def _all(root: ElementTree.Element, name: str) -> Sequence[ElementTree.Element]:
  """Elements by name, whatever their namespace."""
  return [e for e in root.iter() if e.tag.rpartition('}')[2] == name]
