"""The 14 joints of Leeds Sports Pose (Johnson and Everingham 2010); left and right are the person's
own."""

JOINTS = ('right ankle', 'right knee', 'right hip', 'left hip', 'left knee', 'left ankle',
          'right wrist', 'right elbow', 'right shoulder', 'left shoulder', 'left elbow',
          'left wrist', 'neck', 'head top')
LIMBS = ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 12), (12, 9), (9, 10),
         (10, 11), (12, 13), (2, 8), (3, 9))
MIRRORED = ((0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9))    # for augment.flip.keypoint_pairs
TORSO = (3, 8)
"""A hip and the other shoulder, whose distance is the unit of many measures."""
