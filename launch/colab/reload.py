# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Train for a moment, reload, look
#
# A run is a folder. This notebook makes one with a few hundred steps on scikit-learn's handwritten
# digits (no download), reloads it in one line, and looks at what it learned and where it is wrong.

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

import visionlab
from visionlab.data.sources.digits import digits
from visionlab.train import train

# %% [markdown]
# ## Train
# A config is a Python file with a function; every key of what it returns may be changed.

# %%
root = next(p for p in (Path.cwd(), *Path.cwd().parents) if (p / 'configs').is_dir())
sys.path.insert(0, str(root))
digits_cnn = importlib.import_module('configs.digits_cnn')

config = digits_cnn.get_config()
config.steps = os.environ.get('VISIONLAB_STEPS', '300')
workdir = tempfile.mkdtemp()
_ = train(config, workdir)

# %% [markdown]
# ## Reload

# %%
run = visionlab.load(workdir)
print(run.step, 'steps,', len(run.classes), 'classes,', type(run.task).__name__)

# %% [markdown]
# ## Learning curves

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout='constrained')
for axis, metric in zip(axes, ('loss', 'accuracy'), strict=True):
  for split in ('train', 'val'):
    points = [(line['step'], line[f'{split}/{metric}']) for line in run.metrics
              if f'{split}/{metric}' in line]
    axis.plot(*np.array(points).T, marker='o', markersize=3, label=split)
  axis.set(title=metric, xlabel='step')
  axis.legend()

# %% [markdown]
# ## Predict
# `predict` takes uint8 images; preprocessing is the run's own.

# %%
test = digits('test')
images, labels = test.arrays['image'], test.arrays['label']
predicted = run.predict(images)
wrong = np.flatnonzero(predicted['prediction'] != labels)
print(f'test accuracy {1 - len(wrong) / len(labels):.4f}')

# %% [markdown]
# ## The images it was least sure of

# %%
sure = predicted['probabilities'].max(-1)
figure, axes = plt.subplots(2, 6, figsize=(9, 3.4), layout='constrained')
for axis, i in zip(axes.flat, np.argsort(sure), strict=False):
  axis.imshow(images[i, ..., 0], cmap='gray')
  axis.set_title(f'{run.classes[predicted["prediction"][i]]} {sure[i]:.0%}, true {labels[i]}',
                 fontsize=8)
  axis.axis('off')
plt.show()
