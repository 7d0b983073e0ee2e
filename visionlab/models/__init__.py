"""Models by the name a config gives them; a class is imported only when it is asked for.

A model maps images (b h w c) to logits (b k); one of clips, such as `fusion`, maps those
(b t h w c). The convolutional ones also have `features`, which
gives their maps by name, from the image's size to the smallest, and `strides`, the pixels of the
image between neighbours in each map, in the same order (jit sorts the keys of what it returns).
A module that only calls the `features` of one it contains holds no parameters of its classifier.
"""

MODELS: dict[str, str] = {
  'mlp': 'visionlab.models.mlp:MLP',
  'cnn': 'visionlab.models.cnn:CNN',
  'alexnet': 'visionlab.models.alexnet:AlexNet',
  'zfnet': 'visionlab.models.zfnet:ZFNet',
  'vgg': 'visionlab.models.vgg:VGG',
  'googlenet': 'visionlab.models.googlenet:GoogLeNet',
  'cifar_resnet': 'visionlab.models.resnet:CifarResNet',
  'resnet': 'visionlab.models.resnet:ResNet',
  'vit': 'visionlab.models.vit:ViT',
  'pilot_lstm': 'visionlab.models.pilotnet:PilotLSTM',
  'pilotnet': 'visionlab.models.pilotnet:PilotNet',
  'unet': 'visionlab.models.unet:UNet',
  'fcn': 'visionlab.models.fcn:FCN',
  'segnet': 'visionlab.models.segnet:SegNet',
  'detector': 'visionlab.models.detector:Detector',
  'region_cnn': 'visionlab.models.region_cnn:RegionCNN',
  'sliding_window': 'visionlab.models.sliding_window:SlidingWindow',
  'captioner': 'visionlab.models.captioner:Captioner',
  'dann': 'visionlab.models.dann:DANN',
  'dann_cnn': 'visionlab.models.dann:dann_cnn',
  'two_column': 'visionlab.models.two_column:TwoColumn',
  'multitask': 'visionlab.models.multitask:MultiHead',
  'fusion': 'visionlab.models.fusion:Fusion',
  'frame_lstm': 'visionlab.models.fusion:FrameLSTM',
  'recurrent': 'visionlab.models.sequence:Recurrent',
  'autoencoder': 'visionlab.models.autoencoder:AutoEncoder',
  'gan': 'visionlab.models.gan:GAN',
  'tcdcn': 'visionlab.models.tcdcn:TCDCN',
  'hog_mlp': 'visionlab.models.hog_mlp:HogMLP',
  'deepface': 'visionlab.models.deepface:DeepFace',
  'context_cnn': 'visionlab.models.context_cnn:ContextCNN',
  'patch_classifier': 'visionlab.models.patches:PatchClassifier',
  'skip_thoughts': 'visionlab.models.skip_thoughts:SkipThoughts',
  'quick_thoughts': 'visionlab.models.quick_thoughts:QuickThoughts',
  'visual_semantic': 'visionlab.models.visual_semantic:VisualSemantic',
}
