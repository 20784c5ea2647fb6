"""What the end-to-end tests share: the tools, models, and packages that are made once."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# NumPy's matrices here are small: its threads would only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from harness import EXAMPLE, ROOT, SHARED, find_tool, partition  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    """Skips everything unless Cleave is built (CLEAVE_BIN, PATH, build/bin), with mpirun."""
    from cleave import CleaveError

    for name in ("partition-tool", "cleave-run"):
        try:
            find_tool(name)
        except CleaveError as error:
            pytest.skip(str(error))
    if not shutil.which("mpirun"):
        pytest.skip("no mpirun on PATH")


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """The folder of models that others made."""
    if not SHARED.is_dir():
        pytest.skip(f"no shared test data in {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the models that test/models/make_models.py writes."""
    sys.path.insert(0, str(ROOT / "test" / "models"))
    from make_models import make_models

    folder = tmp_path_factory.mktemp("models")
    make_models(folder)
    return folder


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`package(model, *flags)`: a package, made once and not to be changed."""
    made: dict[tuple, Path] = {}
    folder = tmp_path_factory.mktemp("packages")

    def make(model: Path, *flags: object) -> Path:
        key = (model, *flags)
        if key not in made:
            made[key] = partition(model, folder / f"{len(made)}-{model.stem}.cleave", *flags)
        return made[key]

    return make


@pytest.fixture
def damaged(package: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """`damaged(*flags)`: a package of the example model of the test's own, to do harm to."""

    def copy(*flags: object) -> Path:
        made = package(EXAMPLE, *flags)
        return Path(shutil.copytree(made, tmp_path / f"{made.stem}.cleave"))

    return copy
