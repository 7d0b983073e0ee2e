"""What is measured and what is learnt hangs on the examples, not on how they are cut into batches
nor on what fills these up: every task, in all its forms."""

import itertools
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import config

from visionlab.augmentation.augment import check_mixing, make_augment
from visionlab.build import build_task
from visionlab.config import ConfigError
from visionlab.data.pipeline import eval_batches
from visionlab.data.source import Arrays, Info
from visionlab.data.text.caption_rows import caption_rows
from visionlab.data.text.sentence_rows import Sentences
from visionlab.data.text.vocabulary import build
from visionlab.facts import Facts
from visionlab.metrics import Ratio
from visionlab.training.evaluation import loss_evaluator

N, K, SIDE = 5, 3, 32
RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (N, SIDE, SIDE, 3), np.uint8)
LABEL = np.array([0, 2, 1, 1, 2], np.int32)
NUMBERS = RNG.normal(size=(N, 2)).astype(np.float32)
MAP = RNG.integers(0, K, (N, SIDE, SIDE)).astype(np.uint8)
MAP[0, :9], MAP[3] = 255, 255
WEIGHT = RNG.integers(1, 5, MAP.shape).astype(np.float32) / 4           # whose sums are exact
FEW = dict(labelled=np.array([True, False, True, True, False]))
SOFT = RNG.dirichlet(np.ones(K), N).astype(np.float32)
HOT = (RNG.random((N, K)) < .5).astype(np.float32)
POINTS = np.concatenate([RNG.uniform(0, SIDE, (N, 4, 2)), RNG.integers(0, 3, (N, 4, 1))], -1
                        ).astype(np.float32)

CORNER = RNG.uniform(0, 14, (N, 3, 2))
OBJECTS = dict(
    boxes=np.concatenate([CORNER, CORNER + RNG.uniform(6, 16, (N, 3, 2))], -1).astype(np.float32),
    classes=RNG.integers(0, K, (N, 3)).astype(np.int32),
    valid=np.arange(3) < np.array([[2], [0], [3], [1], [2]]),
    crowd=np.zeros((N, 3), bool), masks=RNG.random((N, 3, SIDE, SIDE)) < .5,
    keypoints=np.concatenate([CORNER[:, :, None] + 3, np.full((N, 3, 1, 1), 2)], -1).astype('f4'))
OBJECTS['crowd'][2, 1] = True
POSES = dict(objects=dict(OBJECTS, keypoints=np.concatenate([
    RNG.uniform(0, SIDE, (N, 3, 4, 2)), RNG.integers(0, 3, (N, 3, 4, 1))], -1).astype('f4')))
SCENE = dict(objects=OBJECTS, extent=np.float32([[32, 32], [20, 32], [32, 24], [32, 32], [30, 30]]))
REGIONS = dict(boxes=np.tile(np.float32([[2, 2, 20, 20], [8, 4, 30, 28], [0, 0, 9, 9]]), (N, 1, 1)),
               valid=np.arange(3) < np.array([[3], [1], [3], [2], [3]]))

SAID = [['a red dog', 'a dog'], ['the cat'], ['a cat and a dog', 'cat, dog'], ['two'], ['a cat']]
VOCABULARY = build(itertools.chain(*SAID), 1)
CAPTIONS = dict(caption=caption_rows(SAID, VOCABULARY, 7))
SENTENCES = Sentences([['a red dog', 'a dog', 'the cat'], ['two', 'a cat and a dog']],
                      VOCABULARY, 7)

VIDEO = RNG.integers(0, 256, (N, 5, 16, 16, 3), np.uint8)
FLOW = RNG.normal(size=(N, 4, 16, 16, 2)).astype(np.float32)
FILMS = np.random.default_rng(2).random((N, 4, 5, 2), np.float32)

