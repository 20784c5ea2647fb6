"""Takes single measurements: of Cleave and the machine's reads, of the machine's multiplications,
of llama.cpp's llama-bench, and of onnxruntime.

Each returns samples, plain dictionaries; results.py says what they mean together.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cleave import CleaveError, Package
from cleave.tools import find_tool, mpi_environment

Sample = dict[str, Any]


@dataclass(frozen=True)
class Test:
    """A prompt, or steps of generation behind `depth` tokens."""

    kind: str
    tokens: int
    depth: int = 0

    @property
    def is_long(self) -> bool:
        return max(self.tokens, self.depth) >= 2048


@dataclass(frozen=True)
class Setup:
    """Ranks and threads of each, as "2x1"."""

    ranks: int
    threads: int

    @classmethod
    def parse(cls, text: str) -> Setup:
        ranks, _, threads = text.partition("x")
        if not (ranks.isdecimal() and threads.isdecimal() and int(ranks) and int(threads)):
            raise ValueError(f"'{text}' is no setup such as 2x1, ranks x threads")
        return cls(int(ranks), int(threads))

    @property
    def cores(self) -> int:
        return self.ranks * self.threads

    def __str__(self) -> str:
        return f"{self.ranks}x{self.threads}"


def processors(count: int) -> list[int]:
    """`count` processors, of as many cores as there are, first one of each core."""
    usable = sorted(os.sched_getaffinity(0))
    first: list[int] = []
    second: list[int] = []
    seen: set[str] = set()
    for processor in usable:
        try:
            core = Path(f"/sys/devices/system/cpu/cpu{processor}/topology/"
                        "thread_siblings_list").read_text()
        except OSError:
            core = str(processor)
        (second if core in seen else first).append(processor)
        seen.add(core)
    return (first + second)[:count]


def busy_seconds() -> float:
    """Seconds for which this machine's processors were at work, or kept from it by the host, so
    far, less those of the processes that this one started and saw end."""
    try:
        words = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    except OSError:
        return 0.0
    user, nice, system, _, _, hard, soft, steal = map(int, words[1:9])
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    ticks = user + nice + system + hard + soft + steal
    return ticks / os.sysconf("SC_CLK_TCK") - own.ru_utime - own.ru_stime


def measured(command: list[str], environment: Mapping[str, str] | None = None,
             cpus: Iterable[int] | None = None) -> tuple[str, float]:
    """What output_of() says, and how many processors others used meanwhile."""
    begin, busy = time.monotonic(), busy_seconds()
    output = output_of(command, environment, cpus)
    return output, max(0.0, busy_seconds() - busy) / (time.monotonic() - begin)


def output_of(command: list[str], environment: Mapping[str, str] | None = None,
              cpus: Iterable[int] | None = None) -> str:
    """Standard output of a program that must succeed, bound to `cpus` where they are given."""
    if cpus is not None:
        command = ["taskset", "-c", ",".join(map(str, cpus)), *command]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              env=environment, check=False)
    except OSError as error:
        raise CleaveError(f"cannot start '{command[0]}': {error.strerror}") from error
    if done.returncode:
        raise CleaveError(f"{' '.join(command)}\nended with status {done.returncode}:\n"
                          + done.stderr.strip())
    return done.stdout


def run_cleave(package: Package, setup: Setup, test: Test, repeat: int) -> list[Sample]:
    """Measurements: the time of each, and what the ranks say of themselves. One of generation has
    "reads", in bytes a second: what the same ranks and threads read of the weights right after it,
    in several ways."""
    generates = test.kind == "generate"
    spec = f"{test.kind}={test.tokens},depth={test.depth},read={int(generates)},repeat={repeat}"
    (*lines, ranks), others = bench(package, setup, spec)
    samples = [{"who": "cleave", "setup": str(setup), "others": others, **line, **ranks}
               for line in lines if line["test"] != "read"]
    for sample, rates in zip(samples, reads_of(lines, ranks)):
        sample["reads"] = rates
    return samples


def reads_of(lines: list[Sample], ranks: Sample) -> list[list[float]]:
    """Of each repetition that has some, its reads in bytes a second."""
    size = sum(rank["weight_bytes"] for rank in ranks["ranks"])
    found: dict[int, list[float]] = {}
    for line in lines:
        if line["test"] == "read":
            found.setdefault(line["repetition"], []).append(size / line["seconds"])
    return list(found.values())


def bench(package: Package, setup: Setup, spec: str, *arguments: str) -> tuple[list[Sample], float]:
    """What `cleave-run --bench` prints, and how many processors others used meanwhile."""
    command = [find_tool("cleave-run"), os.fspath(package), "-t", str(setup.threads), "--bench",
               spec, *arguments]
    if setup.ranks > 1:
        command = [shutil.which("mpirun") or "mpirun", "-n", str(setup.ranks), *command]
    output, others = measured(command, mpi_environment(setup.ranks))
    return list(map(json.loads, output.splitlines())), others


def files(inputs: Mapping[str, Path]) -> list[str]:
    return [f"{name}={path}" for name, path in inputs.items()]


def run_graph(package: Package, setup: Setup, inputs: Mapping[str, Path], runs: int,
              repeat: int) -> list[Sample]:
    """A graph's repetitions, and what the ranks say of themselves."""
    lines, others = bench(package, setup, f"run={runs},repeat={repeat}",
                          *(word for file in files(inputs) for word in ("--input", file)))
    return [{"who": "cleave", "setup": str(setup), "others": others, **line} for line in lines]


