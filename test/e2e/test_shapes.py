"""Ops that move elements, and run-time sizes that follow from others: graphs in .mlir against
NumPy, alone, split and in stages."""

from __future__ import annotations

import numpy as np
import pytest
from harness import complaint, partition, partition_tool, run
from test_graphs import close, compute, graph

SPLITS = [pytest.param(None, (), id="one rank"), pytest.param(2, ("--tp", 2), id="tp 2"),
          pytest.param(3, ("--tp", 3), id="tp 3"),
          pytest.param(4, ("--tp", 2, "--stages", 2), id="tp 2, stages 2")]
HEADS, WIDTH = 6, 4


def t(shape, *names, kind="f32"):
    """A tensor type; `?` of the shape have `names`."""
    dims = ", ".join(f'"{name}"' for name in names)
    return f"tensor<{shape}x{kind}" + (f", #cleave.dims<{dims}>>" if names else ">")


@pytest.fixture
def random():
    return np.random.default_rng(3)


def cache_graph(tmp_path, random):
    """A cache is appended to, as ONNX decoders do: keys of past tokens and of these, per head,
    repeated for two query heads each, then reversed in time; sums over heads end it."""
    wide, inner = HEADS * WIDTH, 2 * HEADS * WIDTH
    up = random.standard_normal((wide, 16)).astype(np.float32)
    down = random.standard_normal((8, inner)).astype(np.float32)
    np.save(tmp_path / "up.npy", up)
    np.save(tmp_path / "down.npy", down)
    weights = (f'cleave.weight @up : tensor<{wide}x16xf32> from npy<"{tmp_path}/up.npy">\n'
               f'cleave.weight @down : tensor<8x{inner}xf32> from npy<"{tmp_path}/down.npy">\n')
    x, past = t("?x16", "seq"), t(f"{HEADS}x?x{WIDTH}", "past")
    flat, heads = t(f"?x{wide}", "seq"), t(f"?x{HEADS}x{WIDTH}", "seq")
    turned, all_ = t(f"{HEADS}x?x{WIDTH}", "seq"), t(f"{HEADS}x?x{WIDTH}", "past+seq")
    one, two = t(f"{HEADS}x1x?x{WIDTH}", "past+seq"), t(f"{HEADS}x2x?x{WIDTH}", "past+seq")
    both = t(f"{2 * HEADS}x?x{WIDTH}", "past+seq")
    back, rows = t(f"?x{2 * HEADS}x{WIDTH}", "past+seq"), t(f"?x{inner}", "past+seq")
    y = t("?x8", "past+seq")
    body = f"""
  %up = cleave.use @up : tensor<{wide}x16xf32>
  %flat = cleave.linear %x, %up : ({x}, tensor<{wide}x16xf32>) -> {flat}
  %heads = cleave.reshape %flat groups [1:1, 1:2] : {flat} -> {heads}
  %turned = cleave.transpose %heads [1, 0, 2] : {heads} -> {turned}
  %all = cleave.concat %past, %turned dim 1 : ({past}, {turned}) -> {all_}
  %one = cleave.reshape %all groups [1:1, 0:1, 1:1, 1:1] : {all_} -> {one}
  %two = cleave.expand %one : {one} -> {two}
  %both = cleave.reshape %two groups [2:1, 1:1, 1:1] : {two} -> {both}
  %reversed = cleave.slice %both dim 1 from "past+seq-1" step -1 : {both} -> {both}
  %back = cleave.transpose %reversed [1, 0, 2] : {both} -> {back}
  %rows = cleave.reshape %back groups [1:1, 2:1] : {back} -> {rows}
  %down = cleave.use @down : tensor<8x{inner}xf32>
  %y.out = cleave.linear %rows, %down : ({rows}, tensor<8x{inner}xf32>) -> {y}
  %present.out = cleave.slice %all dim 1 from "past" : {all_} -> {turned}
"""
    text = graph({"x": x, "past": past}, body, {"y": y, "present": turned}, weights)
    (tmp_path / "g.mlir").write_text(text)

    def expect(x, past):
        turned = (x @ up.T).reshape(-1, HEADS, WIDTH).transpose(1, 0, 2)
        both = np.repeat(np.concatenate([past, turned], 1), 2, 0)[:, ::-1]
        return both.transpose(1, 0, 2).reshape(-1, inner) @ down.T, turned

    return tmp_path / "g.mlir", expect


