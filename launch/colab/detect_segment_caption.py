# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Detect, segment and caption your own picture
#
# Three tasks, three networks, one way to use them. Each is trained on scenes that are drawn on the
# spot: handwritten digits on photographs. A photograph of digits that you wrote is a picture for
# them.

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

import jax
import numpy as np
from PIL import Image

import visionlab
from visionlab.data.scenes.scenes import scenes
from visionlab.train import train

root = next(p for p in (Path.cwd(), *Path.cwd().parents) if (p / 'configs').is_dir())
sys.path.insert(0, str(root))

# %% [markdown]
# ## Which runs
# Folders of runs of your own, of whatever classes. Those that are missing are trained here: on two
# CPU cores 4 minutes each to detect and to segment, and 17 to caption; far less on a GPU.

# %%
workdirs = dict(scenes_mask_rcnn='', scenes_fcn='', scenes_captioner='')
variant = os.environ.get('VISIONLAB_VARIANT', '')            # 'smoke': seconds, and no use


def ready(name):
  """The run of a config, trained if need be."""
  workdir = workdirs[name] or tempfile.mkdtemp()
  if not workdirs[name]:
    config = importlib.import_module(f'configs.{name}').get_config(variant)
    config.evals = {}                    # nothing to measure, only to look at
    train(config, workdir)
  jax.clear_caches()
  return visionlab.load(workdir)


# %% [markdown]
# ## Your picture
# Its path; without one, a scene that no network has seen.

# %%
path = os.environ.get('VISIONLAB_PICTURE', '')
if path:
  picture = np.asarray(Image.open(path).convert('RGB'))
else:
  unseen = scenes('test', size=96, objects=(2, 2), visible=.85, scale=(.45, .6), contrast=.3)
  picture = unseen[np.array([7])]['image'][0]
Image.fromarray(picture).resize((288, 288 * picture.shape[0] // picture.shape[1]))

# %% [markdown]
# ## Detect
# Boxes, masks and how sure it is of each.


# %%
def look(run):
  """What the run says of the picture, in words and drawn over it."""
  images = run.pixels([picture]) if run.dense else run.fit([picture])
  said = run.predict(images)
  words = run.task.describe(said, 3)[0]
  print(words)
  return Image.fromarray(run.task.picture(images, said, [words.split('  ')[0]], ''))


look(ready('scenes_mask_rcnn'))

# %% [markdown]
# ## Segment
# The class of every pixel.

# %%
look(ready('scenes_fcn'))

# %% [markdown]
# ## Caption
# A sentence, and the logarithm of its probability.

# %%
look(ready('scenes_captioner'))
