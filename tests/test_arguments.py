"""What is typed after a command: config files and their mistakes, changes, stray words."""

import pytest
import tiny
from ml_collections import ConfigDict

from visionlab.config import ConfigError
from visionlab.flags.arguments import ConfigFile, check_words, config_of

FILE = '''
import tiny

def get_config({}):
  config = tiny.config(profile=(0, 1))
  {}
  return config
'''


@pytest.fixture
def file(tmp_path):
  """Writes a config file with a line of its own."""
  def write(line='', parameters='', name='config.py'):
    path = tmp_path / name
    path.write_text(FILE.format(parameters, line))
    return str(path)
  return write


def typed(*words):
  parser = ConfigFile()
  return parser.split(['train', *words]), parser


# --- changes ---

def test_changes_are_taken_out_of_the_arguments(file):
  config = f'--config={file()}'
  rest, found = typed(config, '--config.hp.lr=.5', '--workdir=x', '--config.steps', '3 epochs',
                      '-config.seed=2', '--noconfig.log.tensorboard', '--dry_run')
  assert rest == ['train', config, '--workdir=x', '--dry_run']
  assert found.changes == {'hp.lr': '.5', 'steps': '3 epochs', 'seed': '2',
                           'log.tensorboard': 'false'}
  c = found.parse('whatever')
  assert (c.hp.lr, c.steps, c.seed, c.log.tensorboard) == (.5, '3 epochs', 2, False)
  assert found.file == file() and c.is_locked


def test_the_file_may_be_the_next_word_and_come_last(file):
  rest, found = typed('--config.seed=3', '--config', file())
  assert rest == ['train', '--config', file()] and found.config.seed == 3


def test_what_is_true_or_false_takes_no_word(file):
  rest, found = typed(f'--config={file()}', '--config.optim.clip', 'false')
  assert found.config.optim.clip is True and rest[-1] == 'false'


def test_what_follows_two_dashes_is_no_change(file):
  rest, found = typed(f'--config={file()}', '--', '--config.seed=3')
  assert rest[-1] == '--config.seed=3' and found.changes == {}


@pytest.mark.parametrize('words, said', [
    (['--config.seed'], r'--config.seed: needs a value'),
    (['--config.seed', '--workdir=x'], r'--config.seed: needs a value'),
    (['--noconfig.seed'], r'--noconfig.seed: only for what is True or False'),
    (['--config.profile=1', '--config.profile=2'], r'--config.profile: given twice'),
    (['--config.sed=1'], r'config has no .sed. \(did you mean "seed"\?\)'),
])
def test_changes_that_are_none(file, words, said):
  with pytest.raises(ConfigError, match=said):
    typed(f'--config={file()}', *words)


# --- files ---

def test_a_config_file_with_an_argument(file):
  path = file('config.seed = int(n)', 'n=5')
  assert config_of(path).seed == 5 and config_of(f'{path}:7').seed == 7


def test_a_dict_is_a_config_too(file):
  config = config_of(file('config = config.to_dict()'))
  assert isinstance(config, ConfigDict) and config == tiny.config(profile=(0, 1))


@pytest.mark.parametrize('line, said', [
    ('config.lock().optin = 1', r'line 6: no such key .optin. \(did you mean "optim"\?\)'),
    ('config.hp["lrr"]', r'line 6: no such key .lrr.|line 6: KeyError'),
    ('config.optim.nme', r'line 6: no such key .nme. \(did you mean "name"\?\)'),
    ('1 / 0', r'line 6: ZeroDivisionError: division by zero'),
    ('import no_such_package', r"line 6: ModuleNotFoundError: No module named 'no_such_package'"),
    ('config.batch = "many"', r"config.batch: expected int of at least 1, got 'many'"),
    ('config = tiny.config(bath=3)', r'config.bath: no such key \(did you mean "batch"\?\)'),
    ('config = None', r'config: expected a dict of options, got None'),
    ('x = = 1', r'line 6: invalid syntax'),
])
def test_mistakes_in_a_config_file_are_said_with_their_line(file, line, said):
  with pytest.raises(ConfigError, match=said) as error:
    config_of(file(line))
  assert 'Traceback' not in str(error.value) and 'instead of' not in str(error.value)


def test_config_files_that_are_none(file, tmp_path):
  (tmp_path / 'empty.py').write_text('')
  (tmp_path / 'notes.txt').write_text('')
  wrong = {f'{tmp_path}/confg.py': 'did you mean', f'{tmp_path}/empty.py': 'no function get_config',
           f'{tmp_path}/notes.txt': 'expected a Python file',
           file() + ':big': 'takes no argument after a colon',
           file(parameters='n', name='other.py'): 'needs an argument after a colon'}
  for argument, said in wrong.items():
    with pytest.raises(ConfigError, match=said):
      config_of(argument)


# --- stray words ---

TRAIN = ('config', 'workdir', 'change_config')


@pytest.mark.parametrize('known, argv, said', [
    (TRAIN, ['config.hp.lr=0.5'], 'stray word "config.hp.lr=0.5"; write --config.hp.lr=0.5'),
    (TRAIN, ['hp.lr=0.5'], 'write --config.hp.lr=0.5'),
    (TRAIN, ['—config.hp.lr=0.5'], 'write --config.hp.lr=0.5'),
    (TRAIN, ['workdir=x'], 'write --workdir=x'),
    (TRAIN, ['workdir=x'], 'write --workdir=x'),
    (TRAIN, ['configs/digits_cnn.py:smoke'], 'stray word'),
    (TRAIN, ['configs/digits_cnn.py'], 'write --config=configs/digits_cnn.py'),
    (TRAIN, ['--config.log.tensorboard', 'false'], 'write --config.log.tensorboard=false'),
    (TRAIN, ['--change_config', 'True'], 'write --change_config=True'),
    (('workdir', 'split'), ['split=train'], 'write --split=train'),
    ((*TRAIN, 'set'), ['seed=0..1'], 'write --set seed=0..1'),
    ((*TRAIN, 'set'), ['hp.lr=1,2'], 'write --set hp.lr=1,2'),
    (('workdir',), ['stray'], 'stray word "stray"'),
])
def test_stray_words_are_refused(known, argv, said):
  left = [word for word in argv if not word.startswith('--')]
  with pytest.raises(ConfigError) as error:
    check_words(left, ['train', *argv], known)
  assert said in str(error.value)


def test_words_that_a_command_takes(tmp_path):
  (tmp_path / 'top=5').write_text('')
  images = ['a.png', 'no such file.jpg', 'x=1.png', str(tmp_path / 'top=5')]
  check_words(images, ['predict', *images], ('workdir', 'top', 'output'), 'images')
  for word, meant in (('top=5', '--top=5'), ('output=x.png', '--output=x.png'),
                      ('outptu=x.png', '--output=x.png')):
    with pytest.raises(ConfigError, match=f'write {meant}'):
      check_words([word], ['predict', word], ('workdir', 'top', 'output'), 'images')
