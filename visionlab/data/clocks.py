"""Times as logs write them."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo

PARTS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3), (0., 1.))
"""From which number on it is one of nano-, micro- or milliseconds, and how many a second has."""
_WEB = '%d/%b/%Y:%H:%M:%S %z'            # of web servers
_UTC = re.compile(r'\s*(UTC|GMT)$')


def parse_time(value, local: ZoneInfo, form: str = '') -> datetime | None:
  """The time in a zone, which is that of times that name none; None if it is no time.

  Args:
    value: ISO 8601, perhaps with "UTC" behind it; seconds, or milli-, micro- or nanoseconds, since
      1970; an e-mail's "Mon, 03 Aug 2026 08:15:00 GMT"; a web server's "03/Aug/2026:08:15:00
      +0000"; a datetime; or in the given form. Days and months in numbers alone, as 03/08/2026,
      need one, for either may come first.
    form: as `datetime.strptime` has it; nothing else is then read.

  >>> berlin = ZoneInfo('Europe/Berlin')
  >>> parse_time('03/Aug/2026:08:15:00 +0000', berlin).isoformat()
  '2026-08-03T10:15:00+02:00'
  >>> parse_time('03/08/2026', berlin), parse_time('03/08/2026', berlin, '%d/%m/%Y').month
  (None, 8)
  """
  try:
    found = value if isinstance(value, datetime) else _read(
        str('' if value is None else value).strip(), form)
    return found.astimezone(local) if found.tzinfo else found.replace(tzinfo=local)
  except (ValueError, OverflowError, OSError):
    return None


def names_zone(value, form: str = '') -> bool:
  """Whether a time that can be read says which zone it is of; numbers are of UTC."""
  found = value if isinstance(value, datetime) else _read(str(value).strip(), form)
  return found.tzinfo is not None


def in_seconds(number: float) -> float:
  """A time in seconds, milli-, micro- or nanoseconds since 1970, told apart by its size."""
  return number / next(n for least, n in PARTS if abs(number) >= least)


def _read(text: str, form: str) -> datetime:
  """Raises ValueError, or what clocks raise of years that they do not know."""
  if form:
    return datetime.strptime(text, form)
  if text.replace('.', '', 1).isdigit():
    return datetime.fromtimestamp(in_seconds(float(text)), UTC)
  if text[:1].isalpha():
    return parsedate_to_datetime(text)
  if text[2:3] == '/' and text[3:4].isalpha():
    return datetime.strptime(text, _WEB)
  named = _UTC.search(text)
  found = datetime.fromisoformat(text[:named.start()] if named else text)
  return found.replace(tzinfo=UTC) if named else found