CNN = dict(name='cnn', widths=(4, 4), hidden=8)
DANN = dict(name='dann', backbone=CNN, domain_hidden=(8,))
DETECTOR = dict(name='detector', backbone=dict(name='cnn', widths=(4, 4)), levels=('pool1',),
                pyramid=0, anchor_sizes=((8, 16),), hidden=(8,), mask_size=4, mask_convs=(4,),
                mask_hidden=4, keypoint_size=4, keypoint_convs=(4,))
RULES = dict(rpn=dict(sample=16, train_pre_nms=30, train_post_nms=9, pre_nms=30, post_nms=9),
             box=dict(sample=6, positive_share=.5, score_threshold=0., most=4))
CAPTIONER = dict(name='captioner', width=8, embedding=8)
SEEING = CAPTIONER | dict(backbone=dict(name='cnn', widths=(4, 4)), attention=4, detected=3)


def domains(**target):
  return dict(source=dict(label=LABEL), target=dict(image=IMAGE[::-1].copy(), **target))


TASKS = {  # the task's options, and the entries of its batch beside image and valid
  'classify': (dict(name='classify'), dict(label=LABEL)),
  'soft': (dict(name='classify'), dict(label=SOFT)),
  'multi_hot': (dict(name='classify', head='sigmoid'), dict(label=HOT)),
  'partly_labelled': (dict(name='classify'), dict(label=LABEL, **FEW)),
  'mixed': (dict(name='classify'), dict(label=LABEL, label_mixed=LABEL[::-1].copy(),
                                        mix_weight=np.float32([.1, .9, .5, 1, .3]))),
  'dropout': (dict(name='classify', model=CNN | dict(dropout=.5)), dict(label=LABEL)),
  **{distance: (dict(name='regress', distance=distance), dict(target=NUMBERS))
     for distance in ('l1', 'l2', 'huber')},
  'multitask': (dict(name='multitask', targets=dict(label=dict(kind='softmax'), size={}),
                     model=dict(name='multitask', backbone=CNN, shared=(8,))),
                dict(label=LABEL, size=NUMBERS)),
  'stopping': (dict(name='multitask', targets=dict(label=dict(kind='softmax'), size={}),
                    stopping=dict(main='label', every=1, strips=1),
                    model=dict(name='multitask', backbone=CNN, shared=(8,))),
               dict(label=LABEL, size=NUMBERS, held_out=np.arange(N) % 2 == 0)),
  'landmarks': (dict(name='multitask',
                     targets=dict(label=dict(kind='softmax'), size={},
                                  points=dict(kind='landmarks', between=(0, 1))),
                     model=dict(name='multitask', backbone=CNN, shared=(8,))),
                dict(label=np.where(LABEL == 2, -1, LABEL), points=POINTS,
                     size=np.where(NUMBERS > 1, np.nan, NUMBERS))),
  **{loss: (dict(name='verify', loss=loss, embedding=6), dict(label=LABEL))
     for loss in ('softmax', 'cosface', 'arcface')},
  'compared': (dict(name='verify', loss='triplet', mining='all', embedding=6),
               dict(label=LABEL, other=IMAGE[::-1].copy())),
  'pairs': (dict(name='verify', embedding=6),
            dict(label=LABEL, other=IMAGE[::-1].copy(), same=np.arange(N) % 2 == 0)),
  'pose': (dict(name='pose', sizes=(8, 4), torso=(0, 1)), POSES),
  'drive': (dict(name='drive', chart='route',
                 model=dict(name='pilotnet', widths=(2,) * 5, hidden=(8,), same=True)),
            dict(map=IMAGE[..., :2].copy(), steering=NUMBERS[:, 0] / 20,
                 admissible=NUMBERS[:, [0, 1, 0]] / 20, there=np.array([[True, True, False]] * N),
                 fork=LABEL > 0)),
  'drive_clips': (dict(name='drive', chart='route', model=dict(
      name='pilot_lstm', widths=(2,) * 5, hidden=(8,), same=True, memory=4)),
                  dict(video=np.stack([IMAGE, IMAGE[::-1]], 1),
                       map=np.stack([IMAGE[..., :2]] * 2, 1), steering=NUMBERS[:, :2] / 20,
                       admissible=np.stack([NUMBERS[:, [0, 1, 0]] / 20] * 2, 1),
                       there=np.array([[[True, True, False]] * 2] * N),
                       fork=np.stack([LABEL > 0] * 2, 1))),
  'align': (dict(name='align', negatives=3,
                 model=dict(name='context_cnn', widths=(4,), size=(3, 3), dropout=0.)),
            dict(image=FILMS, sentence=np.tile([2, -1, 0, 3], (N, 1)), known=FILMS[..., 0, 0] > .2,
                 paragraph=np.tile([0, 0, 1, 1, 2], (N, 1)))),
  **{name: (dict(name='reconstruct', model=dict(name='autoencoder', codes=3, widths=(4,)), **own),
            dict(label=LABEL))
     for name, own in dict(autoencoder={}, denoising=dict(denoising=True),
                           variational=dict(variational=True)).items()},
  **{f'gan_{loss}': (dict(name='generate', loss=loss, penalties=penalties, conditional=True,
                          spectral_norm=loss == 'hinge', diff_augment=('cutout',),
                          model=dict(name='gan', latent=3, widths=(4,))), dict(label=LABEL))
     for loss, penalties in dict(relativistic=('r1', 'r2'), wasserstein=('penalty',),
                                 hinge=()).items()},
  'clips': (dict(name='clips', frames=4, windows=2, model=dict(name='fusion', backbone=CNN)),
            dict(video=VIDEO, label=LABEL)),
  'flow': (dict(name='clips', sees='flow',
                model=dict(name='fusion', fusion='early', backbone=CNN, hidden=())),
           dict(video=VIDEO, flow=FLOW, label=LABEL)),
  'segment': (dict(name='segment', loss='both', class_weights=(1., 2., .5),
                   model=dict(name='unet', width=2, depth=1, norm=False)),
              dict(label_map=MAP, pixel_weight=WEIGHT)),
  'faster': (dict(name='detect', model=DETECTOR, **RULES), SCENE),
  'parts': (dict(name='detect', model=DETECTOR | dict(masks=True, keypoints=1), **RULES), SCENE),
  'fast': (dict(name='detect', proposals='given', model=DETECTOR, **RULES),
           dict(SCENE, proposals=REGIONS)),
  'whole': (dict(name='detect', proposals='image', model=DETECTOR, **RULES), SCENE),
  'regions': (dict(name='detect', proposals='given', **RULES,
                   model=dict(name='region_cnn', backbone=CNN, side=8, context=1, hidden=(8,),
                              dropout=0.)), dict(SCENE, proposals=REGIONS)),
  'windows': (dict(name='detect', proposals='windows', **RULES,
                   model=dict(name='sliding_window', shapes=((16, 16), (24, 12)), patch=8,
                              widths=(4,), hidden=8)), SCENE),
  'language': (dict(name='caption', captions=1, scheduled_sampling=True,
                    model=CAPTIONER | dict(dropout=.3)), CAPTIONS),
  'caption': (dict(name='caption', decode='sample', beams=2, model=SEEING), CAPTIONS),
  'beam': (dict(name='caption', beams=3, model=SEEING), CAPTIONS),
  'retrieval': (dict(name='caption', retrieval=2, model=SEEING), CAPTIONS),
  'skip_thoughts': (dict(name='skip_thoughts', model=dict(name='skip_thoughts', width=8,
                                                          embedding=4, decoder=4)),
                    SENTENCES[np.arange(N)]),
  'quick_thoughts': (dict(name='quick_thoughts', model=dict(name='quick_thoughts', width=8,
                                                            embedding=4)),
                     SENTENCES[np.arange(N)]),
  'match': (dict(name='match', model=dict(name='visual_semantic', width=6, embedding=4,
                                          backbone=dict(name='cnn', widths=(4, 4)))), CAPTIONS),
  **{method: (dict(name='adapt', method=method, soft_labels=True, model=DANN),
              domains(label=LABEL, **FEW)) for method in ('dann', 'confusion')},
  **{method: (dict(name='adapt', method=method, norm='separate', model=DANN), domains())
     for method in ('mmd', 'coral')},
  **{method: (dict(name='adapt', method=method), domains(label=LABEL, **FEW))
     for method in ('source', 'target')},
  'invert': (dict(name='invert', at='pool1', up=dict(widths=(6,), convs=1)), {}),
  'invert_units': (dict(name='invert', at='dense', up=dict(hidden=(6,), start=3, widths=(4, 4))),
                   {}),
  'two_column': (dict(name='two_column', model=dict(name='two_column', backbone=CNN, hidden=(8,))),
                 domains(label=LABEL, **FEW)),
}
# Whose networks normalise by a batch: beside others a training example is not what it is alone.
NORMED = {
  'norm': (dict(name='classify', model=dict(name='tiny:TinyNet')), dict(label=LABEL)),
  **{name: TASKS[name] for name in ('caption', 'beam', 'retrieval')}}


