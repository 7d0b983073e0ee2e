"""Faster R-CNN on PASCAL VOC 2007 with VGG-16, as it was published (Ren et al. 2015, table 3: mean
AP 69.9 %): one map, RoIPool, and VGG's fully connected layers for the boxes.

python -m visionlab.train --config=configs/voc_faster_rcnn.py --workdir=runs/voc_faster_rcnn \
    --config.data.root=<VOCdevkit/VOC2007> --config.init_from=hf://timm/vgg16.tv_in1k
Not run at full length: no copy of the images was at hand.
"""

from configs.coco_faster_rcnn import detection


def get_config(variant=''):
  model = dict(backbone=dict(name='vgg', depth=16), levels=('conv5',), pyramid=0, rpn_width=512,
               anchor_sizes=((128, 256, 512),), pooling='pool', hidden=(4096, 4096), dropout=.5)
  return detection(
      variant,
      steps='14 epochs',
      batch=2,
      split='trainval',
      # The paper scales the shorter side to 600 pixels; on one canvas that is most images' size.
      data=dict(name='voc_objects', root='data/VOCdevkit/VOC2007', size=(608, 800)),
      pipeline=dict(workers=8),
      augment=dict(flip=True),
      model=model,
      init_from='hf://timm/vgg16.tv_in1k',
      rpn=dict(train_pre_nms=12000, pre_nms=6000, post_nms=300, min_size=16.),
      box=dict(sample=128),
      precision='bfloat16',
      optim=dict(name='sgd', schedule=dict(name='steps', at=('71%',), factor=.1), groups=(
          dict(match='^backbone/conv[12]_', frozen=True), dict(match='.'))),
      hp=dict(lr=2e-3, momentum=.9, weight_decay=5e-4),
      # All of trainval is trained on, as published, and the last step counts: nothing is chosen.
      evals=dict(test=dict(split='test', first=False, batch=4)))
