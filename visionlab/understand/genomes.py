"""How images are written down for evolution: by pixels, or as small networks that draw them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

INPUTS = 4             # of a drawing network: x, y, the distance from the middle, and 1
KINDS = 4              # of its nodes: sine, sigmoid, Gaussian, linear


@dataclasses.dataclass(frozen=True)
class Direct:
  """Every pixel is a gene (Nguyen et al. 2015, section 2.3): what fools looks like noise.

  Attributes:
    shape: (h, w, c).
    rate: share of the pixels that a child changes.
    strength: of polynomial mutation (Deb 2001), larger: smaller changes.
  """
  shape: tuple[int, int, int]
  rate: float = .1
  strength: float = 15.

  def born(self, key: jax.Array) -> jax.Array:
    """Even noise."""
    return jax.random.uniform(key, self.shape)

  def mutated(self, key: jax.Array, genome: jax.Array) -> jax.Array:
    """Some pixels moved, mostly by little."""
    chosen, by = jax.random.split(key)
    u = jax.random.uniform(by, self.shape)
    low = jnp.minimum(2 * u, 2 - 2 * u) ** (1 / (self.strength + 1)) - 1      # in (-1, 0]
    moved = genome + jnp.where(u < .5, low, -low)
    chosen = jax.random.bernoulli(chosen, self.rate, self.shape)
    return jnp.where(chosen, jnp.clip(moved, 0, 1), genome)

  def drawn(self, genome: jax.Array) -> jax.Array:
    """Itself."""
    return genome


@dataclasses.dataclass(frozen=True)
class Indirect:
  """A genome is a compositional pattern-producing network (Stanley 2007), which paints a pixel by
  its place; its wiring evolves with its weights, and images are regular.

  A node takes from the inputs and from nodes before it. At first the outputs alone are wired;
  children get new connections and new nodes on them.

  Attributes:
    shape: (h, w, c).
    hidden: the most nodes beside the outputs.
    spread: standard deviation of changes of weights.
  """
  shape: tuple[int, int, int]
  hidden: int = 12
  spread: float = .5

  @property
  def nodes(self) -> int:
    """Hidden ones and outputs; these come last."""
    return self.hidden + self.shape[2]

  def born(self, key: jax.Array) -> dict[str, jax.Array]:
    """weight and wired (nodes, INPUTS + nodes), kind (nodes,)."""
    weight, kind = jax.random.split(key)
    wired = np.zeros((self.nodes, INPUTS + self.nodes), bool)
    wired[self.hidden:, :INPUTS] = True
    return dict(weight=jax.random.normal(weight, wired.shape), wired=jnp.asarray(wired),
                kind=jax.random.randint(kind, (self.nodes,), 0, KINDS))

  def mutated(self, key: jax.Array, genome: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Weights moved; now and then a connection more or less, a node more, another kind."""
    keys = iter(jax.random.split(key, 12))
    weight, wired, kind = genome['weight'], genome['wired'], genome['kind']
    moved = jax.random.bernoulli(next(keys), .5, weight.shape)
    weight = weight + moved * self.spread * jax.random.normal(next(keys), weight.shape)
    # A connection, from anything before a node.
    node = jax.random.randint(next(keys), (), 0, self.nodes)
    source = jax.random.randint(next(keys), (), 0, INPUTS + node)
    there = wired[node, source]
    change = jax.random.bernoulli(next(keys), jnp.where(there, .1, .3))
    wired = wired.at[node, source].set(there ^ change)
    # A node: something before it -> it -> an output.
    middle = jax.random.randint(next(keys), (), 0, max(self.hidden, 1))
    source = jax.random.randint(next(keys), (), 0, INPUTS + middle)
    output = jax.random.randint(next(keys), (), self.hidden, self.nodes)
    grown = jax.random.bernoulli(next(keys), .2 if self.hidden else 0.)
    wired = wired.at[middle, source].set(wired[middle, source] | grown)
    wired = wired.at[output, INPUTS + middle].set(wired[output, INPUTS + middle] | grown)
    # A node's kind.
    node = jax.random.randint(next(keys), (), 0, self.nodes)
    other = jax.random.randint(next(keys), (), 0, KINDS)
    kind = kind.at[node].set(jnp.where(jax.random.bernoulli(next(keys), .1), other, kind[node]))
    return dict(weight=weight, wired=wired, kind=kind)

  def drawn(self, genome: dict[str, jax.Array]) -> jax.Array:
    """The image (h w c) in [0, 1]."""
    h, w, c = self.shape
    y, x = np.meshgrid(np.linspace(-1, 1, h), np.linspace(-1, 1, w), indexing='ij')
    at = np.stack([x, y, np.hypot(x, y), np.ones_like(x)]).reshape(INPUTS, -1)
    values = jnp.concatenate([jnp.asarray(at, jnp.float32), jnp.zeros((self.nodes, h * w))])
    weight = jnp.where(genome['wired'], genome['weight'], 0)

    def node(i, values):
      z = weight[i] @ values                 # nodes that are still to come are 0
      bent = jnp.stack([jnp.sin(np.pi * z), jnp.tanh(z), 2 * jnp.exp(-z ** 2) - 1,
                        jnp.clip(z, -1, 1)])
      return values.at[INPUTS + i].set(bent[genome['kind'][i]])
    values = jax.lax.fori_loop(0, self.nodes, node, values)
    return (.5 + .5 * values[-c:]).T.reshape(h, w, c)
