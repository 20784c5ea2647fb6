"""Attention blocks, norms, reductions and images of graphs in .mlir, against NumPy, alone and
split over ranks."""

from __future__ import annotations

import numpy as np
import pytest
from harness import partition
from test_graphs import close, compute, graph

HEADS, KEY_HEADS, SIZE, WIDTH = 6, 2, 8, 20
B_T = "#cleave.dims<b, t>"


@pytest.fixture
def random():
    return np.random.default_rng(17)


def declare(tmp_path, given):
    """Weights from .npy files, and the lines that use them."""
    declared = used = ""
    for name, value in given.items():
        np.save(tmp_path / f"{name}.npy", value)
        kind = f"tensor<{'x'.join(map(str, value.shape))}xf32>"
        declared += f'cleave.weight @{name} : {kind} from npy<"{tmp_path}/{name}.npy">\n'
        used += f"  %{name} = cleave.use @{name} : {kind}\n"
    return declared, used


def values(*sizes):
    names = [size[1:] for size in sizes if isinstance(size, str) and size[0] == "?"]
    shape = "x".join("?" if isinstance(size, str) else str(size) for size in sizes)
    return f"tensor<{shape}xf32" + (f", #cleave.dims<{', '.join(names)}>>" if names else ">")


def heads(x, count):
    return x.reshape(*x.shape[:2], count, SIZE).transpose(0, 2, 1, 3)


