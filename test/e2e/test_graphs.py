"""Graphs in .mlir: arrays in and out, against NumPy, alone and split over ranks."""

from __future__ import annotations

import json
import re

import gguf
import numpy as np
import pytest
from harness import EXAMPLE, complaint, partition, partition_tool, run

N = "#cleave.dims<n>"
IN, HIDDEN, OUT = 64, 45, 50
"""45 and 50 divide by neither 2 nor 3 (or only one): shares are uneven."""


def graph(ins, body, outs, weights=""):
    """A module with one entry; `ins` and `outs` map names to types, `%name` is an input's value."""
    arguments = ", ".join(f'%{name}: {kind} {{cleave.input = "{name}"}}'
                          for name, kind in ins.items())
    results = ", ".join(f'{kind} {{cleave.output = "{name}"}}' for name, kind in outs.items())
    values = ", ".join(f"%{name}.out" for name in outs)
    return (f"{weights}\nfunc.func @main({arguments}) -> ({results}) {{\n{body}\n"
            f"  return {values} : {', '.join(outs.values())}\n}}\n")


def rows(width):
    return f"tensor<?x{width}xf32, {N}>"


def compute(package, ranks, tmp_path, outputs=("y",), **inputs):
    """The outputs of a run on `inputs`."""
    words = []
    for name, value in inputs.items():
        np.save(tmp_path / f"{name}.npy", value)
        words += ["--input", f"{name}={tmp_path / name}.npy"]
    for name in outputs:
        words += ["--output", f"{name}={tmp_path / name}.out.npy"]
    result = run(package, ranks, *words)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    found = [np.load(tmp_path / f"{name}.out.npy") for name in outputs]
    return found[0] if len(found) == 1 else found


def close(found, expected):
    assert found.shape == expected.shape and found.dtype == np.float32
    assert np.abs(found - expected).max() <= 2e-5 * max(1.0, np.abs(expected).max())


SPLITS = [pytest.param(None, (), id="one rank"), pytest.param(2, ("--tp", 2), id="tp 2"),
          pytest.param(3, ("--tp", 3), id="tp 3"), pytest.param(2, ("--stages", 2), id="stages 2")]


@pytest.fixture
def random():
    return np.random.default_rng(11)


def linear(result, x, weight, inputs, outputs):
    return (f"  %{weight} = cleave.use @{weight} : tensor<{outputs}x{inputs}xf32>\n"
            f"  %{result} = cleave.linear %{x}, %{weight} : ({rows(inputs)}, "
            f"tensor<{outputs}x{inputs}xf32>) -> {rows(outputs)}\n")


@pytest.mark.parametrize("ranks, flags", SPLITS)
@pytest.mark.parametrize("count", [1, 7, 40])
def test_perceptron_from_npy(tmp_path, random, ranks, flags, count):
    """norm, two products with a silu and a product by elements between, a bias, a residual."""
    weights = {"norm": (IN,), "gate": (HIDDEN, IN), "up": (HIDDEN, IN), "down": (IN, HIDDEN),
               "bias": (IN,)}
    given = {name: random.standard_normal(shape).astype(np.float32)
             for name, shape in weights.items()}
    declared = ""
    for name, value in given.items():
        np.save(tmp_path / f"{name}.npy", value)
        shape = "x".join(map(str, value.shape))
        declared += (f"cleave.weight @{name} : tensor<{shape}xf32> "
                     f'from npy<"{tmp_path}/{name}.npy">\n')
    body = (f"  %norm = cleave.use @norm : tensor<{IN}xf32>\n"
            f"  %bias = cleave.use @bias : tensor<{IN}xf32>\n"
            f"  %h = cleave.rms_norm %x, %norm {{epsilon = 1.0e-3 : f32}} : {rows(IN)}, "
            f"tensor<{IN}xf32>\n"
            + linear("g", "h", "gate", IN, HIDDEN) + linear("u", "h", "up", IN, HIDDEN)
            + f"  %s = cleave.silu %g : {rows(HIDDEN)}\n"
              f"  %m = cleave.mul %s, %u : {rows(HIDDEN)}, {rows(HIDDEN)}\n"
            + linear("d", "m", "down", HIDDEN, IN)
            + f"  %b = cleave.add %d, %bias : {rows(IN)}, tensor<{IN}xf32>\n"
              f"  %y.out = cleave.add %b, %x : {rows(IN)}, {rows(IN)}\n")
    text = graph({"x": rows(IN)}, body, {"y": rows(IN)}, declared)
    if "--stages" in flags:
        text = text.replace("  %s = ", '  cleave.cut "middle"\n  %s = ')
        flags = ()
    (tmp_path / "g.mlir").write_text(text)
    split = ("--split", "gate=column", "--split", "up=column", "--split", "down=row")
    made = partition(tmp_path / "g.mlir", tmp_path / "g.cleave",
                     *flags, *(split if "--tp" in flags else ()))
    x = random.standard_normal((count, IN)).astype(np.float32)

    w = {name: value.astype(np.float64) for name, value in given.items()}
    h = x / np.sqrt(np.mean(x.astype(np.float64)**2, axis=1, keepdims=True) + 1e-3) * w["norm"]
    g = h @ w["gate"].T
    expected = g / (1 + np.exp(-g)) * (h @ w["up"].T) @ w["down"].T + w["bias"] + x
    close(compute(made, ranks, tmp_path, x=x), expected)
    mesh = {each["axis"]: each["size"] for each in json.loads(
        (made / "manifest.json").read_text())["mesh"]}
    if "--tp" in flags:
        assert mesh["tp"] == ranks
        text = (made / "rank-1.mlir").read_text()
        assert text.count("cleave.all_reduce") == 1 and "all_gather" not in text


