"""ONNX ops whose results onnxruntime settles, through the tools: whole, and over ranks."""

from __future__ import annotations

import json

import numpy as np
import pytest
from harness import complaint, partition, partition_tool, run

onnx = pytest.importorskip("onnx")
from onnx_cases import CASES, GOLDEN, Case, grouped, packed  # noqa: E402


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDEN)


EXACT = ("--activations", "f32")
"""Matrices of few bits meet activations as they are, and so does onnxruntime have it."""


def results(case: Case, folder, ranks=None, flags=()) -> dict[str, np.ndarray]:
    onnx.save(case.model(), folder / "m.onnx")
    package = partition(folder / "m.onnx", folder / "m.cleave", *flags)
    entries = json.loads((package / "manifest.json").read_text())["entries"]
    words: list[object] = ["--threads", 1, *EXACT]
    for port in entries[0]["inputs"]:
        np.save(folder / f"in-{port['name']}.npy", case.inputs[port["name"]])
        words += ["--input", f"{port['name']}={folder}/in-{port['name']}.npy"]
    for name in case.outputs:
        words += ["--output", f"{name}={folder}/out-{name}.npy"]
    result = run(package, ranks, *words)
    assert result.returncode == 0, result.stderr
    return {name: np.load(folder / f"out-{name}.npy") for name in case.outputs}


def compare(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-5, err_msg=name)


def known(golden, name: str) -> dict[str, np.ndarray]:
    return {output: golden[f"{name}/{output}"] for output in CASES[name].outputs
            if output not in CASES[name].unspecified}


@pytest.mark.parametrize("name", CASES)
def test_whole(tmp_path, golden, name):
    compare(results(CASES[name], tmp_path), known(golden, name))


def test_golden_results_are_those_of_onnxruntime(golden):
    pytest.importorskip("onnxruntime")
    for name, case in CASES.items():
        compare(case.expected(), known(golden, name))


@pytest.mark.parametrize("name, flags", [
    ("attention_past_padding", ("--split", "w=column", "--split", "b=column")),
    ("attention_wide_values", ()),
    ("embedding", ("--split", "words=row")),
    ("integer_product_zeros_of_columns", ("--split", "b=column")),
    ("integer_product_zeros", ("--split", "b=row")),
    ("bits_4", ("--split", "B=row")), ("bits_4_zeros", ("--split", "B=column")),
    ("bits_4_padded", ("--split", "B=row")), ("bits_8", ("--split", "B=row"))])
def test_over_two_ranks(tmp_path, golden, name, flags):
    compare(results(CASES[name], tmp_path, 2, ("--tp", 2, *flags)), known(golden, name))


def grouped_between_matrices(name: str) -> Case:
    """A case of GroupQueryAttention whose operands are products with matrices."""
    case = CASES[name]
    nodes, constants = [], {}
    for part, width in (("q", 64), ("k", 32), ("v", 32)):
        nodes.append(onnx.helper.make_node("MatMul", [part, f"w{part}"], [f"own_{part}"]))
        constants[f"w{part}"] = np.eye(width, dtype=np.float32)
    [attention] = case.nodes
    nodes.append(onnx.NodeProto())
    nodes[-1].CopyFrom(attention)
    nodes[-1].input[:3] = ["own_q", "own_k", "own_v"]
    return Case(nodes, case.outputs, case.inputs, case.constants | constants)


@pytest.mark.parametrize("name", ["gqa_ragged", "gqa_next_some", "gqa_window"])
def test_groups_of_heads_over_ranks(tmp_path, golden, name):
    case = grouped_between_matrices(name)
    splits = [word for part in "qkv" for word in ("--split", f"w{part}=column")]
    compare(results(case, tmp_path, 2, ("--tp", 2, *splits)), known(golden, name))


def test_a_cache_with_room_is_written_where_each_sequence_ends(tmp_path):
    case = grouped([5, 3], 1, 8, 5, rotary=8)
    found = results(case, tmp_path)["y"]
    for i, length in enumerate([5, 3]):
        alone = grouped([length], 1, length - 1, length, rotary=8)
        for name in ("q", "k", "v"):
            alone.inputs[name] = case.inputs[name][i:i + 1]
        for name in ("past_k", "past_v"):
            alone.inputs[name] = case.inputs[name][i:i + 1, :, :length - 1]
        (tmp_path / str(i)).mkdir()
        np.testing.assert_allclose(found[i:i + 1], results(alone, tmp_path / str(i))["y"],
                                   rtol=1e-4, atol=1e-6)


def test_lengths_as_exporters_compute_them(tmp_path, golden):
    """The total length is a size of the mask, and the last keys' numbers are its sums."""
    case = CASES["gqa_ragged"]
    make = onnx.helper.make_node
    before = [make("Shape", ["mask"], ["shape"]), make("Gather", ["shape", "one"], ["size"]),
              make("Cast", ["size"], ["total"], to=onnx.TensorProto.INT32),
              make("ReduceSum", ["mask", "axis"], ["sums"], keepdims=0),
              make("Sub", ["sums", "one"], ["lasts"]),
              make("Cast", ["lasts"], ["last"], to=onnx.TensorProto.INT32)]
    mask = np.array([[1] * 7, [1] * 4 + [0] * 3], np.int64)
    inputs = {name: value for name, value in case.inputs.items() if name != "last"} | {"mask": mask}
    constants = {name: value for name, value in case.constants.items() if name != "total"}
    dims = {"q": ["batch", "seq", 64], "k": ["batch", "seq", 32], "v": ["batch", "seq", 32],
            "past_k": ["batch", 2, "past", 16], "past_v": ["batch", 2, "past", 16],
            "mask": ["batch", "total"]}
    case = Case([*before, *case.nodes], case.outputs, inputs,
                constants | {"one": np.array(1), "axis": np.array([1])}, dims)
    onnx.save(case.model(), tmp_path / "m.onnx")
    complaint(partition_tool(tmp_path / "m.onnx", "-o", tmp_path / "m.cleave"),
              "a cache of past keys and seq new ones, of which total")
    compare(results(case, tmp_path, flags=("--dim", "total=past+seq")), known(golden, "gqa_ragged"))


