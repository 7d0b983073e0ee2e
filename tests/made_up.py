"""What a run leaves, without training it."""

import json

from visionlab.storage.workdir import conclude


def finish(workdir, accuracy, step=30):
  workdir.mkdir(exist_ok=True)
  lines = [{'step': s, 'time': 1e9 + 90 * s / step, 'eval': 'test',
            'test/accuracy': accuracy * s / step, 'test/loss': 1 - accuracy * s / step}
           for s in (0, step // 2, step)]
  (workdir / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, lines)))
  conclude(workdir, 'done', step)
