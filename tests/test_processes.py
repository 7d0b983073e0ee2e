"""The queue of local processes: retries, devices, signals."""

import signal

from jobs import DONE, job, mixed

from launch import processes


def test_the_queue_retries_reports_and_skips(tmp_path):
  jobs = mixed(tmp_path, 'killed', 'os.kill(os.getpid(), signal.SIGKILL)')
  said = []
  failed = processes.run(jobs, workers=2, retries=1, say=said.append)
  assert failed == {'bad': 'error: no such thing'}
  text = '\n'.join(said)
  assert '1 of 4 have ended before' in text and 'killed: killed by SIGKILL, tried again' in text
  assert 'bad: failed, exit code 1: error: no such thing' in text
  tries = {j.name: len((j.workdir / 'tries').read_text()) for j in jobs[:3]}
  assert tries == dict(good=1, killed=2, bad=2) and not (jobs[3].workdir / 'tries').exists()
  assert 'no such thing' in processes.log_of(jobs[2]).read_text()


def test_workers_have_devices_and_no_more_than_so_many_run(tmp_path):
  program = ("(w / 'device').write_text(os.environ['CUDA_VISIBLE_DEVICES'])\n"
             "busy = w.parent / f'busy{os.getpid()}'\nbusy.touch()\n"
             "(w / 'most').write_text(str(len(list(w.parent.glob('busy*')))))\n"
             'time.sleep(.3)\nbusy.unlink()\n' + DONE)
  jobs = [job(tmp_path, f'j{i}', program) for i in range(5)]
  assert processes.run(jobs, workers=2, devices=['3', '5'], say=lambda line: None) == {}
  assert {(j.workdir / 'device').read_text() for j in jobs} == {'3', '5'}
  assert max(int((j.workdir / 'most').read_text()) for j in jobs) <= 2


def test_a_signal_is_passed_on_and_the_queue_stops(tmp_path):
  program = ("signal.signal(signal.SIGTERM, lambda *_: (print('saved'), sys.exit()))\n"
             "os.kill(os.getppid(), signal.SIGINT)\ntime.sleep(60)\n")
  jobs = [job(tmp_path, f'j{i}', program) for i in range(3)]
  before = signal.getsignal(signal.SIGINT)
  assert processes.run(jobs, workers=1, say=lambda line: None) is None
  assert 'saved' in processes.log_of(jobs[0]).read_text()
  assert not jobs[1].workdir.exists()
  assert signal.getsignal(signal.SIGINT) is before
