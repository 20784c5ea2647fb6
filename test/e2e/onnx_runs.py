"""Packages of ONNX models: run on arrays, and their communication counted."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from harness import partition_tool, run


def compute(package: Path, ranks: int | None, values: dict[str, np.ndarray], outputs: list[str],
            folder: Path) -> list[np.ndarray]:
    """The outputs for these inputs, of which a model may not use all."""
    entry = json.loads((package / "manifest.json").read_text())["entries"][0]
    words: list[object] = ["--threads", 1]
    for port in entry["inputs"]:
        file = folder / f"{port['name']}.in.npy"
        np.save(file, values[port["name"]])
        words += ["--input", f"{port['name']}={file}"]
    for name in outputs:
        words += ["--output", f"{name}={folder / name}.out.npy"]
    result = run(package, ranks, *words)
    assert result.returncode == 0, result.stderr
    return [np.load(folder / f"{name}.out.npy") for name in outputs]


def close(found: list[np.ndarray], expected: list[np.ndarray], tolerance: float = 2e-5) -> None:
    """Both are f32; the tolerance is of the largest magnitude."""
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.shape == theirs.shape and mine.dtype == theirs.dtype
        if theirs.size:
            assert np.abs(mine - theirs).max() <= tolerance * max(1.0, np.abs(theirs).max())


def collectives(model: Path, *flags: object) -> dict[str, int]:
    """How many messages of each kind rank 0 exchanges in a run, by operation."""
    result = partition_tool(model, *flags, "--emit=ranks")
    assert result.returncode == 0, result.stderr
    rank = result.stdout.split("module @rank0", 1)[1].split("module @rank1", 1)[0]
    found: dict[str, int] = {}
    for kind in re.findall(r"cleave\.(?:merged_)?(all_\w+|reduce_scatter|broadcast)", rank):
        kind = "all_reduce" if kind == "all_reduce_add" else kind
        found[kind] = found.get(kind, 0) + 1
    return found
