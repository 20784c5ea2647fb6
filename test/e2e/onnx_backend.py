"""Runs test cases in the form of ONNX's own backend tests through the tools: a folder with a
model.onnx and test_data_set_K/{input,output}_J.pb. Also writes the table of results in docs/onnx.md:

    python test/e2e/onnx_backend.py

runs the cases that the onnx package makes for the ops below.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from harness import CRASH, ROOT, partition_tool, run
from onnx import numpy_helper

RTOL, ATOL = 1e-3, 1e-7
"""The standard's own."""

OPS = """Abs Add And ArgMax ArgMin Attention AveragePool BatchNormalization BitShift BitwiseAnd
BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil Celu Clip Concat Constant ConstantOfShape Conv
ConvInteger ConvTranspose Cos CumSum DepthToSpace DequantizeLinear Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp
Expand Flatten Floor Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool Greater
GreaterOrEqual GroupNormalization HardSigmoid HardSwish Identity If InstanceNormalization IsInf IsNaN
LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization MatMul MatMulInteger Max
MaxPool Mean MeanVarianceNormalization Min Mish Mod Mul Neg Not OneHot Or PRelu Pad Pow QLinearConv QLinearMatMul
QuantizeLinear RMSNormalization Range Reciprocal ReduceL1
ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
ReduceSumSquare Relu Reshape Resize RotaryEmbedding Round ScatterElements ScatterND Selu Shape Sigmoid
Sign Sin Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Swish Tan Tanh
ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Where Xor""".split()
"""The ops whose cases are run; not those of their variants that are spelled as a function."""

TYPES = [getattr(onnx.TensorProto, name) for name in (
    "FLOAT FLOAT16 BFLOAT16 DOUBLE INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64 BOOL").split()]
"""Those that values may have; not floats of 8 bits, integers of 4, and strings."""

BEGIN, END = "<!-- backend tests: begin -->", "<!-- backend tests: end -->"


@dataclass
class Outcome:
    """What became of a case: "passed", "failed", or "unsupported" with the tool's message."""

    status: str
    message: str = ""


def read_tensor(path: Path) -> np.ndarray:
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return numpy_helper.to_array(tensor)


def input_names(model: onnx.ModelProto) -> list[str]:
    known = {each.name for each in model.graph.initializer}
    return [each.name for each in model.graph.input if each.name not in known]


def difference(found: np.ndarray, expected: np.ndarray) -> str:
    """Why the arrays are not equal within the tolerances; empty where they are."""
    if expected.dtype.name == "bfloat16" and found.dtype == "V2":  # as ml_dtypes saves it
        found = found.view(expected.dtype)
    if found.shape != expected.shape:
        return f"shape {found.shape}, expected {expected.shape}"
    if found.dtype != expected.dtype:
        return f"type {found.dtype}, expected {expected.dtype}"
    try:
        np.testing.assert_allclose(found.astype(np.float64), expected.astype(np.float64),
                                   rtol=RTOL, atol=ATOL)
    except AssertionError as error:
        return " ".join(str(error).split())
    return ""


def partition(model: Path, package: Path, files: dict[str, Path], flags: tuple = ()
              ) -> tuple[set[str], str]:
    """Makes a package, with values for the inputs that the tool asks them for: which these were,
    and its message where it refuses.
    """
    values: set[str] = set()
    while True:
        words = [word for name in sorted(values) for word in ("--value", f"{name}={files[name]}")]
        result = partition_tool(model, "-o", package, *words, *flags)
        assert not CRASH.search(result.stderr), result.stderr
        if result.returncode == 0:
            return values, ""
        asked = re.search(r"--value (.*)=FILE", result.stderr)
        if not asked or asked[1] not in files or asked[1] in values:
            return values, result.stderr.strip()
        values.add(asked[1])


