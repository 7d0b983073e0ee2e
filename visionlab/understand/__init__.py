"""What a network sees: of any run, loaded weights, or network of one's own.

A `Subject` is what is looked into. An attribution says which pixels an answer hangs on.

>>> subject = Subject.of(visionlab.load('runs/digits'))                       # doctest: +SKIP
>>> grad_cam(subject, images, target='7')                                     # doctest: +SKIP
"""

from visionlab.understand.attribute import grad_cam, saliency
from visionlab.understand.subject import Subject

__all__ = ['Subject', 'grad_cam', 'saliency']
