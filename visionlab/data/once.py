"""Warnings that are said once: files are read again in every epoch, and by several splits."""

from functools import cache

from absl import logging


@cache
def warn_once(message: str):
  """A warning, unless this process has said the same before."""
  logging.warning('%s', message)
