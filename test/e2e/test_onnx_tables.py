"""Embedding tables of ONNX models, of which each rank holds a share of the rows: against NumPy, bit
for bit, and with their messages counted.
"""

from __future__ import annotations

import json
import math
import re
import sys

import numpy as np
import pytest
from harness import ROOT, complaint, partition, partition_tool, run

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402
from onnx_runs import close, collectives, compute  # noqa: E402

sys.path.insert(0, str(ROOT / "test" / "models"))
from onnx_models import WIDTH, Builder, gelu, norm  # noqa: E402

IDS = ("batch", "seq")


def saved(b: Builder, path, inputs, outputs):
    onnx.save(b.model(inputs, outputs, 12, tuple(inputs)), path)
    return path


def values_of(b: Builder) -> dict[str, np.ndarray]:
    return {weight.name: numpy_helper.to_array(weight) for weight in b.weights}


def numbers(size: int, shape=(3, 7)) -> np.ndarray:
    """The ends from both sides, and others."""
    found = np.random.default_rng(size).integers(-size, size, shape)
    found.flat[:4] = 0, -1, size - 1, -size
    return found


def same(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal, where -0 is 0."""
    assert found.dtype == expected.dtype and np.array_equal(found, expected)


@pytest.mark.parametrize("ranks, split", [(2, "column"), (3, "column"), (4, "column"), (3, "row"),
                                          (2, "none")])
def test_rows_are_exact(tmp_path, ranks, split):
    b = Builder(5)
    x = b.add("Gather", b.weight("words", 41, WIDTH), "ids")
    up = b.add("MatMul", x, b.weight("up", WIDTH, 12))
    model = saved(b, tmp_path / "m.onnx", {"ids": IDS}, {"rows": x, "wide": up})
    made = partition(model, tmp_path / "m.cleave", "--tp", ranks, "--split", f"words={split}",
                     "--split", "up=column")
    ids, table = numbers(41), values_of(b)
    rows, wide = compute(made, ranks, {"ids": ids}, ["rows", "wide"], tmp_path)
    same(rows, table["words"][ids])
    close([wide], [table["words"][ids] @ table["up"]])


@pytest.mark.parametrize("dtype, axis", [(np.float32, 1), (np.float16, 0), (np.float64, 1),
                                         (np.int64, 0), (np.uint8, 1)])
def test_other_elements_and_axes(tmp_path, dtype, axis):
    table = (np.random.default_rng(6).standard_normal((9, 11, 3)) * 60).astype(dtype)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "ids"], ["y"], "look_up", axis=axis)], "g",
        [helper.make_tensor_value_info("ids", TensorProto.INT32, ["n"])],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(table, "table")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
              tmp_path / "m.onnx")
    made = partition(tmp_path / "m.onnx", tmp_path / "m.cleave", "--tp", 3, "--split",
                     f"table={('column', 'row')[axis]}")
    ids = numbers(table.shape[axis], 20).astype(np.int32)
    found, = compute(made, 3, {"ids": ids}, ["y"], tmp_path)
    same(found, table.take(ids, axis))


@pytest.mark.parametrize("wrong", [41, -42])
def test_indices_outside_are_refused_on_all_ranks(tmp_path, wrong):
    b = Builder(5)
    model = saved(b, tmp_path / "m.onnx", {"ids": IDS},
                  {"rows": b.add("Gather", b.weight("words", 41, WIDTH), "ids")})
    made = partition(model, tmp_path / "m.cleave", "--tp", 3, "--split", "words=column")
    ids = numbers(41)
    ids[1, 2] = wrong
    np.save(tmp_path / "ids.npy", ids)
    said = complaint(run(made, 3, "--threads", 1, "--input", f"ids={tmp_path / 'ids.npy'}"))
    assert (f"input 'ids' has the value {wrong} at index 9, but dimension 0 of weight 'words' has "
            "-41 to 40") in said


def feed_forward(b: Builder, x: str) -> str:
    y = b.linear("down", gelu(b, b.linear("up", x, WIDTH, 40)), 40, WIDTH)
    return b.add("Add", y, x)


def report(model, *flags):
    result = partition_tool(model, "--report=json", *flags)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


WORDS, PLACES = 4097, 1030


def encoder(b: Builder) -> tuple[str, dict]:
    """A BERT's beginning, in the order in which exporters add its look-ups."""
    x = b.add("Add", b.add("Gather", b.weight("words", WORDS, WIDTH), "ids"),
              b.add("Gather", b.weight("segments", 2, WIDTH), "types"))
    x = b.add("Add", x, b.add("Gather", b.weight("places", PLACES, WIDTH), "at"))
    return x, {"ids": IDS, "types": IDS, "at": (1, "seq")}


def inputs_of_encoder() -> dict[str, np.ndarray]:
    return {"ids": numbers(WORDS), "types": numbers(2), "at": numbers(PLACES, (1, 7))}


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_three_tables_make_one_sum(tmp_path, ranks):
    """By default: large tables are cut, and so is one of two rows, since it is added to them."""
    b = Builder(7)
    x, inputs = encoder(b)
    y = feed_forward(b, norm(b, "norm", x))
    model = saved(b, tmp_path / "m.onnx", inputs, {"y": y})
    flags = ("--tp", ranks)
    assert collectives(model, *flags) == {"all_reduce": 2}
    copies = {each["name"] for each in report(model, *flags)["weights"]["copies"]}
    assert copies and not copies & {"words", "segments", "places"}
    given = inputs_of_encoder()
    expected = ReferenceEvaluator(onnx.load(model)).run(None, given)
    close(compute(partition(model, tmp_path / "m.cleave", *flags), ranks, given, ["y"], tmp_path),
          expected)


@pytest.mark.parametrize("ranks", [2, 3])
def test_embed_layer_normalization(tmp_path, ranks):
    b = Builder(8)
    b.weight("words", WORDS, WIDTH), b.weight("places", PLACES, WIDTH)
    b.weight("segments", 2, WIDTH), b.weight("scale", WIDTH), b.weight("bias", WIDTH)
    b.nodes.append(helper.make_node(
        "EmbedLayerNormalization", ["ids", "types", "words", "places", "segments", "scale", "bias",
                                    "", "at"], ["normed", ""], "embed", domain="com.microsoft",
        epsilon=1e-5))
    y = feed_forward(b, "normed")
    made = b.model({"ids": IDS, "types": IDS, "at": (1, "seq")}, {"y": y}, 12, ("ids", "types", "at"))
    for port in made.graph.input:
        port.type.tensor_type.elem_type = TensorProto.INT32
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    model = tmp_path / "m.onnx"
    onnx.save(made, model)
    assert collectives(model, "--tp", ranks) == {"all_reduce": 2}
    given = {name: value.astype(np.int32) for name, value in inputs_of_encoder().items()}
    found = [compute(partition(model, tmp_path / f"{flags}.cleave", *flags), n, given, ["y"],
                     tmp_path) for n, flags in ((None, ()), (ranks, ("--tp", ranks)))]
    close(*found)
    w = values_of(b)
    x = w["words"][given["ids"]] + w["segments"][given["types"]] + w["places"][given["at"]]
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * w["scale"] + w["bias"]
    up = x @ w["up.weight"] + w["up.bias"]
    erf = np.vectorize(math.erf)
    close(found[0], [(x + (0.5 * up * (1 + erf(up / 2**0.5))) @ w["down.weight"]
                      + w["down.bias"]).astype(np.float32)], 1e-4)


@pytest.mark.parametrize("flags, messages", [
    ((), {"all_reduce": 2, "all_gather": 1}),
    (("--split", "words=column", "--split", "up.weight=column"), {"all_reduce": 2, "all_gather": 1}),
    (("--split", "words=none", "--split", "up.weight=column"), {"all_reduce": 1}),
])
@pytest.mark.parametrize("is_copy", [False, True])
def test_a_table_that_makes_the_logits(tmp_path, is_copy, flags, messages):
    """One matrix for both, cut once; or a transposed copy, which is a weight of its own."""
    b = Builder(9)
    x = b.add("Gather", b.weight("words", 1025, WIDTH), "ids")
    matrix = b.add("Transpose", "words", perm=[1, 0])
    if is_copy:
        matrix = b.constant("words_turned", np.ascontiguousarray(values_of(b)["words"].T))
        flags = tuple(word.replace("words", "words*") for word in flags)
    y = b.add("MatMul", feed_forward(b, norm(b, "norm", x)), matrix, name="logits")
    model = saved(b, tmp_path / "m.onnx", {"ids": IDS}, {"y": y})
    assert collectives(model, "--tp", 3, *flags) == messages
    held = report(model, "--tp", 3, *flags)
    whole = report(model)["weights"]["bytes"]
    assert whole == sum(value.nbytes for value in values_of(b).values())
    if not any("none" in word for word in flags):
        assert all(rank["weight_bytes"] < 0.4 * whole for rank in held["ranks"])
        assert not any("words" in each["name"] for each in held["weights"]["copies"])
    given = {"ids": numbers(1025)}
    expected = ReferenceEvaluator(onnx.load(model)).run(None, given)
    made = partition(model, tmp_path / "m.cleave", "--tp", 3, *flags)
    close(compute(made, 3, given, ["y"], tmp_path), expected)


@pytest.mark.parametrize("ranks", [None, 3])
def test_a_table_of_halves_that_makes_the_logits(tmp_path, ranks):
    """The matrix lies as products want it, and its rows are looked up there."""
    table = np.random.default_rng(11).standard_normal((1025, WIDTH)).astype(np.float16)
    nodes = [helper.make_node("Gather", ["words", "ids"], ["rows"], "look_up"),
             helper.make_node("Transpose", ["words"], ["turned"], "turn", perm=[1, 0]),
             helper.make_node("MatMul", ["rows", "turned"], ["y"], "logits")]
    halves = [helper.make_tensor_value_info(name, TensorProto.FLOAT16, None)
              for name in ("rows", "y")]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])], halves,
        [numpy_helper.from_array(table, "words")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
              tmp_path / "m.onnx")
    made = partition(tmp_path / "m.onnx", tmp_path / "m.cleave", *(("--tp", ranks) if ranks else ()))
    ids = numbers(1025, 9)
    rows, y = compute(made, ranks, {"ids": ids}, ["rows", "y"], tmp_path)
    same(rows, table[ids])
    wide = table.astype(np.float32)
    assert y.dtype == np.float16
    close([y.astype(np.float32)], [wide[ids] @ wide.T], 1e-3)


