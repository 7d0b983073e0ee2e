"""Networks with a label predictor and a domain classifier on one representation.

Ganin et al. 2016, "Domain-adversarial training of neural networks" (JMLR 17, 59): DANN.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.config import ConfigError, check_choice
from visionlab.models.layers import Conv, Dense, Head, he_fan_in, point, pooled
from visionlab.models.network import Network, Style, check_backbone
from visionlab.ops.pool import max_pool
from visionlab.options.kinds import Count, Natural, Share

POOLINGS = ('mean', 'flatten')
# Figure 4 of the paper. Of each convolution its maps, the side of its kernel, and that of the
# pooling windows after it (0: none), which are two pixels apart; then the hidden layers of the
# label predictor and of the domain classifier.
NETWORKS = {
  'mnist': (((32, 5, 2), (48, 5, 2)), (100, 100), (100,)),
  'svhn': (((64, 5, 3), (64, 5, 3), (128, 5, 0)), (3072, 2048), (1024, 1024)),
  'gtsrb': (((96, 5, 2), (144, 3, 2), (256, 5, 2)), (512,), (1024, 1024)),
}


class DANN(Network):
  """A backbone's representation of an image, its label, and the domain it seems to come from.

  `__call__` gives the logits of the label alone, so that it is a classifier like any other. Where
  gradients are reversed is not its business: a task does that between `features` and
  `domain_logits`.

  Attributes, beside `Network`'s:
    classes: number of classes k.
    backbone: a network with `features`; its last map is used, its own last layers are not.
    pool: 'mean' over the map, or 'flatten' it.
    bottleneck: width of a linear layer between the map and the representation; 0: none.
    label_hidden, domain_hidden: widths of the two heads' hidden layers.
    dropout: share of each hidden layer's units set to zero in training (rng stream 'dropout').
    axis_name: the mapped axis, under pmap, over which a task gathers representations.

  Raises:
    ConfigError: a backbone without `features`, another pooling, or an unknown activation.
  """

  classes: int
  backbone: Any
  pool: str = 'mean'
  bottleneck: Natural = 0
  label_hidden: tuple[Count, ...] = ()
  domain_hidden: tuple[Count, ...] = (1024, 1024)
  dropout: Share = 0.
  axis_name: str | None = None

  def __post_init__(self):
    check_stand(self, 'dann')
    super().__post_init__()

  def setup(self):
    self.label = Predictor(self.classes, self.label_hidden, self.dropout, self.style())
    self.domain = Predictor(1, self.domain_hidden, self.dropout, self.style())
    if self.bottleneck:
      self.narrow = Dense(self.bottleneck, dtype=self.dtype)

  def features(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised images (b h w c) -> the representation (b d)."""
    *_, x = self.backbone.features(x, train=train).values()
    x = pooled(x, self.pool)
    return self.narrow(x) if self.bottleneck else x

  def label_logits(self, features: jax.Array, *, train: bool = False) -> jax.Array:
    """The representation (b d) -> logits (b k)."""
    return self.label(features, train=train)

  def domain_logits(self, features: jax.Array, *, train: bool = False) -> jax.Array:
    """The representation (b d) -> logits (b,) that the image is of the target domain."""
    return self.domain(features, train=train)[:, 0]

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised images (b h w c) -> logits (b k)."""
    return self.label_logits(self.features(x, train=train), train=train)


def check_stand(model: nn.Module, name: str):
  """Raises `ConfigError` unless the heads of a model can stand on its `backbone`, as its `pool`
  says. name: of the model, for a reader."""
  check_choice(model.pool, POOLINGS, f'model.pool of {name}')
  check_backbone(model.backbone, name, 'dict(name="cnn")')


class Predictor(nn.Module):
  """Fully connected layers, each but the last with its activation and dropout.

  Attributes:
    outputs: width of the last layer.
    hidden: widths of those before it.
    dropout: as in `DANN`.
    style: of the layers.
  """

  outputs: int
  hidden: tuple[int, ...] = ()
  dropout: float = 0.
  style: Style = Style()

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """(b d) -> (b outputs)."""
    for i, width in enumerate(self.hidden):
      x = Dense(width, dtype=self.style.dtype, kernel_init=he_fan_in, name=f'dense{i}')(x)
      x = nn.Dropout(self.dropout, deterministic=not train)(self.style.act(x))
    return Head(self.outputs)(x)


class Convolutions(Network):
  """The feature extractors of figure 4: convolutions, most of them max-pooled, each with ReLU.

  The paper leaves open how maps are padded. Here those of 'mnist' and 'gtsrb' are not, as in LeNet
  and in Ciresan et al. 2012; those of 'svhn' keep their size, and their pooling windows may reach
  over the border, as in the network of Srivastava et al. 2014 that it follows.

  Attributes, beside `Network`'s:
    network: 'mnist', 'svhn' or 'gtsrb'.
  """

  network: str = 'mnist'

  @property
  def strides(self) -> dict[str, int]:
    """Of the maps of `features`, in pixels."""
    strides, stride = {}, 1
    for i, (_, _, window) in enumerate(NETWORKS[self.network][0], 1):
      stride *= 2 if window else 1
      strides[f'conv{i}'] = stride
    return strides

  @nn.compact
  def features(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
    """Normalised images (b h w c) -> what follows each convolution; `train` changes nothing.

    Raises:
      ConfigError: images so small that nothing is left of them.
    """
    act, maps = self.style().act, {}
    size, same = x.shape[1:3], self.network == 'svhn'
    for i, (width, side, window) in enumerate(NETWORKS[self.network][0], 1):
      if not same and min(x.shape[1:3]) < side + 1:
        raise ConfigError(f'model: images of {size[0]} x {size[1]} pixels are too small for the '
                          f'network of {self.network}')
      x = Conv(width, (side, side), padding='SAME' if same else 'VALID', dtype=self.dtype,
               kernel_init=he_fan_in, name=f'conv{i}')(x)
      x = act(max_pool(x, window, 2, ceil=same) if window else x)
      x = maps[f'conv{i}'] = point(f'conv{i}', x)
    return maps


def dann_cnn(classes: int, network: str = 'mnist', dropout: Share = 0., dtype: Any = jnp.float32,
             axis_name: str | None = None) -> DANN:
  """The networks of the paper's figure 4, with their numbers of parameters, domain classifier
  included:

    mnist  for 28 x 28 x 3 and 10 classes: 205,891
    svhn   for 32 x 32 x 3 and 10 classes: 41,235,403
    gtsrb  for 40 x 40 x 3 and 43 classes: 3,700,796

  Their authors train 'svhn' with dropout and a bound on the norms of kernels; the latter is not
  offered here.

  Raises:
    ConfigError: another network.
  """
  check_choice(network, NETWORKS, 'model.network of dann_cnn')
  _, label, domain = NETWORKS[network]
  return DANN(classes, Convolutions(network, dtype=dtype), pool='flatten', label_hidden=label,
              domain_hidden=domain, dropout=dropout, dtype=dtype, axis_name=axis_name)
