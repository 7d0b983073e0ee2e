"""The table of parameters: what is trained, and how."""

import jax.numpy as jnp

from visionlab.optim.optimiser import make_optimizer
from visionlab.training.parameters import ROWS, parameter_table, settings_of

PARAMS = {'body': {'conv': {'kernel': jnp.zeros((3, 3, 1, 4)), 'bias': jnp.zeros(4)}},
          'head': {'kernel': jnp.zeros((4, 10))}}
HP = dict(lr=jnp.float32(.1), weight_decay=jnp.float32(5e-4))


def optimizer(**options):
  return make_optimizer('sgd', total=100, steps=lambda duration, key: int(duration), **options)


def table(params=PARAMS, hp=HP, **options):
  lines = parameter_table(params, settings=settings_of(optimizer(**options), params, hp))
  return [' '.join(line.split()) for line in lines.splitlines()]


def test_each_parameter_has_its_rate_and_decay():
  assert table() == ['body/conv/bias 4 4 lr 0.1 decay 0',
                     'body/conv/kernel 3x3x1x4 36 lr 0.1 decay 0.0005',
                     'head/kernel 4x10 40 lr 0.1 decay 0.0005',
                     'parameters 80']


def test_and_its_group():
  groups = (dict(match='bias', frozen=True), dict(match='head', lr=10., decay=2.),
            dict(match='.', start=30))
  assert table(groups=groups)[:3] == [
      "body/conv/bias 4 4 'bias' frozen",
      "body/conv/kernel 3x3x1x4 36 '.' lr 0.1 decay 0.0005 from step 30",
      "head/kernel 4x10 40 'head' lr 1 decay 0.001"]


def test_of_several_runs_the_range():
  hp = dict(lr=jnp.array([.3, .1, .2]), weight_decay=jnp.zeros(3))
  assert table(hp=hp)[0] == 'body/conv/bias 4 4 lr 0.1..0.3 decay 0'


def test_a_long_table_has_a_line_for_each_module_and_setting():
  params = {'body': {f'conv{i}': PARAMS['body']['conv'] for i in range(ROWS)},
            'head': PARAMS['head']}
  assert table(params) == ['body/* 40 arrays 160 lr 0.1 decay 0',
                           'body/* 40 arrays 1,440 lr 0.1 decay 0.0005',
                           'head/* 1 arrays 40 lr 0.1 decay 0.0005',
                           'parameters 1,640']


def test_without_settings_it_is_names_shapes_and_counts():
  assert parameter_table(PARAMS).split()[-2:] == ['parameters', '80']
