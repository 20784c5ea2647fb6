"""cleave.compute: arrays through the real tools against the onnx package's own evaluation, and
errors."""

from __future__ import annotations

import json

import numpy as np
import pytest

import cleave

# Leaves its arguments beside itself, and gives the first input back as every output.
CLEAVE_RUN = """
import json
open(sys.argv[0] + ".arguments", "w").write(json.dumps(sys.argv[1:]))
import shutil
files = [word.split("=", 2)[2] for word in sys.argv[2:] if word.startswith("--input=")]
targets = [word.split("=", 2)[2] for word in sys.argv[2:] if word.startswith("--output=")]
for target in targets:
    shutil.copy(files[0], target)
"""


@pytest.fixture
def graph_package(tmp_path):
    """A folder with the manifest of a graph."""
    folder = tmp_path / "g.cleave"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({
        "ranks": 1, "stages": 1, "mesh": [],
        "entries": [{"name": "main", "inputs": [{"name": "x"}], "outputs": [{"name": "a"},
                                                                            {"name": "b"}]}]}))
    return folder


def test_the_package_says_what_goes_in_and_out(graph_package):
    package = cleave.Package.open(graph_package)
    assert package.inputs == ("x",)
    assert package.outputs == ("a", "b")


def test_arrays_go_in_and_all_outputs_come_back(fake_tool, graph_package):
    program = fake_tool("cleave-run", CLEAVE_RUN)
    x = np.arange(6, dtype=np.int64).reshape(2, 3).T  # not in C order
    found = cleave.compute(graph_package, {"x": x}, threads=2, options=["--no-verify"])
    assert list(found) == ["a", "b"]
    for values in found.values():
        assert values.dtype == np.int64
        assert np.array_equal(values, x)
    words = json.loads((program.parent / "cleave-run.arguments").read_text())
    assert words[0] == str(graph_package)
    assert words[4:] == ["--threads=2", "--no-verify"]


def test_some_outputs_may_be_asked_for(fake_tool, graph_package):
    fake_tool("cleave-run", CLEAVE_RUN)
    assert list(cleave.compute(graph_package, {"x": np.float32(2)}, ["b"])) == ["b"]
    assert cleave.compute(graph_package, {"x": np.float32(2)}, ["b"])["b"].shape == ()


def test_nothing_to_compute_is_refused(fake_tool, graph_package):
    fake_tool("cleave-run", CLEAVE_RUN)
    with pytest.raises(cleave.CleaveError, match="no output was asked for"):
        cleave.compute(graph_package, {"x": np.zeros(1)}, [])


def test_objects_are_refused(fake_tool, graph_package):
    fake_tool("cleave-run", CLEAVE_RUN)
    with pytest.raises(cleave.CleaveError, match="input 'x' is an array of Python objects"):
        cleave.compute(graph_package, {"x": [None, {}]})


def test_what_the_tool_says_is_raised(fake_tool, graph_package):
    fake_tool("cleave-run", "sys.exit('cleave-run: error: input x has another shape')")
    with pytest.raises(cleave.CleaveError, match="^cleave-run: error: input x has another shape$"):
        cleave.compute(graph_package, {"x": np.zeros(1)})


@pytest.mark.usefixtures("built_tools")
@pytest.mark.parametrize("plan", [{}, {"tp": 2}, {"tp": 3}, {"stages": 2}], ids=str)
def test_an_onnx_model_computes_what_its_standard_says(plan, tmp_path):
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator
    from onnx_models import MODELS

    model = MODELS["feed_forward"]()
    onnx.save(model, tmp_path / "m.onnx")
    package = cleave.partition(tmp_path / "m.onnx", tmp_path / "m.cleave", dims={"batch": 2}, **plan)
    assert package.ranks == max(plan.values(), default=1)
    width = model.graph.input[0].type.tensor_type.shape.dim[-1].dim_value
    x = np.random.default_rng(1).standard_normal((2, 5, width)).astype(np.float32)
    found = cleave.compute(package, {"x": x})
    (expected,) = ReferenceEvaluator(model).run(None, {"x": x})
    assert list(found) == ["y"]
    assert np.abs(found["y"] - expected).max() <= 2e-5 * max(1.0, np.abs(expected).max())
    with pytest.raises(cleave.CleaveError, match="input"):
        cleave.compute(package, {"x": x[:1]})  # --dim fixed the batch