@cache
def task_of(name):
  """A task, and N examples."""
  options, entries = (TASKS | NORMED)[name]
  parts = entries if 'source' in entries else {'': entries}
  images = {} if 'video' in entries else dict(image=IMAGE)
  examples = {part: images | dict(valid=np.ones(N, bool)) | own for part, own in parts.items()}
  examples = examples.get('', examples)
  info = Info(tuple('abc'), words=VOCABULARY.words)
  form = jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype), examples)
  task = build_task(config(task=dict(model=CNN) | options),
                    Facts(info, form, N, {part: info for part in parts if part}))
  return task, examples


@cache
def made(name):
  """A task, its variables, its scalars, and N examples."""
  task, examples = task_of(name)
  variables = jax.jit(task.init)(jax.random.key(0), examples)
  hp = {k: jnp.float32(v) for k, v in task.hyperparameters().items()} | dict(progress=.5)
  return task, variables, hp, examples


@cache
def statistics(name, batch):
  """All that is measured: sums, and rows of what is collected; and the results that come of it."""
  task, variables, hp, examples = made(name)
  examples = examples['target'] if 'source' in examples else examples      # one domain at a time
  examples = dict(label=LABEL) | examples
  evaluators = {'loss': loss_evaluator(task), **task.evaluators()}

  @jax.jit
  def update(variables, batch):
    return {k: e.update(variables, batch, hp) for k, e in evaluators.items()}
  seen = {k: [] for k in evaluators}
  for part in eval_batches(Arrays(examples), batch, 0):
    for k, stats in jax.device_get(update(variables, part)).items():
      rows = part['valid'] if evaluators[k].kind == 'collect' else None
      seen[k].append(jax.tree.map(lambda x, rows=rows: x[rows], stats))
  stats = {k: jax.tree.map(lambda *x: np.concatenate(x), *parts)
           if evaluators[k].kind == 'collect' else
           jax.tree.map(lambda *x: np.concatenate(x).sum(0), *parts) for k, parts in seen.items()}
  results = {k: v for name, e in evaluators.items() for k, v in e.finish(stats[name]).items()}
  stats['loss'].pop('weights')                             # added once a batch, sum and count alike
  return stats, results


