"""Classification against torch's losses and scikit-learn's metrics."""

from functools import cache, partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics

from visionlab.config import ConfigError
from visionlab.data.pipeline import eval_batches
from visionlab.data.source import Arrays, Info
from visionlab.measures.class_table import class_table
from visionlab.ops.views import WHOLE, rescaled
from visionlab.parallel.sharding import data_mesh
from visionlab.tasks.classify import classify
from visionlab.training.evaluation import compile_evaluation, predictions
from visionlab.training.log import scalars

K = 7
SHAPE = (2, 3, 1)
HP = dict(label_smoothing=0.)


class Linear(nn.Module):
  classes: int
  normed: bool = False
  dropout: float = 0.

  @nn.compact
  def __call__(self, x, *, train=False):
    x = x.reshape(len(x), -1)
    if self.normed:
      x = nn.BatchNorm(use_running_average=not train)(x)
    return nn.Dense(self.classes)(nn.Dropout(self.dropout, deterministic=not train)(x))


def make_task(classes=K, head='softmax', mean=(.5,), std=(.25,), **model):
  names = tuple('abcdefghijkl'[:classes])
  return classify(make_model=partial(Linear, **model), info=Info(names), head=head, mean=mean,
                  std=std)


def draw(n=12, classes=K, seed=0, multi=False):
  rng = np.random.default_rng(seed)
  label = (rng.random((n, classes)) < .4).astype(np.float32) if multi else (
      rng.integers(0, classes, n).astype(np.int32))
  return dict(image=rng.integers(0, 256, (n, *SHAPE)).astype(np.uint8), label=label,
              valid=np.ones(n, bool))


def start(task, scale=3., seed=0):
  """Variables with kernels large enough for confident answers and mistakes."""
  variables = jax.jit(task.init)(jax.random.key(seed), draw(2))
  return jax.tree.map(lambda x: scale * x, variables)


def logits_of(variables, image):
  """What `Linear` answers on standardised pixels, in float64."""
  x = (image.astype(np.float64) / 255 - .5) / .25
  dense = variables['params']['Dense_0']
  return x.reshape(len(x), -1) @ np.asarray(dense['kernel'], np.float64) + np.asarray(dense['bias'])


def loss_of(task, variables, batch, train=True, **hp):
  loss = jax.jit(partial(task.loss, train=train))
  terms, aux = loss(variables, batch, jax.random.key(0), {**HP, **hp})
  (term,) = terms.values()
  return term, aux


# --- losses ---

@pytest.mark.parametrize('smoothing', [0., .1, 1.])
@pytest.mark.parametrize('soft', [False, True])
def test_softmax_loss_equals_torch(smoothing, soft):
  torch = pytest.importorskip('torch')
  task, batch = make_task(), draw()
  if soft:
    batch['label'] = np.random.default_rng(1).dirichlet(np.ones(K), 12).astype(np.float32)
  variables = start(task)
  target = torch.tensor(batch['label'], dtype=torch.float64 if soft else torch.int64)
  want = torch.nn.functional.cross_entropy(torch.tensor(logits_of(variables, batch['image'])),
                                           target, label_smoothing=smoothing, reduction='sum')
  term, _ = loss_of(task, variables, batch, label_smoothing=smoothing)
  np.testing.assert_allclose(term.sum, want.item(), rtol=1e-5)
  assert float(term.count) == 12


@pytest.mark.parametrize('smoothing', [0., .1])
def test_sigmoid_loss_equals_torch(smoothing):
  torch = pytest.importorskip('torch')
  task, batch = make_task(head='sigmoid'), draw(multi=True)
  variables = start(task)
  target = torch.tensor(batch['label'], dtype=torch.float64) * (1 - smoothing) + smoothing / 2
  want = torch.nn.functional.binary_cross_entropy_with_logits(
      torch.tensor(logits_of(variables, batch['image'])), target, reduction='sum')
  term, _ = loss_of(task, variables, batch, label_smoothing=smoothing)
  np.testing.assert_allclose(term.sum, want.item(), rtol=1e-5)
  assert float(term.count) == 12


