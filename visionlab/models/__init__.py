"""Models by the name a config gives them; a class is imported only when it is asked for."""

MODELS: dict[str, str] = {
  'mlp': 'visionlab.models.mlp:MLP',
  'cnn': 'visionlab.models.cnn:CNN',
  'cifar_resnet': 'visionlab.models.resnet:CifarResNet',
  'resnet': 'visionlab.models.resnet:ResNet',
}
