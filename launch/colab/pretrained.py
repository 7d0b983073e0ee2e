# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A pretrained network on your own picture
#
# Weights of torchvision, timm or Keras, from a file or the Hugging Face hub, loaded in one line:
# what is in a picture, and which part of it says so.

# %% [markdown]
# Of a clone of the repository (in Colab first `!git clone` it and `%cd` to its `launch/colab`):

# %%
# %pip install -q -e "../..[hub]"

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

import visionlab

# %% [markdown]
# ## Weights
# `hf://owner/name` is downloaded once (100 MB); the path of a `.pth`, `.safetensors` or `.npz`,
# a run or an export will do as well. Depth, preprocessing and channel order come with the weights.

# %%
weights = os.environ.get('VISIONLAB_WEIGHTS', 'hf://timm/resnet50.a1_in1k')
run = visionlab.load(weights)
height, width, channels = run.canvas.shape
print(f'{type(run.task.model).__name__}, {len(run.classes)} classes, images of {height} x {width}')

# %% [markdown]
# ## Your picture
# Its path; without one, a photograph that scikit-learn ships.

# %%
path = os.environ.get('VISIONLAB_PICTURE', '')
picture = Image.open(path) if path else Image.fromarray(load_sample_image('china.jpg'))
picture.convert('RGB')

# %% [markdown]
# ## What it is

# %%
said = run.predict([picture])['probabilities'][0]
top = np.argsort(-said)[:5]
figure, axis = plt.subplots(figsize=(6, 2.2), layout='constrained')
axis.barh([run.classes[i] for i in top[::-1]], said[top[::-1]])
axis.set(xlabel='probability', xlim=(0, 1))
axis.grid(alpha=.3, axis='x')

# %% [markdown]
# ## Which part of it says so
# The mean colour over a square of the picture: where the probability of the first class falls,
# there was what told the network (Zeiler and Fergus 2014, section 4.2).

# %%
image = run.fit([picture])[0]
side = max(1, height // 5)
ys, xs = (np.unique(np.linspace(0, n - side, 13).astype(int)) for n in (height, width))
places = [(y, x) for y in ys for x in xs]
hidden = np.repeat(image[None], len(places), 0)
for view, (y, x) in zip(hidden, places, strict=True):
  view[y:y + side, x:x + side] = image.mean((0, 1))
left = run.predict(hidden)['probabilities'][:, top[0]]
fall, count = np.zeros((height, width)), np.zeros((height, width))
for (y, x), value in zip(places, left, strict=True):
  fall[y:y + side, x:x + side] += said[top[0]] - value
  count[y:y + side, x:x + side] += 1
figure, axes = plt.subplots(1, 2, figsize=(7, 3.6), layout='constrained')
for axis in axes:
  axis.imshow(image.squeeze(), cmap='gray')
  axis.axis('off')
shown = axes[1].imshow(fall / count, cmap='magma', alpha=.75)
axes[0].set_title('what the network sees')
axes[1].set_title(f'{run.classes[top[0]]}: less probable without')
figure.colorbar(shown, ax=axes[1], shrink=.7)
plt.show()

# %% [markdown]
# ## Your own classes
# `configs/folder_finetune.py` fine-tunes these weights on folders of pictures, one a class:
#
#     python -m visionlab.train --config=configs/folder_finetune.py --workdir=runs/mine \
#         --config.data.root=<folders> --config.init_from=hf://timm/resnet50.a1_in1k
