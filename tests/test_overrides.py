"""Changes of a config: what may be set, how what is typed is read, what another name brings."""

import numpy as np
import pytest
import tiny

from visionlab.build import assemble
from visionlab.config import ConfigError
from visionlab.flags.overrides import override
from visionlab.options.kinds import Count, Duration, Share, misfit, plain, typed


def objects():
  """A config of a detector, which sets few of its source's options."""
  return tiny.config(
      data=dict(name='coco', root='data/coco', size=(96, 128)),
      task=dict(name='detect', model=dict(name='detector', backbone=dict(name='resnet', depth=50))))


# --- kinds ---

@pytest.mark.parametrize('value, hint, wrong', [
    (1, Count, None), (0, Count, ('', 'int of at least 1')),
    (True, Count, ('', 'int of at least 1')), (2., Count, ('', 'int of at least 1')),
    (1, Share, None), (1.1, Share, ('', 'float from 0 to 1')),
    (np.nan, float, ('', 'finite float')),
    (np.inf, float | None, ('', 'float or NoneType')), (None, float | None, None),
    ((1, 0), tuple[Count, ...], ('[1]', 'int of at least 1')), ((), tuple[Count, ...], None),
    (((1,), (2, 'x')), tuple[tuple[int, ...], ...], ('[1][1]', 'int')),
    ((1, 2), tuple[int, int, int], ('', 'tuple of 3')), (4, int | tuple[int, int], None),
    ((4, 'x'), int | tuple[int, int], ('[1]', 'int')), ('x', object, None),
])
def test_what_does_not_fit_an_annotation(value, hint, wrong):
  found = misfit(value, hint)
  assert found and (found.place, found.expected) == wrong or found is wrong is None


@pytest.mark.parametrize('text, hint, was, value', [
    ('64', int, 8, 64), ('64.0', int, 8, 64.), ('1e-3', float, .1, 1e-3), ('1', float, .1, 1.),
    ('red,white', tuple[str, ...], (), ('red', 'white')), ('red', tuple[str, ...], (), ('red',)),
    ('1,2', tuple[str, ...], (), ('1', '2')), ('(red, white)', tuple, (), ('red', 'white')),
    ("('red', 'white')", tuple, (), ('red', 'white')), ('[4,8]', tuple, (), (4, 8)),
    ('4', tuple, (), (4,)), ('4,', tuple, (), (4,)), ('()', tuple, (1,), ()), ('', tuple, (1,), ()),
    ('(240, 320)', int | tuple[int, int], 64, (240, 320)), ('64', int | tuple, (1, 2), 64),
    ('no', bool, True, False), ('False', bool, True, False), ('0', bool, True, False),
    ('true', bool, False, True), ('5', Duration, '5%', '5'), ('2 epochs', Duration, 5, '2 epochs'),
    ('None', float | None, 1., None), ('007', str, '', '007'), ('None', str, '', 'None'),
    ('{}', dict, {}, {}), ('many', int, 3, 'many'),
])
def test_what_is_typed_is_read_as_what_is_wanted(text, hint, was, value):
  found = typed(text, hint, was)
  assert found == value and type(found) is type(value)


def test_numbers_of_numpy_become_plain():
  found = plain(dict(a=np.int64(3), b=[np.float32(.1), np.bool_(True)], c=np.arange(2)))
  assert repr(found) == "{'a': 3, 'b': (0.1, True), 'c': (0, 1)}"


# --- keys ---

def test_override_changes_a_copy():
  base = tiny.config()
  new = override(base, {'hp.lr': 1, 'seed': np.int64(3), 'steps': 5})
  assert new.steps == '5'
  assert (new.hp.lr, new.seed, base.hp.lr, base.seed) == (1, 3, .1, 0)


@pytest.mark.parametrize('setting, said', [
    ({'hpp.lr': 1}, r'config has no .hpp. \(did you mean "hp"\?\); there are: accumulate, '),
    ({'hp.lr.x': 1}, r'config.hp.lr has no .x.'),
    ({'batch': 'many'}, r"config.batch: expected int of at least 1, got 'many'"),
    ({'hp.lr': 'high'}, r"config.hp.lr: expected float, got 'high'"),
    ({'hp.lr': 'nan'}, r'config.hp.lr: expected finite float, got nan'),
    ({'data.imagse': 'x'}, r'config.data has no .imagse. \(did you mean "images"\?\)'),
    ({'data.split': 'x'}, r'config.data has no .split.'),
    ({'task.model.backbone.dept': 50}, r'config.task.model.backbone has no .dept.'),
    ({'log.evry': 1}, r'config.log has no .evry. \(did you mean "every"'),
    ({'pipeline.crop.sise': 1}, r'config.pipeline.crop has no .sise.'),
    ({'data.name': 'cocoo'}, r"config.data.name: unknown name 'cocoo' \(did you mean \"coco\""),
])
def test_a_key_or_value_that_does_not_fit(setting, said):
  with pytest.raises(ConfigError, match=said):
    override(objects(), setting)


@pytest.mark.parametrize('key, text, value', [
    ('data.images', 'JPEGImages/{split}', 'JPEGImages/{split}'), ('data.masks', 'true', True),
    ('task.model.levels', 'stage3,stage4', ('stage3', 'stage4')), ('data.size', '64', 64),
    ('task.model.backbone.stride_in', '1x1', '1x1'), ('task.model.hidden', '64', (64,)),
    ('task.rpn.sample', '32', 32), ('optim.clip', 'yes', True), ('hp.box_weight', '2', 2.),
    ('pipeline.crop.size', '(8, 8)', (8, 8)), ('evals.more.split', 'train[:9]', 'train[:9]'),
    ('augment.flip', 'true', True), ('evals', 'None', None), ('log.tensorboard', 'no', False),
    ('optim.schedule.warmup', '5%', '5%'), ('data.proposals.name', 'selective_search',
                                            'selective_search'),
])
def test_options_that_the_config_file_does_not_set(key, text, value):
  config = override(objects(), {key: text}).to_dict()
  for part in key.split('.'):
    config = config[part]
  assert config == value and type(config) is type(value)


# --- names ---

def test_another_source_brings_its_own_options():
  base = tiny.config(data=dict(name='digits', size=16, channels=3, test_fraction=.3))
  new = override(base, {'data.images': 'pictures', 'data.name': 'pairs', 'data.root': 'x'})
  assert new.data.to_dict() == dict(name='pairs', root='x', images='pictures', size=16, channels=3)
  assert base.data.test_fraction == .3


def test_what_another_name_does_not_take_is_left_out_and_said(caplog):
  cnn = dict(name='cnn', widths=(4,), hidden=16, dropout=.1)
  base = tiny.config(task=dict(name='classify', model=cnn))
  with caplog.at_level('WARNING', logger='absl'):
    new = override(base, {'task.model.name': 'mlp', 'optim.name': 'adamw',
                          'optim.schedule.name': 'steps', 'optim.schedule.at': "('50%',)"})
  assert new.task.model.to_dict() == dict(name='mlp')
  assert new.hp.to_dict() == dict(lr=.1, weight_decay=1e-3)
  assert 'config.task.model: mlp does not take dropout, hidden, widths' in caplog.text
  assert 'config.hp: adamw does not take momentum' in caplog.text
  assemble(new)


def test_the_same_name_again_changes_nothing():
  assert override(tiny.config(), {'optim.name': 'sgd', 'data.name': 'digits'}) == tiny.config()
