"""What the tests of the Python package share: import paths, stand-ins for the tools, real tools."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
for folder in ("python", "test/e2e", "test/models"):
    sys.path.insert(0, str(ROOT / folder))

from cleave import CleaveError  # noqa: E402
from cleave.tools import find_tool  # noqa: E402

MANIFEST = """{"ranks": %d, "stages": 1, "mesh": [{"axis": "tp", "size": %d}]}"""


@pytest.fixture
def fake_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """`fake_tool(name, source)` makes a Python program that stands in for a tool.

    Programs and mpirun are looked for among them only.
    """
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("CLEAVE_BIN", str(folder))
    monkeypatch.setenv("PATH", str(folder))

    def make(name: str, source: str) -> Path:
        program = folder / name
        program.write_text(f"#!{sys.executable}\nimport os, sys, time\n{source}")
        program.chmod(0o755)
        return program

    return make


@pytest.fixture
def fake_package(tmp_path: Path) -> Callable[[int], Path]:
    """`fake_package(ranks)` makes a folder with a manifest and nothing else."""

    def make(ranks: int) -> Path:
        folder = tmp_path / f"p{ranks}.cleave"
        folder.mkdir()
        (folder / "manifest.json").write_text(MANIFEST % (ranks, ranks))
        return folder

    return make


@pytest.fixture
def built_tools() -> None:
    """Skips the test unless Cleave is built."""
    for name in ("partition-tool", "cleave-run"):
        try:
            find_tool(name)
        except CleaveError as error:
            pytest.skip(str(error))


@pytest.fixture
def stories() -> Path:
    """The example model."""
    return ROOT / "examples" / "stories.gguf"


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the models that test/models/make_models.py writes."""
    from make_models import make_models

    folder = tmp_path_factory.mktemp("models")
    make_models(folder)
    return folder
