"""What the programs that measure share: the machine they ran on, and how they run."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from measure import Sample, Setup

ROOT = Path(__file__).resolve().parents[1]


def machine() -> str:
    """The processor, how many, and the extensions that matter here."""
    name, flags = platform.machine(), []
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            if key.strip() == "flags":
                flags = value.split()
    except OSError:
        pass
    known = [flag for flag in ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16",
                               "amx_int8", "amx_bf16") if flag in flags]
    return f"{name}, {len(os.sched_getaffinity(0))} processors, {' '.join(known)}"


def version() -> str:
    """The commit that is checked out, as far as git knows."""
    done = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"],
                          capture_output=True, text=True, check=False)
    return done.stdout.strip() or "of unknown version"


def circumstances() -> dict[str, str]:
    """When and where, as it stands in a record."""
    return {"date": datetime.datetime.now().astimezone().isoformat(" ", "minutes"),
            "machine": machine(), "version": version()}


def setups(text: str) -> list[Setup]:
    """A command line's "1x1,2x1"."""
    try:
        return [Setup.parse(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def least_disturbed(quiet: float | None, take: Callable[..., list[Sample]],
                    *arguments: object) -> list[Sample]:
    """What take(*arguments) measures; of up to five attempts, until others used no more than
    `quiet` processors meanwhile, the least disturbed one."""
    samples = take(*arguments)
    for _ in range(0 if quiet is None else 4):
        if samples[0]["others"] <= quiet:
            break
        again = take(*arguments)
        samples = min(samples, again, key=lambda each: each[0]["others"])
    return samples


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def interrupt(*_: object) -> None:
    """Ends as Python does by itself, which takes what it started with it."""
    raise KeyboardInterrupt