@pytest.mark.parametrize("ranks, flags", SPLITS[:3])
@pytest.mark.parametrize("kind", ["column", "row"])
def test_one_product_split_every_way(tmp_path, random, ranks, flags, kind):
    weight = random.standard_normal((OUT, IN)).astype(np.float32)
    np.save(tmp_path / "w.npy", weight)
    text = graph({"x": rows(IN)}, linear("y.out", "x", "w", IN, OUT), {"y": rows(OUT)},
                 f'cleave.weight @w : tensor<{OUT}x{IN}xf32> from npy<"{tmp_path}/w.npy">')
    (tmp_path / "g.mlir").write_text(text)
    made = partition(tmp_path / "g.mlir", tmp_path / "g.cleave", *flags,
                     *(("--split", f"w={kind}") if flags else ()))
    x = random.standard_normal((5, IN)).astype(np.float32)
    close(compute(made, ranks, tmp_path, x=x), x.astype(np.float64) @ weight.T)


@pytest.mark.parametrize("ranks, flags", SPLITS[:3])
def test_look_up_and_rope_with_gguf_weights(tmp_path, ranks, flags):
    """The example model's first steps, with two outputs and integers going in."""
    tensors = {each.name: gguf.dequantize(each.data, each.tensor_type).astype(np.float64)
               for each in gguf.GGUFReader(EXAMPLE).tensors}
    table = tensors["token_embd.weight"]
    vocabulary, width = table.shape
    ids = f"tensor<?xi32, {N}>"
    body = (f'  %w = cleave.use @"token_embd.weight" : tensor<{vocabulary}x{width}xf32>\n'
            f"  %x.out = cleave.gather %w, %ids : (tensor<{vocabulary}x{width}xf32>, {ids}) "
            f"-> {rows(width)}\n"
            f"  %y.out = cleave.rope %x.out, %places {{head_dim = 8, rotary_dim = 8, "
            f"base = 1.0e4 : f32}} : {rows(width)}, {ids}\n")
    (tmp_path / "g.mlir").write_text(graph(
        {"ids": ids, "places": ids}, body, {"x": rows(width), "y": rows(width)},
        f'cleave.weight @"token_embd.weight" : tensor<{vocabulary}x{width}xf32> '
        f'from gguf<"{EXAMPLE}">'))
    made = partition(tmp_path / "g.mlir", tmp_path / "g.cleave", *flags,
                     *(("--split", "token_embd.weight=column") if flags else ()))
    numbers = np.array([5, 0, vocabulary - 1, 77, 5], np.int32)
    places = np.array([0, 1, 2, 30, 400], np.int32)
    x, y = compute(made, ranks, tmp_path, ("x", "y"), ids=numbers, places=places)
    expected = table[numbers]
    assert np.array_equal(x, expected.astype(np.float32))
    pairs = expected.reshape(len(numbers), -1, 4, 2) @ [1, 1j]
    pairs *= np.exp(1j * places[:, None, None] * 10000.0 ** (-np.arange(4) / 4))
    close(y, np.stack([pairs.real, pairs.imag], axis=-1).reshape(expected.shape))


