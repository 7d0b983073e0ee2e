"""Random weights of a captioner, and beam search as PyTorch's users write it; imports no JAX."""

from collections.abc import Callable, Mapping

import numpy as np

BEAMS, LENGTH = 5, 20
START, END = 1, 2
Search = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def random_weights(words: int, width: int) -> dict[str, np.ndarray]:
  """Of a layer as in `visionlab.ops.recurrent`, a table of words and a classifier that never says
  END."""
  rng = np.random.default_rng(0)

  def draw(*shape):
    return rng.normal(size=shape).astype(np.float32)
  bias = .1 * draw(words)
  bias[END] = -1e4
  return dict(table=draw(words, width), input_kernel=draw(width, 4 * width) / width ** .5,
              state_kernel=draw(width, 4 * width) / width ** .5, bias=.1 * draw(4 * width),
              head=5 * draw(width, words) / width ** .5, head_bias=bias)


def random_features(batch: int, width: int) -> np.ndarray:
  return np.random.default_rng(1).normal(size=(batch, width)).astype(np.float32)


def torch_search(weights: Mapping[str, np.ndarray], beams: int = BEAMS,
                 length: int = LENGTH) -> Search:
  """features (b h) -> tokens (b beams t) and their log-probabilities (b beams)."""
  import torch  # noqa: PLC0415 - the weights are had without it
  device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
  w = {k: torch.from_numpy(v).to(device) for k, v in weights.items()}
  words, width = w['table'].shape
  table, cell = torch.nn.Embedding(words, width), torch.nn.LSTMCell(width, width)
  head = torch.nn.Linear(width, words)
  with torch.no_grad():
    for parameter, value in ((table.weight, w['table']), (cell.weight_ih, w['input_kernel'].T),
                             (cell.weight_hh, w['state_kernel'].T), (cell.bias_ih, w['bias']),
                             (head.weight, w['head'].T), (head.bias, w['head_bias'])):
      parameter.copy_(value)
    cell.bias_hh.zero_()
  table, cell, head = (module.to(device) for module in (table, cell, head))
  after_end = torch.full((words,), -torch.inf, device=device)
  after_end[END] = 0.

  @torch.inference_mode()
  def call(features):
    seen, b = torch.from_numpy(features).to(device), len(features)
    h = c = seen.repeat_interleave(beams, 0)
    token = torch.full((b * beams,), START, device=device)
    scores = torch.full((b, beams), -torch.inf, device=device)
    scores[:, 0] = 0
    ended = torch.zeros(b, beams, dtype=torch.bool, device=device)
    tokens = torch.zeros(b * beams, 0, dtype=torch.long, device=device)
    first = beams * torch.arange(b, device=device)[:, None]
    for _ in range(length):
      h, c = cell(table(token), (h, c))
      log_p = torch.log_softmax(head(h), -1).view(b, beams, words)
      log_p = torch.where(ended[..., None], after_end, log_p)
      scores, place = (scores[..., None] + log_p).view(b, -1).topk(beams)
      source, token = (first + place // words).view(-1), (place % words).view(-1)
      h, c = h[source], c[source]
      tokens = torch.cat([tokens[source], token[:, None]], 1)
      ended = ended.view(-1)[source].view(b, beams) | (token == END).view(b, beams)
      if ended.all():
        break
    return tokens.view(b, beams, -1).cpu().numpy(), scores.cpu().numpy()
  return call
