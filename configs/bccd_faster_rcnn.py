"""Faster R-CNN with a feature pyramid on blood cells (BCCD: 292 images to learn from, 72 to test).

python -m visionlab.train --config=configs/bccd_faster_rcnn.py --workdir=runs/bccd \
    --config.data.root=<BCCD> --config.init_from=<weights of a ResNet>
Measured (seed 0, 20 November 2026, Keras' ResNet-50, a single run): on the test split AP50 90.8 %,
AP 56.9 %; AP50 of white cells 97.2 %, platelets 88.4 %, red cells 86.8 %. 16 minutes of CPU time,
about 8 on 2 CPU cores that do nothing else.
"""

from configs.coco_faster_rcnn import detection

# How a pretrained network learns from few images: its first stages stay as they are, the others
# follow slowly.
FEW_IMAGES = dict(
    optim=dict(name='adamw', clip=True, schedule=dict(name='cosine', warmup='10%'), groups=(
        dict(match='^backbone/(stem|stage1|stage2)', frozen=True),
        dict(match='^backbone/', lr=.1), dict(match='.'))),
    hp=dict(lr=5e-4, weight_decay=1e-2, clip_norm=5.))


def get_config(variant=''):
  return detection(
      variant, steps='5 epochs', batch=4, split='trainval',
      data=dict(name='voc_objects', root='data/BCCD', classes=('RBC', 'WBC', 'Platelets'),
                size=(240, 320)),
      augment=dict(flip=dict(vertical=True)),
      model=dict(levels=('stage2', 'stage3', 'stage4'), pyramid=128, extra=0, hidden=(512,),
                 anchor_sizes=((12, 20), (32, 48), (72, 112)), canonical_side=112.),
      rpn=dict(train_pre_nms=500, train_post_nms=300, pre_nms=300, post_nms=200),
      box=dict(sample=128),
      **FEW_IMAGES,
      evals=dict(test=dict(split='test', every='50%', batch=8)))
