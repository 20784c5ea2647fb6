"""Ops that compute element by element, in all types, against NumPy: alone, split and in stages."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import onnx.numpy_helper
import pytest
from harness import complaint, partition, run
from test_graphs import close, graph

TYPES = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16, "f64": np.float64,
         "i8": np.int8, "ui8": np.uint8, "i16": np.int16, "ui16": np.uint16, "i32": np.int32,
         "ui32": np.uint32, "i64": np.int64, "ui64": np.uint64}
"""MLIR's names of the types of numbers, and NumPy's."""


def save(file, array):
    if file.suffix == ".pb":
        file.write_bytes(onnx.numpy_helper.from_array(array).SerializeToString())
    else:
        np.save(file, array)


def load(file, dtype):
    if file.suffix == ".pb":
        return onnx.numpy_helper.to_array(onnx.TensorProto.FromString(file.read_bytes()))
    array = np.load(file)
    return array.view(dtype) if array.dtype.kind == "V" else array


def compute(package, ranks, tmp_path, inputs, dtypes, suffix=".npy"):
    """The outputs, of these types, of a run on `inputs`."""
    words = []
    for name, value in inputs.items():
        save(tmp_path / f"{name}{suffix}", value)
        words += ["--input", f"{name}={tmp_path / name}{suffix}"]
    for name in dtypes:
        words += ["--output", f"{name}={tmp_path / name}.out{suffix}"]
    result = run(package, ranks, "--threads", 1, *words)
    assert result.returncode == 0, result.stderr
    return {name: load(tmp_path / f"{name}.out{suffix}", dtype) for name, dtype in dtypes.items()}


@pytest.mark.parametrize("ranks, suffix", [(None, ".npy"), (None, ".pb"), (2, ".pb")])
def test_all_types(tmp_path, ranks, suffix):
    """x * y + y, and that compared and cast to every type, after a stage or not. What is
    computed are small integers, so that all types are exact."""
    random = np.random.default_rng(3)
    ins, outs, inputs, expected, body = {}, {}, {}, {}, ""
    late = ""
    for name, dtype in TYPES.items():
        ins |= {f"x_{name}": f"tensor<2x3x1x{name}>", f"y_{name}": f"tensor<4x{name}>"}
        x = inputs[f"x_{name}"] = random.integers(0, 6, (2, 3, 1)).astype(dtype)
        y = inputs[f"y_{name}"] = random.integers(0, 6, 4).astype(dtype)
        body += (f"  %p_{name} = cleave.mul %x_{name}, %y_{name} : "
                 f"tensor<2x3x1x{name}>, tensor<4x{name}>\n")
        late += (f"  %z_{name}.out = cleave.add %p_{name}, %y_{name} : "
                 f"tensor<2x3x4x{name}>, tensor<4x{name}>\n"
                 f"  %l_{name}.out = cleave.less %z_{name}.out, %x_{name} : "
                 f"tensor<2x3x4x{name}>, tensor<2x3x1x{name}>\n"
                 f"  %w_{name}.out = cleave.where %l_{name}.out, %x_{name}, %z_{name}.out : "
                 f"tensor<2x3x4xi1>, tensor<2x3x1x{name}>, tensor<2x3x4x{name}>\n")
        z = x * y + y
        expected |= {f"z_{name}": z, f"l_{name}": z < x, f"w_{name}": np.where(z < x, x, z)}
        outs |= {f"z_{name}": f"tensor<2x3x4x{name}>", f"l_{name}": "tensor<2x3x4xi1>",
                 f"w_{name}": f"tensor<2x3x4x{name}>"}
    for name, dtype in TYPES.items():
        body += f"  %c_{name} = cleave.cast %y_i16 : tensor<4xi16> -> tensor<4x{name}>\n"
        late += f"  %c_{name}.out = cleave.abs %c_{name} : tensor<4x{name}>\n"
        outs[f"c_{name}"] = f"tensor<4x{name}>"
        expected[f"c_{name}"] = inputs["y_i16"].astype(dtype)
    cut = '  cleave.cut "middle"\n' if ranks else ""
    (tmp_path / "g.mlir").write_text(graph(ins, body + cut + late, outs))
    package = partition(tmp_path / "g.mlir", tmp_path / "g.cleave")
    found = compute(package, ranks, tmp_path, inputs,
                    {name: value.dtype for name, value in expected.items()}, suffix)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("ranks", [None, 2, 3])
@pytest.mark.parametrize("count", [1, 5])
def test_broadcasting_over_shares(tmp_path, ranks, count):
    """Four heads of three features, of which three ranks have two, one and one, meet
    what is repeated along heads, features and rows. The difference of two partial sums is
    reduced once."""
    random = np.random.default_rng(4)
    rows = "tensor<?x{}xf32, #cleave.dims<n>>".format
    heads = "tensor<?x4x3x{}, #cleave.dims<n>>".format
    sizes = {"up": (12, 8), "down": (8, 12), "other": (8, 12), "head": (4, 1), "feature": (3,),
             "all": (1, 1, 1), "one": ()}
    given = {name: random.standard_normal(shape).astype(np.float32)
             for name, shape in sizes.items()}
    declared, body = "", ""
    for name, value in given.items():
        np.save(tmp_path / f"{name}.npy", value)
        kind = f"tensor<{''.join(f'{size}x' for size in value.shape)}f32>"
        declared += f'cleave.weight @{name} : {kind} from npy<"{tmp_path}/{name}.npy">\n'
        body += f"  %{name} = cleave.use @{name} : {kind}\n"
    body += (f"  %h = cleave.linear %x, %up : ({rows(8)}, tensor<12x8xf32>) -> {rows(12)}\n"
             f"  %hh = cleave.reshape %h groups [1:1, 1:2] : {rows(12)} -> {heads('f32')}\n"
             f"  %a = cleave.add %hh, %head : {heads('f32')}, tensor<4x1xf32>\n"
             f"  %b = cleave.mul %feature, %a : tensor<3xf32>, {heads('f32')}\n"
             f"  %c = cleave.greater %b, %all : {heads('f32')}, tensor<1x1x1xf32>\n"
             f"  %t = cleave.tanh %b : {heads('f32')}\n"
             f"  %w = cleave.where %c, %t, %one : {heads('i1')}, {heads('f32')}, tensor<f32>\n"
             f"  %f = cleave.reshape %w groups [1:1, 2:1] : {heads('f32')} -> {rows(12)}\n"
             f"  %p = cleave.linear %f, %down : ({rows(12)}, tensor<8x12xf32>) -> {rows(8)}\n"
             f"  %q = cleave.linear %f, %other : ({rows(12)}, tensor<8x12xf32>) -> {rows(8)}\n"
             f"  %d = cleave.sub %p, %q : {rows(8)}, {rows(8)}\n"
             f"  %y.out = cleave.gelu %d : {rows(8)}\n")
    (tmp_path / "g.mlir").write_text(graph({"x": rows(8)}, body, {"y": rows(8)}, declared))
    split = ("--tp", ranks, "--split", "up=column", "--split", "down=row", "--split", "other=row")
    package = partition(tmp_path / "g.mlir", tmp_path / "g.cleave", *(split if ranks else ()))
    if ranks:
        assert (package / "rank-0.mlir").read_text().count("cleave.all_reduce") == 1
    x = random.standard_normal((count, 8)).astype(np.float32)
    w = {name: value.astype(np.float64) for name, value in given.items()}
    b = w["feature"] * ((x @ w["up"].T).reshape(count, 4, 3) + w["head"])
    f = np.where(b > w["all"], np.tanh(b), w["one"]).reshape(count, 12)
    d = f @ w["down"].T - f @ w["other"].T
    erf = np.vectorize(math.erf)
    found = compute(package, ranks, tmp_path, {"x": x}, {"y": np.float32})["y"]
    close(found, d / 2 * (1 + erf(d / np.sqrt(2))))


def test_files_of_another_type_or_form_are_refused(tmp_path):
    (tmp_path / "g.mlir").write_text(graph(
        {"x": "tensor<4xbf16>"}, "  %y.out = cleave.neg %x : tensor<4xbf16>\n",
        {"y": "tensor<4xbf16>"}))
    package = partition(tmp_path / "g.mlir", tmp_path / "g.cleave")
    save(tmp_path / "x.pb", np.zeros(4, np.float32))
    output = f"y={tmp_path / 'y.npy'}"
    complaint(run(package, None, "--input", f"x={tmp_path / 'x.pb'}", "--output", output),
              r"x\.pb: holds \[4\] f32, but input 'x' is \[4\] bf16")
    (tmp_path / "x.pb").write_bytes(b"no tensor")
    complaint(run(package, None, "--input", f"x={tmp_path / 'x.pb'}", "--output", output),
              r"x\.pb")