def test_a_packed_matrix_is_cut_by_heads(tmp_path):
    """Each rank has its heads' columns of q, k and v."""
    onnx.save(packed().model(), tmp_path / "m.onnx")
    result = partition_tool(tmp_path / "m.onnx", "--tp", 2, "--split", "w=column",
                            "--emit=ranks")
    assert result.returncode == 0, result.stderr
    second = result.stdout.split("module @rank1")[1]
    for name, begin in (("q", 4), ("k", 12), ("v", 20)):
        assert f'slice [{begin}:{begin + 4}, 0:6]' in second, result.stdout
        assert f'@"w:{name}"' in second


def test_sizes_of_caches_follow_each_other(tmp_path):
    """past and seq are known at run time alone."""
    case = CASES["mha_past_causal"]
    case = Case(case.nodes, case.outputs, case.inputs, case.constants,
                {"q": ["batch", "seq", 8], "k": ["batch", "seq", 8], "v": ["batch", "seq", 8],
                 "past_k": ["batch", 2, "past", 4], "past_v": ["batch", 2, "past", 4]})
    compare(results(case, tmp_path), known(np.load(GOLDEN), "mha_past_causal"))


@pytest.mark.parametrize("name, type_", [
    ("bits_4", "!cleave.q4_0"), ("bits_4_wide_blocks", "!cleave.q4_0"),
    ("bits_4_zeros", "!cleave.q5_0"), ("bits_4_narrow_blocks", "f32"),
    ("bits_4_float_zeros", "f32"), ("bits_4_other_scales", "f32"), ("bits_4_padded", "f32"),
    ("bits_8", "!cleave.q8_0"), ("bits_8_zeros", "f32")])
def test_matrices_of_few_bits_stay_small_where_they_can(tmp_path, name, type_):
    onnx.save(CASES[name].model(), tmp_path / "m.onnx")
    result = partition_tool(tmp_path / "m.onnx", "--emit=logical")
    assert result.returncode == 0, result.stderr
    [line] = [line for line in result.stdout.splitlines() if "cleave.weight @B" in line]
    assert f"x{type_}>" in line


def refuse_bits(tmp_path, constants, *patterns, **attributes):
    case = CASES["bits_4"]
    [node] = case.nodes
    changed = onnx.NodeProto()
    changed.CopyFrom(node)
    for attribute in changed.attribute:
        attribute.i = attributes.get(attribute.name, attribute.i)
    onnx.save(Case([changed], case.outputs, case.inputs, case.constants | constants).model(),
              tmp_path / "m.onnx")
    complaint(partition_tool(tmp_path / "m.onnx", "-o", tmp_path / "m.cleave"), *patterns)


def test_matrices_of_few_bits_that_do_not_fit_are_refused(tmp_path):
    refuse_bits(tmp_path, {"scales": np.ones((6, 3), np.float32)}, "'scales' has not one float")
    refuse_bits(tmp_path, {"scales": np.ones((6, 4), np.int32)}, "'scales' has not one float")
    refuse_bits(tmp_path, {"B": np.ones((6, 4, 8), np.uint8)}, "is not of uint8")
    refuse_bits(tmp_path, {}, "K = 160", K=160)
    refuse_bits(tmp_path, {}, "K = 96", K=96)
    refuse_bits(tmp_path, {}, "N = 5", N=5)
    refuse_bits(tmp_path, {}, "integers of 5 bits", bits=5)
    refuse_bits(tmp_path, {}, "blocks of 24", block_size=24)


def test_groups_of_inputs_are_refused(tmp_path):
    case = CASES["bits_4"]
    case.nodes[0].input.extend(["", "groups"])
    case = Case(case.nodes, case.outputs, case.inputs,
                case.constants | {"groups": np.zeros(128, np.int32)})
    onnx.save(case.model(), tmp_path / "m.onnx")
    del case.nodes[0].input[3:]
    complaint(partition_tool(tmp_path / "m.onnx", "-o", tmp_path / "m.cleave"), "g_idx")


@pytest.mark.parametrize("change, message", [
    ({"do_rotary": 1}, "attribute 'do_rotary'"),
    ({"mask": np.ones((5, 5), np.int32)}, r"a mask of shape \[5, 5\]"),
    ({"num_heads": 5}, "24 columns"),
    ({"qkv_hidden_sizes": [8, 8, -8]}, "24 columns")])
def test_what_is_refused(tmp_path, change, message):
    case = packed(**{name: value for name, value in change.items() if name != "num_heads"})
    for attribute in case.nodes[0].attribute:
        if attribute.name == "num_heads":
            attribute.i = change.get("num_heads", attribute.i)
    onnx.save(case.model(), tmp_path / "m.onnx")
    complaint(partition_tool(tmp_path / "m.onnx", "-o", tmp_path / "m.cleave"),
              r"node 'attention' \(Attention\)", message)
