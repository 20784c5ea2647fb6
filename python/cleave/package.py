"""Packages: what partition-tool writes, and the call that has one written.

The package's form is runtime/program's (manifest.h); only what a launcher needs is read here.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import CleaveError
from .tools import find_tool

PathLike = str | os.PathLike[str]

log = logging.getLogger("cleave")


@dataclass(frozen=True)
class Package:
    """A partitioned model on disk; also a path (`os.fspath`)."""

    path: Path
    ranks: int
    stages: int
    mesh: Mapping[str, int]
    """The size of each axis, such as {"tp": 2}."""
    inputs: tuple[str, ...] = ()
    """What `compute` wants: the names of the graph's inputs, and of its outputs."""
    outputs: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: PathLike) -> Package:
        """Reads the manifest. Raises CleaveError when there is none or it does not make sense."""
        manifest = Path(path) / "manifest.json"
        try:
            values = json.loads(manifest.read_text(encoding="utf-8"))
            ranks, stages = values["ranks"], values["stages"]
            mesh = {axis["axis"]: axis["size"] for axis in values["mesh"]}
            entry = next(iter(values.get("entries", ())), {})
            inputs, outputs = (tuple(str(port["name"]) for port in entry.get(kind, ()))
                               for kind in ("inputs", "outputs"))
        except OSError as error:
            raise CleaveError(f"'{path}' is not a package: cannot read '{manifest}': "
                              f"{error.strerror}") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CleaveError(f"'{manifest}' is not a package's manifest: {error!r}") from error
        for name, value in {"ranks": ranks, "stages": stages, **mesh}.items():
            if type(value) is not int or not 1 <= value <= 65536:
                raise CleaveError(f"'{manifest}': {name} is {value!r}, expected 1 to 65536")
        return cls(Path(path), ranks, stages, mesh, inputs, outputs)

    def __fspath__(self) -> str:
        return str(self.path)


def partition(
    path: PathLike,
    output: PathLike | None = None,
    *,
    tp: int | None = None,
    stages: int | None = None,
    cut: str | Iterable[str] = (),
    split: Mapping[str, str] | Iterable[str] = (),
    plan: PathLike | None = None,
    mesh: Mapping[str, int] | None = None,
    shares: Mapping[str, Sequence[int]] | None = None,
    sequence: str | None = None,
    dims: Mapping[str, int | str] | None = None,
    options: Iterable[str] = (),
) -> Package:
    """Partitions the model file `path` (GGUF, ONNX or MLIR) and returns the package.

    output   the folder to write; by default `<model>.cleave` in the current folder
    tp       ranks that share each weight (tensor parallelism)
    stages   pipeline stages; ranks are stages times the sizes of the mesh
    cut      where stages begin: names of blocks, ops or tensors ("blk.11")
    split    how weights are cut, first match wins: {"blk.*.ffn_down.weight": "row"}, or
             "PATTERN=TYPE" strings; types are column, row, head, none
    plan     a YAML file that says all this; an argument wins over it
    mesh     axes with sizes, the last varying fastest: {"tp": 2}
    shares   uneven ranks: {"tp": [2, 1]} gives the first rank twice the second's share
    sequence an axis over which the tokens of a prompt are cut, too, between matrices: "tp"
    dims     sizes that an ONNX file only names: {"batch": 4}, or {"total": "past+seq"}
    options  further options of partition-tool, word for word

    The tool's warnings go to the logger "cleave". Raises CleaveError with the tool's message when
    the model, the plan or the output is refused.
    """
    output = Path(output) if output is not None else Path(Path(path).stem + ".cleave")
    command = partition_command(path, output, tp=tp, stages=stages, cut=cut, split=split, plan=plan,
                                mesh=mesh, shares=shares, sequence=sequence, dims=dims,
                                options=options)
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
    except OSError as error:
        raise CleaveError(f"cannot start '{command[0]}': {error.strerror}") from error
    message = done.stderr.decode(errors="replace").strip()
    if done.returncode:
        raise CleaveError(message or f"partition-tool ended with status {done.returncode}")
    for warning in message.splitlines():
        log.warning("%s", warning)
    return Package.open(output)


def partition_command(
    path: PathLike,
    output: PathLike,
    *,
    tp: int | None,
    stages: int | None,
    cut: str | Iterable[str],
    split: Mapping[str, str] | Iterable[str],
    plan: PathLike | None,
    mesh: Mapping[str, int] | None,
    shares: Mapping[str, Sequence[int]] | None,
    sequence: str | None,
    dims: Mapping[str, int | str] | None,
    options: Iterable[str],
) -> list[str]:
    """The command line for `partition`'s arguments."""
    # A path that starts with '-' would read as an option.
    model = os.fspath(path)
    command = [find_tool("partition-tool"), f"./{model}" if model.startswith("-") else model,
               "-o", os.fspath(output), "--emit=package"]
    if tp is not None:
        command.append(f"--tp={tp}")
    if stages is not None:
        command.append(f"--stages={stages}")
    command += [f"--cut={name}" for name in ([cut] if isinstance(cut, str) else cut)]
    if isinstance(split, Mapping):
        split = [f"{pattern}={kind}" for pattern, kind in split.items()]
    command += [f"--split={rule}" for rule in ([split] if isinstance(split, str) else split)]
    if plan is not None:
        command.append(f"--plan={os.fspath(plan)}")
    if mesh:
        command.append("--mesh=" + ",".join(f"{axis}={size}" for axis, size in mesh.items()))
    command += [f"--shares={axis}={','.join(map(str, parts))}"
                for axis, parts in (shares or {}).items()]
    if sequence is not None:
        command.append(f"--sequence={sequence}")
    command += [f"--dim={name}={size}" for name, size in (dims or {}).items()]
    return command + list(options)