def run_onnxruntime(model: Path, threads: int, inputs: Mapping[str, Path], runs: int,
                    repeat: int) -> list[Sample]:
    """The same of onnxruntime, bound to as many processors as it has threads."""
    program = Path(__file__).with_name("onnxruntime_peer.py")
    command = [sys.executable, os.fspath(program), os.fspath(model), *map(str, (threads, runs, repeat)),
               *files(inputs)]
    output, others = measured(command, cpus=processors(threads))
    return [{"who": "onnxruntime", "setup": f"1x{threads}", "others": others, **json.loads(line)}
            for line in output.splitlines()]


def compute_limit(cores: list[int]) -> list[Sample]:
    """Each instruction that multiplies, for each number of cores."""
    output, others = measured([find_tool("compute-limit"), *map(str, cores)])
    return [{"who": "compute", "others": others, **json.loads(line)}
            for line in output.splitlines()]


@dataclass(frozen=True)
class Peer:
    """llama.cpp's llama-bench."""

    path: str

    def run_beside_reads(self, package: Package, *arguments: Any) -> list[Sample]:
        """As run(), and what as many threads read of the package's weights right after it."""
        samples = self.run(*arguments)
        (*lines, ranks), _ = bench(package, Setup.parse(samples[0]["setup"]),
                                   "read=1,depth=1,repeat=1")
        return [sample | {"reads": reads_of(lines, ranks)[0]} for sample in samples]

    def run(self, model: Path, threads: int, test: Test, flash: int, batch: int,
            repeat: int = 1) -> list[Sample]:
        """`repeat` measurements behind one warm-up."""
        prompt, generate = ((test.tokens, 0) if test.kind == "prompt" else (0, test.tokens))
        command = [self.path, "-m", os.fspath(model), "-t", str(threads), "-p", str(prompt), "-n",
                   str(generate), "-d", str(test.depth), "-fa", str(flash), "-ub", str(batch),
                   "-b", str(max(2048, batch)), "-r", str(repeat), "-o", "json"]
        output, others = measured(command, cpus=processors(threads))
        try:
            found = json.loads(output)[0]
            times = [nanoseconds / 1e9 for nanoseconds in found["samples_ns"]]
            commit = found["build_commit"]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise CleaveError(f"{self.path}: no JSON as llama-bench writes it: {error!r}") from error
        return [{"who": "peer", "setup": f"1x{threads}", "test": test.kind, "tokens": test.tokens,
                 "depth": test.depth, "seconds": seconds, "flash": flash, "batch": batch,
                 "commit": commit, "others": others} for seconds in times]

    def best_options(self, model: Path, threads: int, test: Test) -> tuple[int, int]:
        """Of flash attention and micro-batches the quickest, by the better of two runs each, or one
        where it is long."""
        batches = [size for size in (128, 256, 512) if size <= max(test.tokens, 128)]
        choices = [(flash, batch) for flash in (0, 1)
                   for batch in (batches if test.kind == "prompt" else [512])]
        times: dict[tuple[int, int], float] = {}
        for _ in range(1 if test.is_long else 2):
            for choice in choices:
                seconds = self.run(model, threads, test, *choice)[0]["seconds"]
                times[choice] = min(seconds, times.get(choice, seconds))
        return min(times, key=times.__getitem__)
