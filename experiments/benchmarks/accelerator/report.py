"""The record of an accelerator's day as a table."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from experiments.benchmarks.accelerator.cases import Case
from experiments.benchmarks.accelerator.day import Record
from experiments.benchmarks.harness import quantity

HEADINGS = ('case', 'ours', 'examples/s', 'TFLOP/s', 'memory', 'first call', 'peer', 'its time',
            'its memory', 'ratio', 'spread', 'goal')


def table(cases: Sequence[Case], record: Record) -> str:
  """A line for each pair, in Markdown; what commands found; and what is not there, and why."""
  lines = [HEADINGS, ['---'] * len(HEADINGS)]
  said = []
  for case in cases:
    result = record.results.get(case.name)
    if result is None:
      said.append(f'{case.name}: {record.reasons.get(case.name, "not begun")}')
    elif result.get('seconds') and 'known' in result:
      lines += rows(case, result)
      said += [f'{case.name}: {peer}: {why}' for peer, why in result['failed'].items()]
    if result is not None:
      said += [f'{case.name}: {text}' for text in facts_of(case, result)]
  shown = [f'| {" | ".join(line)} |' for line in lines] if len(lines) > 2 else []
  return '\n'.join([*machines(record), *shown, *said])


def rows(case: Case, result: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
  """One for each peer, or one."""
  seconds, ours = result['seconds'], median(result['seconds']['ours'])
  first = result['known']['ours']['first']
  flops = result['known']['ours']['facts'].get('flops')
  own = (case.name, quantity(ours, 's'), f'{case.examples / ours:.4g} {case.unit}',
         f'{flops / ours / 1e12:.3g}' if flops else '', memory(result, 'ours'),
         quantity(first, 's'))
  at_most = f'at most {quantity(case.goals[""], "s")}' if '' in case.goals else ''
  for peer in [name for name in seconds if name != 'ours'] or ['']:
    if not peer:
      yield *own, '', '', '', '', '', at_most
      continue
    pairs = [b / a for a, b in zip(seconds['ours'], seconds[peer], strict=True)]
    goal = f'at least {case.goals[peer]}' if peer in case.goals else at_most
    yield (*own, peer, quantity(median(seconds[peer]), 's'), memory(result, peer),
           f'{median(seconds[peer]) / ours:.2f}', f'{min(pairs):.2f}-{max(pairs):.2f}', goal)


def memory(result: Mapping[str, Any], side: str) -> str:
  peak = result['memory'].get(side)
  return f'{peak / 1e9:.2f} GB' if peak else ''


def facts_of(case: Case, result: Mapping[str, Any]) -> Iterator[str]:
  """What there is beside times."""
  for name in ('kept', 'difference'):
    value = result['known']['ours']['facts'] if 'known' in result else result
    if name in value:
      goal = f' (goal: at most {case.goals[name]:g})' if name in case.goals else ''
      yield f'{name} {value[name]:.3g}{goal}'
  if 'accuracy' in result:
    yield (f'accuracy {result["accuracy"]:.4f} ± {result["sd"]:.4f} of {result["seeds"]} seeds, '
           f'{result["seconds"]:.0f} s')
  if 'error' in result:
    yield (f'error {result["error"]:.2%} after {result["steps"]} steps, '
           f'{result["steps_per_second"]:.0f} steps/s')


def line_of(name: str, result: Mapping[str, Any] | str) -> str:
  """As soon as it is known."""
  if isinstance(result, str):
    return f'{name}: {result}'
  times = result.get('seconds')
  if isinstance(times, Mapping):
    shown = ', '.join(f'{side} {quantity(median(s), "s")}' for side, s in times.items())
    return f'{name}: {shown} ({result["took"]:.0f} s)'
  return f'{name}: done ({result["took"]:.0f} s)'


def machines(record: Record) -> list[str]:
  """On what it was measured: a line, or several where they differ."""
  facts = [side['facts'] for result in record.results.values() if 'known' in result
           for side in result['known'].values()]
  torch = ', '.join(sorted({f['torch'] for f in facts if f.get('torch')})) or 'none'
  return sorted({f'{m["date"]}, {m["device"]}, {m["cores"]} CPU cores, Python {m["python"]}, '
                 f'JAX {m["jax"]}, Flax {m["flax"]}, PyTorch {torch}'
                 for m in (f['machine'] for f in facts if 'machine' in f)})
