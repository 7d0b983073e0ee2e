"""Faster R-CNN with a feature pyramid on your own pictures with boxes, from a pretrained ResNet.

python -m visionlab.train --config=configs/own_detector.py --workdir=runs/mine \
    --config.data.root=<folder> --config.init_from=<weights of a ResNet>
The folder holds annotations/instances_train.json and the pictures in train/ (COCO's json; else
--config.data.annotations=... --config.data.images=...). With --config.data.name=yolo it holds
images/train and labels/train, and --config.data.classes=data.yaml names the classes; with
--config.data.name=voc_objects JPEGImages and Annotations, and --config.data.classes="('cat',
'dog')"; with --config.data.name=table --config.data.boxes=True a table of which each row is a box
(--config.data.path='{split}/_annotations.csv', as Roboflow has it). --config.data.name=hf reads the
column `objects` of a Hugging Face dataset, and --config.data.name=webdataset
--config.data.objects_key=objects that key of the json in tar shards. The same options as
everywhere: `python -m visionlab list data yolo`.

A tenth is held out; of data with a split of its own for that, --config.split=train
--config.evals.held_out.split=val. Anchors are fitted to the training boxes by k-means, and a line
at the start says how well they do; with --config.task.fit_anchors=False they are those below, and
the line says which would fit better.
Measured on BCCD's blood cells (seed 0, Keras' ResNet-50, --config.data.size="(240, 320)"
--config.steps='2 epochs'): 146 updates of 4 images give AP50 80.2 %, AP 45.7 % on its test split.
The best anchor has a mean IoU of .89 with a training box, of the sizes below .66.
"""

from configs.bccd_faster_rcnn import FEW_IMAGES
from configs.coco_faster_rcnn import detection
from visionlab.config import is_smoke


def get_config(variant=''):
  config = detection(
      variant, steps='20 epochs', batch=4, split='train[:90%]',
      data=dict(name='coco', root='data/pictures', size=512),
      augment=dict(flip=True, scale_jitter=dict(scale=(.8, 1.25))),
      model=dict(levels=('stage2', 'stage3', 'stage4'), pyramid=128, extra=0, hidden=(512,),
                 anchor_sizes=((32, 64), (96, 128), (192, 320)), aligned=True),
      rpn=dict(train_pre_nms=500, train_post_nms=300, pre_nms=500, post_nms=200),
      box=dict(sample=128),
      **FEW_IMAGES,
      evals=dict(held_out=dict(split='train[90%:]', every='20%', batch=4)),
      checkpoint=dict(best='held_out/box_ap'))
  config.task.fit_anchors = not is_smoke(variant)      # to look at drawn scenes takes a while
  return config