def same(a, b, **tolerance):
  """Equal trees; counts, and all whole numbers, exactly."""
  def compare(path, x, y):
    exact = getattr(path[-1], 'name', '') == 'count' or not np.issubdtype(x.dtype, np.inexact)
    compare_arrays = partial(np.testing.assert_allclose, **tolerance)
    (np.testing.assert_array_equal if exact else compare_arrays)(
        x, y, err_msg=jax.tree_util.keystr(path))
  jax.tree.map_with_path(compare, *(jax.tree.map(np.asarray, x) for x in (a, b)))


@pytest.mark.parametrize('name', [*TASKS, 'norm'])
@pytest.mark.parametrize('batch', [4, 8])
def test_results_do_not_change_with_the_batch_size(name, batch):
  other = 6 if name == 'retrieval' else N                     # a multiple of the images compared
  same(statistics(name, batch), statistics(name, other), rtol=1e-4, atol=1e-5)


def learnt(name, padding):
  """Terms, metrics, gradients and collections of a training step on batches that `padding` (of a
  domain's examples) gives."""
  task, variables, hp, examples = made(name)
  batch = {k: padding(v) for k, v in examples.items()} if 'source' in examples else (
      padding(examples))
  rest = {k: v for k, v in variables.items() if k != 'params'}

  def objective(params):
    terms, aux = task.loss({**rest, 'params': params}, batch, jax.random.key(3), hp, train=True)
    loss = sum(Ratio(t.sum, jax.lax.stop_gradient(t.count)).value for t in terms.values())
    return loss, (terms, aux)
  (loss, (terms, aux)), gradient = jax.jit(jax.value_and_grad(objective, has_aux=True))(
      variables['params'])
  assert np.isfinite(loss)
  return dict(terms=terms, aux=aux._asdict(), gradient=gradient)


