# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Look into a run
#
# Its curves, its mistakes, how far its probabilities can be trusted, and what its layers see.

# %% [markdown]
# Of a clone of the repository (in Colab first `!git clone` it and `%cd` to its `launch/colab`):

# %%
# %pip install -q -e "../.."

# %%
import importlib
import os
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import visionlab
from visionlab.data.pipeline import open_sources
from visionlab.evaluate import evaluate
from visionlab.figures import charts
from visionlab.measures.class_table import class_table
from visionlab.train import train
from visionlab.training.log import scalars

# %% [markdown]
# ## Which run
# The folder of any classifier. Without one, a small network is trained on scikit-learn's digits,
# which takes a quarter of a minute.

# %%
workdir = os.environ.get('VISIONLAB_RUN', '')
if not workdir:
  root = next(p for p in (Path.cwd(), *Path.cwd().parents) if (p / 'configs').is_dir())
  sys.path.insert(0, str(root))
  workdir = tempfile.mkdtemp()
  train(importlib.import_module('configs.digits_cnn').get_config(), workdir)
run = visionlab.load(workdir)
print(f'step {run.step}, {len(run.classes)} classes')
print(run.config.task)

# %% [markdown]
# ## Learning curves

# %%
Image.fromarray(charts.curves(run.metrics))

# %% [markdown]
# ## Measured again
# Everything that training measures, on any split.

# %%
results, pictures = evaluate([run], 'test', figures=True)
for name, value in scalars(results).items():
  print(f'{name:<22} {value:.4f}')
print()
print(class_table(results, run.classes))

# %% [markdown]
# ## What it takes for what

# %%
confusion = np.array(results['confusion'])
wrong = np.where(np.eye(len(confusion), dtype=bool), 0, confusion)
for i in np.argsort(-wrong, axis=None)[:5]:
  true, said = np.unravel_index(i, wrong.shape)
  if wrong[true, said]:
    print(f'{run.classes[true]} taken for {run.classes[said]}: {wrong[true, said]} of '
          f'{confusion[true].sum()}')

# %%
Image.fromarray(pictures['confusion'])

# %% [markdown]
# ## The images it is most wrong about

# %%
Image.fromarray(pictures.get('most_confused', pictures['samples']))

# %% [markdown]
# ## How far its probabilities can be trusted
# Of what it says with 80 %, about 80 % should be true: points on the line.

# %%
test = open_sources(run.config.data.to_dict(), 'test')
examples = test[np.arange(min(len(test), 2000))]
said = run.predict(examples['image'])
sure, right = said['probabilities'].max(-1), said['prediction'] == examples['label']
edges = np.quantile(sure, np.linspace(0, 1, 6))
which = np.clip(np.searchsorted(edges, sure) - 1, 0, 4)
figure, axis = plt.subplots(figsize=(3.6, 3.4), layout='constrained')
axis.plot([0, 1], [0, 1], color='grey', linewidth=.8)
axis.plot(*[[v[which == i].mean() for i in np.unique(which)] for v in (sure, right)], marker='o')
axis.set(xlabel='said', ylabel='was true', title='a fifth of the images each')
axis.grid(alpha=.3)

# %% [markdown]
# ## What its layers see
# Any layer's output is named; `method='features'` gives them all.

# %%
image = examples['image'][:1]
maps = run.task.model.apply(run.variables, run.task.preprocess(image), method='features')
layers = {name: np.asarray(m[0]) for name, m in maps.items() if m.ndim == 4}
figure, axes = plt.subplots(len(layers), 9, figsize=(9, 1.15 * len(layers)), squeeze=False,
                            layout='constrained')
for row, (name, layer) in zip(axes, layers.items(), strict=True):
  strongest = np.argsort(-layer.std((0, 1)))[:8]
  row[0].imshow(image[0].squeeze(), cmap='gray')
  for axis, channel in zip(row[1:], strongest, strict=False):
    axis.imshow(layer[..., channel], cmap='magma')
  row[0].set_title(name, fontsize=8)
  for axis in row:
    axis.axis('off')
plt.show()
