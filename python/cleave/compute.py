"""Runs a package of an ONNX model, or of any other graph, on NumPy arrays."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from .errors import CleaveError
from .package import Package, PathLike
from .runner import Run, command_words
from .tools import mpi_environment


def compute(
    package: Package | PathLike,
    inputs: Mapping[str, ArrayLike],
    outputs: Iterable[str] | None = None,
    *,
    threads: int | None = None,
    options: Iterable[str] = (),
    mpirun_options: Iterable[str] = (),
) -> dict[str, np.ndarray]:
    """The outputs of the package's graph for these inputs, by name.

    inputs          an array for each of the graph's inputs, of its element type and shape; bfloat16
                    as 2-byte elements ("V2", or the package ml_dtypes' type)
    outputs         which to compute: all where it is None; the graph then does only what they need
    threads         threads a rank
    options         further options of cleave-run, word for word
    mpirun_options  options of mpirun, such as ("--hostfile", "hosts")

    Each call starts the package's ranks anew and loads their weights; arrays travel in files of a
    temporary folder. Raises CleaveError, with the tool's message, where the package, an input or the
    run is refused.
    """
    opened = package if isinstance(package, Package) else Package.open(package)
    names = opened.outputs if outputs is None else tuple(outputs)
    if not names:
        raise CleaveError(f"'{opened.path}': no output was asked for")
    with tempfile.TemporaryDirectory(prefix="cleave-") as folder:
        command = command_words(opened, mpirun_options)
        for number, (name, values) in enumerate(inputs.items()):
            file = Path(folder) / f"input-{number}.npy"
            save(file, name, values)
            command.append(f"--input={name}={file}")
        files = {name: Path(folder) / f"output-{number}.npy" for number, name in enumerate(names)}
        command += [f"--output={name}={file}" for name, file in files.items()]
        if threads is not None:
            command.append(f"--threads={threads}")
        with Run(command + list(options), mpi_environment(opened.ranks)) as job:
            for _ in job:
                pass
        return {name: np.load(file) for name, file in files.items()}


def save(file: Path, name: str, values: ArrayLike) -> None:
    """Writes one input in NumPy's format, in C order."""
    array = np.asarray(values)
    if array.dtype.hasobject:
        raise CleaveError(f"input '{name}' is an array of Python objects, expected numbers")
    if array.dtype.name == "bfloat16":
        array = array.view("V2")
    np.save(file, np.ascontiguousarray(array).reshape(array.shape))
