# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What a network sees
#
# Which pixels made it say so, what its units look for, and what it would draw.

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

import numpy as np
from PIL import Image

import visionlab
from visionlab.data.pipeline import open_sources
from visionlab.train import train
from visionlab.understand import Subject
from visionlab.understand.filters import filter_sheet, first_filters
from visionlab.understand.galleries import gallery
from visionlab.understand.heatmaps import heatmaps
from visionlab.understand.patches import best_patches, patches
from visionlab.understand.unit_cards import patch_sheet
from visionlab.understand.visualise import class_images

# %% [markdown]
# ## Which network
# The folder of any classifier, or weights such as torchvision's. Without either a small network is
# trained on scikit-learn's digits, which takes a quarter of a minute.

# %%
workdir = os.environ.get('VISIONLAB_RUN', '')
if not workdir:
  root = next(p for p in (Path.cwd(), *Path.cwd().parents) if (p / 'configs').is_dir())
  sys.path.insert(0, str(root))
  workdir = tempfile.mkdtemp()
  train(importlib.import_module('configs.digits_cnn').get_config(), workdir)
run = visionlab.load(workdir)
subject = Subject.of(run)
print(f'{len(subject.layers())} layers, the last map is {subject.last_map()}')

# %% [markdown]
# ## Which pixels made it say so
# A method each column; `run.explain` takes files and arrays of any size too.

# %%
source = open_sources(run.config.data.to_dict(), 'test')
images = source[np.arange(6)]['image']
said = [run.classes[k] for k in run.predict(images)['prediction']]
methods = ('saliency', 'smooth_grad', 'guided_backprop', 'occlusion')
maps = {method: run.explain(images, method) for method in methods}
Image.fromarray(heatmaps(images, maps, captions=said))

# %% [markdown]
# Integrated gradients add up to the difference of the answers to the image and to black; what is
# missing is said beside them.

# %%
found = run.explain(images, 'integrated_gradients', steps=64)
print('left unexplained:', np.round(found.residual, 3))

# %% [markdown]
# ## What the first layer looks for

# %%
Image.fromarray(filter_sheet(first_filters(subject)[1]))

# %% [markdown]
# ## What excites some units most
# Over the whole split, each beside what the deconvnet shows of it.

# %%
units = (0, 1, 2, 3)
best = best_patches(subject, source, subject.last_map())
Image.fromarray(patch_sheet(*patches(subject, source, best, units), best, units))

# %% [markdown]
# ## What it would draw
# The image with the largest score of each class, from even grey.

# %%
classes = list(run.classes[:10])
Image.fromarray(gallery(class_images(subject, classes, steps=60).images, classes))
