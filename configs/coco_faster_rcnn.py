"""Faster R-CNN with a ResNet-50 and a feature pyramid on COCO, 12 epochs (Lin et al. 2017;
torchvision reports 37.0 box AP).

python -m visionlab.train --config=configs/coco_faster_rcnn.py --workdir=runs/coco_faster_rcnn \
    --config.data.root=<folder with annotations/, train2017/, val2017/> --config.init_from=<weights>
Not run at full length: no copy of the images was at hand.
"""

from visionlab.config import experiment, is_smoke

# As published: the first layers, whose BatchNorms are frozen everywhere, stay as they are.
FROZEN = '^backbone/(stem|stem_norm|stage1)/'
SMALL = dict(backbone=dict(name='cnn', widths=(8, 8, 8)), levels=('pool1', 'pool2'), pyramid=8,
             extra=0, anchor_sizes=((12,), (20,)), hidden=(16,), mask_convs=(8,), mask_hidden=8)


def detection(variant='', *, model, split='train', rpn=None, box=None, **options):
  """An experiment with a detector on a ResNet-50; `smoke` takes small networks and the scenes."""
  resnet = dict(backbone=dict(name='resnet', depth=50, frozen_norm=True))
  if not is_smoke(variant):
    # The mean and deviation of images are those of the weights.
    return experiment(**dict(init_from='hf://timm/resnet50.a1_in1k') | options | dict(
        split=split, task=dict(name='detect', rpn=rpn or {}, box=box or {},
                               model=dict(name='detector', **resnet | model))))
  masks = model.get('masks', False)
  small = SMALL | {k: model[k] for k in ('pooling', 'dropout') if k in model}
  return experiment(**options | dict(
      steps=2, batch=2, data=dict(name='scenes', size=48, examples=8, masks=masks),
      task=dict(name='detect', model=dict(name='detector', masks=masks, **small),
                rpn=dict(sample=32, train_pre_nms=32, pre_nms=32, train_post_nms=16, post_nms=16),
                box=dict(sample=8, score_threshold=0., most=5)),
      precision='float32', optim=dict(name='sgd'), hp=dict(lr=.01),
      evals=dict(test=dict(split='test', every='100%', batch=4)), checkpoint={},
      init_from='', pipeline=dict(workers=0)))


def get_config(variant='', **model):
  """The model's options are added to the published ones."""
  return detection(
      variant,
      steps='12 epochs',
      batch=16,
      split='train2017',
      data=dict(name='coco', root='data/coco', size=(800, 1088), masks=model.get('masks', False)),
      pipeline=dict(workers=8),
      augment=dict(flip=True),
      model=model,
      precision='bfloat16',
      optim=dict(name='sgd', groups=(dict(match=FROZEN, frozen=True), dict(match='.')),
                 schedule=dict(name='steps', at=('67%', '89%'), factor=.1, warmup='1000 steps')),
      hp=dict(lr=.02, momentum=.9, weight_decay=1e-4),
      evals=dict(val=dict(split='val2017', every='25%', first=False, batch=16)),
      checkpoint=dict(best='val/box_ap'))
