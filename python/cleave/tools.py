"""Finds the native programs, and the environment in which `mpirun` starts them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from .errors import CleaveError


def find_tool(name: str) -> str:
    """The path of the program `name`.

    Looked for in the folder that CLEAVE_BIN names (and then nowhere else), on PATH, and in
    build/bin of a source checkout. Raises CleaveError when it is in none of them.
    """
    folder = os.environ.get("CLEAVE_BIN")
    if folder:
        found = shutil.which(name, path=folder)
        if not found:
            raise CleaveError(f"no program '{name}' in '{folder}', which CLEAVE_BIN names")
        return os.path.abspath(found)
    found = shutil.which(name)
    if found:
        return found
    for root in checkouts():
        found = shutil.which(name, path=str(root / "build" / "bin"))
        if found:
            return found
    raise CleaveError(f"no program '{name}' on PATH or in a checkout's build/bin; build Cleave, or "
                      "set CLEAVE_BIN to the folder that holds it")


def checkouts() -> Iterator[Path]:
    """The source checkouts around this file and around the current folder, nearest first."""
    for start in (Path(__file__).resolve(), Path.cwd() / "."):
        for folder in start.parents:
            if (folder / "CMakeLists.txt").is_file() and (folder / "python" / "cleave").is_dir():
                yield folder


def cores() -> int:
    """Physical cores that this process may use: what Open MPI counts as slots."""
    processors = os.sched_getaffinity(0)
    siblings = set()
    for processor in processors:
        topology = Path(f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list")
        try:
            siblings.add(topology.read_text())
        except OSError:
            siblings.add(str(processor))
    return len(siblings)


def mpi_environment(ranks: int) -> dict[str, str]:
    """The environment for `mpirun` with `ranks` ranks; what the user has set stays."""
    environment = dict(os.environ)
    if os.getuid() == 0:
        # A container's only user is root; mpirun refuses that one unless told twice.
        environment.setdefault("OMPI_ALLOW_RUN_AS_ROOT", "1")
        environment.setdefault("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
    if ranks > cores():
        environment.setdefault("OMPI_MCA_rmaps_base_oversubscribe", "1")
    return environment