@pytest.mark.parametrize("ranks, flags", SPLITS)
def test_cache_per_head(tmp_path, random, ranks, flags):
    model, expect = cache_graph(tmp_path, random)
    split = ("--split", "up=column", "--split", "down=row") if "--tp" in flags else ()
    made = partition(model, tmp_path / "g.cleave", *flags, *split)
    for seq, past in ((3, 5), (1, 0), (2, 1)):
        inputs = {"x": random.standard_normal((seq, 16)).astype(np.float32),
                  "past": random.standard_normal((HEADS, past, WIDTH)).astype(np.float32)}
        for found, expected in zip(compute(made, ranks, tmp_path, ("y", "present"), **inputs),
                                   expect(**inputs)):
            close(found, expected.astype(np.float32))


def test_heads_stay_split(tmp_path, random):
    """From the first product to the second no message but the last sum."""
    model, _ = cache_graph(tmp_path, random)
    checked = partition_tool(model, "--tp", 2, "--split", "up=column", "--split", "down=row",
                             "--check", "-o", tmp_path / "g.cleave")
    assert checked.returncode == 0, checked.stderr
    ranks = (tmp_path / "g.cleave" / "rank-0.mlir").read_text()
    assert ranks.count("cleave.all_reduce") == 1
    # The output 'present' is whole on the rank that answers for it.
    assert ranks.count("cleave.all_gather") <= 1


OPS = {
    # name: (inputs, body, result's type, what NumPy says); %y.out is the result.
    "merge two run-time sizes": (
        {"x": (t("?x?x6", "batch", "seq"), (3, 4, 6))},
        lambda y: f'%y.out = cleave.reshape %x groups [2:1, 1:2] : {t("?x?x6", "batch", "seq")} -> {y}',
        t("?x2x3", "batch*seq"), lambda x: x.reshape(12, 2, 3)),
    "split a run-time size": (
        {"x": (t("?", "2*n"), (10,))},
        lambda y: f'%y.out = cleave.reshape %x groups [1:2] : {t("?", "2*n")} -> {y}',
        t("?x2", "n"), lambda x: x.reshape(5, 2)),
    "slice with steps": (
        {"x": (t("?x9", "n"), (4, 9))},
        lambda y: f'%y.out = cleave.slice %x dim 1 from 7 step -3 : {t("?x9", "n")} -> {y}',
        t("?x3", "n"), lambda x: x[:, 7::-3]),
    "slice by half": (
        {"x": (t("?x2", "n"), (7, 2))},
        lambda y: f'%y.out = cleave.slice %x dim 0 from "n//2" : {t("?x2", "n")} -> {y}',
        t("?x2", "(n+1)//2"), lambda x: x[3:]),
    "every second": (
        {"x": (t("3x?x2", "n"), (3, 7, 2))},
        lambda y: f'%y.out = cleave.slice %x dim 1 from 0 step 2 : {t("3x?x2", "n")} -> {y}',
        t("3x?x2", "(n+1)//2"), lambda x: x[:, ::2]),
    "concat along the last dim": (
        {"x": (t("?x3", "n"), (4, 3)), "w": (t("?x?", "n", "m"), (4, 2))},
        lambda y: f'%y.out = cleave.concat %x, %w, %x dim 1 : ({t("?x3", "n")}, '
                  f'{t("?x?", "n", "m")}, {t("?x3", "n")}) -> {y}',
        t("?x?", "n", "m+6"), lambda x, w: np.concatenate([x, w, x], 1)),
    "expand": (
        {"x": (t("4x1x3"), (4, 1, 3)), "w": (t("?", "n"), (5,))},
        lambda y: f'%a = cleave.expand %x : {t("4x1x3")} -> {y}\n'
                  f'  %b = cleave.reshape %w groups [1:2] : {t("?", "n")} -> {t("?x1", "n")}\n'
                  f'  %c = cleave.expand %b : {t("?x1", "n")} -> {y}\n'
                  f'  %y.out = cleave.add %a, %c : {y}, {y}',
        t("2x4x?x3", "n"),
        lambda x, w: np.broadcast_to(x + w[:, None], (2, 4, len(w), 3))),
    "range": (
        {"x": (t("?", "past+seq"), (9,)), "w": (t("?", "seq"), (4,))},
        lambda y: f'%r = cleave.range from "past" step 2 : {y}\n'
                  f'  %x1 = cleave.slice %x dim 0 from "past" : {t("?", "past+seq")} -> {y}\n'
                  f'  %s = cleave.add %r, %x1 : {y}, {y}\n'
                  f'  %y.out = cleave.add %s, %w : {y}, {y}',
        t("?", "seq"), lambda x, w: 5 + 2 * np.arange(4) + w + x[5:]),
    "take": (
        {"x": (t("3x?x2", "n"), (3, 5, 2)), "i": (t("2x?", "m", kind="i32"), [[0, 4, -1], [-5, 2, 2]])},
        lambda y: f'%y.out = cleave.take %x, %i dim 1 : ({t("3x?x2", "n")}, '
                  f'{t("2x?", "m", kind="i32")}) -> {y}',
        t("3x2x?x2", "m"), lambda x, i: np.take(x, i, 1)),
    "gather elements": (
        {"x": (t("3x?", "n"), (3, 5)), "i": (t("2x4", kind="i32"), [[0, 4, -1, 1], [-5, 2, 2, 3]])},
        lambda y: f'%y.out = cleave.gather_elements %x, %i dim 1 : ({t("3x?", "n")}, '
                  f'{t("2x4", kind="i32")}) -> {y}',
        t("2x4"), lambda x, i: np.take_along_axis(x[:2], i, 1)),
    "gather by tuples": (
        {"x": (t("2x?x3x4", "n"), (2, 5, 3, 4)),
         "i": (t("2x3x2", kind="i32"), [[[0, 0], [4, -1], [-5, 1]], [[1, 1], [2, 2], [3, -3]]])},
        lambda y: f'%y.out = cleave.gather_nd %x, %i batch_dims 1 : ({t("2x?x3x4", "n")}, '
                  f'{t("2x3x2", kind="i32")}) -> {y}',
        t("2x3x4"), lambda x, i: np.stack([x[b][i[b, :, 0], i[b, :, 1]] for b in range(2)])),
    "scatter elements": (
        {"x": (t("3x?", "n"), (3, 5)), "i": (t("2x3", kind="i32"), [[0, -1, 1], [2, 2, 2]]),
         "u": (t("2x3"), (2, 3))},
        lambda y: f'%y.out = cleave.scatter_elements add %u into %x at %i dim 1 : {t("2x3")}, '
                  f'{y}, {t("2x3", kind="i32")}',
        t("3x?", "n"), lambda x, i, u: scattered(x, i, u)),
    "scatter by tuples": (
        {"x": (t("?x3x2", "n"), (4, 3, 2)), "i": (t("3x1", kind="i32"), [[1], [-1], [1]]),
         "u": (t("3x3x2"), (3, 3, 2))},
        lambda y: f'%y.out = cleave.scatter_nd max %u into %x at %i : {t("3x3x2")}, {y}, '
                  f'{t("3x1", kind="i32")}',
        t("?x3x2", "n"), lambda x, i, u: np.stack(
            [x[0], np.maximum(x[1], np.maximum(u[0], u[2])), x[2], np.maximum(x[3], u[1])])),
}


