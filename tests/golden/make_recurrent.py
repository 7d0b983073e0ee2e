"""Makes recurrent.npz: torch's RNN, LSTM and GRU on sequences of different lengths.

python tests/golden/make_recurrent.py

Needs torch (2.13.0 was used); the tests read only the file.
"""

from pathlib import Path

import numpy as np
import torch

B, T, D, H, LAYERS = 3, 5, 4, 6, 2
LENGTHS = (5, 3, 1)


def golden(name):
  """Weights, what comes of them, and the gradients of a weighted sum of it."""
  net = getattr(torch.nn, name.upper())(D, H, LAYERS, batch_first=True)
  xs = torch.randn(B, T, D, requires_grad=True)
  states = [torch.randn(LAYERS, B, H, requires_grad=True)
            for _ in range(2 if name == 'lstm' else 1)]
  packed = torch.nn.utils.rnn.pack_padded_sequence(xs, torch.tensor(LENGTHS), batch_first=True)
  outputs, after = net(packed, tuple(states) if name == 'lstm' else states[0])
  outputs, _ = torch.nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True)
  after = after if name == 'lstm' else (after,)
  weighing = [torch.randn_like(x) for x in (outputs, *after)]
  sum((w * x).sum() for w, x in zip(weighing, (outputs, *after), strict=True)).backward()
  out = dict(xs=xs, xs_gradient=xs.grad, outputs=outputs, outputs_weighing=weighing[0])
  for i, state in enumerate(states):
    out.update({f'state{i}': state, f'state{i}_gradient': state.grad, f'after{i}': after[i],
                f'after{i}_weighing': weighing[1 + i]})
  for key, weight in net.named_parameters():
    out.update({key: weight, f'{key}_gradient': weight.grad})
  return {f'{name}/{key}': value.detach().numpy() for key, value in out.items()}


def main():
  torch.manual_seed(0)
  arrays = {k: v for name in ('rnn', 'lstm', 'gru') for k, v in golden(name).items()}
  np.savez_compressed(Path(__file__).parent / 'recurrent.npz', lengths=LENGTHS, **arrays)


if __name__ == '__main__':
  main()
