"""Starts the tools as a user does: packages made and kept, jobs run under mpirun, errors judged.

What the results should be is the tests' and reference.py's affair.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data" / "models"
EXAMPLE = ROOT / "examples" / "stories.gguf"

sys.path.insert(0, str(ROOT / "python"))
from cleave.tools import cores, find_tool, mpi_environment  # noqa: E402

PATIENCE = 60
"""Seconds after which a tool counts as hung. None of these tests computes for a tenth of that."""

HURRY = {"OMPI_MCA_odls_base_sigkill_timeout": "0"}
"""Spares refusals the two seconds for which mpirun waits before it kills what is left of a job."""

# What a crash or a library's own message looks like. Nothing a user does may cause one.
CRASH = re.compile(r"terminate called|Assertion|Segmentation|stack dump|Stack dump|PLEASE submit|"
                   r"Traceback|\[ *\d+\] /|MPI_ERR|LLVM ERROR|AddressSanitizer")


def partition_tool(*arguments: object, **options: object) -> subprocess.CompletedProcess:
    """Runs partition-tool, whatever its status."""
    return subprocess.run([find_tool("partition-tool"), *map(str, arguments)], timeout=PATIENCE,
                          text=True, stdin=subprocess.DEVNULL, capture_output=True, **options)


def partition(model: Path, output: Path, *arguments: object) -> Path:
    """A package of `model` in `output`, which must succeed without a word."""
    result = partition_tool(model, "-o", output, *arguments)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "" and result.stderr == ""
    return output


def command(package: Path, ranks: int | None, arguments: Sequence[object]) -> list[str]:
    """The words that start a job; without mpirun where `ranks` is None."""
    start = ["mpirun", "-n", str(ranks)] if ranks else []
    return [*start, find_tool("cleave-run"), str(package), *map(str, arguments)]


def run(package: Path, ranks: int | None, *arguments: object, environment: dict | None = None
        ) -> subprocess.CompletedProcess:
    """A finished job, whatever its status. Text that is no UTF-8 (a model may write any bytes)
    stays as surrogates; no line ending is changed.
    """
    result = subprocess.run(command(package, ranks, arguments), stdin=subprocess.DEVNULL,
                            capture_output=True, timeout=PATIENCE,
                            env=mpi_environment(ranks or 1) | HURRY | (environment or {}))
    output, errors = (text.decode(errors="surrogateescape")
                      for text in (result.stdout, result.stderr))
    return subprocess.CompletedProcess(result.args, result.returncode, output, errors)


def one_thread(arguments: Sequence[object]) -> list[object]:
    """The option for one thread, unless the arguments choose: quicker for such small models."""
    return [] if "--threads" in arguments else ["--threads", 1]


def text_of(package: Path, ranks: int | None, *arguments: object) -> str:
    """Standard output of a greedy run that succeeds. One thread a rank, unless told otherwise."""
    result = run(package, ranks, "--temp", 0, *one_thread(arguments), *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def logits_of(package: Path, ranks: int | None, tokens: Sequence[int], *arguments: object
              ) -> np.ndarray:
    """The logits [n, vocabulary] after each of the n `tokens`, which are all given."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "logits.npy"
        result = run(package, ranks, "--tokens", ",".join(map(str, tokens)), "-n", 0,
                     "--output", f"logits={file}", *one_thread(arguments), *arguments)
        assert result.returncode == 0, result.stderr
        logits = np.load(file)
    assert logits.dtype == np.float32 and len(logits) == len(tokens)
    return logits


def complaint(result: subprocess.CompletedProcess, *patterns: str) -> str:
    """Standard error of a refusal: each pattern once, no output, no crash, a non-zero status."""
    assert result.returncode > 0, f"status {result.returncode}\n{result.stderr}"
    assert result.stdout == ""
    assert not CRASH.search(result.stderr), result.stderr
    for pattern in patterns:
        found = re.findall(pattern, result.stderr)
        assert len(found) == 1, f"{len(found)} times {pattern!r} in:\n{result.stderr}"
    return result.stderr


class Job:
    """A job under mpirun that has begun to print text and goes on."""

    def __init__(self, package: Path, ranks: int, *arguments: object,
                 environment: dict | None = None) -> None:
        self.process = subprocess.Popen(
            command(package, ranks, ["--temp", 0, *arguments]), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=mpi_environment(ranks) | (environment or {}))
        self.pids: dict[int, int] = {}
        self._wait_for_text(200)
        for pid in self._children():
            words = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
            variables = dict(word.split("=", 1) for word in words if "=" in word)
            self.pids[int(variables["OMPI_COMM_WORLD_RANK"])] = pid
        assert sorted(self.pids) == list(range(ranks))

    def _wait_for_text(self, count: int) -> None:
        assert self.process.stdout
        output, give_up = self.process.stdout.fileno(), time.monotonic() + PATIENCE
        while count > 0:
            ready = select.select([output], [], [], max(0, give_up - time.monotonic()))[0]
            text = os.read(output, count) if ready else b""
            if not text:
                self.process.kill()
                raise AssertionError(f"no text: {self.process.communicate()}")
            count -= len(text)

    def _children(self) -> list[int]:
        pid = self.process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def signal(self, rank: int, number: signal.Signals) -> None:
        os.kill(self.pids[rank], number)

    def ends_within(self, seconds: float) -> str:
        """Standard error of the job, which ends in that time and leaves no process behind."""
        took, text = self.end(seconds + 10)
        assert took <= seconds, f"ended after {took:.1f} s, allowed are {seconds}\n{text}"
        return text

    def end(self, patience: float) -> tuple[float, str]:
        """How many seconds the job took to end, leaving no process behind, and its standard
        error.
        """
        begin = time.monotonic()
        try:
            _, errors = self.process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the job still runs after {patience} s") from None
        took = time.monotonic() - begin
        text = errors.decode(errors="replace")
        for rank, pid in self.pids.items():
            assert ended(pid), f"rank {rank} is still there"
        return took, text

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in [*self.pids.values(), self.process.pid]:
            if not ended(pid, patience=0):
                os.kill(pid, signal.SIGKILL)
        self.process.communicate()


def ended(pid: int, patience: float = 1) -> bool:
    """Whether a process is gone, or is about to be: a parent has only to notice."""
    give_up = time.monotonic() + patience
    while True:
        try:
            if "State:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        if time.monotonic() >= give_up:
            return False
        time.sleep(0.05)
