"""How long cells remember: a digit is shown at the first of T steps, and named after the last.

python -m experiments.long_dependency [--seeds=3] [--folder=runs/long_dependency]
"""

from configs import digits_rows_lstm
from experiments import study

LENGTHS = (10, 25, 50, 100, 200)
SOURCE = 'experiments.long_dependency.shown_once:shown_once'
KINDS = {                          # length -> the options of the model
    'RNN': lambda t: dict(cell='rnn'),
    'LSTM, forget bias 1': lambda t: dict(cell='lstm'),
    'LSTM, memory T': lambda t: dict(cell='lstm', memory=t),
    'GRU, memory T': lambda t: dict(cell='gru', memory=t),
}


def configs(given):
  base = digits_rows_lstm.get_config(*['smoke'] * given.quick)
  return {f'{kind}-{t}/{seed}': study.changed(
      base, data=dict(name=SOURCE, steps=t), augment={}, steps=given.steps, batch=32,
      task=dict(name='classify', mean=(0.,), std=(.5,),
                model=dict(name='recurrent', width=32, **KINDS[kind](t))),
      optim__clip=True, hp=dict(lr=.01, weight_decay=0., clip_norm=1.),
      log__every='20%', evals=dict(test=dict(split='test', every='100%', batch=359)), seed=seed,
      data_seed=seed)
      for t in given.lengths for kind in given.kinds for seed in range(given.seeds)}


def main(argv=None):
  options = study.parser('long_dependency', __doc__, seeds=3)
  options.add_argument('--steps', type=int, help='updates of each run; 400')
  options.add_argument('--lengths', type=int, nargs='+', default=LENGTHS,
                       help='T, at least 3; %(default)s')
  given = study.parse(options, argv, __file__)
  if min(given.lengths) < 3:
    options.error(f'--lengths must be at least 3, not {min(given.lengths)}')
  given.steps = given.steps or (2 if given.quick else 400)
  given.kinds = list(KINDS)
  if given.quick:
    given.lengths, given.kinds = LENGTHS[:1], given.kinds[1:3]
  with study.kept_in(given.folder) as folder:
    runs = study.by_kind(study.run(configs(given), folder))
    found = {name: [study.last(path, 'test/accuracy') for path in paths]
             for name, paths in runs.items()}
  rows = [{'T': t, **{f'{kind}, %': study.spread(found[f'{kind}-{t}'], 1) for kind in given.kinds}}
          for t in given.lengths]
  curves = {kind: (given.lengths, [[100 * found[f'{kind}-{t}'][seed] for t in given.lengths]
                                   for seed in range(given.seeds)]) for kind in given.kinds}
  return study.report(rows, given.figure, [study.Panel(
      'A digit named T steps after it was seen', 'steps T', 'test accuracy, %', curves,
      x_log=True)])


if __name__ == '__main__':
  study.start(main)