def run_case(case: Path, scratch: Path, ranks: int | None = None, flags: tuple = ()) -> Outcome:
    """All data sets of a case."""
    model = onnx.load(case / "model.onnx", load_external_data=False)
    names = input_names(model)
    outputs = [each.name for each in model.graph.output]
    for data in sorted(case.glob("test_data_set_*")):
        files = {name: data / f"input_{i}.pb" for i, name in enumerate(names)
                 if (data / f"input_{i}.pb").exists()}
        package = scratch / f"{case.name}-{data.name}.cleave"
        values, refusal = partition(case / "model.onnx", package, files, flags)
        if refusal:
            return Outcome("unsupported", refusal)
        words: list[object] = ["--threads", 1]
        entries = json.loads((package / "manifest.json").read_text())["entries"]
        wanted = {port["name"] for port in entries[0]["inputs"]}  # those that something uses
        for name, file in files.items():
            if name in wanted:
                words += ["--input", f"{name}={file}"]
        found = {name: scratch / f"{case.name}-{i}.npy" for i, name in enumerate(outputs)}
        for name, file in found.items():
            file.unlink(missing_ok=True)
            words += ["--output", f"{name}={file}"]
        result = run(package, ranks, *words)
        if result.returncode != 0:
            return Outcome("failed", result.stderr.strip())
        for i, name in enumerate(outputs):
            why = difference(np.load(found[name]), read_tensor(data / f"output_{i}.pb"))
            if why:
                return Outcome("failed", f"{data.name}, output {name}: {why}")
    return Outcome("passed")


def make_cases(folder: Path) -> None:
    """The onnx package's cases of the ops above, on the types above."""
    from onnx.backend.test.case.node import collect_testcases

    for case in collect_testcases(None):
        nodes = [node.op_type for node in case.model.graph.node] if case.model else []
        ports = [*case.model.graph.input, *case.model.graph.output] if case.model else []
        if len(nodes) != 1 or nodes[0] not in OPS or not all(
                port.type.tensor_type.elem_type in TYPES for port in ports):
            continue
        (folder / case.name).mkdir()
        (folder / case.name / "model.onnx").write_bytes(case.model.SerializeToString())
        for i, (inputs, outputs) in enumerate(case.data_sets):
            data = folder / case.name / f"test_data_set_{i}"
            data.mkdir()
            for kind, values in (("input", inputs), ("output", outputs)):
                for j, value in enumerate(values):
                    tensor = value if isinstance(value, onnx.TensorProto) \
                        else numpy_helper.from_array(np.asarray(value))
                    (data / f"{kind}_{j}.pb").write_bytes(tensor.SerializeToString())


def op_of(case: Path) -> str:
    """The op that a case is about."""
    return onnx.load(case / "model.onnx", load_external_data=False).graph.node[0].op_type


def write_table() -> None:
    """Runs all cases and writes docs/onnx.md's table."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as scratch:
        make_cases(Path(made))
        for case in sorted(Path(made).iterdir()):
            outcome = run_case(case, Path(scratch))
            counts[op_of(case)][outcome.status] += 1
            if outcome.status != "passed":
                print(f"{case.name}: {outcome.status}: {outcome.message[:300]}")
    lines = [BEGIN, "| op | passed | failed | unsupported |", "|---|---|---|---|"]
    total: dict[str, int] = defaultdict(int)
    for op in sorted(counts):
        row = [counts[op][status] for status in ("passed", "failed", "unsupported")]
        for status in counts[op]:
            total[status] += counts[op][status]
        lines.append(f"| {op} | " + " | ".join(map(str, row)) + " |")
    lines.append("| all | " + " | ".join(str(total[status]) for status in
                                         ("passed", "failed", "unsupported")) + " |")
    document = ROOT / "docs" / "onnx.md"
    text = document.read_text()
    before, after = text[:text.index(BEGIN)], text[text.index(END):]
    document.write_text(before + "\n".join(lines) + "\n" + after)
    print(dict(total))


if __name__ == "__main__":
    write_table()
