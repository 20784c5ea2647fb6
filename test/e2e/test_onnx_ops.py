"""Corners of ONNX's ops that its own tests leave out: defaults of older operator sets, absent
operands, types that differ, and sizes that come with a run. What is expected is spelled out, by the
ops' texts; where these leave it open it is what onnxruntime computes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from harness import partition, run

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

F16, F32, F64, I8, U8 = np.float16, np.float32, np.float64, np.int8, np.uint8
INF, NAN = np.inf, np.nan
LEAST, MOST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


@dataclass
class Op:
    """One op, its operands (which are constants where their names begin with c) and its result."""

    op: str
    opset: int
    operands: dict[str, np.ndarray]
    expected: np.ndarray
    attributes: dict = field(default_factory=dict)
    domain: str = ""
    dims: dict[str, list] = field(default_factory=dict)
    results: tuple[str, ...] = ("y",)

    def model(self) -> onnx.ModelProto:
        given = {name: np.asarray(value) for name, value in self.operands.items() if name.strip()}
        node = helper.make_node(self.op, [name.strip() for name in self.operands],
                                [name.strip() for name in self.results], "node",
                                domain=self.domain, **self.attributes)
        inputs = [helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(value.dtype), self.dims.get(name, value.shape))
            for name, value in given.items() if name[0] != "c"]
        result = helper.make_tensor_value_info(
            "y", helper.np_dtype_to_tensor_dtype(self.expected.dtype), None)
        graph = helper.make_graph([node], "g", inputs, [result],
                                  [numpy_helper.from_array(value, name)
                                   for name, value in given.items() if name[0] == "c"])
        return helper.make_model(graph, ir_version=10, opset_imports=[
            helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)])


def compute(model: onnx.ModelProto, operands: dict[str, np.ndarray], folder: Path) -> np.ndarray:
    """Output y of a model, which may not use all of its inputs."""
    onnx.save(model, folder / "m.onnx")
    package = partition(folder / "m.onnx", folder / "m.cleave")
    words: list[object] = ["--threads", 1]
    for port in json.loads((package / "manifest.json").read_text())["entries"][0]["inputs"]:
        np.save(folder / f"{port['name']}.npy", operands[port["name"]])
        words += ["--input", f"{port['name']}={folder}/{port['name']}.npy"]
    result = run(package, None, *words, "--output", f"y={folder}/y.npy")
    assert result.returncode == 0, result.stderr
    return np.load(folder / "y.npy")


IMAGE = np.arange(1, 9, dtype=F32).reshape(1, 1, 2, 4)
MATRIX = np.array([[1, 2], [3, 4]], F32)
SMALL = np.array([[[1e-4, 2e-4, 4e-4, 4e-4]]], F32)  # beside which some epsilons are large
HALVES = np.array([[3, 3, 3, 3]], F16)
SIX = np.arange(1, 7, dtype=F32).reshape(2, 3)


def slice_of(x, start, end, step=1, **others) -> Op:
    """Expects what NumPy makes of it."""
    return Op("Slice", 13, {"x": x, "cs": [start], "ce": [end], "ca": [0], "cp": [step]},
              x[start:end:step], **others)


OPS = {
    # Bounds that are absent are finite; of bounds in the wrong order the upper one counts.
    "clip": Op("Clip", 13, {"x": np.array([-3, 2, INF, -INF, NAN], F32), "clo": F32(-1)},
               np.array([-1, 2, np.finfo(F32).max, -1, NAN], F32)),
    "clip_f64": Op("Clip", 13, {"x": np.array([-3, INF, -INF]), " ": None, "chi": F64(5)},
                   np.array([-3, 5, np.finfo(F64).min])),
    "clip_crossed": Op("Clip", 13, {"x": np.array([0, 2, 5], F32), "clo": F32(3), "hi": F32(1)},
                       np.ones(3, F32)),
    "pow_of_integers": Op("Pow", 15, {"x": np.array([12345, 3]), "ce": np.array([2, 20], F32)},
                          np.array([152399025, 3486784401])),
    # Letters that stand twice are not in a result that the equation does not name.
    "einsum_trace": Op("Einsum", 13, {"x": MATRIX}, F32(5), {"equation": "ii"}),
    "einsum_traces": Op("Einsum", 13, {"x": np.stack([MATRIX, 2 * MATRIX])},
                        np.array([5, 10], F32), {"equation": "...ii"}),
    "resize_10_down": Op("Resize", 10, {"x": IMAGE, "cs": np.array([1, 1, .6, .6], F32)},
                         np.array([[[[1, 3]]]], F32)),
    "resize_sizes_are_f32": Op(
        "Resize", 13, {"x": np.arange(10, dtype=F32), " ": None, "cs": np.array([.7], F32)},
        np.array([0, 1, 2, 4, 5, 7, 8], F32),
        {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
    "resize_to_whole_places": Op(
        "Resize", 13, {"x": np.arange(7, dtype=F32), " ": None, "cs": np.array([.6], F32)},
        np.array([0, 1, 3, 5], F32),
        {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
    "upsample_7": Op("Upsample", 8, {"x": np.array([1, 2], F32)}, np.array([1, 1, 1, 2, 2], F32),
                     {"scales": [2.5]}),
    "batch_norm_7_of_elements": Op(
        "BatchNormalization", 8,
        {"x": np.stack([SIX, 2 * SIX]), "cs": SIX, "cb": 0 * SIX, "cm": SIX, "cv": 0 * SIX + 4},
        np.stack([0 * SIX, SIX * SIX / 2]), {"spatial": 0, "epsilon": 0.0}),
    "batch_norm_of_numbers": Op(
        "BatchNormalization", 15,
        {"x": np.array([1, 3], F32), "cs": [F32(2)], "b": np.array([1], F32), "cm": [F32(1)],
         "cv": [F32(4)]}, np.array([1, 3], F32), {"epsilon": 0.0}),
    "rms_norm_of_the_weights_type": Op(
        "RMSNormalization", 23, {"x": HALVES, "cw": np.array([1, 2, 3, 4], F32)},
        np.array([[1, 2, 3, 4]], F32), {"epsilon": 0.0}),
    "layer_norm_of_the_weights_type": Op(
        "LayerNormalization", 14, {"x": np.array([[1, 3]], F16), "cw": np.array([1, 2], F32)},
        np.array([[-1, 2]], F32), {"epsilon": 0.0}),
    "skip_rms_norm": Op("SkipSimplifiedLayerNormalization", 17,
                        {"x": SMALL, "s": 0 * SMALL, "cw": np.ones(4, F32)},
                        SMALL / np.sqrt(np.mean(SMALL**2) + 1e-12), domain="com.microsoft"),
    "dequantize_bias": Op(
        "DequantizeLinear", 13,
        {"x": np.array([1, 2**24 + 1], np.int32), "cs": np.array([.5, 1], F32),
         "cz": np.array([0, 1], np.int32)}, np.array([.5, 2**24], F32), {"axis": 0}),
    "dequantize_to_half": Op("DequantizeLinear", 23, {"x": np.array([1, 100], I8), "cs": F32(.5)},
                             np.array([.5, 50], F16), {"output_dtype": TensorProto.FLOAT16}),
    "dequantize_blocks": Op(
        "DequantizeLinear", 21,
        {"x": np.array([[1, 2, 3], [4, 5, 6]], U8), "cs": np.array([[1, 2], [4, 8]], F32),
         "cz": np.array([[0, 1], [0, 2]], U8)},
        np.array([[1, 2, 4], [16, 20, 32]], F32), {"axis": 1, "block_size": 2}),
    "quantize_blocks": Op(
        "QuantizeLinear", 21, {"x": np.array([1, 2, 3], F32), "cs": np.array([.5, .25], F32)},
        np.array([2, 4, 12], U8), {"axis": 0, "block_size": 2}),
    "range_of_f64": Op("Range", 11, {"ca": F64(1), "cb": F64(2), "cs": F64(.3)},
                       np.array([1, 1.3, 1.6, 1.9])),
    "range_that_is_long": Op("Range", 11, {"ca": F32(9000), "cb": F32(0), "cs": F32(-2)},
                             np.arange(9000, 0, -2, dtype=F32)),
    # From behind, a start before the first element is that.
    "slice_from_before": Op(
        "Slice", 13, {"x": np.array([7, 8, 9]), "cs": [-5], "ce": [LEAST], "ca": [0], "cp": [-1]},
        np.array([7])),
    "slice_of_shapes_from_before": Op(
        "Slice", 13, {"cx": np.array([7, 8, 9]), "cs": [-5], "ce": [LEAST], "ca": [0], "cp": [-1]},
        np.array([7])),
    "slice_of_no_shapes": Op(
        "Slice", 13, {"cx": np.array([], np.int64), "cs": [MOST], "ce": [LEAST], "ca": [0],
                      "cp": [-1]}, np.array([], np.int64)),
    # Ends that lie before the begin for some sizes: then nothing is left.
    "slice_of_nothing": slice_of(SIX[:, 0], 7, 0, dims={"x": ["n"]}),
    "slice_of_the_inner": slice_of(np.arange(6, dtype=F32), -3, 2, dims={"x": ["n"]}),
    "slice_of_the_inner_of_few": slice_of(np.arange(4, dtype=F32), -3, 2, dims={"x": ["n"]}),
    "dropouts_mask_of_numbers": Op("Dropout", 8, {"x": F32(3)}, F32(1), results=(" ", "y")),
    "dropouts_mask": Op("Dropout", 13, {"x": SIX}, np.ones((2, 3), bool), dims={"x": ["n", 3]},
                        results=(" ", "y")),
    # Sizes of an input of which no element is read.
    "shape_alone": Op("Shape", 13, {"x": SIX}, np.array([2, 3]), dims={"x": ["n", 3]}),
    "size_alone": Op("Size", 13, {"x": SIX}, np.array(6), dims={"x": ["n", "m"]}),
}


@pytest.mark.parametrize("name", OPS)
def test_corner(tmp_path, name):
    expected = OPS[name].expected
    found = compute(OPS[name].model(), OPS[name].operands, tmp_path)
    assert found.dtype == expected.dtype and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5 if expected.dtype.kind == "f" else 0)


def of_length(*nodes: onnx.NodeProto, **constants: np.ndarray) -> onnx.ModelProto:
    """y from n, the length of x."""
    before = [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Squeeze", ["s"], ["n"])]
    graph = helper.make_graph(
        [*before, *nodes], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["seq"])],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(value, name) for name, value in constants.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_range_of_floats_up_to_a_size(tmp_path):
    """As positions are computed from a sequence's length."""
    model = of_length(helper.make_node("Cast", ["n"], ["f"], to=TensorProto.FLOAT),
                      helper.make_node("Range", ["zero", "f", "one"], ["y"], "range"),
                      zero=F32(0), one=F32(1))
    found = compute(model, {"x": np.zeros(5, F32)}, tmp_path)
    np.testing.assert_array_equal(found, np.arange(5, dtype=F32))


def test_one_hot_of_as_many_as_a_size(tmp_path):
    model = of_length(helper.make_node("OneHot", ["i", "n", "v"], ["y"], "hot"),
                      i=np.array([2, -1, 0]), v=np.array([0, 1], F32))
    found = compute(model, {"x": np.zeros(4, F32)}, tmp_path)
    np.testing.assert_array_equal(found, np.eye(4, dtype=F32)[[2, 3, 0]])
