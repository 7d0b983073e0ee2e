"""Where the time of a detector's step goes: configs/scenes_mask_rcnn.py part by part.

Each part is compiled alone and given what the parts before it make of one batch of training data
and fresh weights; in training forward and backward. What XLA shares between parts is not shared
here, so that together they may take longer than the whole.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp

from configs.scenes_mask_rcnn import get_config
from experiments.benchmarks.accelerator.training import repeated
from experiments.benchmarks.harness import Row, in_turn
from experiments.benchmarks.timing import steps_in
from visionlab import build
from visionlab.data.pipeline import put
from visionlab.ops.proposals import propose, with_objects
from visionlab.step import make_step
from visionlab.tasks import detection_losses as losses
from visionlab.tasks.detect import Detect, extents, learnt
from visionlab.tasks.two_stage import chosen, rpn_losses, take

SECONDS = .3             # of one measurement
Calls = dict[str, Callable[[], Any]]


def detector_parts(repeats: int) -> Iterator[Row]:
  """A step of training, and predictions: the whole and each part, for information."""
  for what, calls in parts(get_config()).items():
    taken = in_turn(repeats, *(turn(call) for call in calls.values()))
    whole = median(taken[0])
    for name, seconds in zip(calls, taken, strict=True):
      yield Row(f'detector_parts/{what}/{name}', seconds,
                note=f'{median(seconds) / whole:.0%} of the whole')


def turn(call: Callable[[], Any]) -> Callable[[], float]:
  """A function that calls for a while and gives the seconds of a call."""
  run = repeated(call)
  run(1)                                         # compiled here
  n = steps_in(SECONDS, run)
  return lambda: run(n)


def parts(config) -> dict[str, Calls]:
  """`training` and `inference`: calls by name, `whole` first, then in the order of the data."""
  job = build.assemble(config)
  state, batch = job.init(), put(job.batches.loader(0), job.mesh)
  step = jax.jit(make_step(job.task, job.optimizer, total=job.total))
  predict = jax.jit(job.task.predict)
  shown = {k: batch[k] for k in ('image', 'valid', 'extent') if k in batch}
  inferred = inference(job.task, state.variables, shown)
  update = jax.jit(job.optimizer.update)
  updated = partial(update, state.params, state.opt_state, state.params,
                    {**state.hp, 'progress': jnp.float32(0)}, state.step)
  return dict(
      training=dict(whole=partial(step, state, batch), **training(job.task, state.variables, batch),
                    update=updated),
      inference=dict(whole=partial(predict, state.variables, shown), **inferred))


def training(task: Detect, variables: Mapping, batch: Mapping) -> Calls:
  objects, extent = learnt(batch), extents(batch)
  anchor_keys, box_keys = jax.vmap(jax.random.split, out_axes=1)(
      jax.random.split(jax.random.key(0), len(extent)))
  ask, both = partial(asked, task.model, variables, True), partial(with_gradient, task, variables)
  x = task.pixels(batch)
  features = ask(backbone, x)
  maps = ask(pyramid, features)
  objectness, deltas = ask('rpn', maps)
  anchors = task.model.anchors(maps)
  make = proposing(task, train=True)
  boxes, _, there = make(objectness, deltas, anchors, extent)

  @jax.jit
  def draw(boxes, there):
    boxes, there = jax.vmap(with_objects)(boxes, there, objects['boxes'], objects['valid'])
    some = jax.vmap(partial(losses.draw, low=task.box.low, high=task.box.high, size=task.box.sample,
                            positive_share=task.box.positive_share))(
        box_keys, boxes, there & batch['valid'][:, None], objects)
    return take(boxes, some.index), some
  boxes_drawn, some = draw(boxes, there)
  most = int(task.box.sample * task.box.positive_share)
  pooled = ask(pools, maps, boxes_drawn, boxes_drawn[:, :most])
  said = ask(heads, *pooled)
  in_a_row = [jnp.concatenate(a, 1) for a in (objectness, deltas)] + [jnp.concatenate(anchors)]

  def of_rpn(objectness, deltas):
    terms = rpn_losses(objectness, deltas, in_a_row[2], objects, batch['valid'], anchor_keys,
                       task.rpn)
    return [term.sum for term in terms.values()]
  return dict(
      backbone=both(backbone, x), pyramid=both(pyramid, features), rpn=both('rpn', maps),
      proposals=partial(make, objectness, deltas, anchors, extent),
      rpn_losses=pulled(of_rpn, *in_a_row[:2]), draw=partial(draw, boxes, there),
      roi_align=both(lambda model, maps, train: pools(model, maps, boxes_drawn,
                                                      boxes_drawn[:, :most], train=train), maps),
      heads=both(heads, *pooled),
      head_losses=pulled(partial(head_losses, task, objects, boxes_drawn, some, most), *said))


def head_losses(task, objects, boxes, some, most, logits, deltas, masks):
  targets, classes = (take(objects[name], some.object) for name in ('boxes', 'classes'))
  terms = [jax.vmap(losses.class_loss)(logits, classes, some).sum,
           jax.vmap(partial(losses.box_loss, weights=task.box.weights))(
               losses.of_class(deltas, classes, axis=2), boxes, targets, some).sum]
  boxes, some, classes = jax.tree.map(lambda a: a[:, :most], (boxes, some, classes))
  truth = {k: take(objects[k], some.object) for k in ('masks', 'frames') if k in objects}
  return [*terms, jax.vmap(partial(losses.mask_loss, aligned=task.model.aligned))(
      losses.of_class(masks, classes, axis=4), boxes, truth, some).sum]


def inference(task: Detect, variables: Mapping, batch: Mapping) -> Calls:
  model, extent = task.model, extents(batch)
  calls = {}

  def then(name, f, *given):
    """What f makes of it, which is timed, too."""
    calls[name] = partial(jax.jit(f), *given)
    return calls[name]()

  def ask(name, method, *given):
    return then(name, lambda variables, *given: asked(model, variables, False, method, *given),
                variables, *given)
  features = ask('backbone', backbone, task.pixels(batch))
  maps = ask('pyramid', pyramid, features)
  objectness, deltas = ask('rpn', 'rpn', maps)
  anchors = model.anchors(maps)
  boxes, scores, there = then('proposals', proposing(task, train=False), objectness, deltas,
                              anchors, extent)

  def pool(name, boxes, size):
    return then(name, lambda v, maps, boxes: model.apply(v, maps, boxes, size, method='pool'),
                variables, maps, boxes)
  logits, deltas = ask('box_head', 'box_head', pool('box_roi_align', boxes, model.pool_size))
  found = then('detections', partial(chosen, rules=task.box), logits, deltas,
               dict(boxes=boxes, scores=scores, valid=there), extent)
  ask('mask_head', 'mask_head', pool('mask_roi_align', found['boxes'], model.mask_size))
  return calls


def backbone(model, x, train):
  return [model.backbone.features(x, train=train)[level] for level in model.levels]


def pyramid(model, features, train):
  return model.fpn(features, train=train)


def pools(model, maps, boxes, positive, train):
  return model.pool(maps, boxes, model.pool_size), model.pool(maps, positive, model.mask_size)


def heads(model, pooled, pooled_masks, train):
  return (*model.box_head(pooled, train=train), model.mask_head(pooled_masks, train=train))


def proposing(task: Detect, train: bool) -> Callable:
  rules = task.rpn
  pre, post = ((rules.train_pre_nms, rules.train_post_nms) if train else
               (rules.pre_nms, rules.post_nms))
  return jax.jit(jax.vmap(partial(propose, pre_nms=pre, post_nms=post, min_size=rules.min_size,
                                  iou_threshold=rules.iou_threshold), (0, 0, None, 0)))


def asked(model, variables, train: bool, method, *given):
  """What a method of the model, or a function of the bound model, says."""
  return model.apply(variables, *given, train=train, method=method,
                     mutable=['batch_stats'] if train else False)[0 if train else slice(None)]


def with_gradient(task, variables, method, *given) -> Callable[[], Any]:
  """A call of a part of the network and its gradient, by parameters and what it is given."""
  rest = {k: v for k, v in variables.items() if k != 'params'}
  return pulled(lambda params, *given: asked(
      task.model, {'params': params, **rest}, True, method, *given), variables['params'], *given)


def pulled(f: Callable, *given) -> Callable[[], Any]:
  """A call of f and of its gradient, for ones in place of what follows."""
  @jax.jit
  def call(*given):
    value, pull = jax.vjp(f, *given)
    return value, pull(jax.tree.map(jnp.ones_like, value))
  return partial(call, *given)
