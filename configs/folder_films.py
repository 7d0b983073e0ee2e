"""Early fusion of a ResNet-18 on your own films: a folder with a sub-folder for each class.

python -m visionlab.train --config=configs/folder_films.py --workdir=runs/films \
    --config.data.root=<folder/class/film.mp4, or folder/train/class/film.mp4>
Needs PyAV for all but .gif and folders of frames: pip install av. Eight frames of each film, one of
each eighth; a fifth of the films is held out where there are no folders for the splits. UCF-101:
--config.data.lists=ucfTrainTestlist --config.evals.held_out.split=test --config.split=train
From ImageNet's weights, their first layer repeated over the frames:
--config.init_from=hf://timm/resnet18.a1_in1k
`:late`, `:lstm`: when the frames are brought together.
"""

from visionlab.config import experiment, is_smoke

FUSIONS = ('late', 'lstm')


def get_config(variant=''):
  smoke = is_smoke(variant, *FUSIONS)
  backbone = dict(name='cnn', widths=(8, 8)) if smoke else dict(name='resnet', depth=18)
  fusion = (dict(name='frame_lstm') if variant == 'lstm' else
            dict(name='fusion', fusion='late' if variant == 'late' else 'early'))
  return experiment(
      steps=8 if smoke else '60 epochs',
      batch=8 if smoke else 32,
      data=(dict(name='actions', clips=64, size=16) if smoke else
            dict(name='videos', root='data/films', size=128, frames=8)),
      split='train' if smoke else 'train[:80%]',
      pipeline=dict(workers=0 if smoke else 4),
      augment=dict(resized_crop=dict(size=16 if smoke else 112, scale=(.3, 1.)), flip=True),
      task=dict(name='clips', mean=(.43, .39, .38), std=(.23, .22, .22),
                model=fusion | dict(backbone=backbone, pool='mean', dropout=.5)),
      optim=dict(name='sgd', nesterov=True, schedule=dict(name='cosine', warmup='5%')),
      hp=dict(lr=.03, momentum=.9, weight_decay=5e-4),
      evals=dict(held_out=dict(split='validation' if smoke else 'train[80%:]',
                               every='50%' if smoke else '10%')),
      checkpoint=dict(best='held_out/video@1'))
