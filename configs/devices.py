"""Is it as ever? Weeks of devices' traffic beside the eight weeks before: what stands out is a
scan, a download, an exfiltration, a camera that begins to upload, stolen credentials.

python -m visionlab.train --config=configs/devices.py --workdir=runs/devices
Cameras, printers, sensors, laptops and servers. It learns from disturbed weeks of 1,000 of them,
and is tested on incidents of five kinds among 240 others; it has seen none. `:autoencoder` learns
to make usual weeks again from 32 numbers; `configs/behaviour.py` is the same of people.
Measured (three seeds, other devices each, 2,000 updates, 8 to 12 minutes on 2 busy CPU cores):
AUROC .938 (sd .011), average precision .907 (.014), 86.3 % (2.1) of incidents at one false alarm a
day (z-scores of totals .911 and 70.3 %), of downloads fewer than these; `:autoencoder` .616 (.019)
and 11.2 % (2.6), 2 to 5 minutes. Beside baselines, delays and habits that drift:
experiments/behaviour.
"""

from configs.behaviour import autoencoder, weekly
from visionlab.config import is_smoke

COUNTED, BYTES = 4, 5            # channels, see `visionlab.data.behaviour.flows`


def get_config(variant=''):
  smoke = is_smoke(variant, 'autoencoder')
  data = dict(name='behaviour', population='devices', weeks=16)
  data |= dict(users=16, history=3) if smoke else {}
  if variant == 'autoencoder':
    return autoencoder(data)
  return weekly(data, dict(mean=((.03,) * COUNTED + (.2,) * BYTES) * 3 + (.5,) * 9,
                           std=((.05,) * COUNTED + (.25,) * BYTES) * 3
                           + (.03,) * COUNTED + (.15,) * BYTES), smoke)
