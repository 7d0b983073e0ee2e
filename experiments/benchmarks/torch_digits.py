"""configs/digits_cnn.py in plain PyTorch: the peer of the `digits_job` benchmark.

python -m experiments.benchmarks.torch_digits --workdir=/tmp/digits

What is trained, for how long and how is read from that config. It does less beside that than the
job it is compared with: no TensorBoard, one checkpoint instead of several, no figures.
"""

import argparse
import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from configs.digits_cnn import get_config
from experiments.benchmarks.torch_models import cnn
from visionlab.data import open_split
from visionlab.data.sources.digits import digits
from visionlab.options.durations import parse_steps


def dataset(split: str) -> TensorDataset:
  arrays = open_split(digits, split).arrays
  return TensorDataset(torch.from_numpy(arrays['image']).permute(0, 3, 1, 2).contiguous(),
                       torch.from_numpy(arrays['label']).long())


def affine(images: torch.Tensor, degrees: float, translate: float, scale: tuple[float, float],
           shear: float) -> torch.Tensor:
  """Each image (b c h w) of a square size zoomed, leant, turned and moved, as the config's augment
  does: one resampling for the whole batch, black where nothing is left."""
  b = len(images)
  turn, lean, zoom, x, y = torch.rand(5, b, device=images.device)
  turn, lean = (math.radians(a) * (2 * u - 1) for a, u in ((degrees, turn), (shear, lean)))
  zoom = scale[0] + (scale[1] - scale[0]) * zoom
  cos, sin, tan = turn.cos(), turn.sin(), lean.tan()
  matrix = zoom[:, None] * torch.stack([cos, cos * tan - sin, sin, sin * tan + cos], 1)
  inverse = torch.linalg.inv(matrix.view(b, 2, 2))
  move = 2 * translate * (2 * torch.stack([x, y], 1) - 1)        # a side is 2 units long
  theta = torch.cat([inverse, -inverse @ move[:, :, None]], 2)
  grid = F.affine_grid(theta, list(images.shape), align_corners=False)
  return F.grid_sample(images, grid, align_corners=False)


def multiplier(step: int, warm: int, total: int) -> float:
  """Of the learning rate: a linear rise, then half a cosine down to zero."""
  done = min(max((step - warm) / max(total - warm, 1), 0), 1)
  return min((step + 1) / warm, 1) * .5 * (1 + math.cos(math.pi * done))


def batches(loader: DataLoader):
  while True:
    yield from loader


@torch.inference_mode()
def evaluate(model, loader: DataLoader, device) -> dict[str, float]:
  model.eval()
  loss = correct = count = 0
  for images, labels in loader:
    images, labels = images.to(device).float() / 255, labels.to(device)
    logits = model(images)
    loss += F.cross_entropy(logits, labels, reduction='sum').item()
    correct += (logits.argmax(1) == labels).sum().item()
    count += len(labels)
  model.train()
  return dict(loss=loss / count, accuracy=correct / count)


def main(workdir: Path, variant: str = '') -> None:
  c = get_config(variant)
  if ((set(c.augment), c.optim.name, c.optim.schedule.name) != ({'affine'}, 'adamw', 'cosine')
      or not set(c.task.model) <= {'name', 'dropout'}
      or not set(c.hp) <= {'lr', 'weight_decay', 'label_smoothing'}):
    raise SystemExit('torch_digits: configs/digits_cnn.py has come to differ from this script')
  train, val, test = (dataset(split) for split in (c.split, c.evals.val.split, c.evals.test.split))

  def steps(duration, total=None):
    return parse_steps(duration, 'config', batch=c.batch, examples=len(train), total=total)
  total = steps(c.steps)
  warm, log_every, eval_every = (steps(d, total) for d in (
      c.optim.schedule.warmup, c.log.every, c.evals.val.every))

  torch.manual_seed(c.seed)
  device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
  model = cnn(channels=1, side=8, dropout=c.task.model.dropout).to(device)
  kernels = [p for p in model.parameters() if p.ndim > 1]
  rest = [p for p in model.parameters() if p.ndim == 1]
  optimizer = torch.optim.AdamW([dict(params=kernels, weight_decay=c.hp.weight_decay),
                                 dict(params=rest, weight_decay=0.)], lr=c.hp.lr)
  schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: multiplier(s, warm, total))
  stream = batches(DataLoader(train, batch_size=c.batch, shuffle=True, drop_last=True))
  val, test = (DataLoader(data, batch_size=c.evals[name].batch)
               for name, data in dict(val=val, test=test).items())

  workdir.mkdir(parents=True, exist_ok=True)
  with (workdir / 'metrics.jsonl').open('w') as log:
    def write(step, **values):
      line = json.dumps(dict(step=step, **values))
      print(line, file=log, flush=True)
      print(line, flush=True)

    for step in range(total):
      if step % eval_every == 0:
        write(step, **evaluate(model, val, device))
      images, labels = (x.to(device) for x in next(stream))
      images = affine(images.float() / 255, **c.augment.affine)
      loss = F.cross_entropy(model(images), labels,
                             label_smoothing=c.hp.get('label_smoothing', 0.))
      optimizer.zero_grad()
      loss.backward()
      optimizer.step()
      schedule.step()
      if (step + 1) % log_every == 0:
        write(step + 1, train_loss=loss.item())
    torch.save(dict(model=model.state_dict(), optimizer=optimizer.state_dict(), step=total),
               workdir / 'checkpoint.pt')
    write(total, **evaluate(model, val, device))
    write(total, **evaluate(model, test, device))


if __name__ == '__main__':
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--workdir', type=Path, required=True)
  parser.add_argument('--variant', default='', help='of the config, e.g. smoke')
  main(**vars(parser.parse_args()))
