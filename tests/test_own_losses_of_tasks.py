"""Losses of one's own where a task has several: of boxes, of words, of two domains, of targets."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_own_losses import INFO, loss_of

from visionlab.config import ConfigError
from visionlab.data.source import Info
from visionlab.data.text.vocabulary import SPECIAL
from visionlab.tasks.adapt import adapt
from visionlab.tasks.caption import caption
from visionlab.tasks.detect import detect
from visionlab.tasks.multitask import multitask

HERE = 'test_own_losses_of_tasks'


class Network:
  """In place of one: the images are what it says."""
  masks = keypoints = attention = detected = False
  pool_size = 1

  def __init__(self, **told):
    pass

  def apply(self, variables, x, *more, mutable=False, rngs=None, method='__call__', train=False):
    call = getattr(type(self), method) if isinstance(method, str) else method
    said = call(self, x, *more, train=train)
    return said if mutable is False else (said, {})


def entropy(logits, label, scale=1.):
  return scale * optax.softmax_cross_entropy_with_integer_labels(logits, label)


def distance(found, true, power: float = 1.):
  return abs(found - true) ** power


class Detector(Network):
  box_head = lambda self, x, train: (x[:, :1, 0, :4], x[:, None, 1:4, 0])
  maps = lambda self, x, train: x
  pool = lambda self, x, boxes, size: x


def objects(rng, **options):
  """A task that looks at whole images, and four of them: two with an object that is as large, one
  with a small one, and one that is not valid."""
  size = np.array([[0, 0, 8, 6]], np.float32)
  boxes = np.stack([size, size * .9, size * .3, np.full_like(size, np.nan)])
  batch = dict(image=rng.standard_normal((4, 6, 8, 4), np.float32) / 4, valid=np.arange(4) < 3,
               objects=dict(boxes=boxes, classes=np.array([[1], [2], [0], [0]]),
                            valid=np.ones((4, 1), bool)))
  return detect(make_model=Detector, info=INFO, example=batch, proposals='image',
                box=dict(sample=1, positive_share=1., add_objects=False), **options), batch


def test_of_boxes_and_their_classes():
  task, it = objects(np.random.default_rng(0), class_loss=f'{HERE}:entropy',
                     box_loss=f'{HERE}:distance')
  assert task.hyperparameters() == dict(class_weight=1., box_weight=1., scale=1., power=1.)

  @jax.jit
  def run(image):
    def cost(image):
      terms, _ = task.loss({'params': {}}, it | dict(image=image), jax.random.key(0),
                           dict(scale=3., power=2.), train=True)
      terms = {name: term.value for name, term in terms.items()}
      return sum(terms.values()), terms
    return jax.grad(cost, has_aux=True)(image)
  gradient, terms = run(it['image'])
  assert np.isfinite(gradient).all() and not gradient[3].any()
  logits, labels = it['image'][:3, 0, 0].astype(np.float64), [2, 3, 0]        # 0: too small
  costs = np.log(np.exp(logits).sum(-1)) - logits[np.arange(3), labels]
  assert terms['class'] == pytest.approx(3 * costs.mean(), rel=1e-5)
  distances = []                                 # by hand: x, y, w, h of a box of 8 x 6 pixels
  for i, k in enumerate((1, 2)):
    x, y, w, h = it['image'][i, 1 + k, 0].astype(np.float64) / (10, 10, 5, 5)
    x, y, w, h = 4 + 8 * x, 3 + 6 * y, 4 * np.exp(w), 3 * np.exp(h)
    found = np.array([x - w, y - h, x + w, y + h])
    distances.append(((found - it['objects']['boxes'][i, 0]) ** 2).mean())
  assert terms['box'] == pytest.approx(sum(distances) / 3, rel=1e-5)    # over all that were drawn


class Captioner(Network):
  encode = lambda self, x, train: x
  teach = lambda self, x, tokens, train: SimpleNamespace(
      logits=jnp.repeat(x, len(tokens) // len(x), 0), alpha=None)


def test_of_words():
  """Those that are padding count nowhere; perplexity is of the cross-entropy all the same."""
  rng = np.random.default_rng(1)
  words = (*SPECIAL, 'a', 'cat', 'sleeps')
  tokens = rng.integers(1, len(words), (2, 3, 5)).astype(np.int32)
  there = np.broadcast_to(np.arange(5) < np.array([[5], [3], [0]]), tokens.shape)
  it = dict(image=rng.standard_normal((2, 4, len(words)), np.float32), valid=np.ones(2, bool),
            caption=dict(tokens=tokens, valid=there))
  task = caption(make_model=Captioner, info=Info(words=words), example=it,
                 loss=f'{HERE}:entropy')
  terms, aux = jax.jit(lambda it: task.loss({'params': {}}, it, jax.random.key(0), dict(scale=3.),
                                            train=False))(it)
  logits = np.repeat(it['image'][:, None], 3, 1).astype(np.float64)
  said = np.take_along_axis(logits, tokens[:, :, 1:, None], -1)[..., 0]
  costs = (np.log(np.exp(logits).sum(-1)) - said)[there[:, :, 1:]]
  assert set(terms) == {'entropy'} and terms['entropy'].count == len(costs) == 12
  assert terms['entropy'].value == pytest.approx(3 * costs.mean(), rel=1e-5)
  assert aux.metrics['word_cross_entropy'].value == pytest.approx(costs.mean(), rel=1e-5)


class Domains(Network):
  features = label_logits = lambda self, x, train: x
  domain_logits = lambda self, x, train: x[:, 0]


def domains(**options):
  """A task with a few labelled examples of the target, and a batch."""
  rng = np.random.default_rng(2)

  def domain():
    return dict(image=rng.standard_normal((6, 3), np.float32), valid=np.arange(6) != 2,
                label=rng.integers(0, 3, 6).astype(np.int32))
  it = dict(source=domain(), target=domain() | dict(labelled=np.arange(6) > 3))
  example = {name: {**own, 'image': own['image'][:, None, None]} for name, own in it.items()}
  return adapt(make_model=Domains, info=INFO, example=example, infos={}, **options), it


def test_of_the_labels_of_two_domains():
  (own, it), (plain, _) = domains(loss=f'{HERE}:entropy'), domains()
  ours = loss_of(plain, it, progress=.5)
  terms = loss_of(own, it, progress=.5, scale=2.)
  assert own.hyperparameters()['target_entropy_weight'] == 1.
  assert terms == {'domain': ours['domain'],
                   'entropy': pytest.approx(2 * ours['cross_entropy'], rel=1e-6),
                   'target_entropy': pytest.approx(2 * ours['target_cross_entropy'], rel=1e-6)}


class Heads(Network):
  outputs = {}
  __call__ = lambda self, x, train: dict(label=x[:, :3], size=x[:, 3:])


def targets(**options):
  rng = np.random.default_rng(3)
  it = dict(image=rng.standard_normal((6, 5), np.float32), valid=np.arange(6) != 2,
            label=rng.integers(0, 3, 6), size=rng.standard_normal((6, 2), np.float32))
  it['label'], it['size'][2] = it['label'].astype(np.int32), np.nan
  return multitask(make_model=Heads, info=INFO, example=it, targets=dict(
      label=dict(kind='softmax', loss=options.get('label', '')),
      size=dict(mean=.5, std=2., loss=options.get('size', '')))), it


def test_of_each_target():
  own, it = targets(label=f'{HERE}:entropy', size=f'{HERE}:distance')
  ours, _ = targets()
  assert own.hyperparameters() == {**ours.hyperparameters(), 'scale': 1., 'power': 1.}
  wanted = loss_of(ours, it)
  assert loss_of(own, it, scale=3., power=2.) == {
      'label': pytest.approx(3 * wanted['label'], rel=1e-6),
      'size': pytest.approx(wanted['size'], rel=1e-6)}


def sharper(logits, label, power: float = 2.):
  return entropy(logits, label) ** power


def focal(logits, label, gamma=2.):
  return (1 - jnp.exp(-entropy(logits, label))) ** gamma * entropy(logits, label)


@pytest.mark.parametrize('make, said', [
    (lambda: targets(label=f'{HERE}:sharper', size=f'{HERE}:distance')[0].hyperparameters(),
     r'targets.size.loss: .* read config.hp.power, which is 1.0 in one by default and 2'),
    (lambda: domains(loss=f'{HERE}:focal')[0].hyperparameters(),
     r'loss: .*:focal reads config.hp.gamma, which is the task.s own .10.0 by default.; give it'),
    (lambda: targets(size='l1'), r'targets.size.loss: unknown name .l1.'),
    (lambda: objects(np.random.default_rng(0), class_loss='focal'), r'class_loss: unknown name'),
    (lambda: detect(make_model=Detector, info=INFO, example={}, proposals='windows',
                    box_loss=f'{HERE}:distance'), r'box_loss: windows stay where they are')])
def test_mistakes_name_the_key(make, said):
  with pytest.raises(ConfigError, match=f'^config.task.{said}'):
    make()
