"""Processes that time what they are told to, one side of a case each.

JAX and PyTorch want libraries of CUDA in versions of their own, and one that dies takes its process
with it; so each is in one of its own, perhaps with a Python of its own. They take turns: all are
built first, one after another, since compilers choose by measuring; then each times a while when it
is told to.

As a program this file reads one request a line, and answers each by a line, in JSON:
  {"build": "module:function", "options": {...}} -> {"facts": {...}, "build": s, "first": s}
  {"measure": seconds}                           -> {"seconds": of a call, "memory": bytes}
Instead an answer may be {"missing": "what"} or {"error": "what"}.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from experiments.benchmarks.accelerator.side import Missing, Side, built
from experiments.benchmarks.timing import steps_in

ROOT = Path(__file__).resolve().parents[3]


class Worker:
  """The end that asks.

  Args:
    python: the interpreter.
    log: what the process writes beside its answers.
    environment: beside this process's.
  """

  def __init__(self, python: str, log: TextIO, environment: Mapping[str, str]):
    self.python = python
    self.process = subprocess.Popen(
        [python, '-m', __name__], cwd=ROOT, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=log,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(
            [str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])]), **environment})
    self.answers: queue.Queue[str] = queue.Queue()
    self.listener = threading.Thread(target=self._listen, daemon=True)
    self.listener.start()

  def ask(self, patience: float, **request: Any) -> dict[str, Any]:
    """The answer to a request.

    Raises:
      Missing: it says so.
      TimeoutError: there is none after `patience` seconds.
      RuntimeError: it failed, or the process has ended.
    """
    with suppress(BrokenPipeError):               # it has ended: the answer will say so
      self.process.stdin.write(json.dumps(request) + '\n')
      self.process.stdin.flush()
    try:
      line = self.answers.get(timeout=max(0, patience))
    except queue.Empty:
      raise TimeoutError(f'no answer after {patience:.0f} s') from None
    if not line:
      raise RuntimeError(f'its process ended with {self.process.wait()}')
    answer = json.loads(line)
    if 'missing' in answer:
      raise Missing(answer['missing'])
    if 'error' in answer:
      raise RuntimeError(answer['error'])
    return answer

  def end(self) -> None:
    self.process.kill()
    self.process.wait()
    self.listener.join()
    with suppress(BrokenPipeError):
      self.process.stdin.close()
    self.process.stdout.close()

  def _listen(self):
    for line in self.process.stdout:
      self.answers.put(line)
    self.answers.put('')


def serve(requests: TextIO, answers: TextIO) -> None:
  """The end that answers."""
  side, calls = None, 1
  for line in requests:
    request = json.loads(line)
    try:
      if 'build' in request:
        side = None                               # its memory is free before the next is built
        begun = time.perf_counter()
        side = built(request['build'], request['options'])
        ready = time.perf_counter()
        calls = 0                                 # found by the first measurement
        answer = dict(facts=side.facts, build=ready - begun)
        if side.run:
          side.run(1)
          answer['first'] = time.perf_counter() - ready
      else:
        calls = calls or steps_in(request['measure'], side.run)
        answer = measured(side, calls)
    except Missing as e:
      answer = dict(missing=str(e))
    except Exception as e:  # noqa: BLE001 - whatever it is, it belongs to this side alone
      traceback.print_exc()
      answer = dict(error=f'{type(e).__name__}: {e}'.splitlines()[0][:300])
    answers.write(json.dumps(answer) + '\n')
    answers.flush()


def measured(side: Side, calls: int) -> dict[str, Any]:
  return dict(seconds=side.run(calls), calls=calls, memory=side.memory())


if __name__ == '__main__':
  out = os.fdopen(os.dup(1), 'w')
  os.dup2(2, 1)                                   # what anyone prints is no answer
  serve(sys.stdin, out)