def test_what_a_run_makes_is_joined(tmp_path):
    """Values are gathered from as before: what chooses from a cut dimension has it whole."""
    b = Builder(10)
    wide = b.add("MatMul", "x", b.weight("up", WIDTH, 12))
    y = b.add("Gather", wide, "ids", axis=2)
    z = b.add("Gather", wide, "ids", axis=1)
    made = b.model({"x": ("batch", "seq", WIDTH), "ids": (5,)}, {"y": y, "z": z}, 12, ("ids",))
    onnx.save(made, tmp_path / "m.onnx")
    flags = ("--tp", 2, "--split", "up=column")
    text = partition_tool(tmp_path / "m.onnx", *flags, "--emit=ranks").stdout
    assert "cleave.take" in text and not re.search(r"cleave\.take .* masked|all_reduce", text)
    given = {"x": np.random.default_rng(1).standard_normal((2, 12, WIDTH)).astype(np.float32),
             "ids": np.array([0, -1, 11, -12, 5])}
    expected = given["x"] @ values_of(b)["up"]
    found = compute(partition(tmp_path / "m.onnx", tmp_path / "m.cleave", *flags), 2, given,
                    ["y", "z"], tmp_path)
    close(found, [expected[..., given["ids"]], expected[:, given["ids"]]])
