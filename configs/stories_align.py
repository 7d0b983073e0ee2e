"""Which sentence of a book tells which shot of a film? Films of drawn scenes, books in other words.

python -m visionlab.train --config=configs/stories_align.py --workdir=runs/stories
A CNN reads seven measures of how alike shots and sentences are, in context; of each of 240 films it
knows eight shots. What a captioner thinks is a measure more: with it, and 12 shots each of 120
films, of the told shots 65.9 ± 4.5 % are matched to within a sentence by the chain, 47.1 ± 5.7 %
without (three seeds, experiments/stories; the likelihood alone 22.7, time alone 11.1). This config
itself has not been run since dropout is behind both hidden layers; before, seed 0: 53.9 and 37.0 %.
"""

from visionlab.config import experiment, is_smoke


def get_config(variant=''):
  smoke = is_smoke(variant)
  data = dict(name='stories', **(dict(films=2, shots=8, sentences=20, known=4) if smoke else {}))
  model = dict(name='context_cnn')
  if smoke:
    model |= dict(widths=(4, 4), size=(3, 3))
  return experiment(
      steps=10 if smoke else 600,
      batch=2 if smoke else 8,
      data=data,
      task=dict(name='align', model=model),
      optim=dict(name='adamw', schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=5e-3, weight_decay=.01),
      evals=dict(val=dict(split='validation', every='50%', batch=2 if smoke else 8, data=data),
                 test=dict(split='test', every='100%', batch=2 if smoke else 8, first=False,
                           data=data)))