def test_loss_of_extreme_logits_is_finite():
  for head, multi in (('softmax', False), ('sigmoid', True)):
    task, batch = make_task(head=head), draw(multi=multi)
    variables = start(task, scale=1e5)
    value, grads = jax.jit(jax.value_and_grad(
        lambda v, t=task, b=batch: t.loss(v, b, jax.random.key(0), HP, train=True)[0][
            'cross_entropy'].value))(variables)
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in jax.tree.leaves(grads))


def test_labels_are_smoothed_in_training_only():
  task, batch = make_task(), draw()
  variables = start(task)
  plain, _ = loss_of(task, variables, batch, train=False)
  smooth, _ = loss_of(task, variables, batch, train=False, label_smoothing=.3)
  trained, _ = loss_of(task, variables, batch, train=True, label_smoothing=.3)
  assert float(plain.sum) == float(smooth.sum) != float(trained.sum)


@pytest.mark.parametrize('head', ['softmax', 'sigmoid'])
@pytest.mark.parametrize('smoothing', [0., .1])
def test_mixed_labels_equal_soft_labels(head, smoothing):
  task, batch = make_task(head=head), draw()
  other, weight = draw(seed=1)['label'], np.linspace(0, 1, 12, dtype=np.float32)
  one_hot = np.eye(K, dtype=np.float32)
  soft = weight[:, None] * one_hot[batch['label']] + (1 - weight[:, None]) * one_hot[other]
  variables = start(task)
  mixed, _ = loss_of(task, variables, {**batch, 'label_mixed': other, 'mix_weight': weight},
                     label_smoothing=smoothing)
  direct, _ = loss_of(task, variables, {**batch, 'label': soft}, label_smoothing=smoothing)
  np.testing.assert_allclose(mixed.sum, direct.sum, rtol=1e-5)


@pytest.mark.parametrize('head', ['softmax', 'sigmoid'])
def test_invalid_examples_are_ignored(head):
  task, batch = make_task(head=head), draw(12)
  padded = {**draw(20, seed=5), 'valid': np.arange(20) < 12}
  for key in ('image', 'label'):
    padded[key][:12] = batch[key]
  variables = start(task)

  def measure(params, batch):
    terms, aux = task.loss({'params': params}, batch, jax.random.key(0), HP, train=True)
    return terms['cross_entropy'].value, (terms, aux.metrics)
  run = jax.jit(jax.value_and_grad(measure, has_aux=True))
  whole, part = (run(variables['params'], b) for b in (batch, padded))
  jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), whole, part)


def test_accuracy_beside_the_loss():
  for head, multi in (('softmax', False), ('sigmoid', True)):
    task, batch = make_task(head=head), draw(40, multi=multi)
    variables = start(task)
    _, aux = loss_of(task, variables, batch)
    logits = logits_of(variables, batch['image'])
    right = (logits > 0) == (batch['label'] > .5) if multi else logits.argmax(1) == batch['label']
    np.testing.assert_allclose(aux.metrics['accuracy'].value, right.mean(), rtol=1e-6)


