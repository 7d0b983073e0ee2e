"""A Kubernetes cluster, such as Google's: one run over any number of pods.

python -m launch.gke --config=configs/digits_cnn.py --workdir=/shared/runs/digits \
    --gke.name=digits --gke.image=... --gke.claim=... --gke.pods=2 --gke.gpus=8 [--dry_run]

Hands kubectl an Indexed Job and the headless service by which its pods find each other. A pod that
is lost or evicted is made again, and the run goes on from its workdir, on a volume that all pods
mount. `kubectl logs -f job/digits` follows it, `kubectl delete job,service digits` ends it. The
image is that of Dockerfile.gpu or Dockerfile.cpu. Nothing here was run on a cluster; the manifest
was compared with

  https://kubernetes.io/docs/tasks/job/job-with-pod-to-pod-communication      (service, subdomain)
  https://kubernetes.io/docs/tasks/job/indexed-parallel-processing-static     (the index of a pod)
  https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/
  https://kubernetes.io/blog/2023/08/21/kubernetes-1-28-jobapi-update         (podReplacementPolicy)
  https://docs.cloud.google.com/kubernetes-engine/docs/concepts/tpus          (TPU selectors)
"""

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from absl import flags

from launch import commands, options
from launch.commands import Command
from visionlab import commandline
from visionlab.config import ConfigError

PORT = 8476
TPU_PORT = 8471                   # by which the hosts of a TPU slice talk


class Options(NamedTuple):
  name: str = ''
  image: str = ''
  pods: int = 1
  gpus: int = 0
  gpu_type: str = ''
  tpu: str = ''
  topology: str = ''
  chips: int = 4
  cpu: str = ''
  memory: str = ''
  claim: str = ''
  mount: str = '/shared'
  spot: bool = False
  restarts: int = 20


MEANINGS = dict(
    name='Of the job.', image='The container to run.', pods='Machines.', gpus='Of one pod.',
    gpu_type='cloud.google.com/gke-accelerator, e.g. nvidia-h100-80gb.',
    tpu='cloud.google.com/gke-tpu-accelerator, e.g. tpu-v5-lite-podslice.',
    topology='cloud.google.com/gke-tpu-topology, e.g. 4x4.', chips='TPU chips of one pod.',
    cpu='Of one pod.', memory='Of one pod: 64Gi.',
    claim='A persistent volume claim that all pods may write to.', mount='Where they see it.',
    spot='On machines that may be taken away.', restarts='How often the run may be begun again.')


def manifest(given: Options, train: Sequence[str]) -> dict[str, Any]:
  """The job and its service, as a Kubernetes List.

  Args:
    train: the arguments of `visionlab.train`.

  Raises:
    ConfigError: an option is missing, or two contradict each other.
  """
  check_options(given)
  labels = {'job-name': given.name}
  service = dict(apiVersion='v1', kind='Service', metadata=dict(name=given.name),
                 spec=dict(clusterIP='None', publishNotReadyAddresses=True, selector=labels))
  job = dict(
      apiVersion='batch/v1', kind='Job', metadata=dict(name=given.name),
      spec=dict(completionMode='Indexed', completions=given.pods, parallelism=given.pods,
                # Where one pod is lost the others give up, and each of them counts.
                backoffLimit=given.restarts * given.pods, podReplacementPolicy='Failed',
                template=dict(spec=pod(given, train))))
  return dict(apiVersion='v1', kind='List', items=[service, job])


def pod(given: Options, train: Sequence[str]) -> dict[str, Any]:
  limits = {'cpu': given.cpu, 'memory': given.memory, 'nvidia.com/gpu': given.gpus,
            'google.com/tpu': given.chips if given.tpu else 0}
  nodes = {'cloud.google.com/gke-accelerator': given.gpu_type,
           'cloud.google.com/gke-tpu-accelerator': given.tpu,
           'cloud.google.com/gke-tpu-topology': given.topology,
           'cloud.google.com/gke-spot': 'true' if given.spot else ''}
  index = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
  container = dict(
      name='train', image=given.image, args=[*train, *together(given)],
      env=[dict(name='PROCESS', valueFrom=dict(fieldRef=dict(fieldPath=index)))],
      ports=[dict(containerPort=TPU_PORT if given.tpu else PORT)],
      resources=dict(limits={key: value for key, value in limits.items() if value}))
  spec = dict(subdomain=given.name, restartPolicy='Never', terminationGracePeriodSeconds=120,
              nodeSelector={key: value for key, value in nodes.items() if value})
  if given.claim:
    container['volumeMounts'] = [dict(name='shared', mountPath=given.mount)]
    spec['volumes'] = [dict(name='shared', persistentVolumeClaim=dict(claimName=given.claim))]
  return dict(spec, containers=[container])


def together(given: Options) -> list[str]:
  """What makes the processes of several pods one run; on TPUs they find each other."""
  if given.tpu:
    return ['--distributed']
  if given.pods == 1:
    return []
  return [f'--coordinator={given.name}-0.{given.name}:{PORT}', f'--processes={given.pods}',
          '--process=$(PROCESS)']


def check_options(given: Options):
  for key in ('name', 'image'):
    if not getattr(given, key):
      raise ConfigError(f'--gke.{key}: missing')
  if not re.fullmatch(r'[a-z]([-a-z0-9]{0,50}[a-z0-9])?', given.name):
    raise ConfigError(f'--gke.name={given.name}: expected small letters, digits and -, a letter '
                      'first')
  if given.gpus and given.tpu:
    raise ConfigError('--gke.gpus and --gke.tpu: a pod has one or the other')
  if bool(given.tpu) != bool(given.topology):
    raise ConfigError('--gke.tpu needs --gke.topology, and the other way round')


def main(_):
  # The image's entry point is `python -m visionlab.train`.
  given, train = options.read('gke', Options), options.run().command[2:]
  text = json.dumps(manifest(given, train), indent=2)
  commands.run([Command(['kubectl', 'apply', '-f', '-'], text)], dry_run=flags.FLAGS.dry_run,
               where='see https://kubernetes.io/docs/tasks/tools')


if __name__ == '__main__':
  options.define_run()
  options.define('gke', Options(), MEANINGS)
  commandline.run(main)