def scattered(x, indices, updates):
    y = x.copy()
    for row, places in enumerate(indices):
        for at, update in zip(places, updates[row]):
            y[row, at] += update
    return y


@pytest.mark.parametrize("element, dtype", [("i64", np.int64), ("ui8", np.uint8), ("f16", np.float16),
                                            ("i1", np.bool_)])
def test_elements_of_every_size_move(tmp_path, random, element, dtype):
    """A table's rows by i64 numbers, reversed, behind a constant's repetition."""
    x, i = t("?x3", "n", kind=element), t("?", "m", kind="i64")
    one, rows = t("1x3", kind=element), t("?x3", "m", kind=element)
    y = t("?x3", "m+2", kind=element)
    body = (f'  %t = cleave.take %x, %i dim 0 : ({x}, {i}) -> {rows}\n'
            f'  %r = cleave.slice %t dim 1 from 2 step -1 : {rows} -> {rows}\n'
            f'  %o = cleave.slice %x dim 0 from 0 : {x} -> {one}\n'
            f'  %e = cleave.expand %o : {one} -> {t("2x3", kind=element)}\n'
            f'  %y.out = cleave.concat %e, %r dim 0 : ({t("2x3", kind=element)}, {rows}) -> {y}')
    (tmp_path / "g.mlir").write_text(graph({"x": x, "i": i}, body, {"y": y}))
    made = partition(tmp_path / "g.mlir", tmp_path / "g.cleave")
    table = (random.standard_normal((5, 3)) * 50).astype(np.int64).astype(dtype)
    which = np.array([4, -1, 0, -5, 2, 2], np.int64)
    found = compute(made, None, tmp_path, x=table, i=which)
    assert found.dtype == dtype
    assert np.array_equal(found, np.concatenate([np.tile(table[:1], (2, 1)), table[which][:, ::-1]]))


@pytest.mark.parametrize("name", OPS)
def test_op(tmp_path, random, name):
    ins, body, kind, expect = OPS[name]
    given = {key: random.standard_normal(value).astype(np.float32) if isinstance(value, tuple)
             else np.array(value, np.int32) for key, (_, value) in ins.items()}
    text = graph({key: kind for key, (kind, _) in ins.items()}, "  " + body(kind), {"y": kind})
    (tmp_path / "g.mlir").write_text(text)
    made = partition(tmp_path / "g.mlir", tmp_path / "g.cleave")
    expected = expect(*given.values())
    found = compute(made, None, tmp_path, **given)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-6


