"""ONNX's own tests of nodes, through the tools, with the standard's tolerances."""

from __future__ import annotations

import pytest
from harness import ROOT

pytest.importorskip("onnx")
from onnx_backend import run_case  # noqa: E402

CASES = ROOT.parent / "shared" / "data" / "onnx" / "backend-node"


@pytest.mark.parametrize("name", sorted(each.name for each in CASES.iterdir())
                         if CASES.is_dir() else [pytest.param("", marks=pytest.mark.skip(
                             f"no shared test data in {CASES}"))])
def test_node(tmp_path, name):
    outcome = run_case(CASES / name, tmp_path)
    assert outcome.status == "passed", outcome.message
