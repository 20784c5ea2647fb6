"""ONNX models through the tools: those that others made, with their published outputs, and small
ones made here; whole, and cut and split.
"""

from __future__ import annotations

import numpy as np
import pytest
from harness import ROOT, complaint, partition, partition_tool, run

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx_backend import run_case  # noqa: E402

MODELS = ROOT.parent / "shared" / "data" / "onnx"

ROW, COLUMN = "=row", "=column"
MLP = ("--split", "*dense_h_to_4h.weight*=column", "--split", "*dense_4h_to_h.weight*=row")
BERT = ("--split", "*self.query.weight*=column", "--split", "*self.key.weight*=column",
        "--split", "*self.value.weight*=column", "--split", "*attention.output.dense.weight*=row",
        "--split", "*intermediate.dense.weight*=column",
        "--split", "bert.encoder.layer.*.output.dense.weight*=row")


def check(name, tmp_path, ranks=None, flags=()):
    if not (MODELS / name).is_dir():
        pytest.skip(f"no shared test data in {MODELS}")
    outcome = run_case(MODELS / name, tmp_path, ranks, flags)
    assert outcome.status == "passed", outcome.message


NAMES = ["mnist-8", "mlp_megatron", "self_attention_megatron", "bert_toy"]


@pytest.mark.parametrize("name", NAMES)
def test_published_outputs(tmp_path, name):
    check(name, tmp_path)


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_mlp_split(tmp_path, ranks):
    check("mlp_megatron", tmp_path, ranks, ("--tp", ranks, *MLP))


@pytest.mark.parametrize("ranks", [2, 3])
def test_bert_split(tmp_path, ranks):
    check("bert_toy", tmp_path, ranks, ("--tp", ranks, *BERT))


@pytest.mark.parametrize("ranks", [2, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_default_plan(tmp_path, name, ranks):
    check(name, tmp_path, ranks, ("--tp", ranks))


def test_mnist_in_stages(tmp_path):
    check("mnist-8", tmp_path, 2, ("--cut", "Convolution110"))


def save(path, nodes, inputs, outputs, initializers=()):
    graph = helper.make_graph(nodes, "g", inputs, outputs,
                              [numpy_helper.from_array(value, name) for name, value in initializers])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
              path)
    return path


def floats(name, *dims):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)


def test_an_unknown_value_names_the_flag_that_gives_it(tmp_path):
    model = save(tmp_path / "m.onnx", [helper.make_node("Reshape", ["x", "s"], ["y"], "r")],
                 [floats("x", 4, 2), helper.make_tensor_value_info("s", TensorProto.INT64, [2])],
                 [floats("y", 2, 4)])
    result = partition_tool(model, "-o", tmp_path / "m.cleave")
    complaint(result, "node 'r' \\(Reshape\\)", "--value s=FILE")
    np.save(tmp_path / "s.npy", np.array([2, 4]))
    result = partition_tool(model, "--value", f"s={tmp_path}/s.npy", "--emit=logical")
    assert result.returncode == 0, result.stderr
    assert "cleave.reshape" in result.stdout and '"s"' not in result.stdout
    complaint(partition_tool(model, "--value", "t=s.npy", "-o", tmp_path / "m.cleave"),
              "no input of that name")
    complaint(partition_tool(model, "--dim", "x", "-o", tmp_path / "m.cleave"), "NAME=SIZE")


def test_sizes_that_must_agree(tmp_path):
    model = save(tmp_path / "m.onnx", [helper.make_node("Add", ["x", "z"], ["y"], "sum")],
                 [floats("x", "a", 2), floats("z", "b", 2)], [floats("y", "a", 2)])
    complaint(partition_tool(model, "-o", tmp_path / "m.cleave"), "node 'sum' \\(Add\\)",
              "a and b are not known to be equal", "--dim NAME=SIZE")
    result = partition_tool(model, "--dim", "b=a", "--emit=logical")
    assert result.returncode == 0, result.stderr


def test_constants_are_computed_once_and_alike(tmp_path):
    """What the compiler computes beforehand has the very bits that the run would make."""
    nodes = [helper.make_node("Exp", ["w"], ["e"], "root"),
             helper.make_node("ReduceSum", ["e"], ["s"], "sum"),
             helper.make_node("Div", ["e", "s"], ["p"], "share"),
             helper.make_node("Mul", ["x", "p"], ["y"], "product")]
    weight = np.sin(np.arange(300, dtype=np.float32))
    model = save(tmp_path / "m.onnx", nodes, [floats("x", "n", 300)], [floats("y", "n", 300)],
                 [("w", weight)])
    logical = partition_tool(model, "--emit=logical")
    assert "cleave.exp" not in logical.stdout and "@share : tensor<300xf32>" in logical.stdout
    x = np.cos(np.arange(600, dtype=np.float32)).reshape(2, 300)
    np.save(tmp_path / "x.npy", x)
    found = []
    for flags in ((), ("--no-optimize",)):
        package = partition(model, tmp_path / f"m{len(found)}.cleave", *flags)
        result = run(package, None, "--input", f"x={tmp_path}/x.npy", "--output",
                     f"y={tmp_path}/y.npy", "--threads", 1)
        assert result.returncode == 0, result.stderr
        found.append(np.load(tmp_path / "y.npy"))
    assert found[0].tobytes() == found[1].tobytes()
    share = np.exp(weight) / np.exp(weight).sum()
    np.testing.assert_allclose(found[0], x * share, rtol=1e-5)