def test_batch_statistics_move_in_training_only():
  task, batch = make_task(normed=True), draw(40)
  variables = jax.jit(task.init)(jax.random.key(0), batch)
  statistics = variables['batch_stats']['BatchNorm_0']
  _, aux = loss_of(task, variables, batch, train=False)
  jax.tree.map(np.testing.assert_array_equal, aux.collections['batch_stats']['BatchNorm_0'],
               statistics)
  _, aux = loss_of(task, variables, batch, train=True)
  x = ((batch['image'] / 255 - .5) / .25).reshape(40, -1)
  got = aux.collections['batch_stats']['BatchNorm_0']
  np.testing.assert_allclose(got['mean'], .01 * x.mean(0), rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(got['var'], .99 + .01 * x.var(0), rtol=1e-4)


def test_dropout_hangs_on_the_key_in_training_only():
  task, batch = make_task(dropout=.5), draw()
  variables = start(task)

  @partial(jax.jit, static_argnums=1)
  def loss(seed, train):
    terms, _ = task.loss(variables, batch, jax.random.key(seed), HP, train=train)
    return terms['cross_entropy'].sum

  def value(seed, train):
    return float(loss(seed, train))
  assert value(0, True) == value(0, True) != value(1, True)
  assert value(0, False) == value(1, False)


# --- prediction and evaluation ---

def test_predictions_are_probabilities():
  batch = draw()
  variables = start(make_task())
  logits = logits_of(variables, batch['image'])
  said = make_task().predict(variables, batch)
  share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
  np.testing.assert_allclose(said['logits'], logits, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(said['probabilities'], share, rtol=1e-4, atol=1e-6)
  np.testing.assert_array_equal(said['prediction'], logits.argmax(1))
  said = make_task(head='sigmoid').predict(variables, {'image': batch['image']})
  np.testing.assert_allclose(said['probabilities'], 1 / (1 + np.exp(-logits)), rtol=1e-4, atol=1e-6)
  np.testing.assert_array_equal(said['prediction'], logits > 0)


@cache
def evaluation(task, devices):
  return compile_evaluation(task, data_mesh(jax.devices()[:devices]))


def evaluate(task, variables, data, batch, devices=1, **hp):
  data = {k: v for k, v in data.items() if k != 'valid' or not v.all()}
  return evaluation(task, devices)(variables, {**HP, **hp}, eval_batches(Arrays(data), batch, 0))


def ranked_reference(scores, positive):
  """AUROC and AP by class and their means, of classes that are there."""
  def by_class(measure):
    return np.array([measure(p, s) if 0 < p.sum() < len(p) else np.nan
                     for p, s in zip(positive.T, scores.T, strict=True)])
  area, ap = by_class(metrics.roc_auc_score), by_class(metrics.average_precision_score)
  return dict(class_auroc=area, class_ap=ap, macro_auroc=np.nanmean(area), macro_ap=np.nanmean(ap))


def softmax_reference(logits, label):
  k = logits.shape[1]
  p = np.exp(logits - logits.max(1, keepdims=True))
  p /= p.sum(1, keepdims=True)
  said, seen = p.argmax(1), np.unique(label)
  recall = metrics.recall_score(label, said, labels=range(k), average=None, zero_division=np.nan)
  edges = np.clip(np.ceil(p.max(1) * 15), 1, 15)
  gap = [abs((p.max(1) - (said == label))[edges == e].sum()) for e in range(1, 16)]
  accuracy = metrics.accuracy_score(label, said)
  top5 = {} if k <= 5 else {
      'top5_error': 1 - metrics.top_k_accuracy_score(label, p, k=5, labels=range(k))}
  loss = metrics.log_loss(label, p, labels=range(k))
  by_class = dict(labels=range(k), average=None, zero_division=np.nan)
  f1 = metrics.f1_score(label, said, **by_class)
  return dict(class_precision=metrics.precision_score(label, said, **by_class), class_f1=f1,
              macro_f1=np.nanmean(f1), **ranked_reference(p, label[:, None] == np.arange(k)),
              loss=loss, cross_entropy=loss, accuracy=accuracy, top1_error=1 - accuracy, **top5,
              mean_class_accuracy=recall[seen].mean(), class_accuracy=recall,
              calibration_error=sum(gap) / len(label),
              confusion=metrics.confusion_matrix(label, said, labels=range(k)))


@pytest.mark.parametrize('classes, batch, devices', [(3, 8, 1), (7, 8, 1), (7, 37, 1), (7, 16, 4)])
def test_softmax_results_equal_sklearn(classes, batch, devices):
  data, task = draw(37, classes), make_task(classes)
  data['label'][data['label'] == 1] = 2        # a class that does not occur
  variables = start(task)
  got = evaluate(task, variables, data, batch, devices, label_smoothing=.2)
  want = softmax_reference(logits_of(variables, data['image']), data['label'])
  assert got.keys() == want.keys()
  for name in want:
    np.testing.assert_allclose(got[name], want[name], rtol=1e-4, atol=1e-6, err_msg=name)
  assert 0 < got['accuracy'] < 1 and got['confusion'].dtype == int
  assert set(scalars(got)) == {name for name in got if np.ndim(got[name]) == 0}


@pytest.mark.parametrize('batch, devices', [(8, 1), (16, 4)])
def test_sigmoid_results_equal_sklearn(batch, devices):
  data, task = draw(37, multi=True), make_task(head='sigmoid')
  data['label'][:, 2] = 0                      # a label that does not occur
  variables = start(task)
  got = evaluate(task, variables, data, batch, devices)
  true, logits = data['label'].astype(int), logits_of(variables, data['image'])
  said = (logits > 0).astype(int)
  per_label = dict(average=None, zero_division=np.nan)
  loss = (np.logaddexp(0, logits) - true * logits).sum(1).mean()
  want = dict(loss=loss, cross_entropy=loss, accuracy=1 - metrics.hamming_loss(true, said),
              exact_match=metrics.accuracy_score(true, said),
              macro_f1=metrics.f1_score(true, said, average='macro', zero_division=np.nan),
              class_f1=metrics.f1_score(true, said, **per_label),
              class_recall=metrics.recall_score(true, said, **per_label),
              class_precision=metrics.precision_score(true, said, **per_label),
              **ranked_reference(logits, true))
  assert got.keys() == want.keys()
  for name in want:
    np.testing.assert_allclose(got[name], want[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_an_absent_class_has_no_accuracy():
  """Two of three classes are there and always right: the mean is 1, in the table too."""
  data = draw(40, 2)
  data['image'] = np.broadcast_to(data['label'][:, None, None, None], (40, *SHAPE)).astype(np.uint8)
  task = make_task(3, mean=(), std=())
  kernel = np.tile(np.float32([[-99, 99, 0]]), (6, 1)) * 255
  variables = dict(params=dict(Dense_0=dict(kernel=kernel, bias=np.float32([99, 0, -9999]))))
  got = evaluate(task, variables, data, 16)
  assert got['mean_class_accuracy'] == got['accuracy'] == 1
  np.testing.assert_array_equal(got['class_accuracy'], [1, 1, np.nan])
  lines = class_table(got, task.classes).splitlines()
  assert [line.split() for line in lines[1:]] == [
      ['a', *['100.0'] * 5], ['b', *['100.0'] * 5], ['c', *['-'] * 5], ['all', *['100.0'] * 5]]


def test_an_absent_label_has_no_scores():
  """Of four labels one is found, one missed, one said wrongly, and one neither there nor said."""
  data = draw(10, 4, multi=True)
  data['label'] = np.tile(np.float32([1, 1, 0, 0]), (10, 1))
  task = make_task(4, head='sigmoid')
  bias = np.float32([9, -9, 9, -9])
  variables = dict(params=dict(Dense_0=dict(kernel=np.zeros((6, 4), np.float32), bias=bias)))
  got = evaluate(task, variables, data, 4)
  np.testing.assert_array_equal(got['class_recall'], [1, 0, np.nan, np.nan])
  np.testing.assert_array_equal(got['class_precision'], [1, np.nan, 0, np.nan])
  assert got['macro_f1'] == pytest.approx(1 / 3) and got['accuracy'] == .5


@pytest.mark.parametrize('multi', [False, True])
def test_labels_that_are_hidden_count_nowhere(multi):
  data = draw(37, multi=multi)
  task = make_task(head='sigmoid' if multi else 'softmax')
  variables, there = start(task), np.arange(37) % 3 > 0
  hidden = there.reshape(37, *[1] * (data['label'].ndim - 1))
  few = data | dict(label=np.where(hidden, data['label'], 0), labelled=there)
  want = evaluate(task, variables, {k: v[there] for k, v in data.items()}, 8)
  got = evaluate(task, variables, few, 8)
  jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), got, want)
  (one, _), (other, _) = (loss_of(task, variables, x) for x in (few, data | dict(valid=there)))
  assert one == other


def test_broken_examples_of_a_source_are_left_out():
  data, task = draw(37), make_task()
  data['valid'] = np.arange(37) % 5 != 0
  variables = start(task)
  got = evaluate(task, variables, data, 8)
  keep = data['valid']
  want = softmax_reference(logits_of(variables, data['image'][keep]), data['label'][keep])
  for name in want:
    np.testing.assert_allclose(got[name], want[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_soft_labels_are_evaluated_by_their_largest():
  data, task = draw(20), make_task()
  variables = start(task)
  hard = evaluate(task, variables, data, 8)
  data['label'] = np.eye(K, dtype=np.float32)[data['label']] * .6 + .4 / K
  soft = evaluate(task, variables, data, 8)
  for name in ('accuracy', 'top5_error', 'confusion', 'calibration_error'):
    np.testing.assert_array_equal(hard[name], soft[name])


# --- averaging ---

@pytest.mark.parametrize('head', ['softmax', 'sigmoid'])
def test_averaged_predicts_the_mean_probability(head):
  task, data = make_task(head=head), draw(37, multi=head == 'sigmoid')
  members = [start(task, seed=s) for s in (1, 2)]
  flips = [lambda x: x, lambda x: x[:, :, ::-1]]
  average = task.averaged([task, task], rescaled(mirror=True))
  variables = {'params': members}
  want = np.mean([task.predict(m, {'image': f(data['image'])})['probabilities']
                  for m in members for f in flips], 0)
  said = average.predict(variables, data)
  np.testing.assert_allclose(said['probabilities'], want, rtol=1e-5, atol=1e-6)
  choice = want.argmax(1) if head == 'softmax' else want > .5
  np.testing.assert_array_equal(said['prediction'], choice)
  got = evaluate(average, variables, data, 37)
  right = choice == (data['label'] > .5 if head == 'sigmoid' else data['label'])
  np.testing.assert_allclose(got['accuracy'], right.mean(), rtol=1e-5)
  assert np.isfinite(got['loss'])


def test_averaged_of_one_member_and_view_is_that_member():
  task, data = make_task(), draw(37)
  variables = start(task)
  alone = evaluate(task, variables, data, 8)
  same = evaluate(task.averaged([task], [WHOLE]), {'params': [variables]}, data, 37)
  for name in alone:
    np.testing.assert_allclose(same[name], alone[name], rtol=1e-4, atol=1e-5, err_msg=name)


# --- figures, errors ---

@pytest.mark.parametrize('soft', [False, True])
def test_figures_are_pictures(soft):
  data, task = draw(37), make_task()
  if soft:
    data['label'] = np.eye(K, dtype=np.float32)[data['label']]
  variables = start(task)
  batch, said = predictions(task.predict, variables, eval_batches(Arrays(data), 16, 0), 30)
  assert len(batch['valid']) == len(said['prediction']) == 30 and batch['valid'].all()
  np.testing.assert_array_equal(batch['image'], data['image'][:30])
  pictures = task.figures(batch, said, evaluate(task, variables, data, 8))
  assert set(pictures) == {'samples', 'most_confused', 'confusion'}
  for picture in pictures.values():
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3


def test_no_mistakes_no_picture_of_them():
  task, data = make_task(), draw(5)
  said = jax.device_get(task.predict(start(task), data))
  assert set(task.figures({**data, 'label': said['prediction']}, said, {})) == {'samples'}


@pytest.mark.parametrize('options, says', [
  (dict(info=Info(('a', 'b')), head='sigmoyd'), r"config\.task\.head: .*did you mean \"sigmoid\""),
  (dict(info=Info()), r'classify needs classes.*use name="regress"'),
])
def test_errors(options, says):
  with pytest.raises(ConfigError, match=says):
    classify(make_model=Linear, **options)


def test_standardisation_is_by_channel_and_may_be_left_out():
  image = np.arange(36, dtype=np.uint8).reshape(2, 2, 3, 3)
  task = make_task(mean=(.1, .2, .3), std=(.5, 1., 2.))
  variables = jax.jit(task.init)(jax.random.key(0), {'image': image})
  dense = variables['params']['Dense_0']
  for t, x in ((task, (image / 255 - [.1, .2, .3]) / [.5, 1., 2.]),
               (make_task(mean=(), std=()), image / 255)):
    np.testing.assert_allclose(t.predict(variables, {'image': image})['logits'],
                               x.reshape(2, -1) @ np.asarray(dense['kernel']), rtol=1e-4, atol=1e-5)
  floats = jnp.asarray(image, jnp.float32) / 255       # floats are taken to be in [0, 1]
  np.testing.assert_allclose(task.predict(variables, {'image': floats})['logits'],
                             task.predict(variables, {'image': image})['logits'], atol=1e-6)
