"""Sides of a case for test_accelerator_day.py, in processes of their own."""

import os
import time

from experiments.benchmarks.accelerator.side import Side, need


def sleeping(*, seconds):
  def run(n):
    begun = time.perf_counter()
    time.sleep(n * seconds)
    return (time.perf_counter() - begun) / n
  print('no answer')
  return Side(run, dict(known=1), lambda: 7)


def failing(*, seconds):
  raise ValueError('in a word\nor two')


def absent(*, seconds):
  return need('no_such_thing')


def dying(*, seconds):
  os._exit(3)
