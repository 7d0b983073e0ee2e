"""Captions of scenes by a plain RNN, an LSTM and an LSTM with attention, greedily and by beams.

python -m experiments.show_and_tell [--folder=runs/show_and_tell]
"""

import dataclasses

import jax

import visionlab
from configs import scenes_attention_captioner, scenes_captioner
from experiments import study
from visionlab.data.pipeline import eval_batches, open_sources
from visionlab.parallel.sharding import data_mesh
from visionlab.training.evaluation import compile_evaluation

METRICS = {'wholly true, %': ('true', 100), 'a reference, %': ('exact_match', 100),
           'BLEU-1': ('bleu_1', 100), 'BLEU-4': ('bleu_4', 100), 'CIDEr-D, of 10': ('cider_d', 1),
           'finds its image, %': ('image_recall_at_1', 100), 'perplexity': ('perplexity', 1)}
DECODERS = {'RNN': (scenes_captioner, dict(task__model__cell='rnn')),
            'LSTM': (scenes_captioner, {}),
            'LSTM with attention': (scenes_attention_captioner, {})}


def captioners(given, folder):
  """The workdirs of all decoders, trained alike."""
  made = {}
  for seed in range(given.seeds):
    for name, (file, changes) in list(DECODERS.items())[:2 if given.quick else None]:
      config = file.get_config(*['smoke'] * given.quick)
      made[f'{name}/{seed}'] = study.changed(
          config, seed=seed, data_seed=seed, **changes, evals=dict(test=config.evals.test),
          **study.steps_of(given))
  return study.run(made, folder)


def measured(workdir, beams):
  """A run's results on the test scenes, decoded with so many beams."""
  run = visionlab.load(workdir)
  data = run.config.evals.test
  source = open_sources(data.data, data.split)
  task = dataclasses.replace(run.task, retrieval=True,
                             decoder=dataclasses.replace(run.task.decoder, beams=beams))
  hp = {**run.hp, 'progress': 1.}
  evaluate = compile_evaluation(task, data_mesh(jax.devices()[:1]))
  return evaluate(run.variables, hp, eval_batches(source, data.batch, workers=0))


def rows_of(workdirs, beams):
  """A row for each decoder and number of beams, over the seeds."""
  rows = []
  for name, own in study.by_kind(workdirs).items():
    for count in beams:
      results = [measured(path, count) for path in own]
      rows.append({'decoder': name, 'beams': count, 'runs': len(own)} | {
          title: study.spread([one[key] for one in results], 1 if scale > 1 else 3, scale)
          for title, (key, scale) in METRICS.items()})
  return rows


def main(argv=None):
  options = study.parser('show_and_tell', __doc__, seeds=3)
  options.add_argument('--steps', type=int, help='by default those of the configs')
  given = study.parse(options, argv, __file__)
  with study.kept_in(given.folder) as folder:
    workdirs = captioners(given, folder)
    rows = rows_of(workdirs, (1, 2) if given.quick else (1, 5))
    print(study.table(rows))
    if given.figure:
      for name, kind in (('samples', 'LSTM'), ('attention', 'LSTM with attention')):
        study.picture(workdirs[f'{kind}/0'] / 'figures' / f'test_{name}.png',
                      given.figure.with_name(f'{name}.png'))
  return rows


if __name__ == '__main__':
  study.start(main)