def attention(x, mask, w):
    """In double; q, k, v and o as Linear has them."""
    x = x.astype(np.float64)
    centered = x - x.mean(-1, keepdims=True)
    h = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-5) * w["n"] + w["nb"]
    q, k, v = heads(h @ w["q"].T, HEADS), heads(h @ w["k"].T, KEY_HEADS), heads(
        h @ w["v"].T, KEY_HEADS)
    k, v = (np.repeat(each, HEADS // KEY_HEADS, axis=1) for each in (k, v))
    scores = np.einsum("bhtd,bhsd->bhts", q, k) * 0.35 + mask
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    a = weights / weights.sum(-1, keepdims=True) @ v
    return a.transpose(0, 2, 1, 3).reshape(*x.shape[:2], -1) @ w["o"].T + x


@pytest.mark.parametrize("ranks", [None, 2, 3])
def test_attention_block(tmp_path, random, ranks):
    """Grouped heads go through reshapes and transposes; one sum ends the block."""
    shapes = {"n": (WIDTH,), "nb": (WIDTH,), "q": (HEADS * SIZE, WIDTH),
              "k": (KEY_HEADS * SIZE, WIDTH), "v": (KEY_HEADS * SIZE, WIDTH),
              "o": (WIDTH, HEADS * SIZE)}
    given = {name: random.standard_normal(shape).astype(np.float32) / 4
             for name, shape in shapes.items()}
    declared, body = declare(tmp_path, given)
    x = values("?b", "?t", WIDTH)
    body += (f"  %h = cleave.layer_norm %x weight %n bias %nb {{epsilon = 1.0e-5 : f32}} : "
             f"({x}, {values(WIDTH)}, {values(WIDTH)}) -> {x}\n")
    for name, count in (("q", HEADS), ("k", KEY_HEADS), ("v", KEY_HEADS)):
        flat = values("?b", "?t", count * SIZE)
        split, turned = values("?b", "?t", count, SIZE), values("?b", count, "?t", SIZE)
        body += (f"  %{name}0 = cleave.linear %h, %{name} : "
                 f"({x}, {values(count * SIZE, WIDTH)}) -> {flat}\n"
                 f"  %{name}1 = cleave.reshape %{name}0 groups [1:1, 1:1, 1:2] : {flat} -> {split}\n"
                 f"  %{name}2 = cleave.transpose %{name}1 [0, 2, 1, 3] : {split} -> {turned}\n")
    q, k = values("?b", HEADS, "?t", SIZE), values("?b", KEY_HEADS, "?t", SIZE)
    split, flat = values("?b", "?t", HEADS, SIZE), values("?b", "?t", HEADS * SIZE)
    mask = values("?t", "?t")
    body += (f"  %a = cleave.scaled_dot_product_attention %q2, %k2, %v2 mask %mask "
             f"{{group = 3 : i64, scale = 3.5e-1 : f32}} : ({q}, {k}, {k}, {mask}) -> {q}\n"
             f"  %a1 = cleave.transpose %a [0, 2, 1, 3] : {q} -> {split}\n"
             f"  %a2 = cleave.reshape %a1 groups [1:1, 1:1, 2:1] : {split} -> {flat}\n"
             f"  %p = cleave.linear %a2, %o : ({flat}, {values(WIDTH, HEADS * SIZE)}) -> {x}\n"
             f"  %y.out = cleave.add %p, %x : {x}, {x}\n")
    (tmp_path / "g.mlir").write_text(graph({"x": x, "mask": mask}, body, {"y": x}, declared))
    flags = ("--tp", ranks, "--split", "q=column") if ranks else ()
    made = partition(tmp_path / "g.mlir", tmp_path / "g.cleave", *flags)
    for batch, tokens in ((1, 1), (2, 70)):
        given_x = random.standard_normal((batch, tokens, WIDTH)).astype(np.float32)
        given_mask = np.triu(np.full((tokens, tokens), -np.inf, np.float32), 1)
        close(compute(made, ranks, tmp_path, x=given_x, mask=given_mask),
              attention(given_x, given_mask, given))
    if ranks:
        text = (made / "rank-0.mlir").read_text()
        assert text.count("cleave.all_reduce") == 1 and "all_gather" not in text


@pytest.mark.parametrize("ranks", [None, 2])
def test_products_and_reductions(tmp_path, random, ranks):
    """What is not fused, over a run-time batch and split columns."""
    given = {"w": random.standard_normal((10, 6)).astype(np.float32)}
    declared, body = declare(tmp_path, given)
    x, h, s = values("?n", 5, 6), values("?n", 5, 10), values("?n", 5, 5)
    body += (f"  %h = cleave.linear %x, %w : ({x}, {values(10, 6)}) -> {h}\n"
             f"  %s = cleave.matmul %h, %h {{transpose_b}} : {h}, {h} -> {s}\n"
             f"  %p.out = cleave.softmax %s dim 1 : {s}\n"
             f"  %m.out = cleave.reduce mean %h dims [1, 2] : {h} -> {values('?n', 1, 1)}\n"
             f"  %l.out = cleave.reduce log_sum_exp %h dims [0] : {h} -> {values(5, 10)}\n"
             f"  %c.out = cleave.cumulative_sum %h dim 1 : {h}\n")
    outs = {"p": s, "m": values("?n", 1, 1), "l": values(5, 10), "c": h}
    (tmp_path / "g.mlir").write_text(graph({"x": x}, body, outs, declared))
    flags = ("--tp", ranks, "--split", "w=column") if ranks else ()
    made = partition(tmp_path / "g.mlir", tmp_path / "g.cleave", *flags)
    given_x = random.standard_normal((3, 5, 6)).astype(np.float32)
    p, m, l, c = compute(made, ranks, tmp_path, ("p", "m", "l", "c"), x=given_x)
    h = given_x.astype(np.float64) @ given["w"].T
    s = np.exp((h @ h.transpose(0, 2, 1)) - (h @ h.transpose(0, 2, 1)).max(1, keepdims=True))
    close(p, s / s.sum(1, keepdims=True))
    close(m, h.mean((1, 2), keepdims=True))
    close(l, np.log(np.exp(h).sum(0)))
    close(c, h.cumsum(1))


@pytest.mark.parametrize("ranks", [None, 3])
def test_images(tmp_path, random, ranks):
    """Channels stay split through a pool and resizing; a transposed convolution sums them."""
    given = {"a": random.standard_normal((6, 3, 1, 1)).astype(np.float32),
             "b": random.standard_normal((6, 5, 2, 2)).astype(np.float32)}
    declared, body = declare(tmp_path, given)
    x, c, p = values(2, 3, 8, 6), values(2, 6, 8, 6), values(2, 6, 4, 3)
    r, y = values(2, 6, 8, 3), values(2, 5, 16, 6)
    body += (f"  %c = cleave.conv %x, %a strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] : "
             f"({x}, {values(6, 3, 1, 1)}) -> {c}\n"
             f"  %p = cleave.pool average %c window [2, 2] strides [2, 2] pads [0, 0, 0, 0] "
             f"dilations [1, 1] : {c} -> {p}\n"
             f"  %r = cleave.resize nearest %p dim 2 by 2.0 asymmetric "
             f"{{rounding = #cleave<resize_rounding floor>}} : {p} -> {r}\n"
             f"  %y.out = cleave.conv_transpose %r, %b strides [2, 2] pads [0, 0, 0, 0] "
             f"dilations [1, 1] : ({r}, {values(6, 5, 2, 2)}) -> {y}\n")
    (tmp_path / "g.mlir").write_text(graph({"x": x}, body, {"y": y}, declared))
    flags = ("--tp", ranks, "--split", "a=column") if ranks else ()
    made = partition(tmp_path / "g.mlir", tmp_path / "g.cleave", *flags)
    given_x = random.standard_normal((2, 3, 8, 6)).astype(np.float32)
    c = np.einsum("nchw,oc->nohw", given_x.astype(np.float64), given["a"][:, :, 0, 0])
    p = c.reshape(2, 6, 4, 2, 3, 2).mean((3, 5))
    r = np.repeat(p, 2, axis=2)
    expected = np.einsum("nchw,coij->nohiwj", r, given["b"]).reshape(2, 5, 16, 6)
    close(compute(made, ranks, tmp_path, x=given_x), expected)
    if ranks:
        text = (made / "rank-0.mlir").read_text()
        assert text.count("cleave.all_reduce") == 1 and "all_gather" not in text


@pytest.mark.parametrize("flags", [(), ("--no-optimize",), ("--tp", 2, "--split", "q=column")])
def test_spelled_attention_is_found(tmp_path, random, flags):
    """Products and a softmax become one op, and compute the same; heads are split as before."""
    given = {name: random.standard_normal((4 * SIZE, WIDTH)).astype(np.float32) / 2
             for name in ("q", "k", "v")}
    declared, body = declare(tmp_path, given)
    x, flat, split = values(2, "?t", WIDTH), values(2, "?t", 4 * SIZE), values(2, "?t", 4, SIZE)
    turned, keys, scores = values(2, 4, "?t", SIZE), values(2, 4, SIZE, "?t"), values(2, 4, "?t", "?t")
    for name in given:
        order, kind = ("[0, 2, 3, 1]", keys) if name == "k" else ("[0, 2, 1, 3]", turned)
        body += (f"  %{name}0 = cleave.linear %x, %{name} : "
                 f"({x}, {values(4 * SIZE, WIDTH)}) -> {flat}\n"
                 f"  %{name}1 = cleave.reshape %{name}0 groups [1:1, 1:1, 1:2] : {flat} -> {split}\n"
                 f"  %{name}2 = cleave.transpose %{name}1 {order} : {split} -> {kind}\n")
    body += (f"  %s = cleave.matmul %q2, %k2 : {turned}, {keys} -> {scores}\n"
             f"  %d = cleave.scale %s by 3.5e-1 : {scores}\n"
             f"  %m = cleave.add %d, %mask : {scores}, {scores}\n"
             f"  %p = cleave.softmax %m dim 3 : {scores}\n"
             f"  %y.out = cleave.matmul %p, %v2 : {scores}, {turned} -> {turned}\n")
    (tmp_path / "g.mlir").write_text(
        graph({"x": x, "mask": scores}, body, {"y": turned}, declared))
    made = partition(tmp_path / "g.mlir", tmp_path / "g.cleave", *flags)
    given_x = random.standard_normal((2, 9, WIDTH)).astype(np.float32)
    mask = random.standard_normal((2, 4, 9, 9)).astype(np.float32)
    found = compute(made, 2 if "--tp" in flags else None, tmp_path, x=given_x, mask=mask)
    q, k, v = (heads(given_x.astype(np.float64) @ given[name].T, 4) for name in ("q", "k", "v"))
    weights = np.exp(np.einsum("bhtd,bhsd->bhts", q, k) * 0.35 + mask)
    close(found, weights / weights.sum(-1, keepdims=True) @ v)
    text = (made / "rank-0.mlir").read_text()
    assert ("cleave.scaled_dot_product_attention" in text) == ("--no-optimize" not in flags)