def refused(made, tmp_path, **inputs):
    words = []
    for name, value in inputs.items():
        np.save(tmp_path / f"{name}.npy", value)
        words += ["--input", f"{name}={tmp_path / name}.npy"]
    return run(made, None, *words)


def test_sizes_that_do_not_agree(tmp_path):
    ins = {"x": t("?", "seq"), "mask": t("?", "past+seq")}
    body = (f'  %m = cleave.slice %mask dim 0 from "past" : {ins["mask"]} -> {ins["x"]}\n'
            f'  %y.out = cleave.add %m, %x : {ins["x"]}, {ins["x"]}')
    (tmp_path / "g.mlir").write_text(graph(ins, body, {"y": ins["x"]}))
    made = partition(tmp_path / "g.mlir", tmp_path / "g.cleave")
    numbers = np.arange(9, dtype=np.float32)
    assert list(compute(made, None, tmp_path, x=numbers[:4], mask=numbers)) == [5, 7, 9, 11]
    complaint(refused(made, tmp_path, x=numbers, mask=numbers[:4]), "mask")


def test_a_size_that_nothing_tells(tmp_path):
    ins = {"mask": t("?", "past+seq")}
    body = f'  %y.out = cleave.slice %mask dim 0 from "past" : {ins["mask"]} -> {t("?", "seq")}'
    (tmp_path / "g.mlir").write_text(graph(ins, body, {"y": t("?", "seq")}))
    made = partition(tmp_path / "g.mlir", tmp_path / "g.cleave")
    complaint(refused(made, tmp_path, mask=np.zeros(4, np.float32)), "no input tells the size past")


def test_a_slice_beyond_the_end(tmp_path):
    ins = {"x": t("8"), "n": t("?", "n")}
    body = (f'  %s = cleave.slice %x dim 0 from 2 : {ins["x"]} -> {ins["n"]}\n'
            f'  %y.out = cleave.add %s, %n : {ins["n"]}, {ins["n"]}')
    (tmp_path / "g.mlir").write_text(graph(ins, body, {"y": ins["n"]}))
    made = partition(tmp_path / "g.mlir", tmp_path / "g.cleave")
    numbers = np.arange(8, dtype=np.float32)
    assert list(compute(made, None, tmp_path, x=numbers, n=numbers[:6])) == [2, 4, 6, 8, 10, 12]
    complaint(refused(made, tmp_path, x=numbers, n=numbers[:7]),
              "7 elements from 2 on by steps of 1 are not within the dimension's 8")


def test_a_negative_size(tmp_path):
    ins = {"x": t("?", "n")}
    body = f'  %y.out = cleave.slice %x dim 0 from 3 : {ins["x"]} -> {t("?", "n-3")}'
    (tmp_path / "g.mlir").write_text(graph(ins, body, {"y": t("?", "n-3")}))
    made = partition(tmp_path / "g.mlir", tmp_path / "g.cleave")
    complaint(refused(made, tmp_path, x=np.zeros(2, np.float32)), "the size 'n-3' is -1 at n = 2")


def test_indices_are_checked_with_numbers_that_exist(tmp_path):
    """--check makes indices that lie in what they choose from."""
    x, i = t("?x3", "n"), t("2x4", kind="i32")
    tuples = t("2x4x1", kind="i32")
    body = (f'  %a = cleave.take %x, %i dim 1 : ({x}, {i}) -> {t("?x2x4", "n")}\n'
            f'  %y.out = cleave.gather_nd %a, %j batch_dims 0 : ({t("?x2x4", "n")}, {tuples}) '
            f'-> {t("2x4x2x4")}')
    ins = {"x": x, "i": i, "j": tuples}
    (tmp_path / "g.mlir").write_text(graph(ins, body, {"y": t("2x4x2x4")}))
    checked = partition_tool(tmp_path / "g.mlir", "--check")
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("index", [5, -6])
def test_an_index_beyond_the_end(tmp_path, index):
    ins = {"x": t("?", "n"), "i": t("2", kind="i32")}
    body = f'  %y.out = cleave.take %x, %i dim 0 : ({ins["x"]}, {ins["i"]}) -> {t("2")}'
    (tmp_path / "g.mlir").write_text(graph(ins, body, {"y": t("2")}))
    made = partition(tmp_path / "g.mlir", tmp_path / "g.cleave")
    result = refused(made, tmp_path, x=np.zeros(5, np.float32), i=np.array([0, index], np.int32))
    complaint(result, f"input 'i' has the value {index} at index 1, but dimension 0 of input 'x' "
                      "has -5 to 4")
