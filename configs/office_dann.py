"""Office-31 (Saenko et al. 2010): a pretrained ResNet-50 from one camera's pictures to another's.

python -m visionlab.train --config=configs/office_dann.py:dann --workdir=runs/amazon_webcam \
    --config.data.source.root=<office31>/amazon/images \
    --config.data.target.root=<office31>/webcam/images \
    --config.evals.target.data.root=<office31>/webcam/images
The third domain is <office31>/dslr/images. As usual on this set, all of the target's pictures are
given, without their labels, and all are measured. The convolutions learn ten times more slowly than
the new layers. Not run at full length.
"""

from visionlab.config import experiment, is_smoke
from visionlab.tasks.adapt import METHODS


def get_config(variant='dann'):
  smoke = is_smoke(variant, *METHODS)
  method = variant if variant in METHODS else 'dann'
  domains = (dict(source=dict(name='digits', size=16, channels=3),
                  target=dict(name='digits_m', size=16)) if smoke else
             {domain: dict(name='folder', root=f'data/office31/{camera}/images', size=224)
              for domain, camera in dict(source='amazon', target='webcam').items()})
  backbone = (dict(name='cifar_resnet', depth=20) if smoke else
              dict(name='resnet', depth=50, frozen_norm=True))
  return experiment(
      steps=8 if smoke else 10_000,
      batch=8 if smoke else 64,
      data=domains,
      task=dict(name='adapt', method=method, model=dict(
          name='dann', backbone=backbone, bottleneck=16 if smoke else 256,
          domain_hidden=(16,) if smoke else (1024, 1024))),
      init_from='' if smoke else 'hf://timm/resnet50.a1_in1k',
      optim=dict(name='sgd', schedule=dict(name='inverse'), groups=(
          dict(match='^backbone/', lr=.1), dict(match='^(narrow|label|domain)/'))),
      hp=dict(lr=.01, momentum=.9, weight_decay=1e-3),
      evals=dict(target=dict(split='test' if smoke else 'train', data=domains['target'],
                             every='100%' if smoke else '10%', batch=60)))