def padded(examples, before=True, targets=slice(1, 3)):
  """With two examples more that are not valid: noise, with the targets of others."""
  def more(path, x):
    rows = x[targets]
    if path[-1].key in ('image', 'video'):
      rows = np.random.default_rng(1).integers(0, 256, rows.shape).astype(np.uint8)
    if path[0].key == 'valid':
      rows = np.zeros(2, bool)
    return np.concatenate([rows, x] if before else [x, rows])
  return jax.tree.map_with_path(more, examples)


@pytest.mark.parametrize('name', [n for n in TASKS if n not in NORMED])
def test_padding_changes_nothing_that_is_learnt(name):
  # Dropout and what is said in place of the truth are drawn by an example's place.
  padding = partial(padded, before=name not in ('dropout', 'language'))
  # Of distances that are nearly alike, or of sums over thousands of pixels.
  cancelled = dict(mmd=5e-6, autoencoder=1e-5).get(name, 1e-6)
  same(learnt(name, padding), learnt(name, dict), rtol=1e-3, atol=cancelled)


@pytest.mark.parametrize('name', ['norm', 'caption'])
def test_where_a_norm_couples_examples_padding_has_no_targets(name):
  """BatchNorm's statistics in training are of all images that a network is shown."""
  one, other = (learnt(name, partial(padded, targets=s)) for s in (slice(1, 3), slice(3, 5)))
  same(one, other, rtol=1e-5, atol=1e-7)
  assert ({k: float(t.count) for k, t in one['terms'].items()}
          == {k: float(t.count) for k, t in learnt(name, dict)['terms'].items()})


@pytest.mark.parametrize('how', ['mixup', 'cutmix'])
@pytest.mark.parametrize('name', TASKS)
def test_only_what_reads_mixed_targets_is_given_mixed_images(name, how):
  task, examples = task_of(name)
  check = partial(check_mixing, {how: True}, getattr(task, 'mixable', ()), examples)
  if name in ('classify', 'soft', 'multi_hot', 'dropout', 'mixed', 'clips', 'mmd', 'coral'):
    check()
    mixed = jax.eval_shape(make_augment({how: True}), jax.random.key(0), examples)
    assert 'label_mixed' in mixed.get('source', mixed)
    return
  hidden = 'labelled' in examples.get('target', examples)
  words = 'one that is hidden' if hidden else 'the targets of this task would not'
  with pytest.raises(ConfigError, match=f'config.augment.{how}: .*{words}'):
    check()
