"""What ends a job under mpirun and what does not: stopped and killed ranks.

Usage: watchdog_test.py MPIEXEC PROGRAM CASE, where PROGRAM is watchdog-rank.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time


def ended(pid):
    """Whether the process is gone, or only waits for its parent to notice."""
    for _ in range(10):
        try:
            with open(f"/proc/{pid}/status") as status:
                if "State:\tZ" in status.read():
                    return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.1)
    return False


class Job:
    """A job of two ranks that compute for `busy` seconds and then meet."""

    def __init__(self, mpiexec, program, busy, **environment):
        self.process = subprocess.Popen(
            [mpiexec, "-n", "2", program, str(busy)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | environment,
        )
        self.output = ""
        self.pids = {}
        while len(self.pids) < 2:
            line = self.process.stdout.readline()
            if not line:
                raise SystemExit(f"the job ended early:\n{self.output}")
            self.output += line
            if found := re.match(r"rank (\d) is process (\d+)", line):
                self.pids[int(found[1])] = int(found[2])
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.output += line

    def signal(self, number, *ranks):
        for rank in ranks:
            os.kill(self.pids[rank], number)

    def end(self, within):
        """The exit status, after at most `within` seconds, and nobody left."""
        begin = time.monotonic()
        try:
            status = self.process.wait(timeout=within)
        except subprocess.TimeoutExpired:
            for pid in [*self.pids.values(), self.process.pid]:
                if not ended(pid):
                    os.kill(pid, signal.SIGKILL)
            raise SystemExit(f"the job still runs after {within} s:\n{self.output}")
        print(f"ended after {time.monotonic() - begin:.1f} s with status {status}")
        self.reader.join()
        for rank, pid in self.pids.items():
            if not ended(pid):
                raise SystemExit(f"rank {rank} is still there")
        return status


def check(holds, what, job):
    if not holds:
        raise SystemExit(f"{what}; output:\n{job.output}")


# Seconds. What ends before `most` was ended, since ranks left alone compute for `long`; how long it
# took on an idle machine (2 s at most, 5 for a rank that is stopped) a busy one cannot keep.
long, most = 30, 15


def stopped(mpiexec, program):
    job = Job(mpiexec, program, long)
    time.sleep(1)
    job.signal(signal.SIGSTOP, 1)
    check(job.end(most) != 0, "status is zero", job)
    named = rf"rank 1 \(host \S+, process {job.pids[1]}\) is stopped"
    check(re.search(named, job.output), "the stopped rank is not named", job)


def killed(mpiexec, program):
    job = Job(mpiexec, program, long)
    time.sleep(1)
    job.signal(signal.SIGKILL, 0)
    check(job.end(most) != 0, "status is zero", job)


def interrupted(mpiexec, program):
    job = Job(mpiexec, program, long)
    time.sleep(1)
    job.process.send_signal(signal.SIGINT)
    check(job.end(most) != 0, "status is zero", job)


def busy(mpiexec, program):
    """Computing without a call for longer than any limit is no fault."""
    job = Job(mpiexec, program, 5)
    check(job.end(20) == 0 and "all ranks met" in job.output, "the job did not pass", job)


def paused(mpiexec, program):
    """All ranks stopped together and continued one after the other."""
    job = Job(mpiexec, program, 7)
    time.sleep(1)
    job.signal(signal.SIGSTOP, 0, 1)
    time.sleep(5)
    job.signal(signal.SIGCONT, 0)
    time.sleep(1)
    job.signal(signal.SIGCONT, 1)
    check(job.end(20) == 0 and "all ranks met" in job.output, "the job did not pass", job)


def traced(mpiexec, program):
    """A rank in a debugger's hands is left alone."""
    job = Job(mpiexec, program, 18)
    time.sleep(1)
    libc = ctypes.CDLL(None, use_errno=True)
    attach, detach, any_child = 16, 17, 0x40000000  # of ptrace(2), waitpid(2)
    threads = [int(thread) for thread in os.listdir(f"/proc/{job.pids[1]}/task")]
    for thread in threads:
        if libc.ptrace(attach, thread, None, None) != 0:
            print(f"skipped: cannot trace: {os.strerror(ctypes.get_errno())}")
            job.end(20)
            return
        os.waitpid(thread, any_child)
    time.sleep(17)  # longer than any rank may be silent
    for thread in threads:
        libc.ptrace(detach, thread, None, None)
    check(job.end(20) == 0 and "all ranks met" in job.output, "the job did not pass", job)


def off(mpiexec, program):
    job = Job(mpiexec, program, 7, CLEAVE_WATCHDOG="off")
    time.sleep(1)
    job.signal(signal.SIGSTOP, 1)
    time.sleep(5)
    job.signal(signal.SIGCONT, 1)
    check(job.end(20) == 0 and "all ranks met" in job.output, "the job did not pass", job)


if __name__ == "__main__":
    cases = {case.__name__: case for case in (stopped, killed, interrupted, busy, paused, traced, off)}
    cases[sys.argv[3]](sys.argv[1], sys.argv[2])
