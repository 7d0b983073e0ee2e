"""Books as text and EPUB."""

import logging
import zipfile

import pytest

from visionlab.config import ConfigError
from visionlab.data.text.books import read_book

CONTAINER = ('<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
             '<rootfile full-path="OPS/book.opf"/></rootfiles></container>')
PACKAGE = ('<package xmlns="http://www.idpf.org/2007/opf"><manifest>'
           '<item id="b" href="two%20b.xhtml"/><item id="a" href="one.xhtml"/>'
           '<item id="n" href="notes.xhtml"/></manifest><spine>{}</spine></package>')
SPINE = '<itemref idref="a"/><itemref idref="b"/><itemref idref="n" linear="no"/>'
FILES = {'OPS/one.xhtml': '<?xml version="1.0" encoding="utf-8"?><html><head><title>No</title>'
                          '<style>p {}</style></head><body><h1>One</h1><p>A <i>cat</i> sat.&nbsp;'
                          'It slept.</p><script>no()</script></body></html>',
         'OPS/two b.xhtml': '<html><body><p>Tom &amp; I.<br/>We <b>left</b></body>',
         'OPS/notes.xhtml': '<p>A note.</p>'}


def epub(path, spine=SPINE, **changes):
  files = {'mimetype': 'application/epub+zip', 'META-INF/container.xml': CONTAINER,
           'OPS/book.opf': PACKAGE.format(spine), **FILES, **changes}
  with zipfile.ZipFile(path, 'w') as archive:
    for name, text in files.items():
      if text is not None:
        archive.writestr(name, text)
  return path


def test_an_epub_is_read_in_the_order_of_its_spine(tmp_path, caplog):
  with caplog.at_level(logging.WARNING):
    book = read_book(epub(tmp_path / 'book.epub'))
  assert book.sentences == ('One', 'A cat sat.', 'It slept.', 'Tom & I.', 'We left')
  assert book.paragraph.tolist() == [0, 1, 1, 2, 3]
  assert 'left out: OPS/notes.xhtml' in caplog.text
  turned = read_book(epub(tmp_path / 'b.epub', '<itemref idref="b"/><itemref idref="a"/>'))
  assert turned.sentences[:2] == ('Tom & I.', 'We left')


def test_a_page_in_the_encoding_that_it_declares(tmp_path):
  page = '<?xml version="1.0" encoding="ISO-8859-1"?><p>Où est-il?</p>'.encode('latin-1')
  assert 'Où est-il?' in read_book(epub(tmp_path / 'b.epub', **{'OPS/one.xhtml': page})).sentences


LOCK = ('<encryption><EncryptedData><CipherData><CipherReference URI="OPS/one.xhtml"/></CipherData>'
        '</EncryptedData></encryption>')


@pytest.mark.parametrize('changes, said', [
    ({'META-INF/container.xml': None}, 'there is no META-INF/container.xml in it'),
    ({'META-INF/container.xml': '<container/>'}, 'names no package'),
    ({'OPS/book.opf': '<package'}, 'OPS/book.opf is no XML'),
    ({'OPS/one.xhtml': None}, 'there is no OPS/one.xhtml in it'),
    ({'OPS/one.xhtml': b'<p>\xff</p>'}, 'b.epub: OPS/one.xhtml: line 1 is not UTF-8'),
    ({'spine': '<itemref idref="x"/>'}, "its spine names 'x'"),
    ({'spine': ''}, 'a book without words'),
    ({'META-INF/encryption.xml': LOCK}, r'OPS/one.xhtml is encrypted \(DRM\)')])
def test_epubs_that_are_none(tmp_path, changes, said):
  with pytest.raises(ConfigError, match=said):
    read_book(epub(tmp_path / 'b.epub', **changes))


def test_a_file_that_is_no_archive(tmp_path):
  (tmp_path / 'b.epub').write_text('no')
  with pytest.raises(ConfigError, match='b.epub is no EPUB that can be read'):
    read_book(tmp_path / 'b.epub')
  with pytest.raises(ConfigError, match='no.txt cannot be read'):
    read_book(tmp_path / 'no.txt')


@pytest.mark.parametrize('text, expected', [
    ('One. Two\nlines.\n\n\n \nThree.', [0, 0, 1]), ('One.\nTwo.\nThree.', [0, 1, 2]),
    ('\ufeffOne.\r\n\r\nTwo. And three.', [0, 1, 1])])
def test_paragraphs_of_plain_text(tmp_path, text, expected):
  (tmp_path / 'b.txt').write_text(text, newline='')
  book = read_book(tmp_path / 'b.txt')
  assert book.paragraph.tolist() == expected and len(book.sentences) == 3


def test_what_has_no_words_is_no_sentence_of_a_book(tmp_path):
  (tmp_path / 'b.txt').write_text('Never… Well. * * *\n\n...\n\nNo marks')
  book = read_book(tmp_path / 'b.txt')
  assert book.sentences == ('Never…', 'Well.', 'No marks') and book.paragraph.tolist() == [0, 0, 1]