def test_random_weights_are_the_same_however_they_are_split(tmp_path, random):
    body = linear("h", "x", "a", IN, HIDDEN) + linear("y.out", "h", "b", HIDDEN, OUT)
    text = graph({"x": rows(IN)}, body, {"y": rows(OUT)},
                 f"cleave.weight @a : tensor<{HIDDEN}x{IN}xf32> from random<7>\n"
                 f"cleave.weight @b : tensor<{OUT}x{HIDDEN}xf32> from random<7>")
    (tmp_path / "g.mlir").write_text(text)
    x = random.standard_normal((4, IN)).astype(np.float32)
    found = []
    for ranks, flags in ((None, ()), (2, ("--tp", 2)), (3, ("--tp", 3))):
        split = ("--split", "a=column", "--split", "b=row") if flags else ()
        made = partition(tmp_path / "g.mlir", tmp_path / f"{ranks}.cleave", *flags, *split)
        found.append(compute(made, ranks, tmp_path, x=x))
    assert np.abs(found[0]).max() > 1e-3
    for each in found[1:]:
        close(each, found[0])
    (tmp_path / "g.mlir").write_text(text.replace("random<7>", "random<8>"))
    other = partition(tmp_path / "g.mlir", tmp_path / "other.cleave")
    assert np.abs(compute(other, None, tmp_path, x=x) - found[0]).max() > 1e-3


def test_a_mesh_that_splits_nothing_is_refused(tmp_path):
    (tmp_path / "g.mlir").write_text(graph(
        {"x": rows(IN)}, linear("y.out", "x", "w", IN, OUT), {"y": rows(OUT)},
        f"cleave.weight @w : tensor<{OUT}x{IN}xf32> from random<1>"))
    result = partition_tool(tmp_path / "g.mlir", "--tp", 2, "--split", "w=none",
                            "-o", tmp_path / "g.cleave")
    complaint(result, "the plan splits no weight; say how with --split")
    assert not (tmp_path / "g.cleave").exists()


def test_weights_of_which_only_sizes_are_known(tmp_path):
    """A report, and no package."""
    text = graph({"x": rows(8192)}, linear("y.out", "x", "w", 8192, 28672), {"y": rows(28672)},
                 "cleave.weight @w : tensor<28672x8192xf32> from none")
    (tmp_path / "g.mlir").write_text(text)
    report = partition_tool(tmp_path / "g.mlir", "--tp", 2, "--split", "w=column",
                            "--report=json")
    assert report.returncode == 0
    assert [rank["weight_bytes"] for rank in json.loads(report.stdout)["ranks"]] == [
        28672 * 8192 * 4 // 2] * 2
    result = partition_tool(tmp_path / "g.mlir", "-o", tmp_path / "g.cleave")
    complaint(result, "from none")
    assert not (tmp_path / "g.cleave").exists()


def test_wrong_arrays_and_weights(tmp_path):
    text = graph({"x": rows(IN)}, linear("y.out", "x", "w", IN, OUT), {"y": rows(OUT)},
                 f'cleave.weight @w : tensor<{OUT}x{IN}xf32> from npy<"{tmp_path}/w.npy">')
    (tmp_path / "g.mlir").write_text(text)
    np.save(tmp_path / "w.npy", np.zeros((OUT, IN + 1), np.float32))
    errors = complaint(partition_tool(tmp_path / "g.mlir", "-o", tmp_path / "g.cleave"))
    assert "w.npy" in errors and f"{OUT}x{IN + 1}" in errors
    np.save(tmp_path / "w.npy", np.zeros((OUT, IN), np.float64))
    assert "w.npy" in complaint(partition_tool(tmp_path / "g.mlir", "-o", tmp_path / "g.cleave"))
    np.save(tmp_path / "w.npy", np.zeros((OUT, IN), np.float32))
    made = partition(tmp_path / "g.mlir", tmp_path / "g.cleave", "--tp", 2, "--split",
                     "w=row")
    for value, pattern in [(np.zeros((3, IN - 1), np.float32), r"\[3, 63\]"),
                           (np.zeros((3, IN), np.float64), r"x\.npy"),
                           (np.zeros(IN, np.float32), r"\[64\]")]:
        np.save(tmp_path / "x.npy", value)
        errors = complaint(run(made, 2, "--input", f"x={tmp_path}/x.npy"))
        assert re.search(pattern, errors), errors
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x01\x00\xff\xff")
    complaint(run(made, 2, "--input", f"x={tmp_path}/x.npy"), r"x\.npy")
    complaint(run(made, 2), "input 'x' .* is missing")


@pytest.mark.parametrize("text, pattern", [
    ("func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {", r"g\.mlir:\d+:\d+: "),
    ('module { "cleave.nothing"() : () -> () }', r"g\.mlir:1:\d+: .*nothing"),
    ("once upon a time", r"g\.mlir:1:1: "),
])
def test_text_that_is_no_graph(tmp_path, text, pattern):
    (tmp_path / "g.mlir").write_text(text)
    errors = complaint(partition_tool(tmp_path / "g.mlir", "-o", tmp_path / "g.cleave"))
    assert re.search(pattern, errors), errors
    assert not (tmp_path / "g.cleave").exists()
