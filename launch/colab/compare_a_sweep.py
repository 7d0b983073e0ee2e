# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Compare the runs of a sweep
#
# Many settings are trained in one compiled program; each is a run like any other. Which is best, by
# how much, what does it depend on, and where do two runs disagree?

# %% [markdown]
# Of a clone of the repository (in Colab first `!git clone` it and `%cd` to its `launch/colab`):

# %%
# %pip install -q -e "../.."

# %%
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import visionlab
from visionlab.data.pipeline import open_sources

root = next(p for p in (Path.cwd(), *Path.cwd().parents) if (p / 'configs').is_dir())
sys.path.insert(0, str(root))

# %% [markdown]
# ## Which sweep
# The folder of any. Without one, three learning rates with two seeds each are trained on
# scikit-learn's digits: half a minute.

# %%
folder = os.environ.get('VISIONLAB_SWEEP', '')
if not folder:
  folder = tempfile.mkdtemp()
  subprocess.run(
      [sys.executable, '-m', 'launch.sweep', '--config=configs/digits_cnn.py',
       f'--workdir={folder}', '--set=hp.lr=1e-4,3e-3,3e-2', '--set=seed=0,1',
       f'--config.steps={os.environ.get("VISIONLAB_STEPS", "300")}'], cwd=root, check=True)

# %% [markdown]
# ## The table, best first

# %%
from launch import results, tables  # noqa: E402
from launch.trials import Sweep, grouped, read_trials  # noqa: E402

sweep = Sweep.read(Path(folder))
metric = 'val/accuracy'
trials = read_trials(Path(folder), sweep)
groups = grouped(trials, metric)
print(tables.aligned(tables.rows_of(groups, metric)))

# %% [markdown]
# ## What it depends on

# %%
results.report(Path(folder), metric)
Image.open(Path(folder) / 'figures' / 'hyperparameters.png')

# %% [markdown]
# ## Curves
# The mean of each setting over its seeds, in a band of one standard deviation.

# %%
Image.open(Path(folder) / 'figures' / 'curves.png')

# %% [markdown]
# ## Where the best and the worst disagree

# %%
best, worst = (visionlab.load(folder, member=group.trials[0].name)
               for group in (groups[0], groups[-1]))
test = open_sources(best.config.data.to_dict(), 'test')
examples = test[np.arange(min(len(test), 1000))]
first, second = (run.predict(examples['image']) for run in (best, worst))
apart = np.flatnonzero(first['prediction'] != second['prediction'])
print(f'{len(apart)} of {len(examples["label"])} images')
figure, axes = plt.subplots(2, 6, figsize=(9, 3.4), layout='constrained')
for axis in axes.flat:
  axis.axis('off')
for axis, i in zip(axes.flat, apart, strict=False):
  axis.imshow(examples['image'][i].squeeze(), cmap='gray')
  names = [best.classes[said['prediction'][i]] for said in (first, second)]
  axis.set_title(f'best {names[0]}, worst {names[1]}\ntrue {examples["label"][i]}', fontsize=8)
plt.show()

# %% [markdown]
# ## The best one, to train again or longer

# %%
print((Path(folder) / 'best.txt').read_text())
